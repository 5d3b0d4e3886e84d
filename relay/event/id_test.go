package event

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

func mustUUID(t *testing.T, s string) (u UUID) {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != 16 {
		t.Fatalf("bad UUID %q in the test", s)
	}
	copy(u[:], b)
	return u
}

// The first vector comes from the TypeID world's own tools, the others are the edges of the encoding.
var typeIDs = []struct{ text, uuid string }{
	{"we_01jf2wkmvcfw6ts1qmgzya291c", "0193c5c9-d36c-7f0d-ac86-f487fca1242c"},
	{"we_00000000000000000000000000", "00000000-0000-0000-0000-000000000000"},
	{"we_00000000000000000000000001", "00000000-0000-0000-0000-000000000001"},
	{"we_0000000000000000000000000z", "00000000-0000-0000-0000-00000000001f"},
	{"we_00000000000000000000000010", "00000000-0000-0000-0000-000000000020"},
	{"we_7zzzzzzzzzzzzzzzzzzzzzzzzz", "ffffffff-ffff-ffff-ffff-ffffffffffff"},
	{"we_0123456789abcdefghjkmnpqrs", "0110c853-1d09-52d8-d73e-1194e95b5f19"},
}

func TestTypeIDVectors(t *testing.T) {
	for _, v := range typeIDs {
		u := mustUUID(t, v.uuid)
		if got := string(AppendTypeID(nil, PrefixEvent, u)); got != v.text {
			t.Errorf("%s: written as %s, want %s", v.uuid, got, v.text)
		}
		got, err := ParseTypeID(PrefixEvent, v.text)
		if err != nil || got != u {
			t.Errorf("%s: read as %x, %v; want %s", v.text, got, err, v.uuid)
		}
	}
}

func TestTypeIDRejects(t *testing.T) {
	cases := map[string]string{
		"empty":               "",
		"only the prefix":     "we_",
		"too short":           "we_01jf2wkmvcfw6ts1qmgzya291",
		"too long":            "we_01jf2wkmvcfw6ts1qmgzya291c0",
		"other prefix":        "wh_01jf2wkmvcfw6ts1qmgzya291c",
		"no underscore":       "we-01jf2wkmvcfw6ts1qmgzya291c",
		"capital letters":     "we_01JF2WKMVCFW6TS1QMGZYA291C",
		"letter i":            "we_01jf2wkmvcfw6ts1qmgzya291i",
		"letter l":            "we_01jf2wkmvcfw6ts1qmgzya291l",
		"letter o":            "we_01jf2wkmvcfw6ts1qmgzya291o",
		"letter u":            "we_01jf2wkmvcfw6ts1qmgzya291u",
		"more than 128 bits":  "we_81jf2wkmvcfw6ts1qmgzya291c",
		"beyond ASCII":        "we_01jf2wkmvcfw6ts1qmgzya29ü",
		"the UUID itself":     "we_0193c5c9d36c7f0dac86f487fca1242c",
		"trailing line break": "we_01jf2wkmvcfw6ts1qmgzya291\n",
	}
	for name, s := range cases {
		if u, err := ParseTypeID(PrefixEvent, s); !errors.Is(err, ErrID) {
			t.Errorf("%s: %q gave %x, %v; want ErrID", name, s, u, err)
		}
	}
}

func TestIDsGoUp(t *testing.T) {
	c := clock{used: 1024}
	var last UUID
	// Time stands still, jumps and goes back; more ids per millisecond than the counter has values.
	for i, ms := range []int64{1_700_000_000_000, 1_700_000_000_000, 1_700_000_000_500, 1_600_000_000_000, 1_700_000_000_501} {
		for range 5000 {
			u := c.next(ms)
			if bytes.Compare(u[:], last[:]) <= 0 {
				t.Fatalf("step %d: %x after %x", i, u, last)
			}
			if u[6]>>4 != 7 || u[8]>>6 != 2 {
				t.Fatalf("%x is not a UUIDv7", u)
			}
			last = u
		}
	}
}

func TestIDCarriesItsTime(t *testing.T) {
	c := clock{used: 1024}
	const ms = 1_734_190_158_700
	u := c.next(ms)
	var got int64
	for _, b := range u[:6] {
		got = got<<8 | int64(b)
	}
	if got != ms {
		t.Errorf("time in the id %d, want %d", got, int64(ms))
	}
}

func TestIDsAreUniqueAcrossGoroutines(t *testing.T) {
	const workers, each = 4, 2000
	now := time.Now()
	made := make([][]UUID, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range each {
				made[w] = append(made[w], NewUUID(now))
			}
		})
	}
	wg.Wait()
	seen := map[UUID]bool{}
	for _, us := range made {
		for _, u := range us {
			if seen[u] {
				t.Fatalf("%x twice", u)
			}
			seen[u] = true
		}
	}
}

func TestDerivedIDs(t *testing.T) {
	w := NamedWebhookID("acme", "feed")
	// These two are stored on disk and written down by users: they may never change.
	if got, want := w.String(), "wh_4sgh7668m6hb89ayf3ycpag7eg"; got != want {
		t.Errorf("webhook id %s, want %s", got, want)
	}
	if w != NamedWebhookID("acme", "feed") {
		t.Error("the same name gave another id")
	}
	others := []WebhookID{NamedWebhookID("acme", "feed2"), NamedWebhookID("acm", "efeed"), NamedWebhookID("", "acmefeed")}
	for i, o := range others {
		if o == w {
			t.Errorf("name %d collides", i)
		}
	}
	d := DeliveryIDOf([]byte("acme"), []byte("e1"), w)
	if got, want := d.String(), "dl_75kx78svxjhee9wte31bn7q0v3"; got != want {
		t.Errorf("delivery id %s, want %s", got, want)
	}
	for i, o := range []DeliveryID{DeliveryIDOf([]byte("acme"), []byte("e2"), w), DeliveryIDOf([]byte("acm"), []byte("e1"), w),
		DeliveryIDOf([]byte("acme"), []byte("e1"), others[0]), DeliveryIDOf([]byte("acm"), []byte("ee1"), w)} {
		if o == d {
			t.Errorf("delivery %d collides", i)
		}
	}
	for _, u := range []UUID{UUID(w), UUID(d)} {
		if u[6]>>4 != 8 || u[8]>>6 != 2 {
			t.Errorf("%x is not a UUIDv8", u)
		}
	}
	if got, err := ParseWebhookID(w.String()); err != nil || got != w {
		t.Errorf("ParseWebhookID: %v, %v", got, err)
	}
	if got, err := ParseDeliveryID(d.String()); err != nil || got != d {
		t.Errorf("ParseDeliveryID: %v, %v", got, err)
	}
}

func TestDeliveryIDAllocatesNothing(t *testing.T) {
	tenant, id := bytes.Repeat([]byte("t"), 255), bytes.Repeat([]byte("e"), 255)
	w := NamedWebhookID("acme", "feed")
	if n := testing.AllocsPerRun(100, func() { DeliveryIDOf(tenant, id, w) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func FuzzTypeID(f *testing.F) {
	for _, v := range typeIDs {
		f.Add(v.text)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseTypeID(PrefixEvent, s)
		if err == nil && string(AppendTypeID(nil, PrefixEvent, u)) != s {
			t.Fatalf("%q is read as %x, which is written %q", s, u, AppendTypeID(nil, PrefixEvent, u))
		}
	})
}
