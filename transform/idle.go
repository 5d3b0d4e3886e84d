package transform

import (
	"slices"
	"sync"
	"sync/atomic"
)

// idlers bounds the memory that instances keep while they wait for an event. A relay may have thousands of webhooks, and most of them are
// quiet most of the time; an instance is made again in microseconds, from the state that its pool remembers.
//
// Who is over the bound gives something back, and the pools that have not run anything lately lose their instances first (a clock with
// one hand: whoever has run since the hand came by is passed over once).
type idlers struct {
	most  int64
	bytes atomic.Int64

	mu    sync.Mutex // guards what follows; taken before a pool's
	pools []*Pool
	hand  int
}

// join and leave tell which pools there are.
func (d *idlers) join(p *Pool) {
	d.mu.Lock()
	d.pools = append(d.pools, p)
	d.mu.Unlock()
}

func (d *idlers) leave(p *Pool) {
	d.mu.Lock()
	if i := slices.Index(d.pools, p); i >= 0 {
		d.pools = slices.Delete(d.pools, i, i+1)
	}
	d.mu.Unlock()
}

// kept counts an instance that becomes idle, taken one that no longer is.
func (d *idlers) kept(in *instance) {
	if in.memory != nil {
		in.kept = int64(in.memory.Size())
	}
	d.bytes.Add(in.kept)
}

func (d *idlers) taken(in *instance) { d.bytes.Add(-in.kept) }

// evict closes idle instances until the rest is within the bound.
func (d *idlers) evict() {
	if d.bytes.Load() <= d.most {
		return
	}
	var closing []*instance
	d.mu.Lock()
	for steps := 2 * len(d.pools); steps > 0 && d.bytes.Load() > d.most; steps-- {
		d.hand %= len(d.pools)
		p := d.pools[d.hand]
		d.hand++
		if p.used.Swap(false) {
			continue
		}
		p.mu.Lock()
		idle := p.idle
		p.idle = nil
		p.mu.Unlock()
		for _, in := range idle {
			d.taken(in)
		}
		closing = append(closing, idle...)
	}
	d.mu.Unlock()
	for _, in := range closing {
		in.close()
	}
}
