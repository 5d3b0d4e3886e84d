package history

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"

	"edgerelay/relay/event"
)

// sampleChunk is the block of the committed fixture: an event and two attempts.
func sampleChunk(t testing.TB) *chunk {
	t.Helper()
	f, err := event.Parse([]byte(`{"id":"order-17","type":"order.paid","time":"2026-11-24T12:00:00Z","data":{"total":19.90}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	e, _ := event.BuildEvent(nil, &f, nil, time.UnixMicro(1_795_521_600_000_000))
	e.Tenant, e.Program, e.Trace = []byte("acme"), []byte("summer"), []byte("00-abc-def-01")
	c := &chunk{}
	c.appendEvent(7, &e, []event.WebhookID{feed, crm}, 1<<10)
	a := &Attempt{Delivery: event.DeliveryIDOf(e.Tenant, e.ID, feed), Webhook: feed, WebhookName: "feed", Event: &e, EventID: e.ID, Type: e.Type, Tenant: e.Tenant,
		Program: e.Program, Number: 1, Start: time.UnixMicro(1_795_521_600_100_000), Status: StatusRetrying, Reason: "status", HTTPStatus: 500, Detail: "the receiver answered 500",
		Next: time.UnixMilli(1_795_521_605_000), Method: []byte("POST"), URL: []byte("https://receiver.example/in"), Remote: []byte("192.0.2.1:443"),
		RequestHeaders: []Header{{[]byte("webhook-id"), e.ID}}, RequestBody: []byte("<order/>"), RequestSize: 8, ResponseHeaders: []Header{{[]byte("Server"), []byte("x")}},
		ResponseBody: []byte("sorry"), ResponseSize: 5, Timings: Timings{DNS: 1000, Connect: 2000, TLS: 3000, FirstByte: 4000, Total: 5000}, TransformLog: []byte("info hello\n")}
	c.appendAttempt(8, a, false, 1<<10)
	a.Status, a.Number, a.Mark, a.SameAsEvent, a.Next = StatusDelivered, 2, event.MarkReplay, true, time.Time{}
	c.appendAttempt(9, a, false, 1<<10)
	return c
}

// TestFixture holds the format: what was written by the first version must be read for ever.
func TestFixture(t *testing.T) {
	const name = "testdata/block.hex"
	c := sampleChunk(t)
	text := hex.EncodeToString(c.meta) + "\n" + hex.EncodeToString(c.body) + "\n"
	if os.Getenv("UPDATE_FIXTURE") != "" {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	metaHex, bodyHex, _ := strings.Cut(strings.TrimSpace(string(kept)), "\n")
	meta, err := hex.DecodeString(metaHex)
	if err != nil {
		t.Fatal(err)
	}
	body, err := hex.DecodeString(bodyHex)
	if err != nil {
		t.Fatal(err)
	}
	if string(kept) != text {
		t.Error("today's program writes another format: give it a new version, and read the old one")
	}
	var seqs []uint64
	err = eachRecord(meta, func(r rec) error {
		seqs = append(seqs, r.seq())
		if r.kind() == kindEvent {
			e, err := decodeEvent(r, body)
			if err == nil {
				_, err = e.Whole()
				want(t, "event", []any{e.ID, e.Type, e.Tenant, e.Program, e.Trace, e.Webhooks}, []any{"order-17", "order.paid", "acme", "summer", "00-abc-def-01", []event.WebhookID{feed, crm}})
			}
			return err
		}
		a, err := decodeAttempt(r, body)
		if err == nil && a.Number == 1 {
			want(t, "attempt", []any{a.Status, a.Reason, a.HTTPStatus, a.Detail, string(a.RequestBody), string(a.ResponseBody), a.Timings}, []any{StatusRetrying, "status", 500, "the receiver answered 500", "<order/>", "sorry", Timings{1000, 2000, 3000, 4000, 5000}})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "records", seqs, []uint64{7, 8, 9})
}

// FuzzBlock reads blocks that nobody wrote: whatever the disk holds is an error at most.
func FuzzBlock(f *testing.F) {
	c := sampleChunk(f)
	f.Add(c.meta, c.body)
	f.Add(c.meta[:len(c.meta)-1], c.body)
	f.Add(c.meta, c.body[:10])
	f.Fuzz(func(t *testing.T, meta, body []byte) {
		meta = bytes.Clone(meta)
		_, _, _ = summarize(meta, newNameCache(), nil)
		_ = eachRecord(meta, func(r rec) error {
			_, _ = decodeEvent(r, body)
			if a, err := decodeAttempt(r, body); err == nil {
				_ = a.Clone()
			}
			_ = r.text(textLog)
			_ = (&chunk{}).appendCopy(r, body)
			return nil
		})
		if n, err := s2.DecodedLen(meta[min(1, len(meta)):]); err != nil || n < 1<<20 { // what is larger is only slow
			_, _ = unpack(meta)
		}
		var b block
		_ = b.decode(make([]byte, 9), meta)
	})
}

// FuzzRedact redacts anything: it ends, and the secret is gone from where a rule points.
func FuzzRedact(f *testing.F) {
	f.Add([]byte(`{"data":{"card":{"number":"4111111111111111"}}}`))
	f.Add([]byte(`{"data":{"card":[{"number":12345},{"number":{"a":[1,2]}}]}`))
	f.Add([]byte(`{"d\u0061ta":{"card":{"n\u0075mber":"\"x\\"`))
	r, err := newRedactor([]string{"data.card.number", "data.*.pin"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		x := &redaction{}
		r.find(x, text)
		out := x.apply(nil, text)
		for _, s := range x.spans {
			if s.from > s.to || s.to > len(text) {
				t.Fatalf("span %v of %d bytes", s, len(text))
			}
		}
		if len(x.spans) == 0 && !bytes.Equal(out, text) {
			t.Error("changed without a reason")
		}
	})
}
