package queuetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// testReady lets one consumer, which waits for nothing but Ready, race with one producer that waits for the consumer now and then.
func testReady(t *testing.T, open Open) {
	b := newBed(t, open)
	w := webhook("a")
	const n = 2000
	var got atomic.Int64
	step := make(chan struct{}, n)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for got.Load() < n {
			d := b.take(w)
			got.Add(1)
			if got.Load()%7 == 0 && d.Attempts == 0 {
				got.Add(-1)
				b.q.Retry(d, b.now(), failure(b.now(), true))
				continue
			}
			b.q.Ack(d)
			step <- struct{}{}
		}
	}()
	for i, id := range ids("e", n) {
		b.append(id, w)
		if i%3 == 0 { // so that the consumer has found nothing when the next one comes
			select {
			case <-step:
			case <-done:
				t.FailNow()
			}
		}
	}
	<-done
	b.empty()
}

// ledger is what the hammer knows to be true.
type ledger struct {
	mu   sync.Mutex
	open map[string]*entry // accepted and not acknowledged, by event and webhook
	errs []string
	left atomic.Int64
	zero chan struct{} // closed when all producers are done and nothing is open
	stop atomic.Bool   // all producers are done
}

type entry struct {
	leased bool
	tries  int
}

func ledgerKey(id []byte, w event.WebhookID) string { return string(id) + "/" + w.String() }

// accept must come before Append, because a consumer may be faster than Append's return.
func (l *ledger) accept(id string, targets []event.WebhookID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range targets {
		l.open[ledgerKey([]byte(id), w)] = &entry{}
		l.left.Add(1)
	}
}

func (l *ledger) lease(d *queue.Delivery) (tries int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.open[ledgerKey(d.Event.ID, d.Webhook)]
	switch {
	case e == nil:
		l.errs = append(l.errs, fmt.Sprintf("%s was leased after it was acknowledged, or never accepted", d.Event.ID))
		return 0
	case e.leased:
		l.errs = append(l.errs, fmt.Sprintf("%s was leased twice at a time", d.Event.ID))
	case e.tries != d.Attempts:
		l.errs = append(l.errs, fmt.Sprintf("%s: attempts %d, want %d", d.Event.ID, d.Attempts, e.tries))
	}
	e.leased = true
	return e.tries
}

// giveBack must come before the settlement.
func (l *ledger) giveBack(d *queue.Delivery, tries int, acked bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := ledgerKey(d.Event.ID, d.Webhook)
	e := l.open[key]
	if e == nil {
		return
	}
	e.leased, e.tries = false, tries
	if acked {
		delete(l.open, key)
		if l.left.Add(-1) == 0 && l.stop.Load() {
			close(l.zero)
		}
	}
}

func testHammer(t *testing.T, open Open) {
	b := newBed(t, open)
	b.useRealTime() // retries come due by themselves
	const producers, each, hooks, consumers = 4, 1000, 12, 2
	l := &ledger{open: map[string]*entry{}, zero: make(chan struct{})}
	stop := make(chan struct{})
	var all, making sync.WaitGroup
	var ws []event.WebhookID
	buried := make(chan event.DeliveryID, producers*each*hooks)
	for h := range hooks {
		w := webhook(fmt.Sprint(h))
		ws = append(ws, w)
		for c := range consumers {
			all.Go(func() { b.consume(l, w, rand.New(rand.NewPCG(uint64(h), uint64(c))), buried, stop) })
		}
	}
	all.Go(func() { b.redriveAll(buried, stop) })
	for p := range producers {
		making.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(p), 99))
			for i := range each {
				var targets []event.WebhookID
				for _, w := range ws {
					if rnd.IntN(4) == 0 {
						targets = append(targets, w)
					}
				}
				id := fmt.Sprintf("p%d-%d", p, i)
				l.accept(id, targets)
				e := build(id, "default", rnd.IntN(2000))
				if _, err := b.q.Append(t.Context(), &e, targets, nil); err != nil {
					t.Errorf("Append: %v", err)
				}
			}
		})
	}
	making.Wait()
	l.stop.Store(true)
	if l.left.Load() > 0 {
		select {
		case <-l.zero:
		case <-time.After(3 * patience):
			t.Errorf("%d deliveries never came; stats %+v", l.left.Load(), b.q.Stats())
		}
	}
	close(stop)
	all.Wait()
	for i, e := range l.errs {
		if i == 10 {
			break
		}
		t.Error(e)
	}
	b.empty()
}

