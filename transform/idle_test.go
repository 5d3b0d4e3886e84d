package transform

import (
	"context"
	"sync"
	"testing"
)

// TestIdleMemory: many pools keep no more than the bound between events, those that run most keep their instances, and all of them work.
func TestIdleMemory(t *testing.T) {
	const page, pools = 65536, 40
	h := newHost(t, Options{MaxIdle: 10 * 2 * page, MaxRunning: 2})
	all := make([]*Pool, pools)
	for i := range all {
		all[i] = newPool(t, h, counting(), PoolConfig{Size: 4}) // two pages each
	}
	idle := func() (bytes int64, instances int) {
		for _, p := range all {
			p.mu.Lock()
			instances += len(p.idle)
			for _, in := range p.idle {
				bytes += int64(len(in.allMemory()))
			}
			p.mu.Unlock()
		}
		return bytes, instances
	}
	check := func(when string) {
		t.Helper()
		bytes, instances := idle()
		if counted := h.idlers.bytes.Load(); bytes != counted || bytes > h.idlers.most || instances == 0 {
			t.Errorf("%s: %d idle instances with %d bytes, counted %d, at most %d", when, instances, bytes, counted, h.idlers.most)
		}
	}
	check("new")
	run := func(p *Pool) {
		var out Result
		if err := p.Run(context.Background(), &testMeta, nil, &out); err != nil || string(out.Body) != "111141" {
			t.Errorf("%q %v", out.Body, err)
		}
	}
	for i := range 5 * pools {
		run(all[i%pools])
		run(all[0])
	}
	check("one after the other")
	made := all[0].module.counters.instances.Load()
	run(all[0])
	if now := all[0].module.counters.instances.Load(); now != made {
		t.Error("the pool that runs all the time has lost its instance")
	}
	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			for i := range 300 {
				run(all[(i*7+w)%pools])
			}
		})
	}
	group.Wait()
	check("at the same time")
	for _, p := range all {
		p.Close(context.Background())
	}
	if n := h.idlers.bytes.Load(); n != 0 || len(h.idlers.pools) != 0 || h.running.inside.Load() != 0 {
		t.Errorf("after closing: %d bytes, %d pools, %d running", n, len(h.idlers.pools), h.running.inside.Load())
	}
}
