package deliver

import (
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
)

// lane is the sending side of one webhook. Deliverer.mu guards it; attempts in flight keep the client that they began with.
type lane struct {
	d      *Deliverer
	id     event.WebhookID
	target *Target // nil = the webhook is not configured any more
	client *client // nil with target

	has      bool  // the queue may have something: it has said so, and no Lease has failed since
	told     int64 // counts Ready
	line     *line // its tenant's
	queued   bool  // in a line
	credit   int   // see schedule.go
	inFlight int
	circuit  circuit
	pace     pace
	timer    *time.Timer // of an open circuit

	rate      bucket
	rateTimer *time.Timer // it waits for a token

	failing failing

	delivered, failed, dead int64
	spent                   time.Duration // in attempts that were sent
	last                    time.Time     // when something was delivered
}

func newLane(d *Deliverer, id event.WebhookID) *lane {
	return &lane{d: d, id: id, line: d.lineLocked("")}
}

// current is what the lane's deliveries are made by now.
func (l *lane) current() (*Target, *client) {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	return l.target, l.client
}

// setTargetLocked gives the lane its webhook. A webhook whose definition has changed starts with a fresh circuit: the change may be the cure.
func (l *lane) setTargetLocked(t *Target) {
	old := l.target
	l.target = t
	if t == nil {
		if old != nil && l.circuit.state != Closed {
			l.noticeLocked(NoticeReset, old.Webhook, "")
		}
		l.closeClient()
		l.line = l.d.lineLocked("")
		l.failing.clear(l)
		return
	}
	if old != nil && old.Webhook == t.Webhook && old.Disabled == t.Disabled && (l.circuit.state == Disabled) == (t.Disabled != "") && l.client.guard == l.d.networks.For(t.Webhook.Tenant) {
		return
	}
	if old != nil && l.circuit.state != Closed {
		l.noticeLocked(NoticeReset, old.Webhook, "")
	}
	next := l.d.clientLocked(t.Webhook)
	l.closeClient()
	l.client = next
	l.stopLocked()
	l.circuit, l.pace = circuit{}, fullPace(t.Webhook.Concurrency)
	l.rate.set(Rate(t.Webhook.Rate))
	l.line = l.d.lineLocked(t.Webhook.Tenant)
	if old == nil {
		l.failing = failing{since: t.Failing.Since, count: t.Failing.Count, saved: t.Failing.Since}
	} else {
		l.failing.clear(l)
	}
	if t.Disabled != "" {
		l.circuit = circuit{state: Disabled, reason: t.Disabled}
		l.parkLocked()
	} else if t.Webhook.Status != webhooks.StatusActive {
		l.parkLocked()
	}
}

func (l *lane) closeClient() {
	if l.client != nil {
		l.client.close()
		l.client = nil
	}
}

// mayLeaseLocked says whether a worker may lease for l now.
func (l *lane) mayLeaseLocked() bool {
	if !l.has || l.d.stopping {
		return false
	}
	if l.target == nil {
		return l.inFlight == 0 // only to be buried
	}
	if l.target.Webhook.Status != webhooks.StatusActive {
		return false // what is queued waits until it is active again
	}
	switch l.circuit.state {
	case HalfOpen:
		return l.inFlight == 0
	case Open, Disabled:
		return false
	}
	return l.inFlight < l.limitLocked() && l.hasTokenLocked()
}

// limitLocked is the most attempts that l may have in flight: what the receiver takes, at most what is configured, and never more than a
// quarter of what all lanes together have left, so that however many receivers hang there is room for the others.
func (l *lane) limitLocked() int {
	if oneAtATime(l.target.Webhook) {
		return 1
	}
	return max(1, min(int(l.pace.limit), (l.d.opt.MaxInFlight-l.d.inFlight)/4))
}

// hasTokenLocked says whether the webhook's own rate allows an attempt now. If not, a timer offers the lane again: nobody waits.
func (l *lane) hasTokenLocked() bool {
	if l.rate.rate.Every == 0 {
		return true
	}
	wait := l.rate.wait(l.d.opt.Now())
	if wait == 0 {
		return true
	}
	if l.rateTimer == nil {
		l.rateTimer = time.AfterFunc(l.rate.nap(wait), func() {
			l.d.mu.Lock()
			defer l.d.mu.Unlock()
			l.rateTimer = nil
			l.d.offerLocked(l)
		})
	}
	return false
}

