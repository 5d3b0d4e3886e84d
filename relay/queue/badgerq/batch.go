package badgerq

import (
	"edgerelay/relay/event"
)

// batch is what the next commits write besides events: settlements, progress, cursors, small values. Whoever holds Queue.mu adds to
// the open one; the committer takes whole batches, oldest first, one per transaction, and runs what waits for it afterwards.
// Operations apply in order, and a later one on the same key wins.
type batch struct {
	arena []byte
	ops   []op
	delta meta // only the counters are used, as differences

	floor    uint64   // Queue.floor when the batch was sealed
	moved    []*group // groups that deliveries left for a record of their own in this batch: their progress must be in it too
	movedLen int      // what that will take
	held     []*group
	images   []*image // of rewritten groups
	retries  []retryCommitted
	forget   []retryForgotten
	release  []place            // events that may have lost their last waiting delivery; their records go if so, in the same transaction
	detached map[place]struct{} // events that got a waiting delivery in this batch
	waiters  []chan error
	turns    []turnOp // changes of chains
}

// op sets key to value, or deletes it. The ranges are in the batch's arena.
type op struct {
	key, keyEnd, val, valEnd uint32
	del                      bool
}

// retryCommitted tells the due clock of a delivery that waits from this commit on.
type retryCommitted struct {
	lane *lane
	due  int64
}

// retryForgotten ends the guard against reading a settled or redriven retry back, once that is durable.
type retryForgotten struct {
	lane *lane
	at   place
}

// A batch is sealed at this size; one operation may go over it by an event (see Options.smallestMemTable).
const (
	maxBatchBytes = 256 << 10
	maxBatchOps   = 4096
)

func (b *batch) set(key func([]byte) []byte, value func([]byte) []byte) {
	o := op{key: uint32(len(b.arena))}
	b.arena = key(b.arena)
	o.keyEnd, o.val = uint32(len(b.arena)), uint32(len(b.arena))
	b.arena = value(b.arena)
	o.valEnd = uint32(len(b.arena))
	b.ops = append(b.ops, o)
}

func (b *batch) del(key func([]byte) []byte) {
	o := op{key: uint32(len(b.arena)), del: true}
	b.arena = key(b.arena)
	o.keyEnd = uint32(len(b.arena))
	b.ops = append(b.ops, o)
}

func (b *batch) full() bool {
	return len(b.arena)+b.movedLen >= maxBatchBytes || len(b.ops)+len(b.moved) >= maxBatchOps
}

// openLocked returns the batch to add to; Queue.mu is held. It makes sure that a commit follows soon.
func (q *Queue) openLocked() *batch {
	n := len(q.batches)
	if n > 0 && q.batches[n-1].full() {
		q.sealLocked(q.batches[n-1])
		n = 0
	}
	if n == 0 {
		return q.beginLocked()
	}
	return q.batches[n-1]
}

// beginLocked adds an empty batch; the one before is sealed.
func (q *Queue) beginLocked() *batch {
	b := q.spareBatch
	q.spareBatch = nil
	if b == nil {
		b = &batch{}
	}
	q.batches = append(q.batches, b)
	if len(q.batches) == 1 {
		q.flush.Reset(q.opt.FlushEvery)
	}
	return b
}

// takeLocked removes the oldest batch, or returns nil.
func (q *Queue) takeLocked() *batch {
	if len(q.batches) == 0 {
		return nil
	}
	b := q.batches[0]
	copy(q.batches, q.batches[1:])
	q.batches[len(q.batches)-1] = nil
	q.batches = q.batches[:len(q.batches)-1]
	if len(q.batches) == 0 {
		q.sealLocked(b)
	}
	return b
}

// sealLocked completes a batch to which nothing will be added any more.
func (q *Queue) sealLocked(b *batch) {
	for _, g := range b.moved {
		if g.nSettled != g.onDisk {
			b.writeProgress(g)
			q.holdLocked(b, g)
		}
	}
	b.floor = q.floorLocked()
}

// move notes that a delivery has left g in this batch.
func (b *batch) move(g *group) {
	if n := len(b.moved); n == 0 || b.moved[n-1] != g {
		b.moved = append(b.moved, g)
		b.movedLen += progressSize(len(g.settled)) + perEntry
	}
}

// recycleLocked keeps a committed batch's memory for the next one.
func (q *Queue) recycleLocked(b *batch) {
	if q.spareBatch != nil || cap(b.arena) > 4*maxBatchBytes {
		return
	}
	clear(b.moved)
	clear(b.held)
	clear(b.images)
	clear(b.retries)
	clear(b.forget)
	clear(b.waiters)
	clear(b.detached)
	clear(b.turns)
	*b = batch{arena: b.arena[:0], ops: b.ops[:0], moved: b.moved[:0], held: b.held[:0], images: b.images[:0], retries: b.retries[:0], forget: b.forget[:0],
		release: b.release[:0], detached: b.detached, waiters: b.waiters[:0], turns: b.turns[:0]}
	q.spareBatch = b
}

// deleteGroup removes a group's record and progress.
func (b *batch) deleteGroup(g *group) {
	for c := range g.chunks() {
		b.del(func(k []byte) []byte { return appendGroupKey(k, g.seq, c) })
	}
	if g.onDisk > 0 {
		b.del(func(k []byte) []byte { return appendProgressKey(k, g.seq) })
	}
	b.delta.groups--
	b.delta.bytes -= int64(g.size)
	b.delta.pending -= int64(g.total - g.onDisk)
	g.onDisk = g.total
}

// writeProgress stores which deliveries of a group are settled.
func (b *batch) writeProgress(g *group) {
	b.set(func(k []byte) []byte { return appendProgressKey(k, g.seq) }, g.progress.append)
	b.delta.pending -= int64(g.nSettled - g.onDisk)
	g.onDisk = g.nSettled
}

// setChunks stores a long value under the keys that key makes of a chunk's number.
func (b *batch) setChunks(value []byte, key func(k []byte, chunk int) []byte) {
	for c := range chunksOf(len(value)) {
		part := value[c*chunkSize : min((c+1)*chunkSize, len(value))]
		b.set(func(k []byte) []byte { return key(k, c) }, func(v []byte) []byte { return append(v, part...) })
	}
}

// setEvent stores the record of an event that leaves its group.
func (b *batch) setEvent(at place, record []byte) {
	b.setChunks(record, func(k []byte, c int) []byte { return appendEventKey(k, at, c) })
	if b.detached == nil {
		b.detached = map[place]struct{}{}
	}
	b.detached[at] = struct{}{}
}

// delEvent removes a detached event of size bytes.
func (b *batch) delEvent(at place, size int) {
	for c := range chunksOf(size) {
		b.del(func(k []byte) []byte { return appendEventKey(k, at, c) })
	}
}

// setWaiting stores a waiting or dead delivery.
func (b *batch) setWaiting(at place, w event.WebhookID, rec *waiting) {
	b.set(func(k []byte) []byte { return appendWaitingKey(k, at, w) }, rec.append)
}

// setDue enters a delivery into its webhook's due clock.
func (b *batch) setDue(w event.WebhookID, due int64, at place) {
	b.set(func(k []byte) []byte { return appendDueKey(k, w, due, at) }, func(v []byte) []byte { return v })
}

func (b *batch) delDue(w event.WebhookID, due int64, at place) {
	b.del(func(k []byte) []byte { return appendDueKey(k, w, due, at) })
}
