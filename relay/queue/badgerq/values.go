package badgerq

import (
	"context"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"edgerelay/relay/queue"
)

// Put stores a small durable value; an empty one deletes it.
func (q *Queue) Put(ctx context.Context, key string, value []byte) error {
	if len(key) > 255 || len(value) > 64<<10 {
		return fmt.Errorf("store value %.80q: %w: key of %d bytes, value of %d", key, queue.ErrTooLarge, len(key), len(value))
	}
	full := func(k []byte) []byte { return append(append(k, kValue), key...) }
	return q.write(ctx, func() error {
		if len(value) == 0 {
			q.openLocked().del(full)
		} else {
			q.openLocked().set(full, func(v []byte) []byte { return append(v, value...) })
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
