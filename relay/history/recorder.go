// Package history is what happened: events, deliveries and attempts, in a store of its own that is never in the way of a delivery.
//
// The ingress and the sending side hand what they have just done to a Recorder. It copies that into a buffer in memory and returns; it
// never waits, and when the store cannot keep up it leaves things out and counts them. The management API reads the Store. Nothing on the
// path of an event ever needs what is written here.
//
// Goroutines: those of Store, which Open starts and Close waits for; a Recorder has none. The package imports event and owns its own use of Badger; it
// may not import queue, deliver, ingress or admin.
package history

import "edgerelay/relay/event"

// Recorder takes what has happened. A nil Recorder is valid, takes nothing and costs nothing. Every method may be called from any goroutine.
type Recorder struct {
	hub    hub
	limit  int
	ring   *ring     // nil = nothing is stored
	redact *redactor // nil = nothing is redacted
}

// RecorderOptions are those of a Recorder without a Store, which only hands attempts to those who watch.
type RecorderOptions struct {
	CaptureBody int // bytes of each body that are shown
}

// NewRecorder makes a Recorder without a Store.
func NewRecorder(o RecorderOptions) *Recorder { return &Recorder{limit: o.CaptureBody} }

// Wants says whether an attempt is worth describing: keep says that it is one to be stored.
func (r *Recorder) Wants(keep bool) bool {
	return r != nil && (keep && r.ring != nil || r.hub.watched())
}

// Stores says whether anything is stored.
func (r *Recorder) Stores() bool { return r != nil && r.ring != nil }

// CaptureBody is how many bytes of each body are kept.
func (r *Recorder) CaptureBody() int { return r.limit }

// Event takes note of an accepted event and where it goes. e belongs to the caller again when it returns.
func (r *Recorder) Event(e *event.Event, targets []event.WebhookID) {
	if !r.Stores() {
		return
	}
	if c := r.ring.lock(); c != nil {
		c.appendEvent(r.ring.seq, e, targets, r.limit)
		r.ring.unlock()
	}
}

// Attempt takes note of an attempt. a belongs to the caller again when it returns; its Event, bodies and URL may have been replaced by
// redacted ones.
func (r *Recorder) Attempt(a *Attempt) {
	if r == nil {
		return
	}
	var x *redaction
	if r.redact != nil {
		if x = r.redact.attempt(a); x != nil {
			defer r.redact.release(x)
		}
	}
	if a.Keep && r.ring != nil {
		if c := r.ring.lock(); c != nil {
			a.Seq = r.ring.seq
			a.ID = attemptID(a.Start, a.Seq)
			c.appendAttempt(a.Seq, a, x != nil, r.limit)
			r.ring.unlock()
		}
	}
	if r.hub.watched() {
		r.hub.publish(a)
	}
}

// Subscribe returns a reader of attempts as they happen, with room for so many that it has not looked at yet; what comes when there is no
// room is left out. It is nil when there are too many readers. The reader calls Close.
func (r *Recorder) Subscribe(buffer int) *Subscription {
	return r.hub.subscribe(&Subscription{}, buffer)
}

// Watch is Subscribe without headers, bodies and events, so that a slow reader holds little memory, and only of what want says yes to. want is
// called on the path of a delivery: it looks, and returns at once.
func (r *Recorder) Watch(buffer int, want func(*Attempt) bool) *Subscription {
	return r.hub.subscribe(&Subscription{brief: true, want: want}, buffer)
}
