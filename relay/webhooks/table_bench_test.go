package webhooks

import (
	"fmt"
	"testing"

	"edgerelay/relay/event"
)

// shapes are the ways in which many webhooks may have nothing to do with an event. make returns n of them; one matches probe.
var shapes = []struct {
	name  string
	make  func(i int) *Webhook
	probe event.Event
}{
	{"types", func(i int) *Webhook { return hook(fmt.Sprint(i), fmt.Sprintf("order.%05d", i)) },
		event.Event{Type: []byte("order.00003"), Tenant: []byte("acme")}},
	{"prefixes", func(i int) *Webhook { return hook(fmt.Sprint(i), fmt.Sprintf("order%05d.*", i)) },
		event.Event{Type: []byte("order00003.paid"), Tenant: []byte("acme")}},
	{"suffixes", func(i int) *Webhook { return hook(fmt.Sprint(i), fmt.Sprintf("*.paid%05d", i)) },
		event.Event{Type: []byte("order.paid00003"), Tenant: []byte("acme")}},
	{"programs", func(i int) *Webhook {
		return with(hook(fmt.Sprint(i), "order.paid"), func(w *Webhook) { w.Program = fmt.Sprintf("p%05d", i) })
	}, event.Event{Type: []byte("order.paid"), Tenant: []byte("acme"), Program: []byte("p00003")}},
	{"tenants", func(i int) *Webhook {
		return with(hook(fmt.Sprint(i), "order.paid"), func(w *Webhook) { w.Tenant = fmt.Sprintf("t%05d", i) })
	}, event.Event{Type: []byte("order.paid"), Tenant: []byte("t00003")}},
}

func shaped(t testing.TB, n int, make1 func(int) *Webhook) *Table {
	ws := make([]*Webhook, n)
	for i := range ws {
		ws[i] = make1(i)
	}
	return table(t, ws...)
}

func TestMatchAllocatesNothing(t *testing.T) {
	for _, s := range shapes {
		tab := shaped(t, 1000, s.make)
		dst := make([]event.WebhookID, 0, 8)
		if n := testing.AllocsPerRun(100, func() { dst = tab.Match(dst[:0], &s.probe, nil) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", s.name, n)
		}
		if len(dst) != 1 {
			t.Errorf("%s: %d matches, want 1", s.name, len(dst))
		}
	}
}

// TestMatchLooksOnlyAtCandidates keeps the promise of the index without a clock: the lists found do not grow with the table.
func TestMatchLooksOnlyAtCandidates(t *testing.T) {
	for _, s := range shapes {
		tab := shaped(t, 10_000, s.make)
		own, entries := tab.tenants[string(s.probe.Tenant)], 0
		lists := own.global.find(nil, s.probe.Type)
		if p := own.programs[string(s.probe.Program)]; p != nil {
			lists = p.find(lists, s.probe.Type)
		}
		for _, l := range lists {
			entries += len(l)
		}
		if entries != 1 {
			t.Errorf("%s: %d entries to look at among 10,000, want 1", s.name, entries)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, s := range shapes {
		for _, n := range []int{10, 10_000} {
			b.Run(fmt.Sprintf("%s/webhooks=%d", s.name, n), func(b *testing.B) {
				tab := shaped(b, n, s.make)
				dst := make([]event.WebhookID, 0, 8)
				b.ReportAllocs()
				for b.Loop() {
					if dst = tab.Match(dst[:0], &s.probe, nil); len(dst) != 1 {
						b.Fatal("no match")
					}
				}
			})
		}
	}
}
