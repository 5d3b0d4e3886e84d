package history

import (
	"slices"
	"sync"
	"sync/atomic"
)

// hub hands every attempt to those who watch. With nobody watching it costs one atomic load.
type hub struct {
	mu       sync.Mutex // of changes; readers of the list take no lock
	watchers atomic.Pointer[[]*Subscription]
}

// Subscription is one reader of attempts as they happen.
type Subscription struct {
	hub     *hub
	ch      chan *Attempt
	want    func(*Attempt) bool // nil = all
	brief   bool
	dropped atomic.Int64
}

// maxWatchers bounds how many may watch at the same time: each costs every attempt a little.
const maxWatchers = 64

// watched says whether anybody watches.
func (h *hub) watched() bool {
	list := h.watchers.Load()
	return list != nil && len(*list) > 0
}

// subscribe adds a reader, or returns nil when there are too many.
func (h *hub) subscribe(s *Subscription, buffer int) *Subscription {
	s.hub, s.ch = h, make(chan *Attempt, max(1, buffer))
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []*Subscription
	if old := h.watchers.Load(); old != nil {
		list = slices.Clone(*old)
	}
	if len(list) >= maxWatchers {
		return nil
	}
	list = append(list, s)
	h.watchers.Store(&list)
	return s
}

// publish hands a copy of a to every reader that wants it and has room. The copy is shared by all of them and must not change any more. It
// is made when the first one needs it.
func (h *hub) publish(a *Attempt) {
	list := h.watchers.Load()
	if list == nil {
		return
	}
	var whole, brief *Attempt
	for _, s := range *list {
		switch {
		case s.want != nil && !s.want(a):
			continue
		case len(s.ch) == cap(s.ch):
			s.dropped.Add(1)
			continue
		case s.brief && brief == nil:
			brief = a.briefly()
		case !s.brief && whole == nil:
			whole = a.Clone()
		}
		c := whole
		if s.brief {
			c = brief
		}
		select {
		case s.ch <- c:
		default:
			s.dropped.Add(1)
		}
	}
}

// briefly copies a without what can be large.
func (a *Attempt) briefly() *Attempt {
	b := *a
	b.Event, b.RequestHeaders, b.RequestBody, b.ResponseHeaders, b.ResponseBody, b.TransformLog = nil, nil, nil, nil, nil, nil
	return b.Clone()
}

// C is where the attempts arrive. They are shared with other readers: look, do not change. It is never closed.
func (s *Subscription) C() <-chan *Attempt { return s.ch }

// Dropped returns how many attempts were left out since the last call, because the reader was slow.
func (s *Subscription) Dropped() int64 { return s.dropped.Swap(0) }

// Close ends the subscription.
func (s *Subscription) Close() {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if old := h.watchers.Load(); old != nil {
		list := slices.DeleteFunc(slices.Clone(*old), func(o *Subscription) bool { return o == s })
		h.watchers.Store(&list)
	}
}
