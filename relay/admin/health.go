package admin

import (
	"context"
	"net/http"
)

// healthAnswer is the body of /healthz and /readyz; the checks only with ?verbose.
type healthAnswer struct {
	Status string        `json:"status"` // ok or failing
	Checks []checkAnswer `json:"checks,omitempty"`
}

type checkAnswer struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

type healthInput struct {
	Verbose bool `query:"verbose" doc:"With every check, for tokens of all tenants."`
}

// healthz says whether the process is alive, or a supervisor should restart it.
func (s *Server) healthz(_ context.Context, c *call, in *healthInput) (healthAnswer, error) {
	return s.health(c, in, s.opts.Health())
}

// readyz says whether the process should get traffic.
func (s *Server) readyz(_ context.Context, c *call, in *healthInput) (healthAnswer, error) {
	return s.health(c, in, s.opts.Ready())
}

// health is open to probes, but what exactly fails is for operators: ?verbose needs a token.
func (s *Server) health(c *call, in *healthInput, checks []Check) (healthAnswer, error) {
	answer := healthAnswer{Status: "ok"}
	if in.Verbose {
		if _, p := s.authorize(c.request, route{op: op{role: RoleViewer, global: true}}); p != nil {
			return answer, p
		}
	}
	for _, check := range checks {
		line := checkAnswer{Name: check.Name, OK: check.Err == nil}
		if check.Err != nil {
			c.status, answer.Status, line.Detail = http.StatusServiceUnavailable, "failing", check.Err.Error()
		}
		if in.Verbose {
			answer.Checks = append(answer.Checks, line)
		}
	}
	return answer, nil
}
