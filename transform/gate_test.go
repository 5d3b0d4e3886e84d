package transform

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// TestGate: never more inside than may be, and nobody waits for ever.
func TestGate(t *testing.T) {
	g := newGate(3)
	var inside, most atomic.Int64
	var group sync.WaitGroup
	for w := range 16 {
		group.Go(func() {
			for i := range 2000 {
				ctx := context.Background()
				if (i+w)%7 == 0 { // some do not want to wait
					ended, cancel := context.WithCancel(ctx)
					cancel()
					ctx = ended
				}
				if !g.enter(ctx, nil) {
					continue
				}
				for n := inside.Add(1); ; {
					if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
						break
					}
				}
				runtime.Gosched()
				inside.Add(-1)
				g.leave()
			}
		})
	}
	group.Wait()
	if most.Load() > 3 || g.inside.Load() != 0 || g.waiting.Load() != 0 {
		t.Errorf("%d were inside, %d are, %d wait", most.Load(), g.inside.Load(), g.waiting.Load())
	}
}
