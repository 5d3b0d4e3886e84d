package history

import (
	"context"
	"strings"
	"testing"

	"edgerelay/relay/event"
)

// BenchmarkRecord stores an event of 1 KiB and its attempt, the store's own work included.
func BenchmarkRecord(b *testing.B) {
	r := newRig(b, func(o *Options) { o.plain = false })
	e := r.newEvent("acme", "order-1", "order.paid", `{"pad":"`+strings.Repeat("x", 1000)+`"}`)
	a := r.newAttempt(e, feed, 1, StatusDelivered)
	for range 10 {
		a.AddRequestHeader([]byte("X-Some-Header"), []byte("with a value of some length"))
	}
	rec := r.Recorder()
	targets := []event.WebhookID{feed}
	b.ReportAllocs()
	for i := range b.N {
		rec.Event(e, targets)
		rec.Attempt(a)
		if i%2000 == 1999 {
			if err := r.Flush(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := r.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
	if s := r.Stats(); s.Dropped > 0 {
		b.Fatalf("%d dropped", s.Dropped)
	}
}
