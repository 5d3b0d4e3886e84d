package admin

import (
	"context"
	"time"
)

// Series is what webhooks did in equal steps of time, the oldest first.
type Series struct {
	Start     time.Time `json:"start" doc:"When the first step begins."`
	Step      int       `json:"step_seconds" doc:"How long a step is."`
	Delivered []int64   `json:"delivered" doc:"Successful attempts in each step."`
	Failed    []int64   `json:"failed" doc:"Failed attempts in each step."`
	Mean      []float64 `json:"mean_micros" doc:"Mean time of an attempt in each step, in microseconds; 0 = there was none."`
}

type seriesInput struct {
	Webhook string `query:"webhook" doc:"Only this webhook's attempts." example:"wh_00000000000000000000000000"`
	Hours   int    `query:"hours" minimum:"1" maximum:"24" default:"1" doc:"1 = the last hour in minutes, more = the last day in quarters of an hour."`
}

func (s *Server) seriesRoutes() []route {
	return []route{
		operation(op{method: "GET", path: "/api/v1/stats/series", id: "get-series", tag: "relay", role: RoleViewer,
			summary: "What webhooks did over time, since the relay was started"}, s.getSeries),
	}
}

func (s *Server) getSeries(_ context.Context, c *call, in *seriesInput) (Series, error) {
	return s.opts.Series(c.tenants, in.Webhook, in.Hours), nil
}
