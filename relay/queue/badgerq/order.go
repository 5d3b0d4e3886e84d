package badgerq

import (
	"errors"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// Order. A webhook may want that deliveries with the same key are made one after the other, in the order of acceptance, whatever fails.
//
// A key has a turn while one of its deliveries is leased. What is leased meanwhile with the same key waits: a few in memory (short
// collisions), and otherwise on the disk, in the key's chain. A chain holds the deliveries of a key that have left their groups, in the order
// of acceptance; while it has one, whatever comes later joins it. Its first delivery is due at some time, as any retry; the others are held:
// they are due when all before them are settled. So what a restart must know is on the disk: the key is blocked because it has a chain, and
// goes on because the first of it falls due. Memory holds turns only: their number is bounded by what is leased and what waits for a commit.
//
// When the first of a chain is settled for good, the next one becomes due in the same batch, so a chain never loses its clock. When one is
// dead, it leaves the chain and the next one goes on.

// turn is a key that has something going on. Queue.mu guards it.
type turn struct {
	key     queue.OrderKey
	busy    bool            // one is leased, or granted
	leased  *queue.Delivery // while it is leased and came fresh from its group
	at      place           // of the one that is leased
	after   place           // the last one that left the chain
	chain   bool            // there are records of it on the disk, or on their way
	waiters ring[waiter]

	holds, held   uint64 // put into the chain, and durably so
	ops, finished uint64 // all changes of the chain, and how many are durable
}

// waiter is a delivery in memory whose turn has not come: fresh from a group, or a retry.
type waiter struct {
	item    item // item.g is nil for a retry
	retry   retry
	turn    *turn
	isRetry bool
}

// orderLane is what a lane needs for order; nil as long as nobody asked for it.
type orderLane struct {
	turns   map[queue.OrderKey]*turn
	granted ring[waiter] // whose turn it is now
	waiting int          // in turns
	chained int          // records of all chains
	chains  map[queue.OrderKey]int32
	many    bool // chains is not complete: there are too many
	whole   bool // all deliveries have one key
}

// maxBatches is how far settlements may be behind before leases that hold deliveries wait for them.
const maxBatches = 16

func (l *lane) ordered() *orderLane {
	if l.order == nil {
		l.order = &orderLane{turns: map[queue.OrderKey]*turn{}, chains: map[queue.OrderKey]int32{}}
	}
	return l.order
}

// leaseInOrder is Lease for a webhook that keeps an order, or did so until all of its chains are done. Only one at a time looks at what is
// next, so that keys are found in the order of acceptance.
func (q *Queue) leaseInOrder(l *lane, d *queue.Delivery) bool {
	l.leasing.Lock()
	defer l.leasing.Unlock()
	for {
		q.mu.Lock()
		for len(q.batches) > maxBatches && !q.stopping && q.Err() == nil {
			q.mu.Unlock()
			q.barrier()
			q.mu.Lock()
		}
		o := l.ordered()
		l.parked = false
		o.whole = d.Order != nil && d.Order.Key == nil
		switch {
		case q.stopping || q.Err() != nil:
			q.mu.Unlock()
			return false
		case o.granted.n > 0:
			w := o.granted.pop()
			q.handOutLocked(l, &w, d)
			return true
		case l.retry.n > 0 && (l.turn || !l.freshLocked()):
			r := l.retry.pop()
			l.turn = false
			if q.takeRetry(l, r, d) {
				return true
			}
		case l.freshLocked():
			it := l.inbox.pop()
			l.turn = true
			if q.takeFresh(l, it, d) {
				return true
			}
		default:
			l.hungry = true
			q.refillIfLowLocked(l)
			q.mu.Unlock()
			return false
		}
	}
}

// freshLocked says whether something of the inbox may be leased.
func (l *lane) freshLocked() bool {
	if l.inbox.n == 0 {
		return false
	}
	o := l.order
	if o == nil || !o.whole {
		return true
	}
	t := o.turns[queue.OrderAll]
	return o.chained == 0 && (t == nil || !t.busy && !t.chain)
}

// leasableLocked says whether a lease would find something.
func (l *lane) leasableLocked() bool {
	return l.retry.n > 0 || l.freshLocked() || l.order != nil && l.order.granted.n > 0
}

// handOutLocked leases a waiter whose turn it is. It gives the lock up.
func (q *Queue) handOutLocked(l *lane, w *waiter, d *queue.Delivery) {
	t := w.turn
	d.Ordered, d.Key = true, t.key
	if w.isRetry {
		t.leased, t.at = nil, w.retry.at
		q.endLeaseLocked(l, d)
		w.retry.fill(l.id, d)
		return
	}
	q.inMemory--
	t.leased, t.at = d, place{w.item.g.seq, w.item.g.number(w.item.event)}
	q.fill(&w.item, l.id, d) // with the lock, because d can be chained from now on
	q.endLeaseLocked(l, d)
}

// endLeaseLocked is the end of every lease that found something. It gives the lock up.
func (q *Queue) endLeaseLocked(l *lane, d *queue.Delivery) {
	d.More = l.leasableLocked()
	l.hungry = !d.More
	q.refillIfLowLocked(l)
	q.mu.Unlock()
}

// takeRetry leases a due retry unless another delivery of its key is leased. It is called with the lock and gives it up.
func (q *Queue) takeRetry(l *lane, r retry, d *queue.Delivery) bool {
	key, keyed := r.key, r.chained
	if !keyed && d.Order == nil {
		d.Ordered = false
		q.endLeaseLocked(l, d)
		r.fill(l.id, d)
		return true
	}
	if !keyed { // one that people have sent again
		q.mu.Unlock()
		r.fill(l.id, d)
		key = d.Order.KeyOf(&d.Event)
		q.mu.Lock()
		if _, loaded := l.loaded[r.at]; !loaded || l.parked { // meanwhile it was given back
			q.dueLanes.learn(l, r.due)
			delete(l.loaded, r.at)
			q.mu.Unlock()
			return false
		}
	}
	t := q.turnLocked(l, key)
	w := waiter{retry: r, turn: t, isRetry: true}
	if t.busy {
		t.waiters.push(w)
		l.order.waiting++
		q.mu.Unlock()
		return false
	}
	t.busy = true
	q.handOutLocked(l, &w, d)
	return true
}

// takeFresh leases a delivery from the inbox, or lets it wait for its turn. It is called with the lock and gives it up.
func (q *Queue) takeFresh(l *lane, it item, d *queue.Delivery) bool {
	spills := l.spills
	q.mu.Unlock()
	d.Buf = append(d.Buf[:0], it.g.record(it.image.buf, it.event)...)
	d.Event, _, _, _ = event.DecodeRecord(d.Buf)
	key, keyed := queue.OrderKey{}, d.Order != nil
	if keyed {
		key = d.Order.KeyOf(&d.Event)
	}
	q.mu.Lock()
	if !keyed {
		q.inMemory--
		d.Ordered = false
		q.fill(&it, l.id, d)
		q.endLeaseLocked(l, d)
		return true
	}
	if l.spills != spills { // what comes later has gone back to the disk, so this must too
		q.backToDiskLocked(l, &it)
		q.mu.Unlock()
		return false
	}
	t := q.turnLocked(l, key)
	at := place{it.g.seq, it.g.number(it.event)}
	w := waiter{item: it, turn: t}
	late := at.seq <= q.openedSeq && t.chain && q.precedesLocked(l, t, at)
	switch {
	case !t.busy && (!t.chain || late):
		t.busy = true
		q.handOutLocked(l, &w, d)
		return true
	case late, !t.chain && t.waiters.n < q.opt.OrderRoom/4 && l.order.waiting < q.opt.OrderRoom && !q.tightLocked():
		t.waiters.push(w)
		l.order.waiting++
	default:
		if !t.chain {
			q.chainLeasedLocked(l, t)
		}
		q.holdLockedWaiters(l, t)
		q.holdItemLocked(l, t, &it)
	}
	q.mu.Unlock()
	return false
}

// turnLocked returns the turn of key. If the disk has to be asked whether the key has a chain, that is done with the lock: it is rare, and
// nobody else changes chains of a key without a turn.
func (q *Queue) turnLocked(l *lane, key queue.OrderKey) *turn {
	o := l.ordered()
	t := o.turns[key]
	if t == nil {
		t = &turn{key: key}
		switch {
		case o.many:
			_, t.chain = q.nextInChain(l.id, key, place{})
		default:
			t.chain = o.chains[key] > 0
		}
		o.turns[key] = t
	}
	return t
}

// precedesLocked says whether at comes before everything in the chain: after a crash, an event that was settled, but not durably, is there
// again, behind whose back later ones of its key have joined a chain.
func (q *Queue) precedesLocked(l *lane, t *turn, at place) bool {
	if t.busy {
		return at.before(t.at)
	}
	head, ok := q.nextInChain(l.id, t.key, place{})
	return ok && at.before(head)
}

// settleInOrder ends the turn of d with settle, which is called with the lock, and gives it to the next one. again says that d stays the
// first of its key. When it cannot be found out who is next, d is not settled: its lease lapses, or a restart would find a chain that nobody
// wakes.
func (q *Queue) settleInOrder(d *queue.Delivery, again bool, settle func()) {
	q.mu.Lock()
	l := q.laneLocked(d.Webhook)
	t := l.order.turns[d.Key]
	var next *retry
	for !again && t.chain && t.waiters.n == 0 {
		var err error
		if next, err = q.findNext(l, t, d); err == nil {
			break
		}
		if !errors.Is(err, errAgain) {
			d.TakeHandle()
			q.mu.Unlock()
			q.opt.Log.Error("cannot read the next delivery of a key; the last one is made again after a restart, and the key waits for it",
				"webhook", l.id.String(), "error", err)
			return
		}
	}
	if next != nil {
		q.promoteLocked(l, t, next) // in the same batch as the settlement, or an earlier one
	}
	settle()
	t.leased = nil
	if next == nil {
		t.busy = false
		if again {
			q.holdLockedWaiters(l, t)
		} else if t.chain && !l.order.many {
			t.chain = l.order.chains[t.key] > 0
		} else if t.chain && t.ops == t.finished {
			_, t.chain = q.nextInChain(l.id, t.key, t.after)
		}
		q.grantLocked(l, t)
		q.forgetTurnLocked(l, t)
	}
	if l.parked {
		q.spillTurnsLocked(l)
	}
	announce := l.hungry && l.leasableLocked()
	if announce {
		l.hungry = false
	} else if l.hungry {
		q.refillIfLowLocked(l)
	}
	q.mu.Unlock()
	if announce {
		q.opt.Ready(l.id)
	}
}

// grantLocked gives the turn to the one in memory that waits longest.
func (q *Queue) grantLocked(l *lane, t *turn) {
	if t.waiters.n == 0 {
		return
	}
	l.order.waiting--
	w := t.waiters.pop()
	if t.busy, t.at = true, w.retry.at; !w.isRetry {
		t.at = place{w.item.g.seq, w.item.g.number(w.item.event)}
	}
	l.order.granted.push(w)
}

// forgetTurnLocked drops a turn that the disk knows everything of.
func (q *Queue) forgetTurnLocked(l *lane, t *turn) {
	if !t.busy && t.waiters.n == 0 && t.ops == t.finished && l.order.turns[t.key] == t {
		delete(l.order.turns, t.key)
	}
}

// turnsCommittedLocked ends the guard over turns whose changes are durable.
func (q *Queue) turnsCommittedLocked(b *batch) {
	for _, c := range b.turns {
		c.turn.finished++
		if c.hold {
			c.turn.held++
		}
		q.forgetTurnLocked(c.lane, c.turn)
	}
}

// backToDiskLocked gives a delivery that was taken from the inbox back.
func (q *Queue) backToDiskLocked(l *lane, it *item) {
	if !l.lagging || it.g.seq < l.cursor {
		q.startLagLocked(l, it.g.seq, it.g.committed)
	}
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

// spillTurnsLocked gives what waits for its turn back to the disk.
func (q *Queue) spillTurnsLocked(l *lane) {
	o := l.order
	if o == nil {
		return
	}
	back := func(w *waiter) {
		if w.isRetry {
			delete(l.loaded, w.retry.at)
			b := q.openLocked() // its due time may not be durable yet, and then a reader would not find it
			b.retries = append(b.retries, retryCommitted{l, w.retry.due})
			l.unknown++
		} else {
			q.backToDiskLocked(l, &w.item)
		}
	}
	for o.granted.n > 0 {
		w := o.granted.pop()
		w.turn.busy = false
		back(&w)
		q.forgetTurnLocked(l, w.turn)
	}
	for _, t := range o.turns {
		for t.waiters.n > 0 {
			w := t.waiters.pop()
			o.waiting--
			back(&w)
		}
		q.forgetTurnLocked(l, t)
	}
}
