package bench

import (
	"slices"
	"testing"
)

func TestLedger(t *testing.T) {
	promised := make(Ledger, 3)
	for n := range uint32(1000) {
		if !promised[0].add(n) {
			t.Fatalf("%d was there already", n)
		}
	}
	promised[2].add(63)
	promised[2].add(64)
	promised[2].add(1 << 20)
	if promised[2].add(64) {
		t.Error("64 is new a second time")
	}
	if n := promised.Count(); n != 1003 {
		t.Errorf("%d events, want 1003", n)
	}
	if n := promised.Without(nil); n != 1003 {
		t.Errorf("without nothing %d", n)
	}
	if n := promised.Without(promised); n != 0 {
		t.Errorf("without itself %d", n)
	}
	got := make(Ledger, 5) // more streams than the other one, and shorter bitmaps
	for n := range uint32(1000) {
		if n != 0 && n != 777 {
			got[0].add(n)
		}
	}
	got[2].add(63)
	got[4].add(1)
	if n := promised.Without(got); n != 4 {
		t.Errorf("%d are missing, want 4", n)
	}
	if n := got.Without(promised); n != 1 {
		t.Errorf("%d too many, want 1", n)
	}
	if first := promised.First(got, 3); !slices.Equal(first, [][2]uint32{{0, 0}, {0, 777}, {2, 64}}) {
		t.Errorf("the first missing ones: %v", first)
	}
}
