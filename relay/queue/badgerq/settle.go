package badgerq

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// Ack settles d as done.
func (q *Queue) Ack(d *queue.Delivery) {
	h := d.TakeHandle()
	q.mu.Lock()
	if h.Kind == fromRetry {
		b, l := q.openLocked(), q.laneLocked(d.Webhook)
		q.endRetryLocked(b, l, d, h)
		at := place{h.Seq, h.Event}
		b.del(func(k []byte) []byte { return appendWaitingKey(k, at, d.Webhook) })
		b.del(func(k []byte) []byte { return appendDeliveryKey(k, d.ID()) })
		q.releaseLocked(b, at, d)
		b.delta.retrying--
		b.delta.bytes -= int64(len(d.Buf))
		q.retrying--
	} else {
		q.settleInGroupLocked(d.Webhook, h)
	}
	q.mu.Unlock()
}

// Retry moves d to a record of its own, due at due.
func (q *Queue) Retry(d *queue.Delivery, due time.Time, f queue.Failure) {
	q.setAside(d, waiting{state: queue.StateRetrying, due: due.UnixMilli(), last: f})
}

// Bury moves d to a record of its own, dead.
func (q *Queue) Bury(d *queue.Delivery, f queue.Failure) {
	q.setAside(d, waiting{state: queue.StateDead, last: f})
}

// setAside stores what d becomes and settles where it came from, in one batch, so that it is in exactly one place after any crash.
func (q *Queue) setAside(d *queue.Delivery, rec waiting) {
	h := d.TakeHandle()
	at := place{h.Seq, h.Event}
	rec.attempts, rec.first, rec.size = d.Attempts, d.First, uint32(len(d.Buf))
	if rec.last.Counted {
		rec.attempts++
	}
	if rec.first == 0 {
		rec.first = rec.last.At
	}
	id := d.ID()
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.laneLocked(d.Webhook)
	if rec.state == queue.StateRetrying && rec.due < l.storedDue {
		q.storeCursorLocked(l, rec.due) // in this batch or an earlier one than the retry itself
	}
	b := q.openLocked()
	if h.Kind == fromRetry {
		q.endRetryLocked(b, l, d, h)
		b.delta.retrying--
		q.retrying--
	} else {
		b.setEvent(at, d.Buf)
		b.set(func(k []byte) []byte { return appendDeliveryKey(k, id) }, func(v []byte) []byte { return appendWaitingKey(v, at, d.Webhook) })
		b.delta.bytes += int64(len(d.Buf))
	}
	b.setWaiting(at, d.Webhook, &rec)
	if rec.state == queue.StateDead {
		b.delta.dead++
		q.dead++
	} else {
		b.setDue(d.Webhook, rec.due, at)
		b.delta.retrying++
		q.retrying++
		b.retries = append(b.retries, retryCommitted{l, rec.due})
		l.unknown++
	}
	if h.Kind != fromRetry {
		q.settleInGroupLocked(d.Webhook, h) // in this batch or a later one, never an earlier
	}
}

// endRetryLocked removes a leased retry from the due clock. Until that is durable, the reader must not take it again.
func (q *Queue) endRetryLocked(b *batch, l *lane, d *queue.Delivery, h queue.Handle) {
	at := place{h.Seq, h.Event}
	b.delDue(d.Webhook, h.Due, at)
	b.forget = append(b.forget, retryForgotten{l, at})
}

// releaseLocked deletes a detached event with its last waiting delivery. An event of one webhook has only one.
func (q *Queue) releaseLocked(b *batch, at place, d *queue.Delivery) {
	if targetCount(d.Buf) == 1 {
		b.delEvent(at, len(d.Buf))
		return
	}
	b.releaseNext = append(b.releaseNext, at)
}

// targetCount reads the number of webhooks out of an event record.
func targetCount(record []byte) int {
	_, targets, _, err := event.DecodeRecord(record)
	if err != nil {
		panic("BUG: a leased event does not decode: " + err.Error())
	}
	return targets.Len()
}

// settleInGroupLocked marks a delivery that came from its group as settled.
func (q *Queue) settleInGroupLocked(w event.WebhookID, h queue.Handle) {
	g := h.Group.(*group)
	g.taken.clear(h.Ordinal)
	g.settled.set(h.Ordinal)
	g.nSettled++
	q.pending.Add(-1)
	if h.Kind == fromLive {
		g.live--
	} else {
		g.lag--
		q.laneLocked(w).readBackDone(g.seq)
	}
	if g.nSettled == g.total {
		q.settledLocked(g)
		return
	}
	q.idleLocked(g)
}

// settledLocked deletes the record of a group that is done.
func (q *Queue) settledLocked(g *group) {
	b := q.openLocked()
	b.deleteGroup(g)
	q.heldByLocked(b, g)
	if g.linked {
		q.unlinkLocked(g)
	}
}

// heldByLocked keeps g in memory until b is durable, because until then its record does not tell what is settled.
func (q *Queue) heldByLocked(b *batch, g *group) {
	q.groups[g.seq] = g
	g.opsPending++
	b.progress = append(b.progress, g)
}

// idleLocked is called when g may have lost its last delivery in memory: what is settled is written down, and the object dropped.
func (q *Queue) idleLocked(g *group) {
	if g.linked && g.live == 0 {
		q.unlinkLocked(g)
	}
	if g.live == 0 && g.lag == 0 {
		q.saveProgressLocked(g)
		q.dropIfIdleLocked(g)
	}
}

// saveProgressLocked stores which deliveries are settled, if that has changed.
func (q *Queue) saveProgressLocked(g *group) {
	if g.nSettled == g.onDisk || g.nSettled == g.total {
		return
	}
	b := q.openLocked()
	b.writeProgress(g)
	q.heldByLocked(b, g)
}

func (q *Queue) dropIfIdleLocked(g *group) {
	if g.live == 0 && g.lag == 0 && g.opsPending == 0 {
		delete(q.groups, g.seq)
	}
}

// A progress record:
//
//	 0   1        5            5+8n
//	+---+--------+------------+-------+
//	| v | n words| settled    | crc32 |
//	+---+--------+------------+-------+
const progressVersion = 1

func (g *group) appendProgress(b []byte) []byte {
	start := len(b)
	b = append(b, progressVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(len(g.settled)))
	for _, w := range g.settled {
		b = binary.BigEndian.AppendUint64(b, w)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// setProgress reads what appendProgress wrote into a group whose bitmaps are ready. A record that does not fit is not believed: its
// deliveries are made again rather than lost.
func (g *group) setProgress(b []byte) bool {
	n := len(g.settled)
	if len(b) != 9+8*n || b[0] != progressVersion || int(binary.BigEndian.Uint32(b[1:])) != n ||
		crc32.Checksum(b[:len(b)-4], castagnoli) != binary.BigEndian.Uint32(b[len(b)-4:]) {
		return false
	}
	for i := range g.settled {
		g.settled[i] = binary.BigEndian.Uint64(b[5+8*i:])
	}
	g.nSettled = g.settled.count()
	g.onDisk = g.nSettled
	return g.nSettled <= g.total
}
