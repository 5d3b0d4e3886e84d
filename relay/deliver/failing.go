package deliver

import (
	"time"

	"edgerelay/relay/event"
)

// Failing is an unbroken row of failures of a webhook.
type Failing struct {
	Since time.Time // the first of them; zero = there is none
	Count int
}

// A row of failures disables a webhook when it is long in time and in number: one failure, and another a week later, say nothing. It is
// worth remembering over a restart once it is older than saveFailing, and again as often.
const (
	fewFailures = 10
	saveFailing = time.Hour
)

// failing is a lane's row of failures.
type failing struct {
	since time.Time
	count int
	saved time.Time // when it was last remembered, zero = not
}

// tooLong notes an attempt that was not delivered and says whether the webhook is to be disabled now. What failed on our side says nothing
// about the receiver.
func (f *failing) tooLong(l *lane, r result, now time.Time) bool {
	if !r.sent && !r.verdict.Bad {
		return false
	}
	if f.since.IsZero() || now.Before(f.since) {
		f.since = now
	}
	f.count++
	last := f.saved
	if last.IsZero() {
		last = f.since
	}
	if now.Sub(last) >= saveFailing {
		f.saved = now
		l.tellFailing()
	}
	after := l.d.limits.DisableAfter
	return after > 0 && f.count >= fewFailures && now.Sub(f.since) >= after
}

// clear ends the row.
func (f *failing) clear(l *lane) {
	if f.since.IsZero() {
		return
	}
	known := !f.saved.IsZero()
	*f = failing{}
	if known {
		l.tellFailing()
	}
}

func (l *lane) tellFailing() {
	if tell := l.d.opt.Failing; tell != nil {
		id := l.id
		l.d.running.Go(func() { tell(id) })
	}
}

// FailingOf returns a webhook's row of failures, as of now.
func (d *Deliverer) FailingOf(w event.WebhookID) Failing {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l := d.lanes[w]; l != nil {
		return Failing{l.failing.since, l.failing.count}
	}
	return Failing{}
}
