package deliver

import "time"

// pace finds out how many requests at a time a receiver can take: additive increase, multiplicative decrease, as TCP does. A timeout, a 429
// or a 502 to 504 halves it; each success raises it, by one while it is below half of what it was (slow start), then by one for as many
// successes as it is large. So a receiver that recovers gets one request, then two, four …, and one that is overloaded settles just below
// what it can do. It has neither lock nor clock of its own.
type pace struct {
	limit   float64   // at a time
	start   float64   // below it, the limit grows fast
	lowered time.Time // attempts that began before belong to the jam that is known already
}

// fullPace is that of a receiver of which nothing bad is known.
func fullPace(most int) pace { return pace{limit: float64(most), start: float64(most)} }

// good notes a success.
func (p *pace) good(most int) {
	switch m := float64(most); {
	case p.limit >= m:
		p.limit = m
	case p.limit < p.start:
		p.limit = min(p.limit+1, m)
	default:
		p.limit = min(p.limit+1/p.limit, m)
	}
}

// jammed notes that an attempt that began at began met a jam.
func (p *pace) jammed(began, now time.Time) {
	if began.Before(p.lowered) {
		return // one jam fails many requests
	}
	p.start = max(p.limit/2, 1)
	p.limit, p.lowered = p.start, now
}

// restart begins with one request at a time, after the receiver was left alone.
func (p *pace) restart(now time.Time) {
	p.start = max(p.start, p.limit/2, 2)
	p.limit, p.lowered = 1, now
}

// bucket is a token bucket, kept as the time at which it will be full again (the generic cell rate algorithm): nothing ticks. The zero
// value limits nothing.
type bucket struct {
	rate Rate
	full time.Time
}

// Rate is a limit: one delivery every Every on average, Burst at once. The zero value is no limit.
type Rate struct {
	Every time.Duration
	Burst int
}

// PerSecond returns the rate of n deliveries per span. As many as a second brings may go at once, at least one.
func PerSecond(n int, span time.Duration) Rate {
	every := max(span/time.Duration(n), 1)
	return Rate{Every: every, Burst: int(max(1, time.Second/every))}
}

// wait is how long it takes until there is a token; 0 = there is.
func (b *bucket) wait(now time.Time) time.Duration {
	if b.rate.Every == 0 {
		return 0
	}
	room := b.rate.Every * time.Duration(b.rate.Burst)
	lack := max(0, b.full.Sub(now))
	if lack > 2*room { // the clock was set back, or the rate raised
		b.full = now.Add(room)
		lack = room
	}
	return max(0, lack+b.rate.Every-room)
}

// nap is wait, but not so short that a timer would be all the work: what comes meanwhile goes together.
func (b *bucket) nap(wait time.Duration) time.Duration {
	return max(wait, min(5*time.Millisecond, b.rate.Every*time.Duration(b.rate.Burst-1)))
}

// tokens is how many there are.
func (b *bucket) tokens(now time.Time) int {
	return min(b.rate.Burst, int((b.rate.Every*time.Duration(b.rate.Burst)-max(0, b.full.Sub(now)))/b.rate.Every))
}

// take takes a token.
func (b *bucket) take(now time.Time) {
	if b.rate.Every == 0 {
		return
	}
	if b.full.Before(now) {
		b.full = now
	}
	b.full = b.full.Add(b.rate.Every)
}

// giveBack puts a token back that was not used.
func (b *bucket) giveBack() { b.full = b.full.Add(-b.rate.Every) }

// set changes the rate; what was taken stays taken.
func (b *bucket) set(r Rate) { b.rate = r }
