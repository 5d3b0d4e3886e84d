// Package replay sends again: events out of the history (replay), dead deliveries out of the queue (redrive). It also removes: dead deliveries
// (purge), and events by what is in them (erase). Each is a Job that people start, watch and cancel, and that goes on after a crash.
//
// The management API starts jobs through relay; nothing on the path of an event knows of them. What is sent again goes the way of every
// delivery: through the queue, to the webhook as it is now. A Manager has one goroutine per running job; Close waits for them. The package may
// import event, history and queue, never deliver, ingress or admin.
package replay

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/history"
)

// Kind is what a job does.
type Kind string

// The kinds.
const (
	Replay  Kind = "replay"  // events of the history are sent again
	Redrive Kind = "redrive" // dead deliveries become due
	Purge   Kind = "purge"   // dead deliveries are removed
	Erase   Kind = "erase"   // events are removed from the history and from the dead deliveries
)

// Status is how far a job is.
type Status string

// The states. A job that the end of the process interrupts stays running and goes on with the next start.
const (
	Running   Status = "running"
	Done      Status = "done"
	Cancelled Status = "cancelled"
	Failed    Status = "failed"
)

// Filter says what a job is about; zero fields match everything.
type Filter struct {
	Tenants  []string         `json:"tenants,omitempty"` // nil = every tenant; the token says which
	Program  string           `json:"program,omitempty"`
	Type     string           `json:"type,omitempty"`
	Event    string           `json:"event,omitempty"`
	Webhook  *event.WebhookID `json:"webhook,omitempty"`
	Statuses []history.Status `json:"statuses,omitempty"` // replay: of deliveries, by their newest attempt
	Reason   string           `json:"reason,omitempty"`   // redrive and purge: why it died
	From     time.Time        `json:"from,omitzero"`      // accepted; redrive and purge: died
	To       time.Time        `json:"to,omitzero"`
	Text     string           `json:"text,omitempty"` // replay: in what was sent or answered
}

// Spec is what somebody asks for.
type Spec struct {
	Kind   Kind             `json:"kind"`
	Filter Filter           `json:"filter"`
	To     *event.WebhookID `json:"to,omitempty"`    // replay: to this webhook; nil = to those that the event was for
	Rate   int              `json:"rate,omitempty"`  // per second; 0 = DefaultRate
	Where  string           `json:"where,omitempty"` // erase: the condition; forgotten once the job has ended
	By     string           `json:"by"`              // who asked
}

// DefaultRate and MaxRate bound how many events or deliveries a job passes on per second.
const (
	DefaultRate = 1000
	MaxRate     = 100_000
)

// Job is one use of a Spec. It is stored as JSON.
type Job struct {
	ID      string    `json:"id"`
	Spec    Spec      `json:"spec"`
	Status  Status    `json:"status"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"` // when the state was stored last
	Ended   time.Time `json:"ended,omitzero"`

	Matched int64            `json:"matched"`           // found so far
	Done    int64            `json:"done"`              // passed on, or removed
	Skipped map[string]int64 `json:"skipped,omitempty"` // left out, by reason
	Note    string           `json:"note,omitempty"`    // what it waits for, or why it failed
	At      time.Time        `json:"at,omitzero"`       // of the newest event that was looked at

	Until   uint64   `json:"until,omitempty"`  // replay: the last record of the history that counts
	After   uint64   `json:"after,omitempty"`  // replay: cursor
	Cursor  string   `json:"cursor,omitempty"` // redrive and purge: cursor
	Receipt *Receipt `json:"receipt,omitempty"`
}

// Receipt is what an erasure leaves behind. It names events, and holds nothing of what was in them.
type Receipt struct {
	Condition  string   `json:"condition_sha256"` // a hash of the condition, which may itself be personal
	Events     int      `json:"events"`
	IDs        []string `json:"event_ids,omitempty"` // the first of them
	Records    int      `json:"records"`
	Parts      int      `json:"parts"`
	Dead       int      `json:"dead_deliveries"`
	Waiting    int      `json:"waiting_deliveries"`
	Unexamined int      `json:"unexamined"`
}

// Errors of Manager's methods.
var (
	ErrNotFound = errors.New("no such job")
	ErrEnded    = errors.New("the job has ended already")
	ErrBusy     = errors.New("too many jobs are running: wait for one, or cancel one")
)

// SpecError says what is wrong with a Spec.
type SpecError struct{ Field, Msg string }

func (e *SpecError) Error() string { return e.Field + ": " + e.Msg }

// check reports the first mistake of s.
func (s *Spec) check() error {
	switch {
	case !slices.Contains([]Kind{Replay, Redrive, Purge, Erase}, s.Kind):
		return &SpecError{"kind", fmt.Sprintf("%q is none of replay, redrive, purge, erase", s.Kind)}
	case s.Rate < 0 || s.Rate > MaxRate:
		return &SpecError{"rate", fmt.Sprintf("must be from 1 to %d per second", MaxRate)}
	case !s.Filter.From.IsZero() && !s.Filter.To.IsZero() && !s.Filter.From.Before(s.Filter.To):
		return &SpecError{"to", "is not after from"}
	case s.Kind == Erase && s.Where == "":
		return &SpecError{"where", "is missing"}
	}
	if s.Kind != Replay {
		return nil
	}
	if slices.Contains(s.Filter.Statuses, history.StatusRetrying) {
		return &SpecError{"status", "deliveries that are retrying are tried again anyway: make them due with retry"}
	}
	return nil
}

// Visible says whether a token that reaches tenants (nil = all) may see the job.
func (j *Job) Visible(tenants []string) bool {
	if tenants == nil {
		return true
	}
	if j.Spec.Filter.Tenants == nil {
		return false
	}
	for _, t := range j.Spec.Filter.Tenants {
		if !slices.Contains(tenants, t) {
			return false
		}
	}
	return true
}

// skip counts one that was left out.
func (j *Job) skip(reason string) {
	if j.Skipped == nil {
		j.Skipped = map[string]int64{}
	}
	j.Skipped[reason]++
}
