package queuetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

var durations = []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, time.Minute, 2 * time.Minute, time.Hour}

func without(all []string, one string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == one })
}

func testRetry(t *testing.T, open Open) {
	b := newBed(t, open)
	w := webhook("a")
	want := ids("e", len(durations))
	for _, i := range []int{5, 0, 3, 1, 4, 2} {
		b.append(want[i], w)
		b.q.Retry(b.takeID(w, want[i]), b.now().Add(durations[i]), failure(b.now(), true))
	}
	start := b.now()
	for i, id := range want {
		b.pass(start.Add(durations[i]).Sub(b.now()) - time.Millisecond)
		b.none(w)
		if i == 3 {
			b.reopen()
			b.none(w)
		}
		b.pass(time.Millisecond)
		b.q.Ack(b.takeID(w, id))
	}
	b.empty()
}

func testAttempts(t *testing.T, open Open) {
	b := newBed(t, open)
	w := webhook("a")
	b.append("one", w)
	first := b.now().UnixMilli()
	want := 0
	for i := range 8 {
		d := b.takeID(w, "one")
		wantFirst := first
		if i == 0 {
			wantFirst = 0
		}
		if d.Attempts != want || d.First != wantFirst {
			t.Fatalf("lease %d: attempts %d, first %d; want %d, %d", i, d.Attempts, d.First, want, wantFirst)
		}
		counted := i%2 == 0
		b.q.Retry(d, b.now().Add(time.Second), failure(b.now(), counted))
		if counted {
			want++
		}
		if i%3 == 2 {
			b.reopen()
		}
		b.pass(time.Second)
	}
	b.drain(w, "one")
	b.empty()
}

func testTurns(t *testing.T, open Open) {
	b := newBed(t, open)
	w := webhook("a")
	const n = 200
	for _, id := range ids("retry", n) {
		b.append(id, w)
		b.q.Retry(b.takeID(w, id), b.now().Add(time.Second), failure(b.now(), true))
	}
	b.pass(time.Second)
	b.q.Ack(b.takeID(w, "retry-00000")) // the due ones are at hand from now on
	for _, id := range ids("fresh", n) {
		b.append(id, w)
	}
	kinds := map[byte]int{}
	for i := range 2*n - 1 {
		d := b.take(w)
		kinds[d.Event.ID[0]]++
		b.q.Ack(d)
		if i == n/2 && (kinds['r'] == 0 || kinds['f'] == 0) {
			t.Errorf("the first %d leases are %d retries and %d fresh events: one kind starves", i+1, kinds['r'], kinds['f'])
		}
	}
	b.empty()
}

func testDead(t *testing.T, open Open) {
	b := newBed(t, open)
	w := webhook("a")
	b.append("one", w)
	d := b.takeID(w, "one")
	id, want := d.ID(), d.Event.Clone()
	at := b.now()
	b.q.Retry(d, at, failure(at, true))
	d = b.takeID(w, "one")
	b.q.Bury(d, queue.Failure{Reason: queue.ReasonTimeout, Detail: "no answer", At: at.UnixMilli() + 5, Counted: true})
	for range 2 {
		b.none(w)
		info, e, err := b.q.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		if err := same(want, e); err != nil {
			t.Error(err)
		}
		expect := queue.Info{ID: id, Webhook: w, EventID: "one", Type: "order.paid", Tenant: "default", Program: "summer", State: queue.StateDead,
			Attempts: 2, Accepted: want.Accepted, First: at.UnixMilli(), Due: info.Due,
			Last: queue.Failure{Reason: queue.ReasonTimeout, Detail: "no answer", At: at.UnixMilli() + 5, Counted: info.Last.Counted}}
		if info != expect {
			t.Errorf("Get = %+v\nwant %+v", info, expect)
		}
		l, next, err := b.q.List(queue.Filter{}, "", 10)
		if err != nil || next != "" || len(l) != 1 || l[0] != info {
			t.Errorf("List = %+v, %q, %v", l, next, err)
		}
		if s := b.q.Stats(); s.Dead != 1 || s.Retrying != 0 {
			t.Errorf("stats: %+v", s)
		}
		b.reopen()
	}
	if err := b.q.Redrive(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	d = b.takeID(w, "one")
	if d.Attempts != 0 || d.First != at.UnixMilli() {
		t.Errorf("redriven: attempts %d, first %d; want 0, %d", d.Attempts, d.First, at.UnixMilli())
	}
	if err := b.q.Redrive(t.Context(), id); !errors.Is(err, queue.ErrBusy) {
		t.Errorf("Redrive of a leased delivery: %v, want ErrBusy", err)
	}
	b.q.Ack(d)
	b.none(w)
	b.reopen()
	for name, err := range map[string]error{"Redrive": b.q.Redrive(t.Context(), id), "Redrive of another": b.q.Redrive(t.Context(), event.DeliveryID{1}),
		"Get": func() error { _, _, err := b.q.Get(id); return err }()} {
		if !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("%s of a settled delivery: %v, want ErrNotFound", name, err)
		}
	}
	b.empty()
}

