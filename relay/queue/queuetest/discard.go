package queuetest

import (
	"errors"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// testDiscard removes dead deliveries for good, and nothing else.
func testDiscard(t *testing.T, open Open) {
	b := newBed(t, open)
	a, c := webhook("a"), webhook("c")
	b.append("two", a, c)
	b.append("one", a)
	dead, waiting := b.takeID(a, "two"), b.takeID(c, "two")
	deadID, waitingID := dead.ID(), waiting.ID()
	b.q.Bury(dead, failure(b.now(), true))
	b.q.Retry(waiting, b.now().Add(time.Hour), failure(b.now(), true))
	other := b.takeID(a, "one")
	otherID := other.ID()
	b.q.Bury(other, failure(b.now(), true))
	b.reopen()
	for name, id := range map[string]event.DeliveryID{"one that waits": waitingID, "one that never was": {1}} {
		if err := b.q.Discard(t.Context(), id); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("Discard of %s: %v, want ErrNotFound", name, err)
		}
	}
	for _, id := range []event.DeliveryID{deadID, otherID} {
		if err := b.q.Discard(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		for name, err := range map[string]error{"Discard": b.q.Discard(t.Context(), id), "Redrive": b.q.Redrive(t.Context(), id),
			"Get": func() error { _, _, err := b.q.Get(id); return err }()} {
			if !errors.Is(err, queue.ErrNotFound) {
				t.Errorf("%s of a discarded delivery: %v, want ErrNotFound", name, err)
			}
		}
	}
	b.reopen()
	if s := b.q.Stats(); s.Dead != 0 || s.Retrying != 1 {
		t.Errorf("stats: %+v, want one that waits", s)
	}
	b.none(a)
	b.pass(2 * time.Hour)
	b.q.Ack(b.takeID(c, "two")) // its event is still there
	b.empty()
}
