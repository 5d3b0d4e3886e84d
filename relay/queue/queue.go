// Package queue is the contract between the relay and whatever keeps its events: what an engine promises, and the words for it.
//
// Producers' side: Append returns when the event is durable. Sending side: Lease hands out a delivery, and the delivery leaves the
// queue only through Ack, Retry or Bury (and a dead one, when people say so, through Discard); a process that dies simply lets its leases lapse. An engine may hand the same delivery out
// again after a crash (at least once), never lose one, and never hand out two leases of one delivery at the same time in one process.
//
// The engines are badgerq (embedded) and, later, one on NATS JetStream; queuetest is the suite that both must pass.
// This package starts no goroutines and imports only event.
package queue

import (
	"context"
	"errors"
	"time"

	"edgerelay/relay/event"
)

// Errors of Append. Full, Busy and Closed are answered with 503 and Retry-After: nothing was stored, the producer keeps the event.
var (
	ErrFull     = errors.New("queue is full: max_bytes reached")
	ErrQuota    = errors.New("the tenant has too many bytes waiting")
	ErrDiskLow  = errors.New("disk space is low")
	ErrClosed   = errors.New("queue is closed")
	ErrMismatch = errors.New("this id was used within the last 24 hours for a different event")
	ErrTooLarge = errors.New("event is larger than the queue accepts")
	// ErrFailed wraps the cause once a write or a sync has failed: the engine takes nothing more until the process is restarted.
	ErrFailed   = errors.New("queue has stopped after a failed write")
	ErrNotFound = errors.New("no such delivery")
	// ErrBusy is what Redrive and Discard return for a delivery that is being attempted right now: its outcome is not known yet.
	ErrBusy   = errors.New("this delivery is being attempted right now")
	ErrCursor = errors.New("the cursor is not one of this list")
)

// Dedup makes Append idempotent for 24 hours: the same Key with the same Fingerprint stores nothing and returns the first event's id.
type Dedup struct {
	Key         [16]byte // a hash of tenant and the producer's own event id or Idempotency-Key
	Fingerprint [16]byte // a hash of the body
}

// Receipt says what became of an appended event.
type Receipt struct {
	Replayed bool   // the event was there already; nothing was stored
	ID       []byte // the id to answer with: the event's own, or the first one's when Replayed
}

// Queue is one engine. Every method may be called from any goroutine.
type Queue interface {
	// Append stores e for its targets (possibly none) and returns when that is durable. e is not kept. dedup may be nil.
	// Cancelling ctx stops the waiting, not the storing.
	Append(ctx context.Context, e *event.Event, targets []event.WebhookID, dedup *Dedup) (Receipt, error)

	// Lease fills d with the webhook's next delivery: due retries and first attempts in turn, each oldest first. d's buffer is reused.
	// With d.Order set, deliveries with the same key keep their order. It never blocks on the disk for long and returns false when there is nothing to do now. Whenever it has said that there is nothing, or
	// nothing more (Delivery.More), the engine calls the ready function that it was opened with as soon as there is.
	Lease(w event.WebhookID, d *Delivery) bool

	// Ack settles d as done. It is made durable behind the caller's back, so a crash may repeat the delivery.
	Ack(d *Delivery)
	// Retry gives d back, to be leased again at due (not before). f says what happened; f.Counted attempts are added.
	Retry(d *Delivery, due time.Time, f Failure)
	// Bury keeps d as dead: listed, never leased again until Redrive.
	Bury(d *Delivery, f Failure)

	// Park tells the engine that nobody will lease for w for a while, so that it keeps nothing of w in memory. Lease ends it.
	Park(w event.WebhookID)

	// List returns waiting and dead deliveries, newest first, at most limit, and the cursor of the next page ("" = last page).
	List(f Filter, cursor string, limit int) ([]Info, string, error)
	// Get returns one waiting or dead delivery with its event, or ErrNotFound.
	Get(id event.DeliveryID) (Info, *event.Event, error)
	// Redrive makes a waiting or dead delivery due now, with a fresh retry budget, durably; or ErrNotFound, or ErrBusy. A held delivery
	// stays where it is: it comes when the earlier ones of its key are settled.
	Redrive(ctx context.Context, id event.DeliveryID) error
	// Discard removes a dead delivery for good, durably; or ErrNotFound, also for one that is not dead, or ErrBusy.
	Discard(ctx context.Context, id event.DeliveryID) error

	// Put stores a small durable value (at most 64 KiB) beside the events; an empty value deletes. Get and Scan read them.
	Put(ctx context.Context, key string, value []byte) error
	// Scan calls fn for each stored value whose key begins with prefix, in key order, until fn returns false.
	Scan(prefix string, fn func(key string, value []byte) bool) error

	Stats() Stats
	// Failed is closed when the engine has stopped itself; Err says why.
	Failed() <-chan struct{}
	Err() error
	// Close makes every settlement so far durable and waits for the engine's goroutines. Leases not settled by then lapse.
	Close() error
}

// Delivery is a leased delivery. Its event lives in a buffer that the Delivery owns: it may be used until the next Lease into it.
type Delivery struct {
	Webhook  event.WebhookID
	Event    event.Event
	Attempts int   // counted attempts made before this one
	First    int64 // Unix milliseconds of the first attempt; 0 = this is the first
	More     bool  // another Lease for this webhook would find something now; if not, Ready announces the next

	// Order is set by whoever leases, before the lease, for a webhook whose deliveries keep an order; nil = they do not. Two deliveries
	// with the same key are never leased at the same time, and the later one not before the earlier one is settled with Ack or Bury: while
	// that waits for its retry, the later ones are held, and other keys go on. That outlives crashes. Redrive of a dead delivery does not
	// put it back in its place: it goes as soon as nothing else of its key is leased.
	Order   *Ordering
	Ordered bool     // it has a key,
	Key     OrderKey // this one; both are the engine's to set

	Buf    []byte // owned by the Delivery, for the engine to fill
	Handle Handle // the engine's own
}

