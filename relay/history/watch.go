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
func (h *hub) subscribe(buffer int) *Subscription {
	s := &Subscription{hub: h, ch: make(chan *Attempt, max(1, buffer))}
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

// publish hands a to every reader that has room. a is shared by all of them and must not change any more.
func (h *hub) publish(a *Attempt) {
	list := h.watchers.Load()
	if list == nil {
		return
	}
	for _, s := range *list {
		select {
		case s.ch <- a:
		default:
			s.dropped.Add(1)
		}
	}
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
