package badgerq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"go.uber.org/goleak"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

var errDisk = errors.New("the disk is on fire")

// failing makes the n-th commit fail, before or after it has reached the disk, and every one after it.
func failing(n int64, after bool) func(*Options) {
	return func(o *Options) {
		commit := o.commitTxn
		var count atomic.Int64
		o.commitTxn = func(txn *badger.Txn) error {
			if count.Add(1) < n {
				return commit(txn)
			}
			if after {
				if err := commit(txn); err != nil {
					return err
				}
			}
			return errDisk
		}
	}
}

// Once a commit has failed, all who wait for it hear of it, and nothing is acknowledged any more. What was acknowledged is there after a
// restart.
func TestFailStop(t *testing.T) {
	for n := range int64(12) {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("commit=%d/after=%v", n+1, after), func(t *testing.T) {
				defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
				r := newRig(t, t.TempDir()+"/q", nil)
				good := r.opt
				failing(n+1, after)(&r.opt)
				r.start()
				stored := appendUntilItFails(t, r)
				checkFailed(t, r)
				if err := r.q.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				r.opt = good
				r.start()
				defer r.q.Close()
				r.append("last", 1, hook(1))
				for {
					d := r.take(hook(1))
					r.q.Ack(d)
					if string(d.Event.ID) == "last" {
						break
					}
					delete(stored, string(d.Event.ID))
				}
				if len(stored) > 0 {
					t.Errorf("%d events were acknowledged and are gone: %v", len(stored), stored)
				}
			})
		}
	}
}

// appendUntilItFails lets several producers append, and a consumer settle, until each has been refused; it returns what was accepted and
// not acknowledged.
func appendUntilItFails(t *testing.T, r *rig) map[string]bool {
	t.Helper()
	var mu sync.Mutex
	open := map[string]bool{}
	var all sync.WaitGroup
	for p := range 4 {
		all.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("p%d-%d", p, i)
				e := makeEvent(id, 100)
				_, err := r.q.Append(context.Background(), &e, []event.WebhookID{hook(1)}, nil)
				if err != nil {
					if !errors.Is(err, queue.ErrFailed) || !errors.Is(err, errDisk) {
						t.Errorf("Append: %v, want ErrFailed and its cause", err)
					}
					return
				}
				mu.Lock()
				open[id] = true
				mu.Unlock()
			}
		})
	}
	all.Go(func() {
		for i := 0; ; i++ {
			if err := r.q.Put(context.Background(), "k", []byte{byte(i), 1}); err != nil {
				if !errors.Is(err, queue.ErrFailed) {
					t.Errorf("Put: %v", err)
				}
				return
			}
		}
	})
	all.Wait()
	return open
}

func checkFailed(t *testing.T, r *rig) {
	t.Helper()
	select {
	case <-r.q.Failed():
	default:
		t.Error("Failed is not closed")
	}
	if err := r.q.Err(); !errors.Is(err, queue.ErrFailed) || !errors.Is(err, errDisk) {
		t.Errorf("Err: %v", err)
	}
	e := makeEvent("late", 10)
	if _, err := r.q.Append(context.Background(), &e, []event.WebhookID{hook(1)}, &queue.Dedup{}); !errors.Is(err, queue.ErrFailed) {
		t.Errorf("Append after the failure: %v", err)
	}
	if err := r.q.Redrive(context.Background(), event.DeliveryID{}); !errors.Is(err, queue.ErrFailed) {
		t.Errorf("Redrive after the failure: %v", err)
	}
	var d queue.Delivery
	for r.q.Lease(hook(1), &d) { // what is in memory may still be delivered, and settling it does no harm
		r.q.Retry(&d, r.now(), failedAt(r.now()))
	}
}

