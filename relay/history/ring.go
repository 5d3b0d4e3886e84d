package history

import (
	"sync"
	"sync/atomic"
)

// A chunk is a block in the making: what the Recorder fills and the Store writes.
type chunk struct {
	meta, body       []byte
	first, last      uint64 // numbers of its records
	count            int
	minTime, maxTime int64 // Unix microseconds
}

const (
	chunkMeta = 96 << 10  // of describing parts …
	chunkBody = 256 << 10 // … or of bodies: then a block is full
	chunks    = 32        // in memory at most: what a store that falls behind may cost
)

func (c *chunk) reset() {
	meta, body := c.meta[:0], c.body[:0]
	if cap(body) > 2*chunkBody { // after unusually large events
		body = nil
	}
	*c = chunk{meta: meta, body: body}
}

// ring is the bounded way from those who make attempts to the one that stores them. Nobody ever waits for room: what does not fit is dropped
// and counted.
type ring struct {
	mu   sync.Mutex
	cur  *chunk
	seq  uint64 // of the next record
	made int
	free []*chunk

	full    chan *chunk   // holds as many as there can be, so that sending never blocks
	begun   chan struct{} // a chunk has its first record
	dropped atomic.Int64
}

func newRing(first uint64) *ring {
	return &ring{seq: first, full: make(chan *chunk, chunks), begun: make(chan struct{}, 1)}
}

// lock returns the chunk to append one record to, with r.mu held, or nil, without it, when there is no room.
func (r *ring) lock() *chunk {
	r.mu.Lock()
	if r.cur != nil {
		return r.cur
	}
	switch n := len(r.free); {
	case n > 0:
		r.cur, r.free = r.free[n-1], r.free[:n-1]
	case r.made < chunks:
		r.made++
		r.cur = &chunk{}
	default:
		r.mu.Unlock()
		r.dropped.Add(1)
		return nil
	}
	return r.cur
}

// unlock ends what lock began; a record was appended.
func (r *ring) unlock() {
	r.seq++
	c := r.cur
	full := len(c.meta) >= chunkMeta || len(c.body) >= chunkBody
	first := c.count == 1 && !full
	if full {
		r.cur = nil
		r.full <- c // from here on it is the writer's
	}
	r.mu.Unlock()
	if first {
		select {
		case r.begun <- struct{}{}:
		default:
		}
	}
}

// take hands over the oldest that there is, full or only begun; nil if there is nothing.
func (r *ring) take() *chunk {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case c := <-r.full:
		return c
	default:
	}
	c := r.cur
	if c == nil || c.count == 0 {
		return nil
	}
	r.cur = nil
	return c
}

// idleChunks is how many are kept while little happens.
const idleChunks = 2

// give takes a chunk back that has been stored.
func (r *ring) give(c *chunk) {
	c.reset()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.full) == 0 && len(r.free) >= idleChunks {
		r.made--
		return
	}
	r.free = append(r.free, c)
}
