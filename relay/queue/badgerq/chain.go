package badgerq

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// maxChains bounds how many blocked keys of a webhook are known without asking the disk.
const maxChains = 1 << 14

func appendChainKey(b []byte, w event.WebhookID, key queue.OrderKey, at place) []byte {
	b = append(append(append(b, kChain), w[:]...), key[:]...)
	b = binary.BigEndian.AppendUint64(b, at.seq)
	return binary.BigEndian.AppendUint32(b, at.event)
}

// parseChainKey is the inverse of appendChainKey.
func parseChainKey(k []byte) (w event.WebhookID, key queue.OrderKey, at place, ok bool) {
	if len(k) != 45 || k[0] != kChain {
		return w, key, at, false
	}
	return event.WebhookID(k[1:17]), queue.OrderKey(k[17:33]), place{binary.BigEndian.Uint64(k[33:]), binary.BigEndian.Uint32(k[41:])}, true
}

func (p place) before(o place) bool { return p.seq < o.seq || p.seq == o.seq && p.event < o.event }

// chainAdd counts a record of a chain, chainRemove one less.
func (o *orderLane) chainAdd(key queue.OrderKey) {
	o.chained++
	if o.many {
		return
	}
	if o.chains[key]++; len(o.chains) > maxChains {
		o.chains, o.many = nil, true
	}
}

func (o *orderLane) chainRemove(key queue.OrderKey) {
	o.chained--
	switch {
	case o.chained == 0:
		o.chains, o.many = map[queue.OrderKey]int32{}, false
	case o.many:
	case o.chains[key] > 1:
		o.chains[key]--
	default:
		delete(o.chains, key)
	}
}

// nextInChain returns the first delivery of a chain behind after.
func (q *Queue) nextInChain(w event.WebhookID, key queue.OrderKey, after place) (at place, ok bool) {
	q.view(func(txn *badger.Txn) error { //nolint:errcheck // what cannot be read is reported where it is needed
		prefix := appendChainKey(nil, w, key, place{})[:33]
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
		defer it.Close()
		for it.Seek(appendChainKey(nil, w, key, place{after.seq, after.event + 1})); it.Valid(); it.Next() {
			_, _, p, parsed := parseChainKey(it.Item().Key())
			if !parsed {
				continue
			}
			at, ok = p, true
			return nil
		}
		return nil
	})
	return at, ok
}

// chainOp notes a change of a chain in b, so that the turn stays until it is durable.
func (b *batch) chainOp(l *lane, t *turn, hold bool) {
	t.ops++
	if hold {
		t.holds++
	}
	b.turns = append(b.turns, turnOp{l, t, hold})
}

type turnOp struct {
	lane *lane
	turn *turn
	hold bool
}

// joinLocked puts a delivery into the chain of t.
func (q *Queue) joinLocked(b *batch, l *lane, t *turn, at place) {
	b.set(func(k []byte) []byte { return appendChainKey(k, l.id, t.key, at) }, func(v []byte) []byte { return v })
	t.chain = true
	l.order.chainAdd(t.key)
	b.chainOp(l, t, true)
}

// leaveLocked takes a delivery out of the chain of t.
func (q *Queue) leaveLocked(b *batch, l *lane, t *turn, at place) {
	b.del(func(k []byte) []byte { return appendChainKey(k, l.id, t.key, at) })
	if t.after.before(at) {
		t.after = at
	}
	l.order.chainRemove(t.key)
	b.chainOp(l, t, false)
}

// chainLeasedLocked makes the delivery that is leased the first of a new chain, so that others can be held behind it: after a crash it is due
// at once, and they come after it.
func (q *Queue) chainLeasedLocked(l *lane, t *turn) {
	d := t.leased
	if d == nil {
		return // a retry has a due time of its own already
	}
	now := q.opt.Now().UnixMilli()
	h := d.Handle
	q.toChainLocked(l, t, d, h, waiting{state: queue.StateRetrying, due: now, attempts: d.Attempts, first: d.First})
	at := place{h.Seq, h.Event}
	if l.loaded == nil {
		l.loaded = map[place]int64{}
	}
	l.loaded[at] = now
	d.Handle = queue.Handle{Kind: fromRetry, Event: h.Event, Ordinal: isChained, Seq: h.Seq, Due: now}
	t.leased = nil
}

// isChained in the Ordinal of a handle of a retry says that it is in its key's chain.
const isChained = 1

// toChainLocked moves d from its group to a record of its own in the chain.
func (q *Queue) toChainLocked(l *lane, t *turn, d *queue.Delivery, h queue.Handle, rec waiting) {
	at, id := place{h.Seq, h.Event}, d.ID()
	rec.size, rec.chained, rec.key = uint32(len(d.Buf)), true, t.key
	if rec.state == queue.StateRetrying && rec.due < l.storedDue {
		q.lowerCursorLocked(l, rec.due)
	}
	b := q.openLocked()
	b.setEvent(at, d.Buf)
	b.set(func(k []byte) []byte { return appendDeliveryKey(k, id, at) }, func(v []byte) []byte { return append(v, d.Webhook[:]...) })
	b.delta.bytes += int64(len(d.Buf))
	b.setWaiting(at, l.id, &rec)
	if rec.state == queue.StateHeld {
		b.delta.held++
		q.held++
	} else {
		b.setDue(l.id, rec.due, at)
		b.delta.retrying++
		q.retrying++
	}
	q.joinLocked(b, l, t, at)
	b.move(h.Group.(*group))
	q.settleInGroupLocked(b, l.id, h)
}

