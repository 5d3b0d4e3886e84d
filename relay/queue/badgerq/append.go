package badgerq

import (
	"context"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// Append adds e to the group that is filling and waits for that group's commit. Many waiters share one sync.
func (q *Queue) Append(ctx context.Context, e *event.Event, targets []event.WebhookID, dedup *queue.Dedup) (queue.Receipt, error) {
	size := len(e.Envelope) + len(e.ID) + len(e.Type) + len(e.Tenant) + len(e.Program) + len(e.Trace) + 16*len(targets) + 64
	if size > q.opt.MaxEvent || len(targets) > event.MaxTargets {
		return queue.Receipt{}, fmt.Errorf("%w: %d bytes, at most %d", queue.ErrTooLarge, size, q.opt.MaxEvent)
	}
	if r := q.refuse.Load(); r != nil {
		return queue.Receipt{}, r.err
	}
	if dedup == nil {
		if err := q.charge(e, len(targets)); err != nil {
			return queue.Receipt{}, err
		}
		g, err := q.join(e, targets, size, nil)
		if err != nil {
			q.uncharge(e, len(targets))
			return queue.Receipt{}, err
		}
		return queue.Receipt{ID: e.ID}, wait(ctx, g)
	}
	return q.appendOnce(ctx, e, targets, size, dedup)
}

func wait(ctx context.Context, g *group) error {
	if cancel := ctx.Done(); cancel != nil {
		select {
		case <-g.done:
		case <-cancel:
			return ctx.Err()
		}
	} else {
		<-g.done
	}
	return g.err
}

// join adds e to the filling group, waiting for the next one while it has no room.
func (q *Queue) join(e *event.Event, targets []event.WebhookID, size int, d *dedupEntry) (*group, error) {
	q.in.Lock()
	for len(q.cur.events) > 0 && (len(q.cur.own.buf)+size > q.opt.GroupBytes || len(q.cur.events) >= q.opt.GroupEvents) && !q.closing {
		q.room.Wait()
	}
	if q.closing {
		q.in.Unlock()
		return nil, queue.ErrClosed
	}
	g := q.cur
	g.add(e, targets)
	if d != nil {
		g.dedups = append(g.dedups, d)
	}
	alone := len(g.events) == 1
	q.in.Unlock()
	if alone {
		q.wake()
	}
	return g, nil
}

// wake tells the committer that there is something to commit.
func (q *Queue) wake() {
	select {
	case q.notify <- struct{}{}:
	default:
	}
}

// dedupEntry is a producer's own id whose outcome is not in the store yet. done is closed when it is, or when the event was refused;
// whoever waited looks again.
type dedupEntry struct {
	queue.Dedup
	id   []byte
	done chan struct{}
}

// appendOnce is Append for an event with a producer's own id: it is stored once in 24 hours.
func (q *Queue) appendOnce(ctx context.Context, e *event.Event, targets []event.WebhookID, size int, d *queue.Dedup) (queue.Receipt, error) {
	mine := &dedupEntry{Dedup: *d, id: append([]byte(nil), e.ID...), done: make(chan struct{})}
	for {
		q.in.Lock()
		other := q.dedups[d.Key]
		if other == nil {
			q.dedups[d.Key] = mine
		}
		q.in.Unlock()
		if other == nil {
			break
		}
		select {
		case <-other.done:
		case <-ctx.Done():
			return queue.Receipt{}, ctx.Err()
		}
	}
	receipt, found, err := q.lookUp(d)
	if err != nil || found {
		q.forgetDedup(mine)
		return receipt, err
	}
	if err := q.charge(e, len(targets)); err != nil {
		q.forgetDedup(mine)
		return queue.Receipt{}, err
	}
	g, err := q.join(e, targets, size, mine)
	if err != nil {
		q.uncharge(e, len(targets))
		q.forgetDedup(mine)
		return queue.Receipt{}, err
	}
	return queue.Receipt{ID: mine.id}, wait(ctx, g) // the committer forgets mine
}

// forgetDedup lets others with the same key look for themselves.
func (q *Queue) forgetDedup(d *dedupEntry) {
	q.in.Lock()
	delete(q.dedups, d.Key)
	q.in.Unlock()
	close(d.done)
}

// lookUp finds what was stored under d's key.
func (q *Queue) lookUp(d *queue.Dedup) (receipt queue.Receipt, found bool, err error) {
	err = q.view(func(txn *badger.Txn) error {
		item, err := txn.Get(append([]byte{kDedup}, d.Key[:]...))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look up an event's own id: %w", err)
		}
		return item.Value(func(v []byte) error {
			if len(v) < 17 {
				return fmt.Errorf("look up an event's own id: %w: %d bytes", errDamaged, len(v))
			}
			if [16]byte(v[:16]) != d.Fingerprint {
				return queue.ErrMismatch
			}
			receipt, found = queue.Receipt{Replayed: true, ID: append([]byte(nil), v[16:]...)}, true
			return nil
		})
	})
	return receipt, found, err
}
