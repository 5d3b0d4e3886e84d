// Package alert tells people by e-mail when deliveries are given up or a webhook does not work, and makes the relay's own events of the same news.
//
// The relay hands every Notice of the sending side to a Manager and a Reporter. Both only put it into a bounded list and return, so nothing
// that happens here, a mail server that hangs included, is felt by a delivery.
//
// The Manager collects news per recipient. An e-mail goes out shortly after the first news, then at most one per recipient and interval, with
// everything that has come together meanwhile, and at most so many a day. What is not sent yet is kept beside the events (Store) and survives a
// restart. E-mails hold ids, classes of failures and links: no bodies, no answers, no credentials.
//
// Goroutines: two of a Manager and one of a Reporter, from Open to Close. The package imports event, and owns the mail library; it may not
// import queue, deliver, ingress or admin.
package alert

import (
	"time"

	"edgerelay/relay/event"
)

// Kind says what a Notice is about.
type Kind uint8

// The kinds.
const (
	Dead        Kind = iota // a delivery was given up
	Disabled                // nothing is sent to the webhook any more
	Failing                 // its receiver is left alone for a while
	Recovered               // it works again
	Reset                   // the webhook was changed or removed: whatever was known of its receiver does not count any more
	QueueHigh               // the queue, or the disk, is nearly full
	QueueNormal             // it is not any more
)

// Notice is one piece of news. It owns its memory.
type Notice struct {
	Kind     Kind
	At       time.Time
	ID       event.WebhookID
	Name     string // of the webhook; empty when it has gone
	Tenant   string
	Program  string
	Reason   string // the class of failure
	Status   int    // HTTP status, 0 = none
	Detail   string // for the events only: a transform may have written it
	Delivery string // of Dead: dl_…
	Event    string // of Dead
	Type     string // of Dead
	Attempts int    // of Dead

	// Of the queue:
	Bytes, MaxBytes, DiskFree int64
}

// Counters is what the Manager and the Reporter count; relay hands in the metrics.
type Counters interface {
	// Mail counts an e-mail: "sent", "failed" (it will be tried again) or "rejected" (it will not).
	Mail(result string)
	// Event counts an event of the relay itself: "made", "failed" or "omitted".
	Event(result string)
}
