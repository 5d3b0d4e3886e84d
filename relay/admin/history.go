package admin

import (
	"context"
	"encoding/json"
	"time"

	"edgerelay/relay/event"
)

// History is what the API shows of what happened. The relay adapts its history to it. tenants bounds whose records are looked at (nil = all); what is not
// found among them is ErrNotFound.
type History interface {
	Events(ctx context.Context, f HistoryFilter, cursor string, limit int) (HistoryPage[Event], error)
	Event(ctx context.Context, id string, tenants []string) (EventDetail, error)
	Attempts(ctx context.Context, f HistoryFilter, cursor string, limit int) (HistoryPage[AttemptDetail], error)
	Delivery(ctx context.Context, id event.DeliveryID, tenants []string) (DeliveryDetail, error)
	// Replay sends one event again, to its webhooks or to one.
	Replay(ctx context.Context, id string, tenants []string, webhook *event.WebhookID, dry bool) (ReplayAnswer, error)
	// Retry makes a delivery due, or sends a settled one again.
	Retry(ctx context.Context, id event.DeliveryID, tenants []string) (tenant string, replayed bool, err error)
}

// HistoryFilter narrows what is shown; zero fields match everything.
type HistoryFilter struct {
	Tenants  []string
	Program  string
	Type     string
	Event    string
	Webhook  event.WebhookID
	Statuses []string
	HTTP     int
	Replayed *bool
	Search   string
	From, To time.Time
}

// HistoryPage is one page of a search.
type HistoryPage[T any] struct {
	Items      []T       `json:"items"`
	NextCursor string    `json:"next_cursor,omitempty"`
	Reached    time.Time `json:"reached_at,omitzero" doc:"The search ran out of time here; next_cursor goes on."`
}

// Event is one accepted event.
type Event struct {
	ID         string        `json:"id"`
	Type       string        `json:"type"`
	Tenant     string        `json:"tenant"`
	Program    string        `json:"program,omitempty"`
	AcceptedAt time.Time     `json:"accepted_at"`
	Bytes      int           `json:"bytes" doc:"Length of its envelope."`
	Webhooks   []WebhookName `json:"webhooks" doc:"Where it was to go."`
}

// WebhookName names a webhook.
type WebhookName struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty" doc:"Absent when it is not configured any more."`
}

// EventDetail is an event with everything that was tried.
type EventDetail struct {
	Event
	Trace string `json:"trace,omitempty" doc:"The producer's traceparent."`
	TrialBody
	Replayable bool            `json:"replayable" doc:"Whether it can be sent again."`
	Note       string          `json:"note,omitempty" doc:"Why it cannot, or what is missing."`
	Deliveries []EventDelivery `json:"deliveries"`
}

// EventDelivery is one delivery of an event.
type EventDelivery struct {
	ID          string          `json:"id"`
	Webhook     string          `json:"webhook"`
	WebhookName string          `json:"webhook_name,omitempty"`
	Status      string          `json:"status" enum:"pending,delivered,dropped,retrying,dead"`
	NextAttempt time.Time       `json:"next_attempt_at,omitzero"`
	Attempts    []AttemptDetail `json:"attempts" doc:"Oldest first."`
}

// AttemptDetail is one try of a delivery.
type AttemptDetail struct {
	ID           string         `json:"id"`
	Delivery     string         `json:"delivery"`
	Event        string         `json:"event"`
	Type         string         `json:"type"`
	Webhook      string         `json:"webhook"`
	WebhookName  string         `json:"webhook_name,omitempty"`
	Tenant       string         `json:"tenant"`
	Program      string         `json:"program,omitempty"`
	Number       int            `json:"number"`
	Mark         string         `json:"mark,omitempty" enum:"replay" doc:"replay: it was sent again out of the history."`
	At           time.Time      `json:"at"`
	Status       string         `json:"status" enum:"delivered,dropped,retrying,dead" doc:"What became of the delivery."`
	Reason       string         `json:"reason,omitempty" doc:"The class of the failure."`
	HTTPStatus   int            `json:"http_status,omitempty"`
	Detail       string         `json:"detail,omitempty"`
	NextAttempt  time.Time      `json:"next_attempt_at,omitzero"`
	Remote       string         `json:"remote,omitempty" doc:"The receiver's address."`
	Timings      TrialTimings   `json:"timings"`
	DurationMS   float64        `json:"duration_ms"`
	Request      *TrialRequest  `json:"request,omitempty" doc:"Absent in lists, and when none was made."`
	Response     *TrialResponse `json:"response,omitempty"`
	TransformLog string         `json:"transform_log,omitempty"`
	Note         string         `json:"note,omitempty" doc:"What is not shown."`
}

// DeliveryDetail is a delivery with its event and its attempts.
type DeliveryDetail struct {
	Delivery
	Envelope     json.RawMessage `json:"envelope,omitempty" doc:"The event as it was accepted; absent when it is not kept."`
	AttemptsMade []AttemptDetail `json:"attempts_made" doc:"As far as the history remembers them, oldest first."`
}

// ReplayAnswer says what is sent again.
type ReplayAnswer struct {
	Event      string        `json:"event"`
	DryRun     bool          `json:"dry_run,omitempty" doc:"Nothing was sent."`
	Deliveries []ReplayedOne `json:"deliveries"`
}

