package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Counts sums up what arrived.
type Counts struct {
	Requests      int64  `json:"requests"`       // all, whatever the answer
	Delivered     int64  `json:"delivered"`      // verified and answered with 2xx
	Distinct      int64  `json:"distinct"`       // of these, different ids
	Duplicates    int64  `json:"duplicates"`     // of these, ids that were delivered before
	BadSignatures int64  `json:"bad_signatures"` // refused with 401
	Refused       int64  `json:"refused"`        // verified, but answered as the script said
	LastError     string `json:"last_error,omitempty"`

	Latency Latency `json:"latency"` // from sending to the first delivery of each id
}

// Latency is a summary of a histogram.
type Latency struct {
	Count int64         `json:"count"`
	P50   time.Duration `json:"p50_ns"`
	P90   time.Duration `json:"p90_ns"`
	P99   time.Duration `json:"p99_ns"`
	P999  time.Duration `json:"p999_ns"`
	Max   time.Duration `json:"max_ns"`
}

// Snapshot is the state of a receiver at one moment (each hook at its own moment: they are locked one after the other).
type Snapshot struct {
	Counts
	Hooks map[string]Counts `json:"hooks"`
}

// Snapshot returns the counts of all hooks and their sum.
func (r *Receiver) Snapshot() Snapshot {
	s := Snapshot{Hooks: make(map[string]Counts, len(r.hooks)+1)}
	merged := hdrhistogram.New(minLatency, maxLatency, 2)
	for _, h := range r.all() {
		h.mu.Lock()
		c := h.counts
		c.Latency = summary(h.latency)
		if h.latency != nil {
			merged.Merge(h.latency)
		}
		h.mu.Unlock()
		s.Hooks[h.name] = c
		s.Counts.add(c)
	}
	s.Latency = summary(merged)
	return s
}

// counts returns those of one hook, or of all for "".
func (r *Receiver) counts(name string) Counts {
	if name == "" {
		return r.Snapshot().Counts
	}
	h := r.byName(name)
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.counts
	c.Latency = summary(h.latency)
	return c
}

func (r *Receiver) all() []*hook {
	list := make([]*hook, 0, len(r.hooks)+1)
	for _, h := range r.hooks {
		list = append(list, h)
	}
	if r.fallback != nil {
		list = append(list, r.fallback)
	}
	return list
}

func (c *Counts) add(o Counts) {
	c.Requests += o.Requests
	c.Delivered += o.Delivered
	c.Distinct += o.Distinct
	c.Duplicates += o.Duplicates
	c.BadSignatures += o.BadSignatures
	c.Refused += o.Refused
	if o.LastError != "" {
		c.LastError = o.LastError
	}
}

func summary(h *hdrhistogram.Histogram) Latency {
	if h == nil || h.TotalCount() == 0 {
		return Latency{}
	}
	at := func(p float64) time.Duration { return time.Duration(h.ValueAtPercentile(p)) * time.Microsecond }
	return Latency{Count: h.TotalCount(), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: time.Duration(h.Max()) * time.Microsecond}
}
