package deliver

import "time"

// Whose turn is it? Deficit round robin, twice: tenants take turns, and in a tenant its webhooks. A delivery costs one credit, a large one
// more; whoever is in debt is passed over until its debt is paid, one credit a turn. So a tenant that sends ten times as much as the
// others, has ten times as many webhooks, or ten times as large events waits for itself, not they for it. Inside a webhook the queue hands
// out due retries and first attempts in turn, so neither starves the other.
//
// Rate limits are asked in the same place, from the inside out: the webhook's when it is offered, the tenant's and the relay's when it is
// their turn. Whoever must wait for a token waits with a timer, not with a worker, and its deliveries wait in the queue.

// line is one tenant: its webhooks that may have something to lease.
type line struct {
	d        *Deliverer
	tenant   string
	lanes    fifo[*lane]
	queued   bool // in Deliverer.turns
	credit   int
	inFlight int
	rate     bucket
	timer    *time.Timer // waits for a token of rate
}

// Limits are what a reload may change of the sending side as a whole.
type Limits struct {
	Rate         Rate            // of all attempts together
	Tenants      map[string]Rate // of a tenant's attempts
	DisableAfter time.Duration   // a webhook whose attempts have all failed for so long is disabled; 0 = never
}

// SetLimits replaces the limits.
func (d *Deliverer) SetLimits(l Limits) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limits = l
	d.rate.set(l.Rate)
	for _, ln := range d.lines {
		ln.rate.set(l.Tenants[ln.tenant])
		if d.offerLineLocked(ln) {
			d.wakeSomeLocked(ln.lanes.n)
		}
	}
}

func (d *Deliverer) lineLocked(tenant string) *line {
	ln := d.lines[tenant]
	if ln == nil {
		ln = &line{d: d, tenant: tenant, rate: bucket{rate: d.limits.Tenants[tenant]}}
		d.lines[tenant] = ln
	}
	return ln
}

// costUnit is how many bytes of an event cost as much as the request itself; maxCost bounds what one delivery costs.
const (
	costUnit = 4 << 10
	maxCost  = 64
)

// extraCost is what a delivery of n bytes costs beyond the first credit.
func extraCost(n int) int { return min(n/costUnit, maxCost) }

// offerLocked puts l into its tenant's line if a worker could do something for it, and makes sure that a worker looks.
func (d *Deliverer) offerLocked(l *lane) {
	if l.queued || !l.mayLeaseLocked() {
		return
	}
	l.queued = true
	l.line.lanes.push(l)
	d.offerLineLocked(l.line)
	d.wakeLocked()
}

// offerLineLocked puts a tenant in the queue if one of its webhooks may go and its own limits allow it; else a timer does it later. It says
// whether the tenant is new there.
func (d *Deliverer) offerLineLocked(ln *line) bool {
	if ln.queued || ln.lanes.n == 0 || d.stopping || ln.inFlight >= d.shareLocked() {
		return false // in the last case, its own next attempt to end looks again
	}
	if ln.rate.rate.Every > 0 {
		if wait := ln.rate.wait(d.opt.Now()); wait > 0 {
			ln.waitLocked(wait)
			return false
		}
	}
	ln.queued = true
	d.turns.push(ln)
	return true
}

func (ln *line) waitLocked(wait time.Duration) {
	if ln.timer != nil {
		return
	}
	d := ln.d
	ln.timer = time.AfterFunc(ln.rate.nap(wait), func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		ln.timer = nil
		if d.offerLineLocked(ln) && ln.rate.rate.Every > 0 {
			d.wakeSomeLocked(min(ln.lanes.n, ln.rate.tokens(d.opt.Now())))
		}
	})
}

// shareLocked is the most attempts that one tenant may have in flight: all when it is alone, else three times what is free, so that there
// is always room for another tenant's first.
func (d *Deliverer) shareLocked() int {
	if len(d.lines) <= 2 { // one of them is that of the webhooks that have gone
		return d.opt.MaxInFlight
	}
	return max(1, 3*(d.opt.MaxInFlight-d.inFlight))
}

// nextLocked takes the lane whose turn it is, with its tokens.
func (d *Deliverer) nextLocked() *lane {
	for d.turns.n > 0 {
		var now time.Time
		if d.rate.rate.Every > 0 {
			now = d.opt.Now()
			if wait := d.rate.wait(now); wait > 0 {
				d.waitLocked(wait)
				return nil
			}
		}
		ln := d.turns.pop()
		ln.queued = false
		if ln.credit = min(ln.credit+1, 1); ln.credit <= 0 {
			d.offerLineLocked(ln)
			continue
		}
		if ln.inFlight >= d.shareLocked() {
			continue
		}
		l := ln.next()
		if l == nil {
			continue
		}
		ln.credit--
		if l.rate.rate.Every > 0 || ln.rate.rate.Every > 0 {
			now = d.opt.Now()
		}
		l.rate.take(now)
		ln.rate.take(now)
		d.rate.take(now)
		l.inFlight++
		ln.inFlight++
		d.inFlight++
		if more := d.offerLineLocked(ln); (more && ln.rate.rate.Every > 0 || d.rate.rate.Every > 0) && d.turns.n > 0 {
			d.wakeLocked() // who looked while there was no token has gone
		}
		return l
	}
	return nil
}

// next takes the webhook whose turn it is in its tenant, nil when none may go.
func (ln *line) next() *lane {
	for ln.lanes.n > 0 {
		l := ln.lanes.pop()
		if l.credit = min(l.credit+1, 1); l.credit <= 0 {
			ln.lanes.push(l)
			continue
		}
		l.queued = false
		if l.mayLeaseLocked() {
			l.credit--
			return l
		}
	}
	return nil
}

// doneLocked ends what nextLocked began with l. Tokens that were not used go back.
func (d *Deliverer) doneLocked(l *lane, ln *line, leased bool) {
	l.inFlight--
	ln.inFlight--
	d.inFlight--
	if !leased {
		l.rate.giveBack()
		ln.rate.giveBack()
		d.rate.giveBack()
	}
	if d.offerLineLocked(ln) {
		d.wakeLocked() // it had its share, and those who looked meanwhile have gone
	}
}

// waitLocked waits for a token of the rate of all.
func (d *Deliverer) waitLocked(wait time.Duration) {
	if d.timer != nil || d.stopping {
		return
	}
	d.timer = time.AfterFunc(d.rate.nap(wait), func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.timer = nil
		if d.turns.n > 0 {
			d.wakeLocked() // it wakes the next one
		}
	})
}

func (d *Deliverer) stopTimersLocked() {
	if d.timer != nil {
		d.timer.Stop()
	}
	for _, ln := range d.lines {
		if ln.timer != nil {
			ln.timer.Stop()
		}
	}
}

// fifo is a first-in first-out queue that reuses its memory.
type fifo[T any] struct {
	buf  []T
	head int
	n    int
}

func (f *fifo[T]) push(v T) {
	if f.n == len(f.buf) {
		grown := make([]T, max(8, 2*len(f.buf)))
		for i := range f.n {
			grown[i] = *f.at(i)
		}
		f.buf, f.head = grown, 0
	}
	f.buf[(f.head+f.n)%len(f.buf)] = v
	f.n++
}

func (f *fifo[T]) pop() T {
	var zero T
	v := f.buf[f.head]
	f.buf[f.head] = zero
	f.head = (f.head + 1) % len(f.buf)
	f.n--
	return v
}

func (f *fifo[T]) at(i int) *T { return &f.buf[(f.head+i)%len(f.buf)] }
