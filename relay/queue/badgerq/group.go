package badgerq

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"

	"edgerelay/relay/event"
)

// bitmap is one bit per delivery of a group, in the order of the group's record.
type bitmap []uint64

func (b bitmap) has(i uint32) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bitmap) set(i uint32)      { b[i/64] |= 1 << (i % 64) }
func (b bitmap) clear(i uint32)    { b[i/64] &^= 1 << (i % 64) }
func (b bitmap) count() (n int) {
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// group is a commit group: the events that become durable with one sync. It lives in three phases.
//
// Filling: it is Queue.cur, guarded by Queue.in; Append adds to the image and events, then waits for done.
// Committed: guarded by Queue.mu. It stays in Queue.groups while any of its deliveries is in memory (in an inbox or leased), while its
// record is being loaded, and until what was settled is durable; so an object that is not there has nothing to tell that the disk does not.
// On disk only: when the rest of its deliveries belong to webhooks that lag, the object is dropped and later made again from the record.
//
// Each delivery is in exactly one state: settled; live (handed out straight after the commit); lag (read back for a lagging webhook);
// or left on disk (the rest). The record is deleted when all are settled, and rewritten without its settled events when most are.
type group struct {
	seq   uint64
	image *image // the record in memory; its buffer is gone when nobody needs it
	own   image  // what image points to at first
	contents
	progress

	dedups []*dedupEntry // producers' own ids among the events
	done   chan struct{} // closed by the committer when the group is durable or has failed; err is set before
	err    error

	live, lag  int
	loads      int    // readers that are loading the record or looking at it
	opsPending int    // batches not yet committed that delete the record or write its progress
	since      int64  // Unix milliseconds since when it has been in memory
	linked     bool   // in the list of live groups, whose head is the floor
	prev, next *group // in that list

	// Room for small groups, so that a lone event costs no more than the group itself and its channel.
	eventsRoom, baseRoom [8]uint32
	bitsRoom             [2]uint64
}

// contents says what is where in a group's record. It does not change once the group is durable.
type contents struct {
	events    []uint32 // where each event's record begins
	base      []uint32 // ordinal of each event's first delivery
	numbers   []uint32 // the events' numbers in the group as it was first written; nil = they count from 0
	total     int      // deliveries
	size      int      // bytes of the record
	committed int64    // Unix milliseconds
}

// progress says which deliveries are done.
type progress struct {
	settled  bitmap
	taken    bitmap // in an inbox or leased: live + lag
	nSettled int
	onDisk   int // how many settled deliveries the stored progress knows
}

// image is a group's record in memory, shared by everyone who holds a pin.
type image struct {
	buf  []byte
	pins atomic.Int32 // inbox items and readers that need buf; at 0 the buffer is recycled, for good
}

// pin keeps the buffer; it fails when that is gone already.
func (im *image) pin() bool {
	for {
		n := im.pins.Load()
		if n == 0 {
			return false
		}
		if im.pins.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// unpin gives a buffer back when nobody needs it any more.
func (q *Queue) unpin(im *image) {
	if im.pins.Add(-1) > 0 {
		return
	}
	b := im.buf
	im.buf = nil
	q.pinned.Add(-int64(cap(b)))
	q.buffers.put(b)
}

// newGroup returns an empty group over buf's memory.
func newGroup(buf []byte) *group {
	g := &group{done: make(chan struct{})}
	g.image = &g.own
	g.own.buf = append(buf[:0], make([]byte, groupHeader)...)
	g.events, g.base = g.eventsRoom[:0], g.baseRoom[:0]
	return g
}

func (c *contents) chunks() int { return chunksOf(c.size) }

func chunksOf(size int) int { return (size + chunkSize - 1) / chunkSize }

// number is the i-th event's number in the group as it was first written: waiting deliveries are known by it.
func (c *contents) number(i uint32) uint32 {
	if c.numbers == nil {
		return i
	}
	return c.numbers[i]
}

// record returns the record of the i-th event in the group's buffer.
func (c *contents) record(buf []byte, i uint32) []byte {
	end := uint32(len(buf))
	if int(i)+1 < len(c.events) {
		end = c.events[i+1]
		if c.numbers != nil {
			end -= numberSize
		}
	}
	return buf[c.events[i]:end]
}

// add appends one event to a filling group.
func (g *group) add(e *event.Event, targets []event.WebhookID) {
	g.events = append(g.events, uint32(len(g.own.buf)))
	g.base = append(g.base, uint32(g.total))
	g.own.buf = event.AppendRecord(g.own.buf, e, targets)
	g.total += len(targets)
}

// ready makes the bitmaps, once total is known.
func (g *group) ready() {
	if g.total <= 64 {
		g.settled, g.taken = g.bitsRoom[:1:1], g.bitsRoom[1:2]
		return
	}
	n := (g.total + 63) / 64
	both := make(bitmap, 2*n)
	g.settled, g.taken = both[:n:n], both[n:]
}

// index fills contents from the buffer, which comes from the disk.
func (g *group) index() error {
	sparse, committed, err := checkGroup(g.own.buf)
	if err != nil {
		return fmt.Errorf("group %d: %w", g.seq, err)
	}
	buf := g.own.buf
	g.contents = contents{events: g.events[:0], base: g.base[:0], size: len(buf), committed: committed}
	rest := buf[groupHeader:]
	for len(rest) > 0 {
		if sparse {
			if len(rest) < numberSize {
				return fmt.Errorf("group %d: %w: %d bytes left", g.seq, errDamaged, len(rest))
			}
			g.numbers = append(g.numbers, binary.LittleEndian.Uint32(rest))
			rest = rest[numberSize:]
		}
		g.events = append(g.events, uint32(len(buf)-len(rest)))
		g.base = append(g.base, uint32(g.total))
		_, targets, tail, err := event.DecodeRecord(rest)
		if err != nil {
			return fmt.Errorf("group %d event %d: %w: %w", g.seq, len(g.events)-1, errDamaged, err)
		}
		g.total += targets.Len()
		rest = tail
	}
	return nil
}

// targets returns the webhooks of the i-th event of a buffer that has been indexed or was made here.
func (c *contents) targets(buf []byte, i uint32) event.Targets {
	_, targets, _, err := event.DecodeRecord(c.record(buf, i))
	if err != nil {
		panic("BUG: an indexed event does not decode: " + err.Error())
	}
	return targets
}

// bufferList recycles group buffers.
type bufferList struct {
	mu   sync.Mutex
	free [][]byte
}

func (l *bufferList) get() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free); n > 0 {
		b := l.free[n-1]
		l.free[n-1] = nil
		l.free = l.free[:n-1]
		return b
	}
	return make([]byte, 0, 16<<10)
}

func (l *bufferList) put(b []byte) {
	if cap(b) > 1<<20 {
		return
	}
	l.mu.Lock()
	if len(l.free) < 32 {
		l.free = append(l.free, b)
	}
	l.mu.Unlock()
}
