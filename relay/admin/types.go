package admin

import (
	"time"

	"edgerelay/relay/event"
)

// Filter narrows a list of deliveries; zero fields match everything.
type Filter struct {
	State   string // retrying, held or dead
	Webhook event.WebhookID
	Event   string
	Tenants []string // nil = every tenant; the API sets it from the token
}

// Delivery is one waiting or dead delivery. Times are UTC.
type Delivery struct {
	ID           string    `json:"id"`
	Webhook      string    `json:"webhook"`
	WebhookName  string    `json:"webhook_name,omitempty"`
	Event        string    `json:"event"`
	Type         string    `json:"type"`
	Tenant       string    `json:"tenant"`
	Program      string    `json:"program,omitempty"`
	Status       string    `json:"status"` // retrying, held (behind an earlier one of its key) or dead
	Attempts     int       `json:"attempts"`
	AcceptedAt   time.Time `json:"accepted_at,omitzero"`
	SettledAt    time.Time `json:"settled_at,omitzero"`
	FirstAttempt time.Time `json:"first_attempt_at,omitzero"`
	NextAttempt  time.Time `json:"next_attempt_at,omitzero"`
	LastFailure  *Failure  `json:"last_failure,omitempty"`
}

// Failure is what the last failed attempt left behind.
type Failure struct {
	Reason     string    `json:"reason"`
	HTTPStatus int       `json:"http_status,omitempty"` // absent = no answer
	Detail     string    `json:"detail,omitempty"`
	At         time.Time `json:"at"`
}

// Webhook is one webhook as the API shows it: nothing in it is secret once the URL is redacted, which the API does.
type Webhook struct {
	ID            string    `json:"id"`
	Name          string    `json:"name"`
	Description   string    `json:"description,omitempty"`
	Tenant        string    `json:"tenant"`
	Program       string    `json:"program,omitempty"`
	Origin        string    `json:"origin" enum:"file,api"`
	Events        []string  `json:"events"`
	URL           string    `json:"url"` // template text; values of the query are redacted
	Method        string    `json:"method"`
	Status        string    `json:"status" enum:"draft,active,paused,disabled" doc:"disabled: by the relay, see disabled_reason."`
	Disabled      string    `json:"disabled_reason,omitempty"`
	Locked        bool      `json:"locked,omitempty" doc:"policy.lock_endpoint: url and secret cannot be edited."`
	OnPaused      string    `json:"on_paused,omitempty" doc:"What happens to events while it is paused: hold or drop."`
	PayloadType   string    `json:"payload_type,omitempty"`
	Authorization string    `json:"authorization,omitempty" doc:"Name of its authorization."`
	Revision      int       `json:"revision,omitempty" doc:"Of one made through the API: counts its versions."`
	CreatedAt     time.Time `json:"created_at,omitzero"`
	UpdatedAt     time.Time `json:"updated_at,omitzero"`
	UpdatedBy     string    `json:"updated_by,omitempty"`
	Circuit       string    `json:"circuit"` // closed, half_open, open, disabled
	Sending       Sending   `json:"sending"`
	Counters      Counters  `json:"counters"`
	Last          time.Time `json:"last_delivery_at,omitzero" doc:"When something was delivered, since the relay was started."`
}

// Sending is what the sending side makes of a webhook's receiver at the moment.
type Sending struct {
	Reason       string    `json:"reason,omitempty" doc:"Why nothing is sent."`
	RetryAt      time.Time `json:"retry_at,omitzero" doc:"When an open circuit lets an attempt through."`
	Limit        int       `json:"limit" doc:"Requests at a time that the receiver seems to take: at most the webhook's concurrency, less after timeouts, 429 and 502 to 504."`
	Throttled    bool      `json:"throttled" doc:"It waits because of its own rate limit."`
	FailingSince time.Time `json:"failing_since,omitzero" doc:"The first of an unbroken row of failures; absent = the last attempt was a success."`
}

// Counters count what a webhook did since the relay was started.
type Counters struct {
	Delivered int64 `json:"delivered"`
	Failed    int64 `json:"failed"` // attempts
	Dead      int64 `json:"dead"`   // deliveries given up
	InFlight  int64 `json:"in_flight"`
}

// Stats is what the relay knows of itself as a whole.
type Stats struct {
	Version string
	Started time.Time
	Queue   QueueStats
}

// QueueStats is the state of the queue.
type QueueStats struct {
	Pending        int64     `json:"pending"`
	Retrying       int64     `json:"retrying"`
	Dead           int64     `json:"dead"`
	Held           int64     `json:"held"`
	Bytes          int64     `json:"bytes"`
	OldestAt       time.Time `json:"oldest_at,omitzero"`
	DiskFree       int64     `json:"disk_free_bytes"`
	Full           bool      `json:"full"`
	DiskLow        bool      `json:"disk_low"`
	LostEvents     int64     `json:"lost_events"`
	DamagedRecords int64     `json:"damaged_records"`
}

// Check is one thing that health or readiness depends on.
type Check struct {
	Name string
	Err  error // nil = fine
}

// page is one page of a list.
type page[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor,omitempty"`
}
