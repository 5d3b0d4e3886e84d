package queuetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// byName orders events by what their id begins with, up to the dash.
var byName = &queue.Ordering{Key: func(e *event.Event) (k queue.OrderKey) {
	name, _, _ := strings.Cut(string(e.ID), "-")
	copy(k[:], name)
	k[15] = 1
	return k
}}

// tryOrdered leases in order and says whether there was something.
func (b *bed) tryOrdered(w event.WebhookID, o *queue.Ordering) *queue.Delivery {
	d := &queue.Delivery{Order: o}
	if !b.q.Lease(w, d) {
		return nil
	}
	return d
}

// takeOrdered waits for a lease in order.
func (b *bed) takeOrdered(w event.WebhookID, o *queue.Ordering, id string) *queue.Delivery {
	b.t.Helper()
	timeout := time.After(patience)
	for {
		if d := b.tryOrdered(w, o); d != nil {
			if id != "" && string(d.Event.ID) != id {
				b.t.Fatalf("leased %s, want %s", d.Event.ID, id)
			}
			return d
		}
		select {
		case <-b.signal(w):
		case <-timeout:
			b.t.Fatalf("no delivery (want %q), and nothing was announced; stats %+v", id, b.q.Stats())
		}
	}
}

// noneOrdered checks that w has nothing to lease now, with an event of a key of its own.
func (b *bed) noneOrdered(w event.WebhookID, o *queue.Ordering) {
	b.t.Helper()
	id := fmt.Sprintf("none%d-1", b.markers.Add(1))
	b.append(id, w)
	b.q.Ack(b.takeOrdered(w, o, id))
	if d := b.tryOrdered(w, o); d != nil {
		b.t.Fatalf("leased %s, want nothing", d.Event.ID)
	}
}

