// Package badgerq is the embedded queue engine: a write-ahead queue in one Badger directory.
//
// The relay opens it; ingress appends, deliver leases and settles (see package queue for the contract). It may import only event,
// metrics and queue of ours, and is the owner of Badger together with history.
//
// How it keeps its promise. Events that arrive while a commit is in the kernel form the next group; a group is one record and one
// synchronous write, and only then do its producers get their answer. Deliveries of a fresh group are handed out from memory; a group's
// record is deleted when its last delivery is settled. A delivery that must wait or has died leaves its group for a record of its own,
// so that one dead receiver never pins groups. A webhook that falls behind, or that nobody leases for, lags: nothing of it stays in
// memory, and a cursor says from which group on to read it back. So memory is bounded whatever the backlog.
//
// What makes a restart exact: every commit rewrites one small meta record with the counters, the newest group and the floor, below
// which no group has anything left but for webhooks with a cursor. Keys below floor and cursors are ignored, so neither tombstones
// nor a deleted key that comes back can cost or re-send anything. A high-water file beside the store, written once a second, tells
// whether the store lost its end.
//
// Goroutines, started by Open and awaited by Close: the committer (the only writer), readers (they read lagging webhooks and due
// retries back), and the clock (due times, disk space, stalled webhooks, the high-water file).
// Locks: in guards what Append fills; mu guards everything that happens to deliveries. mu may be taken while in is not held only.
package badgerq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// Options are the sizes and outside hooks of a Queue. Sizes are parameters so that a test can shrink them.
type Options struct {
	Dir      string
	Sync     bool  // fsync before Append returns
	MaxBytes int64 // undelivered payload bytes over which Append returns ErrFull
	MaxEvent int   // bytes of one event's record
	MinFree  int64 // free disk space under which Append returns ErrDiskLow; it resumes at a quarter more

	Ready func(event.WebhookID) // a webhook has something to lease; called without locks, must not block
	Log   *slog.Logger
	Now   func() time.Time
	Free  func(dir string) (int64, error) // free bytes of the disk

	// OnCommit, when set, is told of every commit: how long it took and how many events shared it.
	OnCommit func(took time.Duration, events int)

	MemTable    int64         // Badger's memtable
	GroupBytes  int           // a group is closed when it has this many bytes
	GroupEvents int           // or this many events
	Window      int           // deliveries in memory, waiting for a lease
	WindowBytes int64         // bytes of the groups that they pin
	Refill      int           // deliveries of one webhook read back at a time
	RefillBytes int           // and bytes
	FlushEvery  time.Duration // settlements are written at least this often
	StallAfter  time.Duration // a webhook whose oldest delivery waits longer in memory goes back to the disk
	Readers     int
}

// DefaultOptions returns the sizes that were measured to be good on a small machine (docs/design-queue.md).
func DefaultOptions(dir string) Options {
	return Options{
		Dir: dir, Sync: true, MaxBytes: 10 << 30, MaxEvent: 1<<20 + 64<<10, MinFree: 512 << 20,
		Ready: func(event.WebhookID) {}, Log: slog.Default(), Now: time.Now, Free: diskFree,
		MemTable: 16 << 20, GroupBytes: 512 << 10, GroupEvents: 2048,
		Window: 8192, WindowBytes: 32 << 20, Refill: 256, RefillBytes: 512 << 10,
		FlushEvery: 10 * time.Millisecond, StallAfter: time.Second, Readers: 2,
	}
}

// Queue implements queue.Queue. Make one with Open.
type Queue struct {
	opt Options
	db  *badger.DB

	in      sync.Mutex // guards cur, dedups, closing
	room    *sync.Cond // on in: cur was taken
	cur     *group
	dedups  map[[16]byte]*dedupEntry
	closing bool
	notify  chan struct{} // there is something to commit; capacity 1

	mu         sync.Mutex
	lanes      map[event.WebhookID]*lane
	groups     map[uint64]*group // every group with deliveries in memory or with operations not yet committed
	first      *group            // live groups, oldest first
	last       *group
	dispatched uint64 // newest group whose deliveries were handed out or left to lagging webhooks
	batches    []*batch
	spareBatch *batch
	inMemory   int // deliveries in inboxes
	refills    []*lane
	refillWake *sync.Cond // on mu
	dueLanes   dueHeap
	stopping   bool
	retrying   int64
	dead       int64

	meta    meta // of the last commit; owned by the committer
	stored  atomic.Pointer[meta]
	pending atomic.Int64 // deliveries not settled, as of now
	pinned  atomic.Int64 // bytes of groups whose buf is in memory
	buffers bufferList

	announce []event.WebhookID // the committer's scratch

	redriving sync.Mutex // one Redrive at a time, until it is durable
	flush     *time.Timer
	clockWake chan struct{}
	refuse    atomic.Pointer[refusal]
	failOnce  sync.Once
	failed    chan struct{}
	failure   atomic.Pointer[error]
	stop      chan struct{}
	done      sync.WaitGroup

	high     *highWater
	written  atomic.Int64
	syncs    atomic.Int64
	lost     int64
	damaged  atomic.Int64
	free     atomic.Int64
	isFull   atomic.Bool
	isLow    atomic.Bool
	walSeen  string // newest write-ahead file whose directory entry is synced; owned by the committer
	walBytes int64
}

// refusal is why Append takes nothing at present.
type refusal struct{ err error }

var _ queue.Queue = (*Queue)(nil)

// Failed is closed when a write or a sync has failed; nothing is accepted from then on.
func (q *Queue) Failed() <-chan struct{} { return q.failed }

