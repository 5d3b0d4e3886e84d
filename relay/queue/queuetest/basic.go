package queuetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

func testAppendLeaseAck(t *testing.T, open Open) {
	b := newBed(t, open)
	w := webhook("a")
	b.append("one", w)
	d := b.takeID(w, "one")
	if d.Attempts != 0 || d.First != 0 || d.Webhook != w {
		t.Errorf("fresh delivery: attempts %d, first %d, webhook %s", d.Attempts, d.First, d.Webhook)
	}
	if s := b.q.Stats(); s.Pending != 1 || s.Events != 1 || s.Bytes == 0 {
		t.Errorf("stats with one leased: %+v", s)
	}
	b.q.Ack(d)
	b.none(w)
	b.empty()
	if s := b.q.Stats(); s.Events != 2 {
		t.Errorf("Events = %d after a restart, want 2", s.Events)
	}
}

func testEventIsKeptWhole(t *testing.T, open Open) {
	b := newBed(t, open)
	w := webhook("a")
	for i, size := range []int{0, 1, 1000, 100_000, 1 << 20} {
		e := build(fmt.Sprintf("size-%d", size), "Zürich & Söhne", size)
		if _, err := b.q.Append(t.Context(), &e, []event.WebhookID{w}, nil); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		d := b.take(w)
		if err := same(&e, &d.Event); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		if i%2 == 0 { // also as a retry, and after a restart
			b.q.Retry(d, b.now(), failure(b.now(), true))
			b.reopen()
			d = b.take(w)
			if err := same(&e, &d.Event); err != nil {
				t.Errorf("%d bytes, retried: %v", size, err)
			}
		}
		b.q.Ack(d)
	}
	b.empty()
}

func testLeaseIsExclusive(t *testing.T, open Open) {
	b := newBed(t, open)
	w := webhook("a")
	b.append("one", w)
	d := b.takeID(w, "one")
	b.none(w)
	b.q.Retry(d, b.now(), failure(b.now(), true))
	d = b.takeID(w, "one")
	b.none(w)
	b.q.Ack(d)
	b.empty()
}

func testOrder(t *testing.T, open Open) {
	b := newBed(t, open)
	hooks := []event.WebhookID{webhook("a"), webhook("b")}
	want := ids("e", 500)
	for i, id := range want {
		b.append(id, hooks[i%2])
	}
	b.q.Park(hooks[1]) // order survives leaving memory
	for i, id := range want {
		b.q.Ack(b.takeID(hooks[i%2], id))
	}
	b.empty()
}

// An engine that dies right after Append returned must still have the event. Here it cannot die, but its directory can be opened after a
// Close that came at once; engines test the rest themselves.
func testDurable(t *testing.T, open Open) {
	b := newBed(t, open)
	w := webhook("a")
	want := ids("e", 20)
	for _, id := range want {
		b.append(id, w)
		b.reopen()
	}
	b.drain(w, want...)
	b.empty()
}

func testFanOut(t *testing.T, open Open) {
	b := newBed(t, open)
	hooks := []event.WebhookID{webhook("a"), webhook("b"), webhook("c"), webhook("d")}
	b.append("one", hooks...)
	var kept []*queue.Delivery
	seen := map[event.DeliveryID]bool{}
	for _, w := range hooks {
		d := b.takeID(w, "one")
		seen[d.ID()] = true
		kept = append(kept, d)
	}
	if len(seen) != len(hooks) {
		t.Errorf("%d delivery ids for %d webhooks", len(seen), len(hooks))
	}
	b.q.Ack(kept[0])
	b.q.Retry(kept[1], b.now(), failure(b.now(), true))
	b.q.Bury(kept[2], failure(b.now(), true))
	b.reopen() // the fourth lease lapses
	if s := b.q.Stats(); s.Pending != 1 || s.Retrying != 1 || s.Dead != 1 {
		t.Errorf("stats: %+v, want one of each", s)
	}
	b.q.Ack(b.takeID(hooks[1], "one"))
	b.q.Ack(b.takeID(hooks[3], "one"))
	if err := b.q.Redrive(t.Context(), kept[2].ID()); err != nil {
		t.Fatal(err)
	}
	b.q.Ack(b.takeID(hooks[2], "one"))
	b.empty()
}

func testNoTargets(t *testing.T, open Open) {
	b := newBed(t, open)
	for _, id := range ids("e", 10) {
		b.append(id)
	}
	if s := b.q.Stats(); s.Events != 10 || s.Pending != 0 {
		t.Errorf("stats: %+v", s)
	}
	b.empty()
}

func testTooLarge(t *testing.T, open Open) {
	b := newBed(t, open)
	e := build("big", "default", 64<<20)
	if _, err := b.q.Append(t.Context(), &e, []event.WebhookID{webhook("a")}, nil); !errors.Is(err, queue.ErrTooLarge) {
		t.Errorf("Append of 64 MiB: %v, want ErrTooLarge", err)
	}
	b.append("small", webhook("a"))
	b.drain(webhook("a"), "small")
	b.empty()
}

func testPark(t *testing.T, open Open) {
	b := newBed(t, open)
	w, other := webhook("a"), webhook("b")
	want := ids("e", 50)
	for _, id := range want[:20] {
		b.append(id, w, other)
	}
	held := b.takeID(w, want[0])
	b.q.Park(w)
	for _, id := range want[20:] {
		b.append(id, w, other)
	}
	b.drain(other, want...)
	b.q.Ack(held) // what was leased may be settled while parked
	for _, id := range want[1:] {
		b.q.Ack(b.takeID(w, id))
	}
	b.q.Park(w)
	b.reopen()
	b.append("late", w)
	b.drain(w, "late")
	b.empty()
}

