package badgerq

import (
	"encoding/binary"
	"errors"

	"github.com/dgraph-io/badger/v4"
)

// A webhook that is dead and gets one event in a hundred would keep whole groups on disk. So when a group leaves memory with at most half
// of its bytes still needed, a reader rewrites its record, under the same key, with only those events.

// neededBytes is what the events with unsettled deliveries take.
func (g *group) neededBytes() (n int) {
	for i := range uint32(len(g.events)) {
		if g.isNeeded(i) {
			n += g.eventSize(i)
		}
	}
	return n
}

func (g *group) isNeeded(i uint32) bool {
	end := uint32(g.total)
	if int(i)+1 < len(g.base) {
		end = g.base[i+1]
	}
	for ordinal := g.base[i]; ordinal < end; ordinal++ {
		if !g.settled.has(ordinal) {
			return true
		}
	}
	return false
}

func (c *contents) eventSize(i uint32) int {
	if int(i)+1 < len(c.events) {
		return int(c.events[i+1] - c.events[i])
	}
	return c.size - int(c.events[i])
}

// askThinLocked queues a group that has just left memory for thinning, if that is worth its while.
func (q *Queue) askThinLocked(g *group) {
	if q.stopping || len(q.thins) >= maxThins || 2*g.neededBytes() > g.size {
		return
	}
	q.thins = append(q.thins, g.seq)
	q.readerWake.Signal()
}

// maxThins bounds the list; a group that found no room on it stays as it is.
const maxThins = 4096

// thinNextLocked rewrites one group. It gives the lock up while it reads.
func (q *Queue) thinNextLocked() {
	seq := q.thins[0]
	copy(q.thins, q.thins[1:])
	q.thins = q.thins[:len(q.thins)-1]
	q.mu.Unlock()
	var g *group
	var im *image
	err := q.view(func(txn *badger.Txn) (err error) { g, im, err = q.borrow(txn, seq); return err })
	q.mu.Lock()
	switch {
	case err == nil:
		if !q.thinLocked(g, im) {
			q.giveBackLocked(g, im)
		}
	case !isDamage(err) && !errors.Is(err, badger.ErrKeyNotFound):
		q.opt.Log.Warn("cannot read a group to drop its settled events; it stays as it is", "group", seq, "error", err)
	}
}

// thinLocked replaces a borrowed group by one with only the events that are needed, unless somebody else has to do with it by now.
func (q *Queue) thinLocked(g *group, im *image) bool {
	busy := g.live > 0 || g.lag > 0 || g.opsPending > 0 || g.loads > 1 || g.nSettled != g.onDisk
	if busy || g.nSettled == g.total || 2*g.neededBytes() > g.size {
		return false
	}
	thin := q.thinned(g, im.buf)
	b := q.openLocked()
	b.setChunks(thin.own.buf, func(k []byte, c int) []byte { return appendGroupKey(k, g.seq, c) })
	for c := thin.chunks(); c < g.chunks(); c++ {
		b.del(func(k []byte) []byte { return appendGroupKey(k, g.seq, c) })
	}
	if thin.nSettled > 0 {
		b.set(func(k []byte) []byte { return appendProgressKey(k, g.seq) }, thin.progress.append)
	} else {
		b.del(func(k []byte) []byte { return appendProgressKey(k, g.seq) })
	}
	b.delta.bytes += int64(thin.size - g.size)
	q.holdLocked(b, thin) // takes g's place in Queue.groups: its ordinals are others
	q.unpin(im)
	thin.own.pins.Store(1) // until it is durable: readers must not see the old record with the new object
	q.pinned.Add(int64(cap(thin.own.buf)))
	b.images = append(b.images, &thin.own)
	return true
}

// thinned makes the smaller group. What is settled of it counts as stored, because it goes into the same batch.
func (q *Queue) thinned(g *group, buf []byte) *group {
	thin := newGroup(q.buffers.get())
	thin.seq, thin.since, thin.committed = g.seq, g.since, g.committed
	var done []uint32
	for i := range uint32(len(g.events)) {
		if !g.isNeeded(i) {
			continue
		}
		thin.own.buf = binary.LittleEndian.AppendUint32(thin.own.buf, g.number(i))
		thin.numbers = append(thin.numbers, g.number(i))
		thin.events = append(thin.events, uint32(len(thin.own.buf)))
		thin.base = append(thin.base, uint32(thin.total))
		thin.own.buf = append(thin.own.buf, g.record(buf, i)...)
		for t := range g.targets(buf, i).Len() {
			if g.settled.has(g.base[i] + uint32(t)) {
				done = append(done, uint32(thin.total))
			}
			thin.total++
		}
	}
	sealGroup(thin.own.buf, formSparse, g.committed)
	thin.size = len(thin.own.buf)
	thin.ready()
	for _, ordinal := range done {
		thin.settled.set(ordinal)
	}
	thin.nSettled, thin.onDisk = len(done), len(done)
	return thin
}