// Err returns why the queue failed, or nil.
func (q *Queue) Err() error {
	if p := q.failure.Load(); p != nil {
		return *p
	}
	return nil
}

func (q *Queue) fail(err error) {
	q.failOnce.Do(func() {
		err = fmt.Errorf("%w: %w", queue.ErrFailed, err)
		q.failure.Store(&err)
		q.refuse.Store(&refusal{err})
		q.opt.Log.Error("queue stopped: a write failed; nothing more is accepted until a restart", "error", err)
		close(q.failed)
	})
}

// Stats returns a snapshot. It takes the lock for a moment only.
func (q *Queue) Stats() queue.Stats {
	m := q.stored.Load()
	q.mu.Lock()
	s := queue.Stats{Retrying: q.retrying, Dead: q.dead}
	if q.first != nil {
		s.OldestMs = q.first.committed
	}
	q.mu.Unlock()
	s.Pending, s.Bytes, s.Events = q.pending.Load(), m.bytes, m.events
	s.Commits, s.Syncs, s.BytesWritten = q.syncs.Load(), q.syncs.Load(), q.written.Load()
	if !q.opt.Sync {
		s.Syncs = 0
	}
	s.LostEvents, s.Damaged, s.DiskFree = q.lost, q.damaged.Load(), q.free.Load()
	s.Full, s.DiskLow = q.isFull.Load(), q.isLow.Load()
	return s
}

// Close stops accepting, makes every settlement so far durable, and waits for the engine's goroutines.
func (q *Queue) Close() error {
	q.in.Lock()
	if q.closing {
		q.in.Unlock()
		return nil
	}
	q.closing = true
	q.refuse.CompareAndSwap(nil, &refusal{queue.ErrClosed})
	q.room.Broadcast()
	q.in.Unlock()
	q.mu.Lock()
	q.stopping = true
	for g := q.first; g != nil; g = g.next {
		q.saveProgressLocked(g)
	}
	q.refillWake.Broadcast()
	q.mu.Unlock()
	close(q.stop)
	q.done.Wait()
	q.flush.Stop()
	var errs []error
	if q.Err() == nil {
		errs = append(errs, q.high.write(q.meta.events, q.meta.lastSeq))
	}
	errs = append(errs, q.high.close(), q.db.Close())
	return errors.Join(errs...)
}

// Put stores a small durable value; an empty one deletes it.
func (q *Queue) Put(ctx context.Context, key string, value []byte) error {
	if len(key) > 255 || len(value) > 64<<10 {
		return fmt.Errorf("store value %q: %d bytes is too large", key, len(value))
	}
	full := append([]byte{kValue}, key...)
	return q.write(ctx, func(b *batch) error {
		if len(value) == 0 {
			b.del(func(k []byte) []byte { return append(k, full...) })
		} else {
			b.set(func(k []byte) []byte { return append(k, full...) }, func(v []byte) []byte { return append(v, value...) })
		}
		return nil
	})
}

// write runs fill on the open batch and waits until it is durable.
func (q *Queue) write(ctx context.Context, fill func(*batch) error) error {
	if r := q.refuse.Load(); r != nil && (errors.Is(r.err, queue.ErrClosed) || errors.Is(r.err, queue.ErrFailed)) {
		return r.err
	}
	done := make(chan error, 1)
	q.mu.Lock()
	b := q.openLocked()
	if err := fill(b); err != nil {
		q.mu.Unlock()
		return err
	}
	b = q.openLocked() // fill may have opened another
	b.waiters = append(b.waiters, done)
	q.mu.Unlock()
	q.wake()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-q.failed:
		return q.Err()
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

// view runs fn in a read transaction. All versions are the same, so it sees whatever is committed when it looks.
func (q *Queue) view(fn func(*badger.Txn) error) error {
	txn := q.db.NewTransactionAt(readTs, false)
	defer txn.Discard()
	return fn(txn)
}

const (
	commitTs = 1
	readTs   = 1 << 62
)

// bufferList recycles group buffers.
type bufferList struct {
	mu   sync.Mutex
	free [][]byte
}

func (l *bufferList) get() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free); n > 0 {
		b := l.free[n-1]
		l.free[n-1] = nil
		l.free = l.free[:n-1]
		return b
	}
	return make([]byte, 0, 16<<10)
}

func (l *bufferList) put(b []byte) {
	if cap(b) > 1<<20 {
		return
	}
	l.mu.Lock()
	if len(l.free) < 32 {
		l.free = append(l.free, b)
	}
	l.mu.Unlock()
}

// unpin gives a group's buffer back when nobody needs it any more.
func (q *Queue) unpin(g *group) {
	b := g.buf // before the count goes down: afterwards a reader may give the group a new one
	if g.pins.Add(-1) == 0 {
		q.pinned.Add(-int64(cap(b)))
		q.buffers.put(b)
	}
}

// formatFile holds the version of the layout; a directory without it that is not empty is not ours.
const (
	formatFile = "FORMAT"
	formatText = "edgerelay queue 1\n"
)

func checkFormat(dir string) error {
	path := filepath.Join(dir, formatFile)
	b, err := os.ReadFile(path)
	if err == nil {
		if string(b) != formatText {
			return fmt.Errorf("open queue %s: format is %q, this program reads %q: was it written by a newer edgerelay?", dir, b, formatText)
		}
		return nil
	}
	if !os.IsNotExist(err) {
		return fmt.Errorf("open queue: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("open queue: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("open queue %s: the directory is not empty and has no %s file: it is not a queue of edgerelay, or the file was removed", dir, formatFile)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create queue directory: %w", err)
	}
	return writeFileSync(path, []byte(formatText))
}
