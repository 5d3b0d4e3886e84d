package admin

import (
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

// healthz answers GET /healthz: is the process alive, or should a supervisor restart it.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request, _ *grant) error {
	return s.health(w, r, s.opts.Health())
}

// readyz answers GET /readyz: should the process get traffic.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request, _ *grant) error {
	return s.health(w, r, s.opts.Ready())
}

// health is open to probes, but what exactly fails is for operators: ?verbose needs a token.
func (s *Server) health(w http.ResponseWriter, r *http.Request, checks []Check) error {
	q, err := query(r, "verbose")
	if err != nil {
		return err
	}
	verbose := q.has("verbose")
	if verbose {
		if _, p := s.authorize(r, route{needs: RoleViewer, global: true}); p != nil {
			return p
		}
	}
	status, answer := http.StatusOK, healthAnswer{Status: "ok"}
	for _, c := range checks {
		line := checkAnswer{Name: c.Name, OK: c.Err == nil}
		if c.Err != nil {
			status, answer.Status, line.Detail = http.StatusServiceUnavailable, "failing", c.Err.Error()
		}
		if verbose {
			answer.Checks = append(answer.Checks, line)
		}
	}
	return writeJSON(w, status, answer)
}