// testOrderBlocksKey: while the first of a key waits for its retry, the later ones of it are held and other keys go on, over restarts.
func testOrderBlocksKey(t *testing.T, open Open) {
	b := newBed(t, open)
	w := webhook("a")
	for i := range 40 {
		b.append(fmt.Sprintf("a-%d", i), w)
		b.append(fmt.Sprintf("b-%d", i), w)
	}
	d := b.takeOrdered(w, byName, "a-0")
	if !d.Ordered || d.Key != byName.KeyOf(&d.Event) {
		t.Errorf("leased with key %v, %v", d.Key, d.Ordered)
	}
	b.q.Ack(b.takeOrdered(w, byName, "b-0")) // while a-0 is under way
	b.q.Retry(d, b.now().Add(time.Minute), failure(b.now(), true))
	for i := 1; i < 20; i++ {
		b.q.Ack(b.takeOrdered(w, byName, fmt.Sprintf("b-%d", i)))
	}
	b.reopen()
	for i := 20; i < 40; i++ {
		b.q.Ack(b.takeOrdered(w, byName, fmt.Sprintf("b-%d", i)))
	}
	b.noneOrdered(w, byName)
	if l, _, err := b.q.List(queue.Filter{State: queue.StateHeld}, "", 100); err != nil || len(l) != 39 || b.q.Stats().Held != 39 {
		t.Errorf("%d are held (stats %+v), %v", len(l), b.q.Stats(), err)
	}
	held, _, _ := b.q.List(queue.Filter{Event: "a-7"}, "", 1)
	if err := b.q.Redrive(t.Context(), held[0].ID); err != nil { // changes nothing
		t.Error(err)
	}
	b.noneOrdered(w, byName)
	b.pass(time.Minute)
	d = b.takeOrdered(w, byName, "a-0")
	if d.Attempts != 1 {
		t.Errorf("attempts %d", d.Attempts)
	}
	b.reopen() // the lease lapses
	b.q.Ack(b.takeOrdered(w, byName, "a-0"))
	for i := 1; i < 40; i++ {
		if i == 13 {
			b.reopen()
		}
		d := b.takeOrdered(w, byName, fmt.Sprintf("a-%d", i))
		if other := b.tryOrdered(w, byName); other != nil {
			t.Fatalf("%s is leased beside %s", other.Event.ID, d.Event.ID)
		}
		switch i % 3 {
		case 0:
			b.q.Bury(d, failure(b.now(), true)) // a dead one lets its key go on
		case 1:
			b.q.Retry(d, b.now().Add(time.Second), failure(b.now(), true))
			b.noneOrdered(w, byName)
			b.pass(time.Second)
			b.q.Ack(b.takeOrdered(w, byName, fmt.Sprintf("a-%d", i)))
		default:
			b.q.Ack(d)
		}
	}
	b.noneOrdered(w, byName)
	if s := b.q.Stats(); s.Dead != 13 || s.Held != 0 || s.Retrying != 0 {
		t.Errorf("stats: %+v", s)
	}
	dead, _, err := b.q.List(queue.Filter{State: queue.StateDead}, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range dead {
		if err := b.q.Redrive(t.Context(), i.ID); err != nil {
			t.Fatal(err)
		}
	}
	for range dead {
		d := b.takeOrdered(w, byName, "")
		if other := b.tryOrdered(w, byName); other != nil {
			t.Fatalf("%s is leased beside %s", other.Event.ID, d.Event.ID)
		}
		b.q.Ack(d)
	}
	b.empty()
}

// testOrderAll: with one key for everything, a later delivery waits for an earlier one.
func testOrderAll(t *testing.T, open Open) {
	b := newBed(t, open)
	w, all := webhook("a"), &queue.Ordering{}
	want := ids("e", 60)
	for _, id := range want {
		b.append(id, w)
	}
	for i, id := range want {
		d := b.takeOrdered(w, all, id)
		if other := b.tryOrdered(w, all); other != nil {
			t.Fatalf("%s is leased beside %s", other.Event.ID, id)
		}
		if i%5 == 0 {
			b.q.Retry(d, b.now().Add(time.Second), failure(b.now(), true))
			if other := b.tryOrdered(w, all); other != nil {
				t.Fatalf("%s has overtaken %s", other.Event.ID, id)
			}
			if i%10 == 0 {
				b.reopen()
			}
			if i%15 == 0 {
				b.q.Park(w)
			}
			b.pass(time.Second)
			d = b.takeOrdered(w, all, id)
		}
		b.q.Ack(d)
	}
	b.empty()
}

// testOrderIsDropped: a webhook that does not want an order any more, or wants another, gets what was held.
func testOrderIsDropped(t *testing.T, open Open) {
	for name, o := range map[string]*queue.Ordering{"none": nil, "another": {Key: func(e *event.Event) queue.OrderKey { return queue.OrderKey{9, e.ID[len(e.ID)-1]} }}, "all": {}} {
		b := newBed(t, open)
		w := webhook("a")
		var want []string
		for i := range 30 {
			id := fmt.Sprintf("a-%02d", i)
			want = append(want, id)
			b.append(id, w)
		}
		b.q.Retry(b.takeOrdered(w, byName, "a-00"), b.now().Add(time.Second), failure(b.now(), true))
		b.noneOrdered(w, byName)
		b.reopen()
		b.pass(time.Second)
		for range want {
			d := b.takeOrdered(w, o, "")
			id := string(d.Event.ID)
			if !slices.Contains(want, id) {
				t.Fatalf("%s: leased %s", name, id)
			}
			want = without(want, id)
			b.q.Ack(d)
		}
		b.empty()
	}
}

// testOrderHammer: workers, failures, parking and restarts, and never two of a key at a time, nor a later one before an earlier one.
func testOrderHammer(t *testing.T, open Open) {
	b := newBed(t, open)
	b.useRealTime()
	w := webhook("a")
	const keys, each = 12, 120
	type state struct {
		busy bool
		done int // how many are delivered or dead
	}
	var mu sync.Mutex
	states := map[string]*state{}
	left := keys * each
	for k := range keys {
		states[fmt.Sprintf("k%d", k)] = &state{}
	}
	for part := range 3 {
		ready := b.signal(w)
		var run sync.WaitGroup
		stop := make(chan struct{})
		var once sync.Once
		target := left - keys*each/4
		if part == 2 {
			target = 0
		}
		for worker := range 8 {
			run.Go(func() {
				r := rand.New(rand.NewPCG(uint64(part), uint64(worker)))
				d := &queue.Delivery{Order: byName}
				for {
					if !b.q.Lease(w, d) {
						select {
						case <-stop:
							return
						case <-ready:
							b.announce(w) // for the others
						case <-time.After(20 * time.Millisecond):
						}
						continue
					}
					name, number, _ := strings.Cut(string(d.Event.ID), "-")
					var n int
					fmt.Sscan(number, &n)
					mu.Lock()
					s := states[name]
					if s.busy || n != s.done {
						t.Errorf("%s is leased although %s is at %d (busy: %v)", d.Event.ID, name, s.done, s.busy)
					}
					s.busy = true
					mu.Unlock()
					if name == "k0" || r.IntN(10) > 0 {
						for range r.IntN(200) {
							d.Event.Clone()
						}
					}
					fails := name == "k0" && d.Attempts < 2 || d.Attempts < 3 && r.IntN(6) == 0
					mu.Lock()
					s.busy = false
					if !fails {
						s.done++
						left--
						if left <= target {
							once.Do(func() { close(stop) })
						}
					}
					mu.Unlock()
					switch {
					case fails:
						b.q.Retry(d, time.Now().Add(time.Duration(r.IntN(8))*time.Millisecond), failure(time.Now(), true))
					case r.IntN(30) == 0:
						b.q.Bury(d, failure(time.Now(), true))
					default:
						b.q.Ack(d)
					}
					if r.IntN(100) == 0 {
						b.q.Park(w)
						b.announce(w)
					}
				}
			})
		}
		if part == 0 {
			for i := range each {
				for k := range keys {
					b.append(fmt.Sprintf("k%d-%d", k, i), w)
				}
			}
		}
		finished := make(chan struct{})
		go func() { run.Wait(); close(finished) }()
		select {
		case <-finished:
		case <-time.After(patience):
			mu.Lock()
			t.Fatalf("part %d: %d are left, stats %+v", part, left, b.q.Stats())
		}
		if part < 2 {
			b.reopen()
		}
	}
	if s := b.q.Stats(); s.Held != 0 || s.Retrying != 0 || s.Pending != 0 {
		t.Errorf("stats: %+v", s)
	}
}
