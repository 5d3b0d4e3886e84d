package badgerq

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// appendMany appends n events from many producers, so that they share groups.
func (r *rig) appendMany(n, producers, size int, w event.WebhookID) {
	r.t.Helper()
	var all sync.WaitGroup
	var next atomic.Int64
	for range producers {
		all.Go(func() {
			e := makeEvent("e", size)
			for next.Add(1) <= int64(n) {
				if _, err := r.q.Append(context.Background(), &e, []event.WebhookID{w}, nil); err != nil {
					r.t.Errorf("Append: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
}

// A thousand producers at a time share a few commits: what arrives while one is under way goes into the next.
func TestSyncsPerThousandAppends(t *testing.T) {
	const n = 1000
	began, release, quit := make(chan struct{}), make(chan struct{}), make(chan struct{})
	r := startRig(t, func(o *Options) {
		commit := o.commitTxn
		o.commitTxn = func(txn *badger.Txn) error {
			select {
			case began <- struct{}{}:
				<-release
			case <-quit:
			}
			return commit(txn)
		}
	})
	defer close(quit)
	go r.appendMany(1, 1, 100, hook(1))
	<-began
	done := make(chan struct{})
	go func() { r.appendMany(n, n, 100, hook(1)); close(done) }()
	commits := 0
	for left := n; ; left -= r.opt.GroupEvents {
		r.until("the next group is full", func() bool { // before the commit that is under way returns
			r.q.in.Lock()
			defer r.q.in.Unlock()
			return len(r.q.cur.events) == max(0, min(left, r.opt.GroupEvents))
		})
		release <- struct{}{}
		if left <= 0 {
			break
		}
		<-began
		commits++
	}
	<-done
	if want := (n + r.opt.GroupEvents - 1) / r.opt.GroupEvents; commits != want {
		t.Errorf("%d commits for %d appends, want %d", commits, n, want)
	}
}

// What is handed to the store for an event of 1 KiB that is delivered at once. Grouping is up to the scheduler, so the groups are made here.
func TestBytesPerEvent(t *testing.T) {
	r := startRig(t, nil)
	const groups, each = 50, 32
	env := makeEvent("we_01jf2wkmvcfw6ts1qmgzya291c", 1024-105)
	if n := len(env.Envelope); n < 1000 || n > 1024 {
		t.Fatalf("the envelope has %d bytes", n)
	}
	for range groups {
		r.q.in.Lock()
		for range each {
			r.q.cur.add(&env, []event.WebhookID{hook(1)})
		}
		g := r.q.cur
		r.q.in.Unlock()
		r.q.wake()
		<-g.done
		for range each {
			r.q.Ack(r.take(hook(1)))
		}
	}
	r.barrier()
	per := float64(r.q.Stats().BytesWritten) / (groups * each)
	t.Logf("%.0f bytes per event", per)
	if per > 1300 {
		t.Errorf("%.0f bytes are written per event of 1 KiB, at most 1300", per)
	}
}

// Append, Lease and Ack of one event after the other, each with a commit of its own, which is the worst case. Most is Badger's.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	r := startRig(t, func(o *Options) { o.FlushEvery = time.Hour })
	w := hook(1)
	e := makeEvent("e", 1000)
	var d queue.Delivery
	targets := []event.WebhookID{w}
	commit := func() float64 {
		return testing.AllocsPerRun(300, func() {
			if _, err := r.q.Append(context.Background(), &e, targets, nil); err != nil {
				t.Fatal(err)
			}
			for !r.q.Lease(w, &d) {
				<-r.signal(w)
			}
			r.q.Ack(&d)
		})
	}
	alone := commit()
	t.Logf("%.1f allocations for an event with a commit of its own", alone)
	if alone > 75 {
		t.Errorf("%.1f allocations for an event with a commit of its own, at most 75", alone)
	}
	// Without the commit: a lease and a settlement of an event that is in memory already.
	r.appendMany(400, 1, 1000, w)
	lease := testing.AllocsPerRun(300, func() {
		if !r.q.Lease(w, &d) {
			t.Fatal("nothing to lease")
		}
		r.q.Ack(&d)
	})
	t.Logf("%.1f allocations for lease and ack", lease)
	if lease > 1 {
		t.Errorf("%.1f allocations for lease and ack, at most 1", lease)
	}
}

// A restart with a backlog: everything counts exactly. The time is told, not judged.
func TestRestartWithBacklog(t *testing.T) {
	n := 200_000
	if testing.Short() || raceEnabled {
		n = 20_000
	}
	for name, producers := range map[string]int{"large groups": 512, "small groups": 4} {
		t.Run(name, func(t *testing.T) {
			r := startRig(t, nil)
			r.q.Park(hook(1))
			r.appendMany(n, producers, 200, hook(1))
			for i := range 100 {
				r.append(fmt.Sprint("w", i), 100, hook(2))
				r.q.Retry(r.take(hook(2)), r.now().Add(time.Hour), failedAt(r.now()))
			}
			r.barrier()
			before := r.q.Stats()
			for _, killed := range []bool{false, true} {
				begin := time.Now()
				if killed {
					r.crash(t.TempDir() + "/killed")
				} else {
					r.reopen()
				}
				s := r.q.Stats()
				t.Logf("killed=%v: %d commits, ready after %v", killed, before.Commits, time.Since(begin).Round(time.Millisecond))
				if s.Pending != int64(n) || s.Retrying != 100 || s.Dead != 0 || s.Bytes != before.Bytes || s.Events != int64(n)+100 ||
					s.LostEvents+s.Damaged != 0 {
					t.Fatalf("killed=%v: %+v, want %+v", killed, s, before)
				}
			}
			got := 0
			var d queue.Delivery
			for got < n {
				for r.q.Lease(hook(1), &d) {
					got++
					r.q.Ack(&d)
				}
				if got < n {
					<-r.signal(hook(1))
				}
			}
			r.pass(2 * time.Hour)
			for range 100 {
				r.q.Ack(r.take(hook(2)))
			}
			r.empty()
		})
	}
}
