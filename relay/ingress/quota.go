package ingress

import (
	"sync/atomic"
	"time"
)

// Rate is how many events of a tenant are taken: one every Every on average, Burst at once.
type Rate struct {
	Every time.Duration
	Burst int
}

// gauge is a token bucket without a lock, kept as the time at which it will be full again.
type gauge struct {
	rate Rate
	full atomic.Int64 // Unix nanoseconds
}

// take takes a token, or says how long it will be until there is one.
func (g *gauge) take(now time.Time) (wait time.Duration) {
	t, room := now.UnixNano(), int64(g.rate.Every)*int64(g.rate.Burst)
	for {
		old := g.full.Load()
		from := max(old, t)
		if from > t+2*room {
			from = t // the clock was set back
		}
		next := from + int64(g.rate.Every)
		if lack := next - room - t; lack > 0 {
			return time.Duration(lack)
		}
		if g.full.CompareAndSwap(old, next) {
			return 0
		}
	}
}

// gauges makes those of rates. A tenant whose rate is as before keeps what it has taken.
func gauges(rates map[string]Rate, old *policy) map[string]*gauge {
	if len(rates) == 0 {
		return nil
	}
	all := make(map[string]*gauge, len(rates))
	for tenant, rate := range rates {
		if old != nil && old.gauges[tenant] != nil && old.gauges[tenant].rate == rate {
			all[tenant] = old.gauges[tenant]
		} else {
			all[tenant] = &gauge{rate: rate}
		}
	}
	return all
}

// admits asks the tenant's rate for one event.
func (p *policy) admits(tenant []byte, now time.Time) problem {
	if p.gauges == nil {
		return problem{}
	}
	g := p.gauges[string(tenant)]
	if g == nil {
		return problem{}
	}
	if wait := g.take(now); wait > 0 {
		return problem{kind: kindRate, retryAfter: int((wait + time.Second - 1) / time.Second)}
	}
	return problem{}
}
