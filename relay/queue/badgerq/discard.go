package badgerq

import (
	"context"
	"errors"

	"github.com/dgraph-io/badger/v4"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// Discard removes a dead delivery for good, and its event with the last one. Like Redrive it looks again before it says that one is busy.
func (q *Queue) Discard(ctx context.Context, id event.DeliveryID) error {
	for tries := 0; ; tries++ {
		err := q.write(ctx, func() error {
			return q.view(func(txn *badger.Txn) error { return q.discardLocked(txn, id) })
		})
		if !errors.Is(err, queue.ErrBusy) || tries == 2 {
			return err
		}
		if err := q.write(ctx, func() error { return nil }); err != nil {
			return err
		}
	}
}

func (q *Queue) discardLocked(txn *badger.Txn, id event.DeliveryID) error {
	at, w, err := find(txn, id)
	if err != nil {
		return err
	}
	l := q.laneLocked(w)
	if _, busy := l.loaded[at]; busy {
		return queue.ErrBusy
	}
	rec, record, err := q.getWaiting(txn, at, w)
	if err != nil {
		return err
	}
	if rec.state != queue.StateDead {
		return queue.ErrNotFound
	}
	b := q.openLocked()
	b.del(func(k []byte) []byte { return appendWaitingKey(k, at, w) })
	b.del(func(k []byte) []byte { return appendDeliveryKey(k, id, at) })
	if targetCount(record) == 1 {
		b.delEvent(at, len(record))
	} else {
		b.release = append(b.release, at)
	}
	b.delta.dead--
	b.delta.bytes -= int64(len(record))
	q.dead--
	if l.loaded == nil {
		l.loaded = map[place]int64{}
	}
	l.loaded[at] = 0 // until it is durable, so that nobody brings it back
	b.forget = append(b.forget, retryForgotten{l, at})
	return nil
}
