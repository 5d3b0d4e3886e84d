package badgerq

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// fataler is what tests and rapid's checks have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// rig is an engine under test with its clock, its log and a gate on its commits.
type rig struct {
	t   fataler
	opt Options
	q   *Queue
	log *logBuffer

	mu    sync.Mutex
	time  time.Time
	ready map[event.WebhookID]chan struct{}

	hint func(event.WebhookID) string // what a message should say about a webhook of which nothing comes

	gate sync.RWMutex // write-locked = no commit is under way
}

const patience = 5 * time.Second

func newRig(t fataler, dir string, change func(*Options)) *rig {
	r := &rig{t: t, log: &logBuffer{}, time: time.UnixMilli(1_700_000_000_000), ready: map[event.WebhookID]chan struct{}{},
		hint: func(event.WebhookID) string { return "" }}
	r.opt = testOptions(dir)
	r.opt.Log = slog.New(slog.NewTextHandler(r.log, nil))
	r.opt.Now, r.opt.Ready = r.now, r.announce
	if change != nil {
		change(&r.opt)
	}
	commit := r.opt.commitTxn
	r.opt.commitTxn = func(txn *badger.Txn) error {
		r.gate.RLock()
		defer r.gate.RUnlock()
		return commit(txn)
	}
	return r
}

// startRig opens an engine and closes it when the test ends.
func startRig(t *testing.T, change func(*Options)) *rig {
	t.Helper()
	r := newRig(t, filepath.Join(t.TempDir(), "q"), change)
	r.start()
	t.Cleanup(func() { r.q.Close() })
	return r
}

func (r *rig) start() {
	r.t.Helper()
	q, err := Open(r.opt)
	if err != nil {
		r.t.Fatalf("Open: %v\n%s", err, r.log)
	}
	r.q = q
}

func (r *rig) reopen() {
	r.t.Helper()
	if err := r.q.Close(); err != nil {
		r.t.Fatalf("Close: %v", err)
	}
	r.start()
}

// crash leaves the engine as a killed process would, and goes on with what that leaves on disk: a copy, taken between two commits.
func (r *rig) crash(dir string) {
	r.t.Helper()
	func() {
		r.gate.Lock()
		defer r.gate.Unlock()
		copyDir(r.t, r.opt.Dir, dir)
	}()
	if err := r.q.Close(); err != nil {
		r.t.Fatalf("Close: %v", err)
	}
	r.opt.Dir = dir
	r.start()
}

// copyDir copies the files of a directory as they are at one moment, or nearly: a copy of which the manifest does not fit, because Badger
// was moving tables about, is made again. Files in the middle of that are a killed process's business too (see TestKill).
func copyDir(t fataler, from, to string) {
	t.Helper()
	var err error
	for range 200 {
		if err = tryCopyDir(from, to); err == nil {
			return
		}
		os.RemoveAll(to)
	}
	t.Fatalf("copy directory: %v", err)
}

func tryCopyDir(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		return sparseCopy(path, filepath.Join(to, e.Name()))
	})
	if err != nil {
		return err
	}
	listed, _, err := readManifest(to)
	if err != nil {
		return err
	}
	_, err = checkTables(to, listed)
	return err
}

// sparseCopy keeps the holes of Badger's mapped files, which would otherwise be most of what these tests write.
func sparseCopy(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	used := b
	for n := len(zeros); len(used) >= n && isZero(used[len(used)-n:]); {
		used = used[:len(used)-n]
	}
	if err := os.WriteFile(to, used, 0o600); err != nil {
		return err
	}
	return os.Truncate(to, int64(len(b)))
}

func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.time.IsZero() {
		return time.Now()
	}
	return r.time
}

func (r *rig) useRealTime() { r.time = time.Time{} }

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	r.time = r.time.Add(d)
	r.mu.Unlock()
}

func (r *rig) signal(w event.WebhookID) chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ready[w] == nil {
		r.ready[w] = make(chan struct{}, 1)
	}
	return r.ready[w]
}

func (r *rig) announce(w event.WebhookID) {
	select {
	case r.signal(w) <- struct{}{}:
	default:
	}
}

// take leases w's next delivery and waits for it if need be.
func (r *rig) take(w event.WebhookID) *queue.Delivery {
	r.t.Helper()
	d := &queue.Delivery{}
	timeout := time.After(patience)
	for !r.q.Lease(w, d) {
		select {
		case <-r.signal(w):
		case <-timeout:
			r.t.Fatalf("no delivery for %s; stats %+v; %s", w, r.q.Stats(), r.hint(w))
		}
	}
	return d
}

func (r *rig) append(id string, size int, targets ...event.WebhookID) {
	r.t.Helper()
	e := makeEvent(id, size)
	if _, err := r.q.Append(context.Background(), &e, targets, nil); err != nil {
		r.t.Fatalf("Append(%s): %v", id, err)
	}
}

// barrier returns when everything that was settled before is durable.
func (r *rig) barrier() {
	r.t.Helper()
	if err := r.q.Put(context.Background(), "barrier", []byte("x")); err != nil {
		r.t.Fatalf("Put: %v", err)
	}
}

// until waits for a condition that the engine's own goroutines will bring about; the engine's lock is held while it is looked at.
func (r *rig) until(what string, met func() bool) {
	r.t.Helper()
	timeout := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		r.q.mu.Lock()
		ok := met()
		r.q.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-timeout:
			r.t.Fatalf("it never came to this: %s; stats %+v", what, r.q.Stats())
		}
	}
}

// empty checks after a restart that no delivery is left, nor any record of one.
func (r *rig) empty() {
	r.t.Helper()
	r.barrier()
	r.reopen()
	r.barrier()
	if s := r.q.Stats(); s.Pending != 0 || s.Retrying != 0 || s.Dead != 0 || s.Bytes != 0 || s.LostEvents != 0 || s.Damaged != 0 {
		r.t.Fatalf("the queue should be empty: %+v\n%s", s, r.log)
	}
	m := r.q.stored.Load()
	for kind, n := range r.keys() {
		switch want := map[byte]int64{kMeta: 1, kCursor: m.cursors, kValue: m.values, kDedup: int64(n)}[kind]; {
		case int64(n) != want:
			r.t.Errorf("%d records of kind %c are left, want %d", n, kind, want)
		}
	}
	if m.groups != 0 {
		r.t.Errorf("meta counts %d groups", m.groups)
	}
}

// keys counts the records of each kind.
func (r *rig) keys() map[byte]int {
	n := map[byte]int{}
	r.q.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			n[it.Item().Key()[0]]++
		}
		return nil
	})
	return n
}

func makeEvent(id string, size int) event.Event {
	f := event.Fields{Type: []byte("order.paid"), Data: []byte(`"` + strings.Repeat("x", size) + `"`)}
	e, _ := event.BuildEvent(nil, &f, []byte(id), time.UnixMilli(1_700_000_000_000))
	e.Tenant = []byte("default")
	return e
}

func hook(i int) event.WebhookID { return event.NamedWebhookID("default", fmt.Sprint(i)) }

func failedAt(now time.Time) queue.Failure {
	return queue.Failure{Reason: queue.ReasonStatus, Status: 500, At: now.UnixMilli(), Counted: true}
}

// logBuffer collects log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