func testRedriveWaiting(t *testing.T, open Open) {
	b := newBed(t, open)
	w := webhook("a")
	b.append("one", w)
	d := b.takeID(w, "one")
	id := d.ID()
	b.q.Retry(d, b.now().Add(time.Hour), failure(b.now(), true))
	b.reopen()
	if info, _, err := b.q.Get(id); err != nil || info.State != queue.StateRetrying || info.Due != b.now().Add(time.Hour).UnixMilli() || info.Attempts != 1 {
		t.Fatalf("Get = %+v, %v", info, err)
	}
	for range 2 { // the second finds one that is due, and perhaps in memory
		if err := b.q.Redrive(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	d = b.takeID(w, "one")
	if d.Attempts != 0 {
		t.Errorf("attempts %d after Redrive", d.Attempts)
	}
	b.q.Ack(d)
	b.pass(2 * time.Hour)
	b.none(w)
	b.empty()
}

func testList(t *testing.T, open Open) {
	b := newBed(t, open)
	a, c := webhook("a"), webhook("c")
	want := ids("e", 30)
	for i, id := range want {
		e := build(id, fmt.Sprintf("tenant-%d", i%3), 10)
		if _, err := b.q.Append(t.Context(), &e, []event.WebhookID{a, c}, nil); err != nil {
			t.Fatal(err)
		}
		b.q.Retry(b.takeID(a, id), b.now().Add(time.Hour), failure(b.now(), true))
		b.q.Bury(b.takeID(c, id), failure(b.now(), true))
	}
	b.reopen()
	for name, c := range map[string]struct {
		f    queue.Filter
		want int
		keep func(queue.Info) bool
	}{
		"all":      {queue.Filter{}, 60, func(queue.Info) bool { return true }},
		"dead":     {queue.Filter{State: queue.StateDead}, 30, func(i queue.Info) bool { return i.State == queue.StateDead && i.Webhook == c }},
		"retrying": {queue.Filter{State: queue.StateRetrying}, 30, func(i queue.Info) bool { return i.State == queue.StateRetrying && i.Webhook == a }},
		"webhook":  {queue.Filter{Webhook: a}, 30, func(i queue.Info) bool { return i.Webhook == a }},
		"tenant":   {queue.Filter{Tenants: []string{"tenant-1", "x"}}, 20, func(i queue.Info) bool { return i.Tenant == "tenant-1" }},
		"tenants":  {queue.Filter{Tenants: []string{"tenant-1", "tenant-2"}}, 40, func(i queue.Info) bool { return i.Tenant != "tenant-0" }},
		"none":     {queue.Filter{Tenants: []string{}}, 0, nil},
		"event":    {queue.Filter{Event: "e-00007"}, 2, func(i queue.Info) bool { return i.EventID == "e-00007" }},
		"both":     {queue.Filter{Event: "e-00007", Webhook: a}, 1, func(i queue.Info) bool { return i.EventID == "e-00007" && i.Webhook == a }},
	} {
		for _, limit := range []int{1, 7, 100} {
			var got []queue.Info
			cursor := ""
			for pages := 0; ; pages++ {
				l, next, err := b.q.List(c.f, cursor, limit)
				if err != nil || len(l) > limit || pages > 100 {
					t.Fatalf("%s: page %d: %d entries, %v", name, pages, len(l), err)
				}
				got = append(got, l...)
				if cursor = next; next == "" {
					break
				}
			}
			seen := map[event.DeliveryID]bool{}
			for i, info := range got {
				if !c.keep(info) || seen[info.ID] || i > 0 && info.EventID > got[i-1].EventID {
					t.Errorf("%s, pages of %d: entry %d is %+v", name, limit, i, info)
				}
				seen[info.ID] = true
			}
			if len(got) != c.want {
				t.Errorf("%s, pages of %d: %d entries, want %d", name, limit, len(got), c.want)
			}
		}
	}
	if _, _, err := b.q.List(queue.Filter{}, "nonsense", 10); !errors.Is(err, queue.ErrCursor) {
		t.Errorf("List with a foreign cursor: %v, want ErrCursor", err)
	}
}
