package badgerq

import (
	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// Where a leased delivery came from (queue.Handle.Kind).
const (
	fromLive  = 1 // handed out straight after its commit
	fromLag   = 2 // read back from its group for a webhook that lags
	fromRetry = 3 // read back from its own record
)

// Lease hands out w's next delivery: due retries and fresh ones in turn.
func (q *Queue) Lease(w event.WebhookID, d *queue.Delivery) bool {
	q.mu.Lock()
	if q.stopping {
		q.mu.Unlock()
		return false
	}
	l := q.laneLocked(w)
	l.parked = false
	if d.Order != nil || l.order != nil {
		q.mu.Unlock()
		return q.leaseInOrder(l, d)
	}
	d.Ordered = false
	switch {
	case l.retry.n > 0 && (l.turn || l.inbox.n == 0):
		r := l.retry.pop()
		l.turn = false
		d.More = l.moreLocked()
		q.refillIfLowLocked(l)
		q.mu.Unlock()
		r.fill(w, d)
		return true
	case l.inbox.n > 0:
		it := l.inbox.pop()
		q.inMemory--
		l.turn = true
		d.More = l.moreLocked()
		q.refillIfLowLocked(l)
		q.mu.Unlock()
		q.fill(&it, w, d)
		return true
	}
	l.hungry = true
	q.refillIfLowLocked(l)
	q.mu.Unlock()
	return false
}

// moreLocked says whether there is more in memory; if not, whoever leases must be told when there is.
func (l *lane) moreLocked() bool {
	more := l.retry.n+l.inbox.n > 0
	l.hungry = !more
	return more
}

// fill copies a leased delivery out of its group, whose buffer it then no longer needs.
func (q *Queue) fill(it *item, w event.WebhookID, d *queue.Delivery) {
	d.Buf = append(d.Buf[:0], it.g.record(it.image.buf, it.event)...)
	q.unpin(it.image)
	d.Webhook, d.Attempts, d.First = w, 0, 0
	d.Handle = queue.Handle{Kind: it.kind, Event: it.g.number(it.event), Ordinal: it.ordinal, Seq: it.g.seq, Group: it.g}
	d.Event, _, _, _ = event.DecodeRecord(d.Buf) // decoded before, when it was dispatched or read back
}

// refillIfLowLocked asks a reader for more before the inbox runs dry.
func (q *Queue) refillIfLowLocked(l *lane) {
	q.catchUpLocked(l)
	if l.lagging && l.inbox.n <= q.opt.Refill/2 || l.isDue && l.retry.n == 0 {
		q.askRefillLocked(l)
	}
}

// catchUpLocked ends l's lagging when there is nothing more to read back: the next group goes straight to its inbox.
func (q *Queue) catchUpLocked(l *lane) {
	if l.lagging && l.cursor > q.dispatched {
		l.lagging = false
	}
}

// askRefillLocked queues l for a reader, once.
func (q *Queue) askRefillLocked(l *lane) {
	if l.refilling || l.parked || q.stopping {
		return
	}
	l.refilling = true
	q.refills = append(q.refills, l)
	q.readerWake.Signal()
}

// Park forgets what is in memory for w; Lease ends it.
func (q *Queue) Park(w event.WebhookID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.laneLocked(w)
	l.parked, l.hungry = true, true
	q.spillLocked(l)
}

// spillLocked gives everything in l's inbox back to the disk.
func (q *Queue) spillLocked(l *lane) {
	l.spills++
	q.spillTurnsLocked(l)
	if l.inbox.n > 0 {
		first := l.inbox.at(0).g
		if !l.lagging || first.seq < l.cursor {
			q.startLagLocked(l, first.seq, first.committed)
		}
	}
	for l.inbox.n > 0 {
		it := l.inbox.pop()
		q.inMemory--
		it.g.taken.clear(it.ordinal)
		if it.kind == fromLive {
			it.g.live--
		} else {
			it.g.lag--
			l.readBackDone(it.g.seq)
		}
		q.idleLocked(it.g)
		q.unpin(it.image)
	}
	for l.retry.n > 0 {
		r := l.retry.pop()
		delete(l.loaded, r.at)
		q.dueLanes.learn(l, r.due)
	}
}

// readBackBegun notes that n deliveries of group seq are in the lane's hands.
func (l *lane) readBackBegun(seq uint64, n int) {
	if l.backlog.n > 0 {
		if last := l.backlog.at(l.backlog.n - 1); last.seq == seq { // some were spilled and are read a second time
			last.left += n
			return
		}
	}
	l.backlog.push(readBack{seq, n})
}

// readBackDone notes that one delivery of group seq is off the lane's hands.
func (l *lane) readBackDone(seq uint64) {
	for i := range l.backlog.n {
		if r := l.backlog.at(i); r.seq == seq {
			r.left--
			break
		}
	}
	for l.backlog.n > 0 && l.backlog.at(0).left == 0 {
		l.backlog.pop()
	}
}