// consume leases for w and does something random with what it gets.
func (b *bed) consume(l *ledger, w event.WebhookID, rnd *rand.Rand, buried chan<- event.DeliveryID, stop <-chan struct{}) {
	signal := b.signal(w)
	var d queue.Delivery
	for {
		if !b.q.Lease(w, &d) {
			select {
			case <-signal:
				continue
			case <-stop:
				return
			}
		}
		b.announce(w) // one announcement, two consumers: pass it on
		tries := l.lease(&d)
		now := time.Now()
		switch r := rnd.IntN(100); {
		case r < 12 && tries < 5:
			l.giveBack(&d, tries+1, false)
			b.q.Retry(&d, now.Add(time.Duration(rnd.IntN(30))*time.Millisecond), failure(now, true))
		case r < 16 && tries < 5:
			l.giveBack(&d, 0, false)
			id := d.ID()
			b.q.Bury(&d, failure(now, true))
			buried <- id
		default:
			l.giveBack(&d, tries, true)
			b.q.Ack(&d)
		}
		if rnd.IntN(200) == 0 {
			b.q.Park(w)
		}
	}
}

// redriveAll brings the dead back. A burial shows in the store only after a commit, hence the second tries.
func (b *bed) redriveAll(buried chan event.DeliveryID, stop <-chan struct{}) {
	for {
		select {
		case id := <-buried:
			err := b.q.Redrive(b.t.Context(), id)
			switch {
			case errors.Is(err, queue.ErrNotFound), errors.Is(err, queue.ErrBusy):
				if err := b.q.Put(b.t.Context(), "barrier", []byte("x")); err != nil {
					b.t.Errorf("Put: %v", err)
				}
				buried <- id
			case err != nil:
				b.t.Errorf("Redrive: %v", err)
			}
		case <-stop:
			b.q.Put(b.t.Context(), "barrier", nil)
			return
		}
	}
}

func testCloseWhileBusy(t *testing.T, open Open) {
	for round := range 5 {
		b := newBed(t, open)
		w, other := webhook("a"), webhook("b")
		var mu sync.Mutex
		accepted, acked := map[string]bool{}, map[string]bool{}
		var all sync.WaitGroup
		half := make(chan struct{})
		stop := make(chan struct{})
		const producers = 4
		for p := range producers {
			all.Go(func() {
				for i := 0; ; i++ {
					id := fmt.Sprintf("p%d-%d", p, i)
					e := build(id, "default", 500)
					_, err := b.q.Append(t.Context(), &e, []event.WebhookID{w, other}, nil)
					if errors.Is(err, queue.ErrClosed) {
						return
					}
					if err != nil {
						t.Errorf("Append: %v", err)
						return
					}
					mu.Lock()
					accepted[id] = true
					if len(accepted) == 200*(round+1) {
						close(half)
					}
					mu.Unlock()
				}
			})
		}
		all.Go(func() { // puts race with Close too: none may hang
			for b.q.Put(t.Context(), "key", []byte("value")) == nil {
			}
		})
		all.Go(func() {
			var d queue.Delivery
			for {
				if !b.q.Lease(w, &d) {
					select {
					case <-b.signal(w):
						continue
					case <-stop:
						return
					}
				}
				mu.Lock()
				acked[string(d.Event.ID)] = true
				mu.Unlock()
				b.q.Ack(&d)
			}
		})
		<-half
		if err := b.q.Close(); err != nil {
			t.Fatal(err)
		}
		close(stop)
		all.Wait()
		b.q = b.open(t, b.dir, b.announce, b.now)
		// Everything accepted comes to the one that took nothing; an Append that was not answered may have been stored.
		got := map[string]int{}
		for left := len(accepted); left > 0; {
			d := b.take(other)
			if got[string(d.Event.ID)]++; accepted[string(d.Event.ID)] {
				left--
			}
			b.q.Ack(d)
		}
		for id, n := range got {
			if n > 1 {
				t.Errorf("%s came %d times", id, n)
			}
		}
		missing := map[string]bool{}
		for id := range accepted {
			if !acked[id] {
				missing[id] = true
			}
		}
		for len(missing) > 0 { // acknowledgements that raced with Close may be repeated
			d := b.take(w)
			delete(missing, string(d.Event.ID))
			b.q.Ack(d)
		}
		b.q.Close()
	}
}
