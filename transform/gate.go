package transform

import (
	"context"
	"sync/atomic"
)

// gate lets a number of runs in at the same time. It is a counter as long as there is room, which is nearly always.
type gate struct {
	most    int64
	inside  atomic.Int64
	waiting atomic.Int64
	wake    chan struct{} // holds one: there may be room
}

func newGate(most int) *gate { return &gate{most: int64(most), wake: make(chan struct{}, 1)} }

func (g *gate) try() bool {
	for {
		n := g.inside.Load()
		if n >= g.most {
			return false
		}
		if g.inside.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// enter waits for room. It reports false when ctx ends before, or stop is closed (nil = never).
func (g *gate) enter(ctx context.Context, stop <-chan struct{}) bool {
	if g.try() {
		return true
	}
	g.waiting.Add(1)
	defer g.waiting.Add(-1)
	for !g.try() {
		select {
		case <-g.wake:
		case <-stop:
			return false
		case <-ctx.Done():
			g.nudge() // what woke nobody may be for another one
			return false
		}
	}
	if g.waiting.Load() > 1 && g.inside.Load() < g.most {
		g.nudge() // two have left, and one was woken
	}
	return true
}

func (g *gate) leave() {
	g.inside.Add(-1)
	if g.waiting.Load() > 0 {
		g.nudge()
	}
}

func (g *gate) nudge() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}
