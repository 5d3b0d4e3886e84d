package relay

import (
	"context"
	"slices"
	"time"

	"edgerelay/relay/admin"
	"edgerelay/relay/event"
	"edgerelay/relay/history"
	"edgerelay/relay/webhooks"
)

// watchBuffer is how many attempts a stream's reader can be behind before some are left out.
const watchBuffer = 256

// watch shows attempts to the management API as they happen.
func (r *Relay) watch(f admin.AttemptFilter) admin.AttemptWatch {
	s := r.recorder.Watch(watchBuffer, wanted(f))
	if s == nil {
		return nil
	}
	return &watched{s}
}

// wanted makes the filter that the path of a delivery asks.
func wanted(f admin.AttemptFilter) func(*history.Attempt) bool {
	return func(a *history.Attempt) bool {
		switch {
		case f.Tenants != nil && !slices.Contains(f.Tenants, string(a.Tenant)),
			f.Webhook != event.WebhookID{} && f.Webhook != a.Webhook,
			f.Event != "" && f.Event != string(a.EventID),
			f.Program != "" && f.Program != string(a.Program),
			f.Status == "failed" && !a.Status.Failed(),
			f.Status != "" && f.Status != "failed" && f.Status != a.Status.String():
			return false
		}
		return f.Type == "" || f.Type == string(a.Type) || webhooks.MatchPattern(f.Type, string(a.Type))
	}
}

type watched struct{ s *history.Subscription }

func (w *watched) Close() { w.s.Close() }

func (w *watched) Next(ctx context.Context) (admin.Attempt, int64, error) {
	select {
	case a := <-w.s.C():
		return describeAttempt(a), w.s.Dropped(), nil
	case <-ctx.Done():
		return admin.Attempt{}, w.s.Dropped(), ctx.Err()
	}
}

func describeAttempt(a *history.Attempt) admin.Attempt {
	out := admin.Attempt{Delivery: a.Delivery.String(), Event: string(a.EventID), Type: string(a.Type), Tenant: string(a.Tenant), Program: string(a.Program),
		Webhook: a.Webhook.String(), WebhookName: a.WebhookName, Number: a.Number, Mark: a.Mark.String(), At: a.Start.UTC(), Status: a.Status.String(),
		HTTPStatus: a.HTTPStatus, Reason: a.Reason, Detail: a.Detail, Method: string(a.Method), URL: string(a.URL),
		DurationMS: float64(a.Timings.Total.Round(time.Microsecond)) / float64(time.Millisecond)}
	if a.ID != (history.AttemptID{}) {
		out.ID = a.ID.String()
	}
	if !a.Next.IsZero() {
		out.NextAttempt = a.Next.UTC()
	}
	return out
}
