package admin

import (
	"context"
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

func (s *Server) stats(_ context.Context, c *call, _ *none) (statsAnswer, error) {
	st := s.opts.Stats()
	a := statsAnswer{Version: st.Version, Started: st.Started}
	if c.all() {
		a.Queue = &st.Queue
	}
	for _, wh := range s.opts.Webhooks() {
		if !c.sees(wh.Tenant) {
			continue
		}
		a.Webhooks.Total++
		if wh.Status == "active" {
			a.Webhooks.Active++
		}
		if wh.Circuit == "open" {
			a.Webhooks.OpenCircuits++
		}
		sum := &a.Webhooks.Counters
		sum.Delivered += wh.Counters.Delivered
		sum.Failed += wh.Counters.Failed
		sum.Dead += wh.Counters.Dead
		sum.InFlight += wh.Counters.InFlight
	}
	return a, nil
}
