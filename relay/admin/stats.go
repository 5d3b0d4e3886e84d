package admin

import (
	"net/http"
	"time"
)

// statsAnswer is what GET /api/v1/stats answers. The queue is shared by all tenants, so a token for some of them does not see it.
type statsAnswer struct {
	Version  string       `json:"version"`
	Started  time.Time    `json:"started_at"`
	Webhooks webhookStats `json:"webhooks"`
	Queue    *QueueStats  `json:"queue,omitempty"`
}

// webhookStats sums up the webhooks that the token may see.
type webhookStats struct {
	Total        int      `json:"total"`
	Active       int      `json:"active"`
	OpenCircuits int      `json:"open_circuits"`
	Counters     Counters `json:"counters"`
}

// stats answers GET /api/v1/stats.
func (s *Server) stats(w http.ResponseWriter, r *http.Request, g *grant) error {
	if _, err := query(r); err != nil {
		return err
	}
	st := s.opts.Stats()
	a := statsAnswer{Version: st.Version, Started: st.Started}
	if g.all() {
		a.Queue = &st.Queue
	}
	for _, wh := range s.opts.Webhooks() {
		if !g.sees(wh.Tenant) {
			continue
		}
		a.Webhooks.Total++
		if wh.Status == "active" {
			a.Webhooks.Active++
		}
		if wh.Circuit == "open" {
			a.Webhooks.OpenCircuits++
		}
		c := &a.Webhooks.Counters
		c.Delivered += wh.Counters.Delivered
		c.Failed += wh.Counters.Failed
		c.Dead += wh.Counters.Dead
		c.InFlight += wh.Counters.InFlight
	}
	return writeJSON(w, http.StatusOK, a)
}
