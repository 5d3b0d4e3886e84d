package history

import (
	"testing"

	"edgerelay/relay/event"
)

// TestNobodyWaits records more than fits while nobody stores anything: what does not fit is counted, and memory is bounded.
func TestNobodyWaits(t *testing.T) {
	r := newRig(t, nil)
	e := r.newEvent("acme", "order-1", "order.paid", `{"pad":"a body"}`)
	rec := &Recorder{limit: 1 << 10, ring: newRing(1)}
	const n = 50_000
	a := r.newAttempt(e, feed, 1, StatusDelivered)
	allocations := testing.AllocsPerRun(1, func() {
		for range n {
			rec.Event(e, []event.WebhookID{feed})
			rec.Attempt(a)
		}
	})
	held, count := 0, 0
	for c := rec.ring.take(); c != nil; c = rec.ring.take() {
		held += cap(c.meta) + cap(c.body)
		count += c.count
	}
	dropped := rec.ring.dropped.Load()
	if want := int64(4 * n); int64(count)+dropped != want || dropped == 0 { // AllocsPerRun runs it twice
		t.Errorf("%d stored and %d dropped of %d", count, dropped, want)
	}
	if most := chunks * 4 * (chunkMeta + chunkBody); held > most {
		t.Errorf("%d bytes are held, at most %d", held, most)
	}
	if allocations > 2*n/10 {
		t.Errorf("%.0f allocations for %d records", allocations, 2*n)
	}
	var none *Recorder
	if none.Wants(true) || none.Stores() {
		t.Error("a recorder that is not there wants something")
	}
	none.Attempt(a)
	none.Event(e, nil)
}

// TestWatchersDoNotHold publishes to a reader that does not read.
func TestWatchersDoNotHold(t *testing.T) {
	r := newRig(t, nil)
	rec := NewRecorder(RecorderOptions{CaptureBody: 10})
	a := r.newAttempt(r.newEvent("acme", "order-1", "order.paid", `{}`), feed, 1, StatusDelivered)
	if rec.Wants(true) {
		t.Error("a recorder without a store and without readers wants attempts")
	}
	sub := rec.Subscribe(3)
	if !rec.Wants(false) {
		t.Error("with a reader every attempt is wanted")
	}
	for range 10 {
		rec.Attempt(a)
	}
	if n := len(sub.C()); n != 3 || sub.Dropped() != 7 {
		t.Errorf("%d attempts wait", n)
	}
	got := <-sub.C()
	if string(got.EventID) != "order-1" || &got.EventID[0] == &a.EventID[0] {
		t.Errorf("got %+v", got)
	}
	sub.Close()
	if rec.Wants(false) {
		t.Error("a reader that has gone still counts")
	}
	var subs []*Subscription
	for s := rec.Subscribe(1); s != nil; s = rec.Subscribe(1) {
		subs = append(subs, s)
	}
	if len(subs) != maxWatchers {
		t.Errorf("%d readers at most, want %d", len(subs), maxWatchers)
	}
}