// holdItemLocked puts a fresh delivery behind the others of its key, on the disk.
func (q *Queue) holdItemLocked(l *lane, t *turn, it *item) {
	d := &q.scratch
	q.inMemory--
	q.fill(it, l.id, d)
	q.toChainLocked(l, t, d, d.Handle, waiting{state: queue.StateHeld})
	d.Handle = queue.Handle{}
	if cap(d.Buf) > 256<<10 {
		d.Buf = nil
	}
}

// holdLockedWaiters puts what waits in memory into the chain. Retries have their records already, and stay.
func (q *Queue) holdLockedWaiters(l *lane, t *turn) {
	for range t.waiters.n {
		w := t.waiters.pop()
		if w.isRetry {
			t.waiters.push(w)
			continue
		}
		l.order.waiting--
		q.holdItemLocked(l, t, &w.item)
	}
}

var errAgain = errors.New("the chain has grown meanwhile")

// findNext reads the delivery that is to follow d in its chain; nil when there is none that is held. It gives the lock up while it reads,
// and waits for a commit if deliveries have just been held.
func (q *Queue) findNext(l *lane, t *turn, d *queue.Delivery) (*retry, error) {
	holds, behind := t.holds, t.holds != t.held
	after := place{d.Handle.Seq, d.Handle.Event}
	if after.before(t.after) {
		after = t.after
	}
	q.mu.Unlock()
	defer q.mu.Lock()
	if behind {
		if err := q.barrier(); err != nil {
			return nil, err
		}
	}
	var next *retry
	err := q.view(func(txn *badger.Txn) error {
		for {
			at, ok := q.nextInChain(l.id, t.key, after)
			if !ok {
				return nil
			}
			rec, record, err := q.getWaiting(txn, at, l.id)
			if errors.Is(err, queue.ErrNotFound) { // perhaps a commit is being applied
				q.applying.RLock()
				rec, record, err = readWaiting(txn, at, l.id)
				q.applying.RUnlock()
			}
			switch {
			case isDamage(err) || errors.Is(err, queue.ErrNotFound):
				q.mu.Lock()
				q.reportDamageLocked(at.seq, err)
				q.mu.Unlock()
				after = at // the others must not wait for it
				continue
			case err != nil:
				return fmt.Errorf("event %d of group %d: %w", at.event, at.seq, err)
			case rec.state == queue.StateHeld:
				next = &retry{at: at, attempts: rec.attempts, first: rec.first, record: record, key: rec.key, chained: true, last: rec.last}
			}
			return nil
		}
	})
	if err == nil && next == nil {
		q.mu.Lock()
		if t.holds != holds {
			err = errAgain
		}
		q.mu.Unlock()
	}
	return next, err
}

// barrier waits until everything so far is durable.
func (q *Queue) barrier() error {
	return q.write(context.Background(), func() error { return nil })
}

// promoteLocked makes a held delivery the first of its chain: due now, and the next to be leased.
func (q *Queue) promoteLocked(l *lane, t *turn, r *retry) {
	r.due = q.opt.Now().UnixMilli()
	rec := waiting{state: queue.StateRetrying, due: r.due, attempts: r.attempts, first: r.first, size: uint32(len(r.record)), last: r.last, key: t.key, chained: true}
	if r.due < l.storedDue {
		q.lowerCursorLocked(l, r.due)
	}
	b := q.openLocked()
	b.setWaiting(r.at, l.id, &rec)
	b.setDue(l.id, r.due, r.at)
	b.delta.held--
	b.delta.retrying++
	q.held--
	q.retrying++
	b.chainOp(l, t, false)
	if l.loaded == nil {
		l.loaded = map[place]int64{}
	}
	l.loaded[r.at] = r.due
	t.busy, t.at = true, r.at
	l.order.granted.push(waiter{retry: *r, turn: t, isRetry: true})
}

// freeHeld makes every held delivery due, after a loss: the first of a chain may be among what is lost.
func (q *Queue) freeHeld(txn *badger.Txn) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kWaiting}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		at, w, ok := parseWaitingKey(it.Item().Key())
		if !ok {
			continue
		}
		var rec waiting
		if err := it.Item().Value(func(v []byte) (err error) { rec, err = decodeWaiting(v); return err }); err != nil || rec.state != queue.StateHeld {
			continue // damage is reported when it is needed
		}
		rec.state, rec.due = queue.StateRetrying, q.opt.Now().UnixMilli()
		b := q.openLocked()
		b.setWaiting(at, w, &rec)
		b.setDue(w, rec.due, at)
		b.delta.held--
		b.delta.retrying++
		q.held--
		q.retrying++
		l := q.laneLocked(w)
		q.dueLanes.learn(l, rec.due)
	}
	return nil
}
