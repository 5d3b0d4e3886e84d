package series

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func sum(list []int64) (n int64) {
	for _, v := range list {
		n += v
	}
	return n
}

func all(string, string) bool { return true }

func TestStepsHoldWhatWasNew(t *testing.T) {
	s := New()
	now := time.Date(2026, 1, 1, 12, 0, 30, 0, time.UTC)
	at := func(delivered, failed int64, spent time.Duration) {
		s.Sample(now, []Counts{{Webhook: "a", Tenant: "t", Delivered: delivered, Failed: failed, Spent: spent}})
	}
	at(10, 0, time.Second)
	now = now.Add(time.Minute)
	at(10, 5, 2*time.Second)
	now = now.Add(2 * time.Minute)
	at(12, 5, 3*time.Second)
	p := s.Read(now, false, all)
	if len(p.Delivered) != 60 || !slices.Equal(p.Delivered[56:], []int64{10, 0, 0, 2}) || !slices.Equal(p.Failed[56:], []int64{0, 5, 0, 0}) {
		t.Errorf("%v %v", p.Delivered, p.Failed)
	}
	if p.Mean[56] != 100*time.Millisecond || p.Mean[57] != 200*time.Millisecond || p.Mean[58] != 0 {
		t.Errorf("means %v", p.Mean[56:])
	}
	if want := now.Add(-59 * time.Minute).Truncate(time.Minute); !p.Start.Equal(want) {
		t.Errorf("begins at %v, want %v", p.Start, want)
	}
	if d := s.Read(now, true, all); sum(d.Delivered) != 12 || sum(d.Failed) != 5 || d.Delivered[95] != 12 {
		t.Errorf("day: %v", d.Delivered)
	}
	at(3, 0, 0) // forgotten, and back
	if got := sum(s.Read(now, false, all).Delivered); got != 15 {
		t.Errorf("after a counter went down: %d, want 15", got)
	}
	now = now.Add(58 * time.Minute)
	if got := sum(s.Read(now, false, all).Delivered); got != 5 {
		t.Errorf("an hour later: %d, want 5", got)
	}
	now = now.Add(100 * 24 * time.Hour)
	if got := sum(s.Read(now, true, all).Delivered) + sum(s.Read(now, false, all).Delivered); got != 0 {
		t.Errorf("much later: %d", got)
	}
}

func TestManyWebhooksAreBounded(t *testing.T) {
	s := New()
	now := time.Unix(1_000_000, 0)
	for round := int64(1); round <= 2; round++ {
		var counts []Counts
		for i := range mostWebhooks + 100 {
			counts = append(counts, Counts{Webhook: fmt.Sprint(i), Tenant: "t", Delivered: round})
		}
		s.Sample(now, append(counts, Counts{Webhook: "idle", Tenant: "t"}))
	}
	if len(s.all) != mostWebhooks+1 {
		t.Errorf("%d are kept", len(s.all))
	}
	if got := sum(s.Read(now, false, all).Delivered); got != 2*(mostWebhooks+100) {
		t.Errorf("sum %d", got)
	}
	if got := sum(s.Read(now, false, func(id, _ string) bool { return id == "7" }).Delivered); got != 2 {
		t.Errorf("one of them: %d", got)
	}
}
