package badgerq

import (
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// Ack settles d as done.
func (q *Queue) Ack(d *queue.Delivery) {
	if d.Ordered {
		q.settleInOrder(d, false, func() { q.ackLocked(d) })
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ackLocked(d)
}

func (q *Queue) ackLocked(d *queue.Delivery) {
	h := d.TakeHandle()
	q.uncharge(&d.Event, 1)
	if h.Kind != fromRetry {
		var b *batch
		if g := h.Group.(*group); g.nSettled+1 == g.total {
			b = q.openLocked() // before, so that no batch is sealed with all of g settled but its record still there
		}
		q.settleInGroupLocked(b, d.Webhook, h)
		return
	}
	at := place{h.Seq, h.Event}
	b := q.openLocked()
	l := q.laneLocked(d.Webhook)
	q.endRetryLocked(b, l, at, h.Due)
	if h.Ordinal == isChained {
		q.leaveLocked(b, l, l.order.turns[d.Key], at)
	}
	id := d.ID()
	b.del(func(k []byte) []byte { return appendWaitingKey(k, at, d.Webhook) })
	b.del(func(k []byte) []byte { return appendDeliveryKey(k, id, at) })
	if targetCount(d.Buf) == 1 {
		b.delEvent(at, len(d.Buf)) // an event of one webhook has only one waiting delivery
	} else {
		b.release = append(b.release, at)
	}
	b.delta.retrying--
	b.delta.bytes -= int64(len(d.Buf))
	q.retrying--
}

// Retry moves d to a record of its own, due at due.
func (q *Queue) Retry(d *queue.Delivery, due time.Time, f queue.Failure) {
	q.setAside(d, waiting{state: queue.StateRetrying, due: max(0, due.UnixMilli()), last: f})
}

// Bury moves d to a record of its own, dead.
func (q *Queue) Bury(d *queue.Delivery, f queue.Failure) {
	q.setAside(d, waiting{state: queue.StateDead, last: f})
}

// setAside stores what d becomes and settles where it came from, in one batch, so that it is in exactly one place after any crash.
func (q *Queue) setAside(d *queue.Delivery, rec waiting) {
	if d.Ordered {
		q.settleInOrder(d, rec.state == queue.StateRetrying, func() { q.setAsideLocked(d, rec) })
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.setAsideLocked(d, rec)
}

func (q *Queue) setAsideLocked(d *queue.Delivery, rec waiting) {
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
	l := q.laneLocked(d.Webhook)
	if rec.chained = d.Ordered && rec.state == queue.StateRetrying; rec.chained {
		rec.key = d.Key
	}
	if rec.state == queue.StateRetrying && rec.due < l.storedDue {
		q.lowerCursorLocked(l, rec.due) // in this batch or an earlier one than the retry itself
	}
	b := q.openLocked()
	if h.Kind == fromRetry {
		q.endRetryLocked(b, l, at, h.Due)
		b.delta.retrying--
		q.retrying--
	} else {
		b.setEvent(at, d.Buf)
		b.set(func(k []byte) []byte { return appendDeliveryKey(k, id, at) }, func(v []byte) []byte { return append(v, d.Webhook[:]...) })
		b.delta.bytes += int64(len(d.Buf))
	}
	if wasChained := h.Kind == fromRetry && h.Ordinal == isChained; rec.chained && !wasChained {
		q.joinLocked(b, l, l.order.turns[d.Key], at)
	} else if wasChained && !rec.chained {
		q.leaveLocked(b, l, l.order.turns[d.Key], at)
	}
	if rec.state == queue.StateDead {
		q.uncharge(&d.Event, 1)
	}
	b.setWaiting(at, d.Webhook, &rec)
	if rec.state == queue.StateDead {
		b.delta.dead++
		q.dead++
	} else {
		q.enterDueLocked(b, l, at, rec.due)
		b.delta.retrying++
		q.retrying++
	}
	if h.Kind != fromRetry {
		b.move(h.Group.(*group))
		q.settleInGroupLocked(b, d.Webhook, h)
	}
}

// enterDueLocked writes a due time, of which the clock learns when it is durable.
func (q *Queue) enterDueLocked(b *batch, l *lane, at place, due int64) {
	b.setDue(l.id, due, at)
	b.retries = append(b.retries, retryCommitted{l, due})
	l.unknown++
}

// endRetryLocked removes a leased retry from the due clock. Until that is durable, l.loaded keeps the reader from taking it again.
func (q *Queue) endRetryLocked(b *batch, l *lane, at place, due int64) {
	b.delDue(l.id, due, at)
	b.forget = append(b.forget, retryForgotten{l, at})
}

// targetCount reads the number of webhooks out of an event record.
func targetCount(record []byte) int {
	_, targets, _, err := event.DecodeRecord(record)
	if err != nil {
		panic("BUG: a leased event does not decode: " + err.Error())
	}
	return targets.Len()
}

// settleInGroupLocked marks a delivery that came from its group as settled. With the last one the group's record is deleted, in b.
func (q *Queue) settleInGroupLocked(b *batch, w event.WebhookID, h queue.Handle) {
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
		q.settledLocked(b, g)
	} else {
		q.idleLocked(g)
	}
}

// settledLocked deletes the record of a group that is done.
func (q *Queue) settledLocked(b *batch, g *group) {
	b.deleteGroup(g)
	q.holdLocked(b, g)
	if g.linked {
		q.unlinkLocked(g)
	}
}

// holdLocked keeps g in memory until b is durable, because until then its record does not tell what is settled.
func (q *Queue) holdLocked(b *batch, g *group) {
	q.groups[g.seq] = g
	g.opsPending++
	b.held = append(b.held, g)
}

// idleLocked is called when g has lost a delivery in memory. What is settled must be in a batch before the floor, or a cursor, can pass
// the group: behind them nobody would ever settle it again.
func (q *Queue) idleLocked(g *group) {
	if g.live == 0 && (g.linked || g.lag == 0) {
		q.saveProgressLocked(g)
	}
	if g.live == 0 && g.linked {
		q.unlinkLocked(g)
	}
	q.dropIfIdleLocked(g)
}

// saveProgressLocked stores which deliveries are settled, if that has changed.
func (q *Queue) saveProgressLocked(g *group) {
	if g.nSettled == g.onDisk || g.nSettled == g.total {
		return
	}
	b := q.openLocked()
	b.writeProgress(g)
	q.holdLocked(b, g)
}

// dropIfIdleLocked forgets a group that has nothing in memory and nothing to tell.
func (q *Queue) dropIfIdleLocked(g *group) {
	if g.live > 0 || g.lag > 0 || g.opsPending > 0 || g.loads > 0 {
		return
	}
	delete(q.groups, g.seq)
	if g.nSettled > 0 && g.nSettled < g.total {
		q.askThinLocked(g)
	}
}
