package queuetest

import (
	"errors"
	"sync"
	"testing"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

func key(b byte) *queue.Dedup {
	return &queue.Dedup{Key: [16]byte{b}, Fingerprint: [16]byte{b, 1}}
}

func (b *bed) appendOnce(id string, d *queue.Dedup, w event.WebhookID) (queue.Receipt, error) {
	e := build(id, "default", 100)
	return b.q.Append(b.t.Context(), &e, []event.WebhookID{w}, d)
}

func testDedup(t *testing.T, open Open) {
	b := newBed(t, open)
	w := webhook("a")
	for i, id := range []string{"first", "second", "third"} {
		r, err := b.appendOnce(id, key(1), w)
		if err != nil || r.Replayed != (i > 0) || string(r.ID) != "first" {
			t.Errorf("Append %d with one key = %+v, %v", i, r, err)
		}
	}
	other := key(1)
	other.Fingerprint[0]++
	if _, err := b.appendOnce("changed", other, w); !errors.Is(err, queue.ErrMismatch) {
		t.Errorf("same key, other fingerprint: %v, want ErrMismatch", err)
	}
	if r, err := b.appendOnce("another", key(2), w); err != nil || r.Replayed {
		t.Errorf("another key = %+v, %v", r, err)
	}
	b.drain(w, "first", "another")
	if r, err := b.appendOnce("fourth", key(1), w); err != nil || !r.Replayed || string(r.ID) != "first" {
		t.Errorf("after its delivery = %+v, %v", r, err)
	}
	b.none(w)
	b.empty()
}

func testDedupConcurrent(t *testing.T, open Open) {
	b := newBed(t, open)
	w := webhook("a")
	const keys, each = 20, 16
	var mu sync.Mutex
	first := map[int]string{}
	stored := map[int]int{}
	var done sync.WaitGroup
	for i := range keys * each {
		done.Go(func() {
			k := i % keys
			r, err := b.appendOnce(ids("e", keys*each)[i], key(byte(k)), w)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("key %d: %v", k, err)
			}
			if !r.Replayed {
				stored[k]++
			}
			if first[k] == "" {
				first[k] = string(r.ID)
			}
			if first[k] != string(r.ID) {
				t.Errorf("key %d was answered with %s and %s", k, first[k], r.ID)
			}
		})
	}
	done.Wait()
	var want []string
	for k := range keys {
		if stored[k] != 1 {
			t.Errorf("key %d was stored %d times", k, stored[k])
		}
		want = append(want, first[k])
	}
	b.drain(w, want...)
	b.empty()
}

func testDedupReopen(t *testing.T, open Open) {
	b := newBed(t, open)
	w := webhook("a")
	if _, err := b.appendOnce("first", key(1), w); err != nil {
		t.Fatal(err)
	}
	b.drain(w, "first")
	b.reopen()
	if r, err := b.appendOnce("second", key(1), w); err != nil || !r.Replayed || string(r.ID) != "first" {
		t.Errorf("after reopening = %+v, %v", r, err)
	}
	b.empty()
}