// OrderKey stands for the deliveries of one webhook that must not overtake each other. It is stored: a key must be made in the same way
// for ever, or a change of it is a change of the webhook's order.
type OrderKey [16]byte

// OrderAll is the key when all deliveries of a webhook keep one order.
var OrderAll = OrderKey{0: 1}

// Ordering says which order a webhook's deliveries keep.
type Ordering struct {
	// Key returns an event's key; nil = all deliveries of the webhook have the same. It is called without locks, one call at a time for each
	// webhook, and must not call the engine.
	Key func(*event.Event) OrderKey
}

// KeyOf returns e's key.
func (o *Ordering) KeyOf(e *event.Event) OrderKey {
	if o.Key == nil {
		return OrderAll
	}
	return o.Key(e)
}

// Handle is what an engine needs to find a leased delivery again. Others leave it alone.
type Handle struct {
	Kind    uint8 // where the delivery came from; 0 = not leased
	Event   uint32
	Ordinal uint32
	Seq     uint64
	Due     int64
	Group   any
}

// ID derives the delivery's id.
func (d *Delivery) ID() event.DeliveryID {
	return event.DeliveryIDOf(d.Event.Tenant, d.Event.ID, d.Webhook)
}

// TakeHandle is for engines: it returns the handle and marks d as settled. Settling a delivery twice is a bug.
func (d *Delivery) TakeHandle() Handle {
	h := d.Handle
	if h.Kind == 0 {
		panic("BUG: a delivery was settled twice, or never leased")
	}
	d.Handle = Handle{}
	return h
}

// Reason is the closed set of ways in which an attempt fails; it is also a metric label and an API field.
type Reason uint8

// The reasons. Their numbers are stored: a new one goes to the end.
const (
	ReasonNone      Reason = iota
	ReasonStatus           // the receiver answered with something other than 2xx
	ReasonGone             // 410
	ReasonTimeout          // no complete answer in time
	ReasonConnect          // no connection: refused, unreachable, reset before the request was written
	ReasonDNS              // the name does not resolve
	ReasonTLS              // handshake or certificate
	ReasonBlocked          // the network guard refused the address
	ReasonReset            // the connection broke after the request was written
	ReasonProtocol         // the answer is not HTTP, or too large in its headers
	ReasonTransform        // a transform failed, for good
	ReasonPayload          // a payload definition or URL template failed
	ReasonNoWebhook        // the webhook is not configured any more; no attempt is counted
	ReasonDropped          // a transform decided to drop it; no attempt is counted
	ReasonAuth             // no access token to send: the token endpoint's fault, or of our credentials there
	reasonCount
)

var reasonNames = [reasonCount]string{"", "status", "gone", "timeout", "connect", "dns", "tls", "blocked", "reset", "protocol",
	"transform", "payload", "no_webhook", "dropped", "auth"}

// String returns the label, for example "timeout".
func (r Reason) String() string {
	if r < reasonCount {
		return reasonNames[r]
	}
	return "unknown"
}

// Reasons lists every label except the empty one.
func Reasons() []string { return reasonNames[1:] }

// Failure is what a failed attempt leaves behind.
type Failure struct {
	Reason  Reason
	Status  int    // HTTP status, 0 = no answer
	Detail  string // one line for people, no secrets; engines keep at most 512 bytes
	At      int64  // Unix milliseconds of the attempt
	Counted bool   // an attempt of the schedule was used up
}

// State is where a stored delivery stands.
type State uint8

// The states that List and Get know.
const (
	StateRetrying State = 1 // waiting for its due time
	StateDead     State = 2
	StateHeld     State = 3 // waiting for earlier deliveries of its key
)

// String returns "retrying", "dead" or "held".
func (s State) String() string {
	switch s {
	case StateRetrying:
		return "retrying"
	case StateDead:
		return "dead"
	case StateHeld:
		return "held"
	}
	return "unknown"
}

// Filter narrows List; zero fields match everything.
type Filter struct {
	State   State
	Webhook event.WebhookID
	Tenants []string // nil = every tenant
	Event   string   // event id
}

// Info describes one stored delivery.
type Info struct {
	ID       event.DeliveryID
	Webhook  event.WebhookID
	EventID  string
	Type     string
	Tenant   string
	Program  string
	State    State
	Attempts int
	Accepted int64 // Unix microseconds
	First    int64 // Unix milliseconds of the first attempt
	Due      int64 // Unix milliseconds, StateRetrying only
	Last     Failure
}

// Value is a small durable value; without content it is to be deleted.
type Value struct {
	Key   string
	Value []byte
}

// Stats is a snapshot of the engine.
type Stats struct {
	Pending      int64 // deliveries accepted, not yet settled nor in a retry record
	Retrying     int64
	Dead         int64
	Held         int64 // waiting for earlier ones of their key
	Bytes        int64 // what the undelivered events take, logically; compared with MaxBytes
	OldestMs     int64 // Unix milliseconds at which the oldest pending group was accepted; 0 = none
	Commits      int64
	Events       int64 // appended since the data directory was made
	LostEvents   int64 // acknowledged before, not found at the last start (damaged disk); at least this many
	Damaged      int64 // stored records that could not be read; they are kept on disk
	DiskFree     int64
	Full         bool
	DiskLow      bool
	Syncs        int64
	BytesWritten int64 // handed to the store since start
}
