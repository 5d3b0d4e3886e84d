package bench

import (
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// hook is the receiving side of one webhook.
type hook struct {
	name     string
	verifier *verifier

	mu      sync.Mutex // guards everything below
	script  []Answer   // what is answered next; Times of the first counts down
	ids     idSet
	counts  Counts
	latency *hdrhistogram.Histogram // microseconds; made with the first value, because a bench may have 10,000 hooks
}

func newHook(h Hook, maxIDs int) (*hook, error) {
	v, err := newVerifier(h)
	if err != nil {
		return nil, fmt.Errorf("hook %q: %w", h.Name, err)
	}
	return &hook{name: h.Name, verifier: v, ids: newIDSet(maxIDs)}, nil
}

// receipt is what settle needs to know of a request.
type receipt struct {
	key     uint64 // hash of the id
	hasID   bool
	latency time.Duration
	timed   bool // latency is known
}

// settle counts one answered request and says whether its id had been accepted before.
func (h *hook) settle(rc receipt, a Answer, bad error) (repeated bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts.Requests++
	repeated = rc.hasID && h.ids.has(rc.key)
	switch {
	case bad != nil:
		h.counts.BadSignatures++
		h.counts.LastError = bad.Error()
		return repeated
	case !a.accepts():
		h.counts.Refused++
		return repeated
	}
	h.counts.Delivered++
	if repeated {
		h.counts.Duplicates++
		return true
	}
	h.counts.Distinct++
	if rc.hasID {
		h.ids.add(rc.key)
	}
	if rc.timed {
		h.recordLocked(rc.latency)
	}
	return false
}

// The histogram reaches from a microsecond to a day, which covers a full retry schedule, with two significant digits (about 30 KB).
const (
	minLatency = 1
	maxLatency = int64(24 * time.Hour / time.Microsecond)
)

func (h *hook) recordLocked(d time.Duration) {
	if h.latency == nil {
		h.latency = hdrhistogram.New(minLatency, maxLatency, 2)
	}
	// A clock that differs between the two sides can make it negative; the clamp keeps the count right.
	if err := h.latency.RecordValue(min(max(d.Microseconds(), minLatency), maxLatency)); err != nil {
		panic("BUG: clamped latency outside the histogram: " + err.Error())
	}
}

// idSet remembers hashes of ids: 64 bits are enough to tell ten million ids apart with an error of about one in a million.
type idSet struct {
	seen map[uint64]struct{}
	ring []uint64 // the ids by age when max > 0; next is the oldest once it is full
	next int
	max  int // 0 = no bound
}

func newIDSet(max int) idSet { return idSet{seen: map[uint64]struct{}{}, max: max} }

func (s *idSet) has(id uint64) bool {
	_, ok := s.seen[id]
	return ok
}

// add remembers an id that is not in the set and forgets the oldest when the set is full.
func (s *idSet) add(id uint64) {
	s.seen[id] = struct{}{}
	switch {
	case s.max == 0:
	case len(s.ring) < s.max:
		s.ring = append(s.ring, id)
	default:
		delete(s.seen, s.ring[s.next])
		s.ring[s.next] = id
		s.next = (s.next + 1) % s.max
	}
}
