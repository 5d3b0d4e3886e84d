package badgerq

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// TestManyBlockedKeys: more keys are blocked than are known in memory. The second event of each is held; each goes when its first is done.
func TestManyBlockedKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("twenty thousand keys: not with -short")
	}
	const keys = maxChains + 1000
	opt := testOptions(t.TempDir() + "/queue")
	start := time.UnixMilli(1_700_000_000_000)
	opt.Now = func() time.Time { return start }
	ready := make(chan struct{}, 1)
	opt.Ready = func(event.WebhookID) {
		select {
		case ready <- struct{}{}:
		default:
		}
	}
	q, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { q.Close() }()
	w := hook(0)
	order := &queue.Ordering{Key: func(e *event.Event) (k queue.OrderKey) {
		var n uint64
		fmt.Sscanf(string(e.ID[1:]), "%d", &n)
		binary.BigEndian.PutUint64(k[:], n+1)
		return k
	}}
	d := &queue.Delivery{Order: order}
	lease := func() {
		t.Helper()
		for timeout := time.After(20 * time.Second); !q.Lease(w, d); {
			select {
			case <-ready:
			case <-timeout:
				t.Fatalf("nothing to lease: %+v", q.Stats())
			}
		}
	}
	add := func(kind string, n int) {
		t.Helper()
		done := make(chan error, 64)
		for i := range n {
			if i >= 64 {
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			}
			go func() {
				id := fmt.Sprintf("%s%d", kind, i)
				e := event.Event{ID: []byte(id), Type: []byte("a"), Tenant: []byte("t"), Envelope: []byte(`{"id":"` + id + `"}`)}
				_, err := q.Append(t.Context(), &e, []event.WebhookID{w}, nil)
				done <- err
			}()
		}
		for range min(n, 64) {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
	add("a", keys)
	for range keys {
		lease()
		q.Retry(d, start.Add(time.Hour), queue.Failure{Counted: true})
	}
	add("b", keys)
	add("c", 0)
	e := event.Event{ID: []byte("x99999999"), Type: []byte("a"), Tenant: []byte("t"), Envelope: []byte(`{}`)}
	if _, err := q.Append(t.Context(), &e, []event.WebhookID{w}, nil); err != nil {
		t.Fatal(err)
	}
	lease() // passes all of those that are held
	if string(d.Event.ID) != string(e.ID) {
		t.Fatalf("leased %s", d.Event.ID)
	}
	q.Ack(d)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	start = start.Add(2 * time.Hour)
	if q, err = Open(opt); err != nil {
		t.Fatal(err)
	}
	if s := q.Stats(); s.Held != keys || s.Retrying != keys {
		t.Fatalf("stats: %+v", s)
	}
	if o := q.lanes[w].order; !o.many || len(o.chains) > 0 {
		t.Errorf("%d keys are known in memory", len(o.chains))
	}
	first := map[string]bool{}
	for range 2 * keys {
		lease()
		id := string(d.Event.ID)
		if id[0] == 'b' && !first[id[1:]] {
			t.Fatalf("%s has overtaken", id)
		}
		first[id[1:]] = true
		q.Ack(d)
	}
	if s := q.Stats(); s.Held+s.Retrying+s.Pending != 0 {
		t.Errorf("stats: %+v", s)
	}
}