// ReplayedOne is one delivery that is made again.
type ReplayedOne struct {
	ID          string `json:"id"`
	Webhook     string `json:"webhook"`
	WebhookName string `json:"webhook_name"`
}

type historyInput struct {
	pageInput
	Type    string    `query:"type" example:"order.paid" doc:"Only those of this event type."`
	Program string    `query:"program" doc:"Only those of this program."`
	Webhook string    `query:"webhook" doc:"Only those for the webhook with this id."`
	Search  string    `query:"search" doc:"Only those with this text in the event, or in what was sent or answered. Give a window of time with it."`
	From    time.Time `query:"from" example:"2026-11-24T10:00:00Z" doc:"Only those that are not older."`
	To      time.Time `query:"to" doc:"Only those that are older."`
}

type listEventsInput struct {
	historyInput
	Event string `query:"event" doc:"Only the one with this id."`
}

type listAttemptsInput struct {
	historyInput
	Event    string `query:"event" doc:"Only those of the event with this id."`
	Status   string `query:"status" enum:"delivered,dropped,retrying,dead,failed" example:"failed" doc:"What became of the delivery; failed is retrying or dead."`
	HTTP     int    `query:"http_status" minimum:"0" maximum:"999" doc:"Only those with this answer."`
	Replayed *bool  `query:"replayed" doc:"Only replays, or only others."`
}

type eventInput struct {
	ID string `path:"id" doc:"Id of the event." example:"we_01jf2wkmvcfw6ts1qmgzya291c"`
}

type replayRequest struct {
	Webhook string `json:"webhook,omitempty" doc:"Id of the webhook to send to. Absent: those that the event was for."`
	DryRun  bool   `json:"dry_run,omitempty" doc:"Only say what would be sent."`
}

type replayInput struct {
	eventInput
	Body replayRequest
}

func (s *Server) historyRoutes() []route {
	if s.opts.History == nil {
		return nil
	}
	return []route{
		operation(op{method: "GET", path: "/api/v1/events", id: "list-events", tag: "events", role: RoleViewer, errors: []int{503},
			summary: "List accepted events, newest first",
			about:   "A search that takes longer than two seconds ends early: reached_at says how far it got, and next_cursor goes on from there."}, s.listEvents),
		operation(op{method: "GET", path: "/api/v1/events/{id}", id: "get-event", tag: "events", role: RoleViewer, errors: []int{503},
			summary: "Show one event with its deliveries and every attempt"}, s.getEvent),
		operation(op{method: "POST", path: "/api/v1/events/{id}/replay", id: "replay-event", tag: "events", role: RoleEditor, status: 202, also: []int{200}, errors: []int{404, 409, 503},
			summary: "Send one event again",
			about:   "To the webhooks as they are now. The attempts are marked as replayed; the receiver sees the same webhook-id.",
			bodies:  map[string]string{"all": `{}`, "dry run": `{"dry_run":true}`}}, s.replayEvent),
		operation(op{method: "GET", path: "/api/v1/attempts", id: "list-attempts", tag: "deliveries", role: RoleViewer, errors: []int{503},
			summary: "List attempts, newest first: the log of a webhook"}, s.listAttempts),
	}
}

func (in *historyInput) filter(tenants []string) (f HistoryFilter, err error) {
	f = HistoryFilter{Tenants: tenants, Program: in.Program, Type: in.Type, Search: in.Search, From: in.From, To: in.To}
	if in.Webhook != "" {
		if f.Webhook, err = event.ParseWebhookID(in.Webhook); err != nil {
			return f, problemParameter("webhook: " + err.Error())
		}
	}
	if !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To) {
		return f, problemParameter("to: is not after from")
	}
	return f, nil
}

func (s *Server) listEvents(ctx context.Context, c *call, in *listEventsInput) (p HistoryPage[Event], err error) {
	f, err := in.filter(c.tenants)
	if err != nil {
		return p, err
	}
	f.Event = in.Event
	return s.opts.History.Events(ctx, f, in.Cursor, in.Limit)
}

func (s *Server) listAttempts(ctx context.Context, c *call, in *listAttemptsInput) (p HistoryPage[AttemptDetail], err error) {
	f, err := in.filter(c.tenants)
	if err != nil {
		return p, err
	}
	f.Event, f.HTTP, f.Replayed = in.Event, in.HTTP, in.Replayed
	switch in.Status {
	case "":
	case "failed":
		f.Statuses = []string{"retrying", "dead"}
	default:
		f.Statuses = []string{in.Status}
	}
	return s.opts.History.Attempts(ctx, f, in.Cursor, in.Limit)
}

func (s *Server) getEvent(ctx context.Context, c *call, in *eventInput) (EventDetail, error) {
	return s.opts.History.Event(ctx, in.ID, c.tenants)
}

func (s *Server) replayEvent(ctx context.Context, c *call, in *replayInput) (out ReplayAnswer, err error) {
	var w *event.WebhookID
	if in.Body.Webhook != "" {
		id, err := event.ParseWebhookID(in.Body.Webhook)
		if err != nil {
			return out, Mistakes{{Path: "webhook", Message: err.Error()}}
		}
		w = &id
	}
	if out, err = s.opts.History.Replay(ctx, in.ID, c.tenants, w, in.Body.DryRun); err == nil && !in.Body.DryRun {
		s.opts.Log.Info("event replayed", "event", in.ID, "deliveries", len(out.Deliveries), "token", c.name)
	}
	return out, err
}
