package event

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// sample is the event of the committed fixture; changing it changes nothing on anybody's disk, so do not.
func sample(t testing.TB) (Event, []WebhookID) {
	t.Helper()
	f, err := Parse([]byte(`{"id":"order-17","type":"order.paid","data":{"total":19.90}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	e, _ := BuildEvent(nil, &f, nil, time.UnixMicro(1_734_190_158_700_123))
	e.Tenant, e.Program = []byte("acme"), []byte("summer")
	e.Trace = []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	return e, []WebhookID{NamedWebhookID("acme", "feed"), NamedWebhookID("acme", "crm")}
}

func checkEvent(t *testing.T, got, want *Event) {
	t.Helper()
	g, w := reflect.ValueOf(*got), reflect.ValueOf(*want)
	for i := range g.NumField() {
		if gv, wv := g.Field(i), w.Field(i); gv.Kind() == reflect.Slice && !bytes.Equal(gv.Bytes(), wv.Bytes()) || gv.Kind() == reflect.Int64 && gv.Int() != wv.Int() ||
			gv.Kind() == reflect.Uint8 && gv.Uint() != wv.Uint() {
			t.Errorf("%s = %s, want %s", g.Type().Field(i).Name, gv, wv)
		}
	}
}

func TestRecordRoundTrip(t *testing.T) {
	e, targets := sample(t)
	bare := Event{ID: []byte("i"), Type: []byte("t"), Tenant: []byte("x"), Envelope: []byte("{}")}
	long := bytes.Repeat([]byte("x"), 255)
	longest := Event{ID: long, Type: long, Tenant: long, Program: long, Trace: long, Mark: MarkReplay, Envelope: bytes.Repeat([]byte("y"), 1<<20)}
	longest.Time, longest.Data = longest.Envelope[1<<19:1<<19+64], longest.Envelope[1<<20-5:]
	cases := map[string]struct {
		e       Event
		targets []WebhookID
	}{
		"full": {e, targets}, "bare": {bare, nil}, "longest": {longest, make([]WebhookID, 1000)}, "most targets": {bare, make([]WebhookID, MaxTargets)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			rec := AppendRecord([]byte("before"), &c.e, c.targets)
			rec = append(rec, "behind"...)
			got, ids, rest, err := DecodeRecord(rec[len("before"):])
			if err != nil {
				t.Fatal(err)
			}
			checkEvent(t, &got, &c.e)
			if string(rest) != "behind" {
				t.Errorf("rest = %q", rest)
			}
			if ids.Len() != len(c.targets) {
				t.Fatalf("%d targets, want %d", ids.Len(), len(c.targets))
			}
			for i, w := range c.targets {
				if ids.At(i) != w {
					t.Errorf("target %d = %v, want %v", i, ids.At(i), w)
				}
			}
			// A decoded event must itself be fit for a record: that is how retries are stored.
			again := AppendRecord(nil, &got, c.targets)
			if !bytes.Equal(again, rec[len("before"):len(rec)-len("behind")]) {
				t.Error("a decoded event has another record")
			}
		})
	}
}

func TestClone(t *testing.T) {
	e, _ := sample(t)
	rec := AppendRecord(nil, &e, nil)
	view, _, _, err := DecodeRecord(rec)
	if err != nil {
		t.Fatal(err)
	}
	c := view.Clone()
	clear(rec)
	checkEvent(t, c, &e)
}

func TestRecordDamage(t *testing.T) {
	e, targets := sample(t)
	good := AppendRecord(nil, &e, targets)
	put32 := func(at int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint32(b[at:], v); return b }
	}
	cases := map[string]struct {
		damage func([]byte) []byte
		want   error
	}{
		"empty":                     {func([]byte) []byte { return nil }, ErrRecord},
		"cut in the header":         {func(b []byte) []byte { return b[:recordHeader-1] }, ErrRecord},
		"cut behind the header":     {func(b []byte) []byte { return b[:recordHeader] }, ErrRecord},
		"cut by one byte":           {func(b []byte) []byte { return b[:len(b)-1] }, ErrRecord},
		"length zero":               {put32(0, 0), ErrRecord},
		"length of the header only": {put32(0, recordHeader), ErrRecord},
		"length too large":          {put32(0, 1<<31), ErrRecord},
		"length at its maximum":     {put32(0, 1<<32-1), ErrRecord},
		"too many targets":          {func(b []byte) []byte { b[6], b[7] = 0xff, 0xff; return b }, ErrRecord},
		"time behind the envelope":  {put32(16, uint32(len(e.Envelope))), ErrRecord},
		"time at the maximum":       {put32(16, 1<<32-1), ErrRecord},
		"data behind the envelope":  {put32(20, uint32(len(e.Envelope))), ErrRecord},
		"data too long":             {put32(24, 1<<32-1), ErrRecord},
		"id behind the envelope":    {func(b []byte) []byte { b[28] = 255; return b }, ErrRecord},
		"version 1 without its end": {func(b []byte) []byte { b[4] = 1; return b[:recordHeader] }, ErrRecord},
		"version 0":                 {func(b []byte) []byte { b[4] = 0; return b }, ErrRecordVersion},
		"a later version":           {func(b []byte) []byte { b[4] = RecordVersion + 1; return b }, ErrRecordVersion},
		"a later version, cut":      {func(b []byte) []byte { b[4] = RecordVersion + 1; return b[:recordHeader] }, ErrRecordVersion},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, _, _, err := DecodeRecord(c.damage(bytes.Clone(good)))
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

// TestRecordFixtures reads records that each version wrote. Data directories hold such records: these files may never be made again.
func TestRecordFixtures(t *testing.T) {
	e, targets := sample(t)
	for v := 1; v <= RecordVersion; v++ {
		text, err := os.ReadFile(fmt.Sprintf("testdata/record.v%d.hex", v))
		if err != nil {
			t.Fatal(err)
		}
		rec, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			t.Fatal(err)
		}
		got, ids, rest, err := DecodeRecord(rec)
		if err != nil {
			t.Fatal(err)
		}
		checkEvent(t, &got, &e)
		if len(rest) != 0 || ids.Len() != 2 || ids.At(0) != targets[0] || ids.At(1) != targets[1] {
			t.Errorf("version %d: targets %x, rest %x", v, ids, rest)
		}
		if want := AppendRecord(nil, &e, targets); v == RecordVersion && !bytes.Equal(rec, want) {
			t.Errorf("this program writes another record:\n%s", hex.Dump(want))
		}
	}
}

func TestRecordAllocatesNothing(t *testing.T) {
	e, targets := sample(t)
	buf := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		buf = AppendRecord(buf[:0], &e, targets)
		if _, _, _, err := DecodeRecord(buf); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	e, targets := sample(f)
	f.Add(AppendRecord(nil, &e, targets))
	f.Add(AppendRecord(nil, &Event{}, nil))
	f.Add(make([]byte, recordHeader))
	old := AppendRecord(nil, &Event{ID: []byte("i")}, nil)
	old[4] = 1
	f.Add(append(old, make([]byte, reservedV1)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, targets, rest, err := DecodeRecord(b)
		if err != nil {
			return
		}
		if len(targets)%16 != 0 || len(rest) > len(b) {
			t.Fatalf("%d bytes of targets, %d of %d left", len(targets), len(rest), len(b))
		}
		ids := make([]WebhookID, targets.Len())
		for i := range ids {
			ids[i] = targets.At(i)
		}
		again, _, _, err := DecodeRecord(AppendRecord(nil, &e, ids))
		if err != nil {
			t.Fatalf("the record of a decoded event: %v", err)
		}
		checkEvent(t, &again, &e)
	})
}
