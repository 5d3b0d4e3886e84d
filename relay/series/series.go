// Package series remembers for a day what every webhook did: how many attempts succeeded and failed in each step of time, and how long they took.
//
// The relay samples the counters that the lanes keep anyway, every few seconds, so an event costs nothing here. It lives in memory: a restart begins
// anew. It is a leaf, starts no goroutines, and is safe for use by several.
package series

import (
	"math"
	"sync"
	"time"
)

// Counts are the counters of one webhook since the relay was started.
type Counts struct {
	Webhook, Tenant   string
	Delivered, Failed int64
	Spent             time.Duration // in attempts
}

// Points are equal steps of time, the oldest first; the last one is not over yet.
type Points struct {
	Start     time.Time
	Step      time.Duration
	Delivered []int64
	Failed    []int64
	Mean      []time.Duration // of an attempt; 0 = there was none
}

// point is what happened in one step.
type point struct {
	delivered, failed uint32
	seconds           float32 // spent in attempts
}

// ring is a fixed number of steps; slot i holds the step whose number is i modulo the length.
type ring struct {
	step   int64 // seconds
	last   int64 // number of the newest step
	points []point
}

// The two resolutions: an hour in minutes, a day in quarters of an hour.
const (
	minutes  = 60
	quarters = 96
)

// webhook is what is kept of one that has done something.
type webhook struct {
	tenant string
	seen   Counts
	hour   ring
	day    ring
}

// mostWebhooks bounds the memory, at about 2 KB each. Webhooks that begin later are counted in the sums of their tenant only.
const mostWebhooks = 4096

// Store holds the series of all webhooks.
type Store struct {
	mu   sync.Mutex
	all  map[string]*webhook
	rest map[string]Counts // of those beyond mostWebhooks, to see what is new
}

// New returns an empty store.
func New() *Store { return &Store{all: map[string]*webhook{}, rest: map[string]Counts{}} }

// Sample notes what the counters say now. A counter that went down belongs to a webhook that was forgotten and came back.
func (s *Store) Sample(now time.Time, counts []Counts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range counts {
		if w := s.of(&c); w != nil {
			w.add(now, c)
		}
	}
}

// of returns where c belongs: its own series, or that of the rest of its tenant.
func (s *Store) of(c *Counts) *webhook {
	if w := s.all[c.Webhook]; w != nil {
		return w
	}
	if c.Delivered+c.Failed == 0 {
		return nil // it has done nothing yet
	}
	if len(s.all) >= mostWebhooks {
		before := s.rest[c.Webhook]
		s.rest[c.Webhook] = *c
		key := "\x00" + c.Tenant
		w := s.all[key]
		if w == nil {
			w = newWebhook(c.Tenant)
			s.all[key] = w
		}
		sum := w.seen
		sum.Delivered += fresh(c.Delivered, before.Delivered)
		sum.Failed += fresh(c.Failed, before.Failed)
		sum.Spent += time.Duration(fresh(int64(c.Spent), int64(before.Spent)))
		*c = sum
		return w
	}
	w := newWebhook(c.Tenant)
	s.all[c.Webhook] = w
	return w
}

func newWebhook(tenant string) *webhook {
	return &webhook{tenant: tenant, hour: ring{step: 60, points: make([]point, minutes)}, day: ring{step: 900, points: make([]point, quarters)}}
}

func (w *webhook) add(now time.Time, c Counts) {
	p := point{delivered: clamp(fresh(c.Delivered, w.seen.Delivered)), failed: clamp(fresh(c.Failed, w.seen.Failed)),
		seconds: float32(time.Duration(fresh(int64(c.Spent), int64(w.seen.Spent))).Seconds())}
	w.seen = c
	w.hour.add(now, p)
	w.day.add(now, p)
}

func fresh(now, before int64) int64 {
	if now < before {
		return now
	}
	return now - before
}

func clamp(n int64) uint32 { return uint32(min(n, math.MaxUint32)) }

// move makes the step of now the newest one.
func (r *ring) move(now time.Time) {
	n := now.Unix() / r.step
	for i := max(r.last+1, n-int64(len(r.points))+1); i <= n; i++ {
		r.points[i%int64(len(r.points))] = point{}
	}
	r.last = max(r.last, n)
}

func (r *ring) add(now time.Time, p point) {
	r.move(now)
	at := &r.points[r.last%int64(len(r.points))]
	at.delivered += p.delivered
	at.failed += p.failed
	at.seconds += p.seconds
}

// Read sums up the webhooks that want returns true for, over the last hour, or over the last day.
func (s *Store) Read(now time.Time, day bool, want func(webhook, tenant string) bool) Points {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, step := minutes, int64(60)
	if day {
		n, step = quarters, 900
	}
	newest := now.Unix() / step
	p := Points{Start: time.Unix((newest-int64(n)+1)*step, 0).UTC(), Step: time.Duration(step) * time.Second, Delivered: make([]int64, n), Failed: make([]int64, n),
		Mean: make([]time.Duration, n)}
	seconds := make([]float64, n)
	for id, w := range s.all {
		if !want(id, w.tenant) {
			continue
		}
		r := &w.hour
		if day {
			r = &w.day
		}
		r.move(now)
		for i := range n {
			at := r.points[(newest-int64(n)+1+int64(i))%int64(n)]
			p.Delivered[i] += int64(at.delivered)
			p.Failed[i] += int64(at.failed)
			seconds[i] += float64(at.seconds)
		}
	}
	for i, s := range seconds {
		if all := p.Delivered[i] + p.Failed[i]; all > 0 {
			p.Mean[i] = time.Duration(s / float64(all) * float64(time.Second))
		}
	}
	return p
}
