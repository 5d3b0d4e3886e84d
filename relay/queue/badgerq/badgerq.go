// Package badgerq is the embedded queue engine: a write-ahead queue in one Badger directory.
//
// The relay opens it; ingress appends, deliver leases and settles (see package queue for the contract). It may import only event,
// metrics and queue of ours, and is the owner of Badger together with history. docs/design-queue.md tells the whole story.
//
// How it keeps its promise. Events that arrive while a commit is in the kernel form the next group; a group is one record and one
// synchronous write, and only then do its producers get their answer. Deliveries of a fresh group are handed out from memory; a group's
// record is deleted when its last delivery is settled. A delivery that must wait or has died leaves its group for a record of its own,
// so that one dead receiver never pins groups. A webhook that falls behind, or that nobody leases for, lags: nothing of it stays in
// memory, and a cursor says from which group on to read it back. So memory is bounded whatever the backlog.
//
// What makes a restart exact: every commit rewrites one small meta record with the counters, the newest group and the floor, below
// which no group has anything left but for webhooks with a cursor. Keys below floor and cursors are ignored, so neither tombstones
// nor a deleted key that comes back can cost or re-send anything. A high-water file beside the store, written after every commit, tells
// whether the store lost its end; the counters tell whether it lost anything else.
//
// Goroutines, started by Open and awaited by Close: the committer (the only writer), readers (they read lagging webhooks and due
// retries back, and thin out groups), the clock (due times, stalled webhooks, progress), and the
// records (cursors, high water, disk space).
// Locks: in guards what Append fills; mu guards everything that happens to deliveries. Nobody holds both.
package badgerq

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/ristretto/v2/z"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// Options are the sizes and outside hooks of a Queue. Sizes are parameters so that a test can shrink them.
type Options struct {
	Dir      string
	Sync     bool             // fsync before Append returns
	MaxBytes int64            // undelivered payload bytes over which Append returns ErrFull
	MaxEvent int              // bytes of one event's record
	Quotas   map[string]int64 // bytes that a tenant may have in the queue; see SetQuotas
	MinFree  int64            // free disk space under which Append returns ErrDiskLow; it resumes at a quarter more

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
	OrderRoom   int           // deliveries of one webhook in memory that wait for an earlier one of their key; a key has a quarter
	Refill      int           // deliveries of one webhook read back at a time
	RefillBytes int           // and bytes
	FlushEvery  time.Duration // settlements are written at least this often
	StallAfter  time.Duration // a webhook whose oldest delivery waits longer in memory goes back to the disk
	Tick        time.Duration // the clock looks at what is due and what stalls at least this often
	Readers     int

	// commitTxn makes a transaction durable. It is here so that a test can let it fail or wait.
	commitTxn func(*badger.Txn) error
}

// DefaultOptions returns the sizes that were measured to be good on a small machine (docs/design-queue.md).
func DefaultOptions(dir string) Options {
	return Options{
		Dir: dir, Sync: true, MaxBytes: 10 << 30, MaxEvent: 1<<20 + 64<<10, MinFree: 512 << 20,
		Ready: func(event.WebhookID) {}, Log: slog.Default(), Now: time.Now, Free: diskFree,
		MemTable: 8 << 20, GroupBytes: 512 << 10, GroupEvents: 512,
		Window: 8192, WindowBytes: 32 << 20, OrderRoom: 256, Refill: 256, RefillBytes: 512 << 10,
		FlushEvery: 10 * time.Millisecond, StallAfter: time.Second, Tick: 250 * time.Millisecond, Readers: 2,
		commitTxn: func(txn *badger.Txn) error { return txn.CommitAt(commitTs, nil) },
	}
}

// commitSlack is room in a transaction for the small records of one operation.
const commitSlack = 64 << 10

// smallestMemTable is the memtable with which the largest transactions fit: a full batch that its last operation took over its size by
// a whole event or group, and a group of events with ids of their own. Badger takes transactions of up to 15 % of a memtable.
func (o *Options) smallestMemTable() int64 {
	one := max(o.MaxEvent, o.GroupBytes, chunkSize) + commitSlack
	return int64(one+max(maxBatchBytes, o.GroupEvents*perDedup)) * 100 / 15
}

// Queue implements queue.Queue. Make one with Open.
type Queue struct {
	opt      Options
	db       *badger.DB
	realDir  string           // opt.Dir as the kernel names it
	builders *z.AllocatorPool // Badger's; see trim
	returned time.Time        // when memory was last given back; owned by recordLoop
	thrifty  bool             // garbage is collected more often; owned by recordLoop

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
	thins      []uint64            // groups that are worth rewriting without their settled events
	readerWake *sync.Cond          // on mu: refills, thins or stopping changed
	damagedAt  map[uint64]struct{} // groups of which damage has been reported
	dueLanes   dueHeap
	stopping   bool
	retrying   int64
	dead       int64
	held       int64
	openedSeq  uint64         // the newest group when the queue was opened
	scratch    queue.Delivery // to hold deliveries with

	meta    meta // of the last commit; owned by the committer
	stored  atomic.Pointer[meta]
	pending atomic.Int64             // deliveries not settled, as of now
	quotas  atomic.Pointer[quotaMap] // nil = no tenant has one
	pinned  atomic.Int64             // bytes of groups whose image is in memory
	buffers bufferList

	applying sync.RWMutex      // held by the committer while a transaction is being applied
	announce []event.WebhookID // the committer's scratch

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
	s := queue.Stats{Retrying: q.retrying, Dead: q.dead, Held: q.held}
	if q.first != nil {
		s.OldestMs = q.first.committed
	}
	for _, l := range q.lanes {
		if l.lagging && l.cursor <= q.dispatched && l.behind > 0 && (s.OldestMs == 0 || l.behind < s.OldestMs) {
			s.OldestMs = l.behind
		}
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
	for _, g := range q.groups {
		q.saveProgressLocked(g)
	}
	q.readerWake.Broadcast()
	q.mu.Unlock()
	close(q.stop)
	q.done.Wait()
	q.flush.Stop()
	return errors.Join(q.high.close(), q.db.Close())
}

// view runs fn in a read transaction. All versions are the same, so a Get sees what is there when it looks, even a commit that is being
// applied; an iterator sees what was there when it was made, or newer.
func (q *Queue) view(fn func(*badger.Txn) error) error {
	txn := q.db.NewTransactionAt(readTs, false)
	defer txn.Discard()
	return fn(txn)
}

const (
	commitTs = 1
	readTs   = 1 << 62
)
