package badgerq

import (
	"context"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"edgerelay/relay/queue"
)

// Put stores a small durable value; an empty one deletes it.
func (q *Queue) Put(ctx context.Context, key string, value []byte) error {
	return q.PutAll(ctx, []queue.Value{{Key: key, Value: value}})
}

// The limits of PutAll. All values of a call are one transaction, which the largest event must fit into, too.
const (
	maxValueKey = 1024
	maxValue    = 64 << 10
	maxValues   = maxBatchBytes // together
)

// PutAll stores several values durably: all of them or, after an error or a crash, none.
func (q *Queue) PutAll(ctx context.Context, values []queue.Value) error {
	total := 0
	for i := range values {
		v := &values[i]
		if total += len(v.Key) + len(v.Value); len(v.Key) > maxValueKey || len(v.Value) > maxValue || total > maxValues {
			return fmt.Errorf("store value %.80q: %w: key of %d bytes, value of %d, %d so far", v.Key, queue.ErrTooLarge, len(v.Key), len(v.Value), total)
		}
	}
	return q.write(ctx, func() error {
		b := q.openLocked()
		if len(b.arena) > 0 && len(b.arena)+total > maxBatchBytes {
			q.sealLocked(b)
			b = q.beginLocked()
		}
		for i := range values {
			full := func(k []byte) []byte { return append(append(k, kValue), values[i].Key...) }
			if len(values[i].Value) == 0 {
				b.del(full)
			} else {
				b.set(full, func(v []byte) []byte { return append(v, values[i].Value...) })
			}
		}
		return nil
	})
}

// write runs fill, with the lock, and waits until what it put into a batch is durable.
func (q *Queue) write(ctx context.Context, fill func() error) error {
	if err := q.Err(); err != nil {
		return err
	}
	done := make(chan error, 1)
	q.mu.Lock()
	if q.stopping {
		q.mu.Unlock()
		return queue.ErrClosed
	}
	if err := fill(); err != nil {
		q.mu.Unlock()
		return err
	}
	b := q.openLocked() // the one that fill used, or a later one
	b.waiters = append(b.waiters, done)
	q.mu.Unlock()
	q.wake()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Scan calls fn for each stored value under prefix, in key order.
func (q *Queue) Scan(prefix string, fn func(key string, value []byte) bool) error {
	return q.view(func(txn *badger.Txn) error {
		p := append([]byte{kValue}, prefix...)
		it := txn.NewIterator(badger.IteratorOptions{Prefix: p, PrefetchValues: true, PrefetchSize: 16})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			key := string(it.Item().Key()[1:])
			more := true
			if err := it.Item().Value(func(v []byte) error { more = fn(key, v); return nil }); err != nil {
				return fmt.Errorf("read value %q: %w", key, err)
			}
			if !more {
				return nil
			}
		}
		return nil
	})
}