func testParkRetry(t *testing.T, open Open) {
	b := newBed(t, open)
	w := webhook("a")
	want := ids("e", 6)
	for i, id := range want {
		b.append(id, w)
		b.q.Retry(b.takeID(w, id), b.now().Add(durations[i]), failure(b.now(), true))
	}
	b.pass(durations[2])
	first := b.take(w) // now two more are due, and perhaps in memory
	b.q.Park(w)
	b.q.Ack(first)
	b.drain(w, without(want[:3], string(first.Event.ID))...)
	b.q.Park(w)
	b.pass(durations[5])
	b.drain(w, want[3:]...)
	b.empty()
}

func testPutScan(t *testing.T, open Open) {
	b := newBed(t, open)
	put := func(key, value string) {
		t.Helper()
		if err := b.q.Put(t.Context(), key, []byte(value)); err != nil {
			t.Fatalf("Put(%q): %v", key, err)
		}
	}
	list := func(prefix string) (s string) {
		t.Helper()
		if err := b.q.Scan(prefix, func(k string, v []byte) bool { s += k + "=" + string(v) + " "; return true }); err != nil {
			t.Fatalf("Scan(%q): %v", prefix, err)
		}
		return s
	}
	put("b/2", "two")
	put("b/1", "one")
	put("a", "x")
	put("c", "y")
	put("c", "z")
	put("gone", "1")
	put("gone", "")
	put("never", "")
	for range 2 {
		for prefix, want := range map[string]string{"": "a=x b/1=one b/2=two c=z ", "b/": "b/1=one b/2=two ", "b/2": "b/2=two ", "d": ""} {
			if got := list(prefix); got != want {
				t.Errorf("Scan(%q) = %q, want %q", prefix, got, want)
			}
		}
		b.reopen()
	}
	n := 0
	if err := b.q.Scan("", func(string, []byte) bool { n++; return n < 2 }); err != nil || n != 2 {
		t.Errorf("Scan went on after false: %d, %v", n, err)
	}
	if err := b.q.Put(t.Context(), "big", make([]byte, 64<<10)); err != nil {
		t.Errorf("64 KiB: %v", err)
	}
	if err := b.q.Put(t.Context(), "bigger", make([]byte, 64<<10+1)); err == nil {
		t.Error("a value of more than 64 KiB was stored")
	}
	if s := b.q.Stats(); s.Bytes != 0 || s.Pending != 0 {
		t.Errorf("values count as events: %+v", s)
	}
}

func testReopen(t *testing.T, open Open) {
	b := newBed(t, open)
	a, c := webhook("a"), webhook("c")
	want := ids("e", 300)
	for _, id := range want {
		b.append(id, a, c)
	}
	for i, id := range want {
		d := b.takeID(a, id)
		switch {
		case i%3 == 0:
			b.q.Ack(d)
		case i%3 == 1 && i < 200:
			b.q.Retry(d, b.now().Add(time.Second), failure(b.now(), true))
		}
	}
	// Of a: 100 settled, 67 to retry, 133 leased. Of c: all.
	for range 3 {
		b.reopen()
		if s := b.q.Stats(); s.Pending != 433 || s.Retrying != 67 || s.LostEvents != 0 || s.Damaged != 0 {
			t.Fatalf("stats after reopening: %+v, want 433 pending and 67 retrying", s)
		}
	}
	var left []string
	for i, id := range want {
		if i%3 != 0 {
			left = append(left, id)
		}
	}
	b.pass(time.Second)
	b.drain(a, left...)
	b.drain(c, want...)
	b.empty()
}

func testLapse(t *testing.T, open Open) {
	b := newBed(t, open)
	w := webhook("a")
	b.append("one", w)
	b.append("two", w)
	b.takeID(w, "one")
	d := b.takeID(w, "two")
	b.q.Retry(d, b.now(), failure(b.now(), true))
	b.takeID(w, "two")
	b.reopen()
	b.drain(w, "one", "two")
	b.empty()
}

func testTwice(t *testing.T, open Open) {
	b := newBed(t, open)
	b.append("one", webhook("a"))
	d := b.takeID(webhook("a"), "one")
	b.q.Ack(d)
	defer func() {
		if recover() == nil {
			t.Error("settling a delivery twice did not panic")
		}
	}()
	b.q.Ack(d)
}

func testClosed(t *testing.T, open Open) {
	b := newBed(t, open)
	w := webhook("a")
	b.append("one", w)
	d := b.takeID(w, "one")
	if err := b.q.Close(); err != nil {
		t.Fatal(err)
	}
	e := build("late", "default", 10)
	if _, err := b.q.Append(t.Context(), &e, []event.WebhookID{w}, nil); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("Append after Close: %v", err)
	}
	if err := b.q.Put(t.Context(), "k", []byte("v")); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("Put after Close: %v", err)
	}
	var other queue.Delivery
	if b.q.Lease(w, &other) {
		t.Error("Lease after Close")
	}
	b.q.Ack(d) // too late, and harmless
	if err := b.q.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	b.q = b.open(t, b.dir, b.announce, b.now)
	b.drain(w, "one")
	b.empty()
}

func testCancelled(t *testing.T, open Open) {
	b := newBed(t, open)
	w := webhook("a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := build("one", "default", 10)
	if _, err := b.q.Append(ctx, &e, []event.WebhookID{w}, nil); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatalf("Append with a cancelled context: %v", err)
	}
	b.drain(w, "one") // waiting was cancelled, not storing
	b.empty()
}
