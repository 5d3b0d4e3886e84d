package badgerq

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// maxScanned bounds the work of one List call: a page may come back short, with a cursor to go on.
const maxScanned = 20_000

// List returns waiting and dead deliveries, newest event first. A page may be short, or even empty, and still have a next one.
func (q *Queue) List(f queue.Filter, cursor string, limit int) (page []queue.Info, next string, err error) {
	from := []byte{kWaiting}
	if cursor != "" {
		if from, err = hex.DecodeString(cursor); err != nil || len(from) != 29 || from[0] != kWaiting {
			return nil, "", fmt.Errorf("list deliveries: %w", queue.ErrCursor)
		}
	}
	limit = max(1, limit)
	err = q.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kWaiting}})
		defer it.Close()
		scanned := 0
		for it.Seek(from); it.Valid(); it.Next() {
			if len(page) >= limit || scanned >= maxScanned {
				next = hex.EncodeToString(it.Item().Key())
				return nil
			}
			scanned++
			at, w, ok := parseWaitingKey(it.Item().Key())
			if !ok || f.Webhook != (event.WebhookID{}) && f.Webhook != w || f.State != 0 && !inState(it.Item(), f.State) {
				continue
			}
			info, _, err := q.inspect(txn, at, w)
			switch {
			case isDamage(err) || errors.Is(err, queue.ErrNotFound): // reported, or settled since
			case err != nil:
				return fmt.Errorf("list deliveries: %w", err)
			case matches(&f, &info):
				page = append(page, info)
			}
		}
		return nil
	})
	return page, next, err
}

// inState looks at the state alone, before the event is read for the rest.
func inState(item *badger.Item, s queue.State) bool {
	match := true // what cannot be read is reported by inspect
	item.Value(func(v []byte) error {
		if rec, err := decodeWaiting(v); err == nil {
			match = rec.state == s
		}
		return nil
	})
	return match
}

func matches(f *queue.Filter, info *queue.Info) bool {
	return (f.Event == "" || f.Event == info.EventID) && (f.Tenants == nil || slices.Contains(f.Tenants, info.Tenant))
}

// inspect reads a waiting delivery. One that cannot be read is reported.
func (q *Queue) inspect(txn *badger.Txn, at place, w event.WebhookID) (queue.Info, *event.Event, error) {
	rec, record, err := q.getWaiting(txn, at, w)
	if err == nil {
		return describe(w, rec, record)
	}
	if isDamage(err) {
		q.mu.Lock()
		q.reportDamageLocked(at.seq, err)
		q.mu.Unlock()
	}
	return queue.Info{}, nil, err
}

func describe(w event.WebhookID, rec waiting, record []byte) (queue.Info, *event.Event, error) {
	e, _, _, err := event.DecodeRecord(record)
	if err != nil {
		return queue.Info{}, nil, err
	}
	return queue.Info{ID: event.DeliveryIDOf(e.Tenant, e.ID, w), Webhook: w, EventID: string(e.ID), Type: string(e.Type), Tenant: string(e.Tenant),
		Program: string(e.Program), State: rec.state, Attempts: rec.attempts, Accepted: e.Accepted, First: rec.first, Due: rec.due, Last: rec.last}, &e, nil
}

// find looks up where the delivery of this id waits; if a producer used its event's id again, where the newest does.
func find(txn *badger.Txn, id event.DeliveryID) (at place, w event.WebhookID, err error) {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: append([]byte{kDelivery}, id[:]...)})
	defer it.Close()
	if it.Rewind(); !it.Valid() {
		return at, w, queue.ErrNotFound
	}
	at, ok := parseDeliveryKey(it.Item().Key())
	err = it.Item().Value(func(v []byte) error {
		if ok = ok && len(v) == len(w); ok {
			w = event.WebhookID(v)
		}
		return nil
	})
	if err == nil && !ok {
		err = errDamaged
	}
	if err != nil {
		return at, w, fmt.Errorf("find delivery %s: %w", id, err)
	}
	return at, w, nil
}

// Get returns one waiting or dead delivery.
func (q *Queue) Get(id event.DeliveryID) (info queue.Info, e *event.Event, err error) {
	err = q.view(func(txn *badger.Txn) error {
		at, w, err := find(txn, id)
		if err != nil {
			return err
		}
		info, e, err = q.inspect(txn, at, w)
		return err
	})
	return info, e, err
}

// Redrive makes a waiting or dead delivery due now, with no attempts counted. A settlement that is being made durable looks like an attempt
// in flight, so it looks again after the next commit before it says that the delivery is busy.
func (q *Queue) Redrive(ctx context.Context, id event.DeliveryID) error {
	for tries := 0; ; tries++ {
		err := q.write(ctx, func() error {
			return q.view(func(txn *badger.Txn) error { return q.redriveLocked(txn, id) })
		})
		if !errors.Is(err, queue.ErrBusy) || tries == 2 {
			return err
		}
		if err := q.write(ctx, func() error { return nil }); err != nil {
			return err
		}
	}
}

// redriveLocked reads from the disk with the lock held, which nothing else does: it is rare, small, and only so is what it reads still
// true when it writes. A settlement that is not durable yet shows in lane.loaded.
func (q *Queue) redriveLocked(txn *badger.Txn, id event.DeliveryID) error {
	at, w, err := find(txn, id)
	if err != nil {
		return err
	}
	l := q.laneLocked(w)
	l.unloadRetryLocked(at)
	if _, busy := l.loaded[at]; busy {
		return queue.ErrBusy
	}
	rec, record, err := q.getWaiting(txn, at, w)
	if err != nil {
		return err
	}
	if rec.state == queue.StateHeld {
		return nil
	}
	old := rec.due
	rec.due = q.opt.Now().UnixMilli()
	if rec.due < l.storedDue {
		q.lowerCursorLocked(l, rec.due)
	}
	b := q.openLocked()
	if rec.state == queue.StateRetrying {
		b.delDue(w, old, at)
	} else {
		if e, _, _, err := event.DecodeRecord(record); err == nil {
			if u := q.quotaOf(e.Tenant); u != nil {
				u.used.Add(int64(len(e.Envelope)))
			}
		}
		b.delta.dead--
		b.delta.retrying++
		q.dead--
		q.retrying++
	}
	rec.state, rec.attempts = queue.StateRetrying, 0
	b.setWaiting(at, w, &rec)
	q.enterDueLocked(b, l, at, rec.due)
	if l.loaded == nil {
		l.loaded = map[place]int64{}
	}
	l.loaded[at] = rec.due // until it is durable
	b.forget = append(b.forget, retryForgotten{l, at})
	l.redrives++
	return nil
}

// unloadRetryLocked takes a due retry that nobody has leased yet out of memory.
func (l *lane) unloadRetryLocked(at place) {
	for range l.retry.n {
		if r := l.retry.pop(); r.at != at {
			l.retry.push(r)
		} else {
			delete(l.loaded, at)
		}
	}
}