// noteLocked draws the lane's conclusions from a settled attempt.
func (l *lane) noteLocked(r result) {
	if r.delivered {
		l.delivered++
		l.last = l.d.opt.Now()
	} else if r.sent {
		l.failed++
	}
	if r.sent || r.delivered {
		l.spent += r.took
	}
	if r.verdict.Action == Bury {
		l.dead++
	}
	if l.target == nil || l.target.Webhook != r.webhook {
		return // settled for a definition that is not in force any more
	}
	now := l.d.opt.Now()
	before, opened := l.circuit.state, false
	switch {
	case r.verdict.Disable:
		l.disableLocked("the receiver answered 410 Gone")
		return
	case r.delivered:
		l.failing.clear(l)
		l.answeredLocked(now)
		return
	case l.failing.tooLong(l, r, now):
		l.disableLocked("every attempt has failed for " + l.d.limits.DisableAfter.String())
		return
	case r.verdict.Pause > 0:
		opened = l.circuit.pause(now, r.verdict.Pause)
	case r.verdict.Bad:
		opened = l.circuit.failure(now, r.reason.String())
	case r.sent:
		l.answeredLocked(now) // if only to refuse this event
	}
	if r.verdict.Jam {
		l.pace.jammed(r.began, now)
	}
	if opened {
		if before == Closed {
			l.noticeLocked(NoticeOpened, l.target.Webhook, l.circuit.reason)
		}
		l.openLocked(now)
	}
}

// answeredLocked notes that the receiver is up.
func (l *lane) answeredLocked(now time.Time) {
	was := l.circuit.state
	if l.circuit.success() {
		l.d.opt.Log.Info("webhook recovered", "webhook", l.target.Webhook.Name, "id", l.id.String())
		l.noticeLocked(NoticeRecovered, l.target.Webhook, "")
		l.pace.restart(now)
		return
	}
	if was == Closed {
		l.pace.good(l.target.Webhook.Concurrency)
	}
}

// disableLocked stops sending until somebody changes or enables the webhook. Its deliveries are held.
func (l *lane) disableLocked(reason string) {
	if l.circuit.state == Disabled {
		return // two attempts had the same answer
	}
	l.stopLocked()
	l.circuit = circuit{state: Disabled, reason: reason}
	l.failing.clear(l)
	l.d.opt.Log.Warn("webhook disabled: "+reason+"; its deliveries are held", "webhook", l.target.Webhook.Name, "id", l.id.String())
	l.parkLocked()
	l.noticeLocked(NoticeDisabled, l.target.Webhook, reason)
	if l.d.opt.Disable != nil {
		w := l.target.Webhook
		l.d.running.Go(func() { l.d.opt.Disable(w, reason) })
	}
}

// openLocked leaves the receiver alone until the circuit's time has come.
func (l *lane) openLocked(now time.Time) {
	wait := l.circuit.until.Sub(now)
	l.d.opt.Log.Warn("webhook not attempted for a while", "webhook", l.target.Webhook.Name, "id", l.id.String(),
		"reason", l.circuit.reason, "bad", l.circuit.bad(), "of_the_last", l.circuit.n, "for", wait.Round(time.Millisecond))
	l.parkLocked()
	l.stopLocked()
	if !l.d.stopping {
		l.timer = time.AfterFunc(wait, l.tryAgain)
	}
}

// parkLocked makes the queue keep nothing of l in memory. A parked webhook is not announced, so whether the queue has something is not known
// until the next lease asks; attempts that are still in flight have nothing to say about it, although one of them may close the circuit.
func (l *lane) parkLocked() {
	l.d.opt.Queue.Park(l.id)
	l.has = true
	l.told++
}

// tryAgain is called by the circuit's timer.
func (l *lane) tryAgain() {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	if l.circuit.try(l.d.opt.Now()) {
		l.has = true
		l.d.offerLocked(l)
	} else if l.circuit.state == Open && !l.d.stopping { // the clock was set back, or a pause was made longer
		l.stopLocked()
		l.timer = time.AfterFunc(max(l.circuit.until.Sub(l.d.opt.Now()), 10*time.Millisecond), l.tryAgain)
	}
}

func (l *lane) stopLocked() {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if l.rateTimer != nil {
		l.rateTimer.Stop()
		l.rateTimer = nil
	}
}

func (l *lane) infoLocked() LaneInfo {
	i := LaneInfo{Webhook: l.id, State: l.circuit.state, Reason: l.circuit.reason, InFlight: l.inFlight, Delivered: l.delivered, Failed: l.failed, Dead: l.dead,
		Spent: l.spent, Last: l.last, Limit: max(1, int(l.pace.limit)), Throttled: l.rateTimer != nil, FailingSince: l.failing.since}
	if i.State == Open {
		i.Until = l.circuit.until
	}
	return i
}

// result is what settle tells the lane.
type result struct {
	webhook   *webhooks.Webhook // for which definition
	verdict   Verdict
	reason    queue.Reason
	began     time.Time
	sent      bool // a request went out, or was tried
	delivered bool
	took      time.Duration
}
