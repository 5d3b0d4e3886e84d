package history

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"edgerelay/relay/event"
)

var (
	manyAttempts = flag.Int("history.attempts", 30_000, "how many attempts TestManyAttempts stores; from a million on, its times are checked")
	soakFactor   = flag.Int("history.soak", 2, "how many times max_bytes TestSoak sends through")
)

// TestManyAttempts stores a million attempts when it is told to, spread over ten hours, and looks for some of them.
func TestManyAttempts(t *testing.T) {
	n := *manyAttempts
	if testing.Short() {
		n = min(n, 5000)
	}
	r := newRig(t, func(o *Options) { o.plain = false })
	step := 10 * time.Hour / time.Duration(n)
	padding := strings.Repeat("p", 400)
	rec := r.Recorder()
	begin := time.Now()
	for i := range n {
		w, status := feed, StatusDelivered
		if i%10 == 0 {
			w = crm
		}
		if i%100 == 0 {
			status = StatusDead
		}
		e := r.newEvent("acme", fmt.Sprintf("e%07d", i), "order.paid", fmt.Sprintf(`{"number":%d,"padding":%q}`, i, padding))
		rec.Event(e, []event.WebhookID{w})
		rec.Attempt(r.newAttempt(e, w, 1, status))
		r.clock.add(step)
		if i%4000 == 3999 {
			if err := r.Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := r.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	s := r.Stats()
	want(t, "stored and dropped", []int64{s.Stored, s.Dropped}, []int64{2 * int64(n), 0})
	t.Logf("%d attempts and events stored in %v, %d slices, %d MiB", n, time.Since(begin).Round(time.Millisecond), s.Slices, diskUse(r.opt.Dir)>>20)

	const rounds = 100
	measure := func(what string, most time.Duration, fn func(i int)) {
		took := make([]time.Duration, rounds)
		for i := range took {
			at := time.Now()
			fn(i)
			took[i] = time.Since(at)
		}
		slices.Sort(took)
		t.Logf("%s: median %v, 99th %v, longest %v", what, took[rounds/2], took[rounds*99/100], took[rounds-1])
		if *manyAttempts >= 1_000_000 && took[rounds/2] > most {
			t.Errorf("%s: median %v, more than %v", what, took[rounds/2], most)
		}
	}
	ctx := context.Background()
	measure("search by id", 10*time.Millisecond, func(i int) {
		id := fmt.Sprintf("e%07d", (i*7919*31)%n)
		j, err := r.Journey(ctx, []string{"acme"}, id)
		if err != nil || j.Event == nil || j.Event.ID != id || len(j.Attempts) != 1 {
			t.Fatalf("%s: %+v, %v", id, j, err)
		}
	})
	measure("an id that nobody has", 10*time.Millisecond, func(i int) {
		if j, err := r.Journey(ctx, nil, fmt.Sprintf("x%d", i)); err != nil || j.Event != nil {
			t.Fatalf("%+v, %v", j, err)
		}
	})
	measure("newest page", 20*time.Millisecond, func(int) {
		p, err := r.Attempts(ctx, Query{Limit: 50}, false)
		if err != nil || len(p.Items) != 50 || string(p.Items[0].EventID) != fmt.Sprintf("e%07d", n-1) {
			t.Fatalf("%d, %v", len(p.Items), err)
		}
	})
	measure("newest page of the failed attempts of a webhook", 20*time.Millisecond, func(int) {
		p, err := r.Attempts(ctx, Query{Limit: 50, Webhook: crm, Statuses: []Status{StatusDead}, Tenants: []string{"acme"}}, false)
		if err != nil || len(p.Items) != 50 {
			t.Fatalf("%d, %v", len(p.Items), err)
		}
	})
	hour := Query{Limit: 50, From: r.clock.Now().Add(-5 * time.Hour), To: r.clock.Now().Add(-4 * time.Hour)}
	at := time.Now()
	hour.Text = fmt.Sprintf(`"number":%d,`, n/2+n/20)
	p, err := r.Events(ctx, hour, false)
	if err != nil || len(p.Items) != 1 {
		t.Fatalf("text search: %d, %v", len(p.Items), err)
	}
	t.Logf("text search of one hour, one match: %v", time.Since(at))
	at = time.Now()
	hour.Text, hour.Budget = "nobody has this", 2*time.Second
	if p, err = r.Events(ctx, hour, false); err != nil || len(p.Items) != 0 {
		t.Fatalf("text search: %d, %v", len(p.Items), err)
	}
	t.Logf("text search of one hour, no match: %v, got to the end: %v", time.Since(at), p.Reached.IsZero())
	all := Query{Limit: 50, Text: "nobody has this", Budget: time.Nanosecond}
	calls := 0
	for {
		p, err := r.Events(ctx, all, false)
		if err != nil || len(p.Items) > 0 {
			t.Fatalf("bounded search: %+v, %v", p, err)
		}
		if calls++; p.Next == 0 || calls == 1000 {
			break
		}
		all.Before = p.Next
	}
	if calls < 2 {
		t.Error("a search without time went through everything at once")
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := r.Events(cancelled, Query{Limit: 1, Text: "nobody has this"}, false); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled search: %v", err)
	}
}

// TestSoak sends several times what may be kept through the history: the disk stays within its bound, what is newest is there, and failures
// outlive successes.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("writes many MiB")
	}
	const bound = 64 << 20
	r := newRig(t, func(o *Options) { o.MaxBytes, o.MaxBodyBytes = bound, bound/2 })
	body := strings.Repeat("b", 8<<10)
	sent, most, i := int64(0), int64(0), 0
	rec := r.Recorder()
	for ; sent < int64(*soakFactor)*bound; i++ {
		status := StatusDelivered
		if i%50 == 0 {
			status = StatusDead
		}
		e := r.newEvent("acme", fmt.Sprintf("e%07d", i), "order.paid", fmt.Sprintf(`{"body":%q}`, body))
		rec.Event(e, []event.WebhookID{feed})
		rec.Attempt(r.newAttempt(e, feed, 1, status))
		sent += int64(len(e.Envelope)) + 400
		r.clock.add(10 * time.Millisecond)
		if i%64 == 63 {
			if err := r.Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
			most = max(most, diskUse(r.opt.Dir))
		}
	}
	if err := errors.Join(r.Flush(context.Background()), r.Retain()); err != nil {
		t.Fatal(err)
	}
	s := r.Stats()
	t.Logf("%d MiB through a bound of %d: at most %d on the disk, %d in the end, %d slices, %d dropped", sent>>20, bound>>20, most>>20, diskUse(r.opt.Dir)>>20, s.Slices, s.Dropped)
	if most > bound {
		t.Errorf("the disk went up to %d MiB, bound %d", most>>20, bound>>20)
	}
	if s.Dropped > 0 {
		t.Errorf("%d records were left out", s.Dropped)
	}
	got := r.events(Query{Limit: 3})
	want(t, "newest", got, []string{fmt.Sprintf("e%07d", i-1), fmt.Sprintf("e%07d", i-2), fmt.Sprintf("e%07d", i-3)})
	ok, dead := r.attempts(Query{Statuses: []Status{StatusDelivered}, Oldest: true, Limit: 1}), r.attempts(Query{Statuses: []Status{StatusDead}, Oldest: true, Limit: 1})
	if len(ok) == 0 || len(dead) == 0 || !dead[0].Start.Before(ok[0].Start) {
		t.Errorf("the oldest failure %v is not older than the oldest success %v", dead, ok)
	}
	base := diskUse(r.opt.Dir)
	r.clock.add(r.opt.Retention + r.opt.FailedRetention + 40*24*time.Hour)
	rec.Event(r.newEvent("acme", "last", "x", `{}`), nil)
	if err := errors.Join(r.Flush(context.Background()), r.Retain()); err != nil {
		t.Fatal(err)
	}
	if left := diskUse(r.opt.Dir); left > base/10 {
		t.Errorf("after everything has expired %d KiB are left of %d", left>>10, base>>10)
	}
}
