package badgerq

import (
	"errors"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// TestQuota: what a tenant has waiting is bounded, once for each webhook, and counted again after a restart; others are not concerned.
func TestQuota(t *testing.T) {
	dir := t.TempDir() + "/queue"
	open := func() *Queue {
		opt := testOptions(dir)
		opt.Quotas = map[string]int64{"small": 1000}
		q, err := Open(opt)
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	q := open()
	defer func() { q.Close() }()
	add := func(tenant, id string, targets ...event.WebhookID) error {
		env := []byte(`{"id":"` + id + `","type":"a","time":"2026-01-02T03:04:05Z","data":1}`)
		env = append(env, make([]byte, 300-len(env))...)
		e := event.Event{ID: []byte(id), Type: []byte("a"), Tenant: []byte(tenant), Envelope: env}
		_, err := q.Append(t.Context(), &e, targets, nil)
		return err
	}
	a, b := hook(0), hook(1)
	if err := add("small", "1", a, b); err != nil { // 600
		t.Fatal(err)
	}
	if err := add("small", "2", a); err != nil { // 900
		t.Fatal(err)
	}
	refused := func() {
		t.Helper()
		if err := add("small", "x", a); !errors.Is(err, queue.ErrQuota) {
			t.Fatalf("over the quota: %v", err)
		}
		if err := add("other", "y", hook(2)); err != nil {
			t.Fatalf("of another tenant: %v", err)
		}
		if err := add("small", "z"); err != nil {
			t.Fatalf("that goes nowhere: %v", err)
		}
	}
	refused()
	lease := func(w event.WebhookID) *queue.Delivery {
		d := &queue.Delivery{}
		for end := time.Now().Add(10 * time.Second); !q.Lease(w, d); {
			if time.Now().After(end) {
				t.Fatal("nothing to lease")
			}
		}
		return d
	}
	q.Retry(lease(a), time.Now().Add(time.Hour), queue.Failure{}) // it still waits
	refused()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = open()
	refused()
	q.Ack(lease(a)) // 600
	d := lease(b)
	id := d.ID()
	q.Bury(d, queue.Failure{}) // 300: the dead do not count,
	if err := add("small", "3", a, b); err != nil {
		t.Fatal(err)
	}
	refused()
	if err := q.Redrive(t.Context(), id); err != nil { // until they are sent again
		t.Fatal(err)
	}
	if used := q.quotaOf([]byte("small")).used.Load(); used != 1200 {
		t.Errorf("%d bytes are counted, want 1200", used)
	}
	q.SetQuotas(map[string]int64{"small": 5000})
	if err := add("small", "4", a); err != nil {
		t.Error(err)
	}
	q.SetQuotas(nil)
	if err := add("small", "5", a); err != nil {
		t.Error(err)
	}
}
