package badgerq

import (
	"fmt"
	"math/bits"
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
// Filling: it is Queue.cur, guarded by Queue.in; Append adds to buf and events, then waits for done.
// Committed: guarded by Queue.mu. It stays in Queue.groups while any of its deliveries is in memory, in an inbox or leased.
// On disk only: when the rest of its deliveries belong to webhooks that lag, the object is dropped and later made again from the record.
//
// Each delivery is in exactly one state: settled; live (handed out straight after the commit); lag (read back for a lagging webhook);
// or left on disk (the rest). The record is deleted when all are settled.
type group struct {
	seq    uint64
	buf    []byte   // the record, groupHeader first; nil once no inbox item needs it
	events []uint32 // where each event's record begins in buf
	base   []uint32 // ordinal of each event's first delivery
	total  int      // deliveries

	dedups []*dedupEntry // producers' own ids among the events

	done chan struct{} // closed by the committer when the group is durable or has failed; err is set before
	err  error

	settled    bitmap
	taken      bitmap // in an inbox or leased: live + lag
	nSettled   int
	live, lag  int
	onDisk     int   // how many settled deliveries the stored progress knows
	opsPending int   // batches not yet committed that delete the record or write its progress
	committed  int64 // Unix milliseconds
	size       int   // bytes of the record
	linked     bool  // in the list of live groups, whose head is the floor
	prev, next *group

	pins atomic.Int32 // inbox items and readers that need buf

	// Room for small groups, so that a lone event costs no more than the group itself and its channel.
	eventsRoom, baseRoom [8]uint32
	bitsRoom             [2]uint64
}

func (g *group) chunks() int { return (g.size + chunkSize - 1) / chunkSize }

// pin keeps buf from being recycled; it fails when buf is gone already.
func (g *group) pin() bool {
	for {
		n := g.pins.Load()
		if n == 0 {
			return false
		}
		if g.pins.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// add appends one event to a filling group.
func (g *group) add(e *event.Event, targets []event.WebhookID) {
	g.events = append(g.events, uint32(len(g.buf)))
	g.base = append(g.base, uint32(g.total))
	g.buf = event.AppendRecord(g.buf, e, targets)
	g.total += len(targets)
}

// newGroup returns an empty group over buf's memory.
func newGroup(buf []byte) *group {
	g := &group{buf: append(buf[:0], 0, 0, 0, 0, 0, 0, 0, 0), done: make(chan struct{})}
	g.events, g.base = g.eventsRoom[:0], g.baseRoom[:0]
	return g
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

// index fills events, base and total from buf, which comes from the disk.
func (g *group) index() error {
	if err := checkGroup(g.buf); err != nil {
		return fmt.Errorf("group %d: %w", g.seq, err)
	}
	g.events, g.base, g.total = g.events[:0], g.base[:0], 0
	rest := g.buf[groupHeader:]
	for len(rest) > 0 {
		g.events = append(g.events, uint32(len(g.buf)-len(rest)))
		g.base = append(g.base, uint32(g.total))
		_, targets, tail, err := event.DecodeRecord(rest)
		if err != nil {
			return fmt.Errorf("group %d event %d: %w: %w", g.seq, len(g.events)-1, errDamaged, err)
		}
		g.total += targets.Len()
		rest = tail
	}
	g.size = len(g.buf)
	return nil
}

// record returns the record of the i-th event. buf must be pinned.
func (g *group) record(i uint32) []byte {
	end := uint32(len(g.buf))
	if int(i)+1 < len(g.events) {
		end = g.events[i+1]
	}
	return g.buf[g.events[i]:end]
}