// No Append returns before the commit of its group has, no Put before that of its batch.
func TestOrderOfCommit(t *testing.T) {
	var begun, done atomic.Int64
	release := make(chan struct{})
	r := startRig(t, func(o *Options) {
		commit := o.commitTxn
		o.commitTxn = func(txn *badger.Txn) error {
			begun.Add(1)
			<-release
			err := commit(txn)
			done.Add(1)
			return err
		}
	})
	for i := range 20 {
		answered := make(chan int64, 2)
		go func() {
			r.append(fmt.Sprint("e", i), 10, hook(1))
			answered <- done.Load()
		}()
		go func() {
			r.barrier()
			answered <- done.Load()
		}()
		before := done.Load()
		for got := 0; got < 2; {
			select {
			case at := <-answered:
				if at <= before {
					t.Fatalf("round %d: answered before a commit had returned", i)
				}
				got++
			case release <- struct{}{}:
			}
		}
	}
	close(release)
}

func TestCloseLeavesNothingRunning(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, sizes := range []func(*Options){nil, tiny} {
		r := newRig(t, t.TempDir()+"/q", sizes)
		r.start()
		for i := range 100 {
			r.append(fmt.Sprint("e", i), 100, hook(1), hook(2))
		}
		for i := range 50 {
			d := r.take(hook(1))
			if i%2 == 0 {
				r.q.Retry(d, r.now(), failedAt(r.now()))
			}
		}
		if err := r.q.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The disk's free space decides, with hysteresis, and so does MaxBytes.
func TestRefusals(t *testing.T) {
	var free atomic.Int64
	free.Store(2000)
	r := startRig(t, func(o *Options) {
		o.MinFree, o.MaxBytes = 1000, 64<<10
		o.Free = func(string) (int64, error) { return free.Load(), nil }
	})
	try := func() error {
		e := makeEvent("e", 1000)
		_, err := r.q.Append(t.Context(), &e, []event.WebhookID{hook(1)}, nil)
		return err
	}
	low := func(want bool) {
		t.Helper()
		r.until(fmt.Sprintf("disk low = %v", want), func() bool { return r.q.isLow.Load() == want })
	}
	settle := func() { r.q.Ack(r.take(hook(1))); r.barrier() }
	if err := try(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		free int64
		low  bool
	}{{1000, false}, {999, true}, {1000, true}, {1249, true}, {1250, false}, {1001, false}} {
		free.Store(c.free)
		r.until("the clock has looked", func() bool { return r.q.free.Load() == c.free })
		low(c.low)
		err := try()
		if c.low != errors.Is(err, queue.ErrDiskLow) || !c.low && err != nil {
			t.Errorf("with %d bytes free: %v", c.free, err)
		}
	}
	n := 0
	for ; n < 100; n++ {
		if err := try(); errors.Is(err, queue.ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if s := r.q.Stats(); !s.Full || s.Bytes < 64<<10 || s.Bytes > 66<<10 {
		t.Errorf("full at %+v, want 64 KiB", s)
	}
	free.Store(500)
	low(true)
	if err := try(); !errors.Is(err, queue.ErrDiskLow) {
		t.Errorf("full and low: %v", err)
	}
	free.Store(5000)
	low(false)
	r.reopen()
	if err := try(); !errors.Is(err, queue.ErrFull) {
		t.Errorf("after a restart, still full: %v", err)
	}
	settle()
	if err := try(); !errors.Is(err, queue.ErrFull) {
		t.Errorf("one has gone: %v, want hysteresis", err)
	}
	for range 5 {
		settle()
	}
	if err := try(); err != nil {
		t.Errorf("six have gone: %v", err)
	}
	if s := r.q.Stats(); s.Full || s.DiskLow {
		t.Errorf("stats: %+v", s)
	}
}

// Settling goes on while the queue is full: else it would stay so.
func TestFullQueueStillSettles(t *testing.T) {
	r := startRig(t, func(o *Options) { o.MaxBytes = 1 })
	r.append("one", 100, hook(1))
	d := r.take(hook(1))
	id := d.ID()
	r.q.Bury(d, failedAt(r.now()))
	r.barrier()
	if err := r.q.Redrive(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	r.q.Retry(r.take(hook(1)), r.now().Add(time.Second), failedAt(r.now()))
	r.pass(time.Second)
	r.q.Ack(r.take(hook(1)))
	r.empty()
}
