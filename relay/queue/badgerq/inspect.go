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

// List returns waiting and dead deliveries, newest event first.
func (q *Queue) List(f queue.Filter, cursor string, limit int) (page []queue.Info, next string, err error) {
	from := []byte{kWaiting}
	if cursor != "" {
		if from, err = hex.DecodeString(cursor); err != nil || len(from) != 29 || from[0] != kWaiting {
			return nil, "", fmt.Errorf("list deliveries: %w", queue.ErrCursor)
		}
	}
	err = q.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kWaiting}, PrefetchValues: true, PrefetchSize: min(limit+1, 100)})
		defer it.Close()
		scanned := 0
		for it.Seek(from); it.Valid(); it.Next() {
			if len(page) >= limit || scanned >= maxScanned {
				next = hex.EncodeToString(it.Item().Key())
				return nil
			}
			scanned++
			at, w, ok := parseWaitingKey(it.Item().Key())
			if !ok || f.Webhook != (event.WebhookID{}) && f.Webhook != w {
				continue
			}
			var rec waiting
			if err := it.Item().Value(func(v []byte) (err error) { rec, err = decodeWaiting(v); return err }); err != nil {
				q.opt.Log.Warn("a waiting delivery cannot be read", "error", err)
				continue
			}
			if f.State != 0 && f.State != rec.state {
				continue
			}
			record, err := getEvent(txn, at)
			if err != nil {
				continue // settled between the two reads
			}
			info, e, err := describe(w, rec, record)
			if err != nil || f.Event != "" && f.Event != string(e.ID) || f.Tenants != nil && !slices.Contains(f.Tenants, info.Tenant) {
				continue
			}
			page = append(page, info)
		}
		return nil
	})
	return page, next, err
}

func describe(w event.WebhookID, rec waiting, record []byte) (queue.Info, *event.Event, error) {
	e, _, _, err := event.DecodeRecord(record)
	if err != nil {
		return queue.Info{}, nil, err
	}
	return queue.Info{ID: event.DeliveryIDOf(e.Tenant, e.ID, w), Webhook: w, EventID: string(e.ID), Type: string(e.Type), Tenant: string(e.Tenant),
		Program: string(e.Program), State: rec.state, Attempts: rec.attempts, Accepted: e.Accepted, First: rec.first, Due: rec.due, Last: rec.last}, &e, nil
}

// find reads a waiting delivery by its id.
func find(txn *badger.Txn, id event.DeliveryID) (at place, w event.WebhookID, rec waiting, record []byte, err error) {
	item, err := txn.Get(appendDeliveryKey(nil, id))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return at, w, rec, nil, queue.ErrNotFound
	}
	if err != nil {
		return at, w, rec, nil, fmt.Errorf("find delivery %s: %w", id, err)
	}
	key, err := item.ValueCopy(nil)
	if err != nil {
		return at, w, rec, nil, fmt.Errorf("find delivery %s: %w", id, err)
	}
	at, w, ok := parseWaitingKey(key)
	if !ok {
		return at, w, rec, nil, fmt.Errorf("find delivery %s: %w", id, errDamaged)
	}
	rec, record, err = getWaiting(txn, at, w)
	return at, w, rec, record, err
}

// Get returns one waiting or dead delivery.
func (q *Queue) Get(id event.DeliveryID) (info queue.Info, e *event.Event, err error) {
	err = q.view(func(txn *badger.Txn) error {
		_, w, rec, record, err := find(txn, id)
		if err != nil {
			return err
		}
		info, e, err = describe(w, rec, record)
		return err
	})
	return info, e, err
}

// Redrive makes a waiting or dead delivery due now, with no attempts counted.
func (q *Queue) Redrive(ctx context.Context, id event.DeliveryID) error {
	q.redriving.Lock()
	defer q.redriving.Unlock()
	var at place
	var w event.WebhookID
	var rec waiting
	if err := q.view(func(txn *badger.Txn) (err error) { at, w, rec, _, err = find(txn, id); return err }); err != nil {
		return err
	}
	return q.write(ctx, func(*batch) error { return q.redriveLocked(at, w, rec) })
}

func (q *Queue) redriveLocked(at place, w event.WebhookID, rec waiting) error {
	l := q.laneLocked(w)
	if _, busy := l.loaded[at]; busy {
		return queue.ErrBusy
	}
	old := rec.due
	rec.due = q.opt.Now().UnixMilli()
	if rec.due < l.storedDue {
		q.storeCursorLocked(l, rec.due)
	}
	b := q.openLocked()
	if rec.state == queue.StateRetrying {
		b.delDue(w, old, at)
	} else {
		b.delta.dead--
		b.delta.retrying++
		q.dead--
		q.retrying++
	}
	rec.state, rec.attempts = queue.StateRetrying, 0
	b.setWaiting(at, w, &rec)
	b.setDue(w, rec.due, at)
	b.retries = append(b.retries, retryCommitted{l, rec.due})
	l.unknown++
	return nil
}
