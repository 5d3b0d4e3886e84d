package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"edgerelay/bench"
)

func TestDemoLedger(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	ok := func(hook, id string) bench.Delivery {
		return bench.Delivery{Hook: hook, ID: id, At: at.Add(time.Millisecond), Status: 200}
	}
	down := func(hook, id string) bench.Delivery { d := ok(hook, id); d.Status = 503; return d }
	for _, tt := range []struct {
		name string
		play func(l *ledger)
		want demoResult // but for the times
	}{
		{"everything arrives", func(l *ledger) {
			l.sending("a", toWarehouse|toPartner, at)
			l.received(ok("warehouse", "a")) // before the 202
			l.sent("a", time.Millisecond, nil)
			l.received(ok("partner", "a"))
		}, demoResult{Accepted: 1, Deliveries: 2, Verified: 2}},
		{"a delivery is missing", func(l *ledger) {
			l.sending("a", toWarehouse|toPartner, at)
			l.sent("a", time.Millisecond, nil)
			l.received(ok("partner", "a"))
		}, demoResult{Accepted: 1, Deliveries: 1, Verified: 1, Lost: 1}},
		{"a failed attempt and its retry", func(l *ledger) {
			l.sending("a", toPartner, at)
			l.sent("a", time.Millisecond, nil)
			l.received(down("partner", "a"))
			l.received(down("partner", "a"))
			l.received(ok("partner", "a"))
		}, demoResult{Accepted: 1, Deliveries: 1, Retries: 2, Verified: 3}},
		{"a refused event is not the relay's", func(l *ledger) {
			l.sending("a", toPartner, at)
			l.sent("a", time.Millisecond, errors.New("503"))
		}, demoResult{Refused: 1}},
		{"a bad signature is no arrival", func(l *ledger) {
			l.sending("a", toPartner, at)
			l.sent("a", time.Millisecond, nil)
			d := ok("partner", "a")
			d.BadSign, d.Status = errors.New("no match"), 401
			l.received(d)
		}, demoResult{Accepted: 1, BadSignatures: 1, Lost: 1}},
		{"a duplicate", func(l *ledger) {
			l.sending("a", toPartner, at)
			l.sent("a", time.Millisecond, nil)
			l.received(ok("partner", "a"))
			d := ok("partner", "a")
			d.Repeated = true
			l.received(d)
		}, demoResult{Accepted: 1, Deliveries: 1, Verified: 2, Duplicates: 1}},
		{"at the wrong receiver, and of somebody else's event", func(l *ledger) {
			l.sending("a", toPartner, at)
			l.sent("a", time.Millisecond, nil)
			l.received(ok("warehouse", "a"))
			l.received(ok("warehouse", "curl"))
		}, demoResult{Accepted: 1, Verified: 2, Foreign: 2, Lost: 1}},
	} {
		l := newLedger()
		tt.play(l)
		got := l.result(0)
		got.Accept, got.EndToEnd = percentiles{}, percentiles{}
		if got != tt.want || l.complete() != (tt.want.Lost == 0) {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.name, got, tt.want)
		}
		if tt.want.Lost == 0 && len(l.open) != 0 {
			t.Errorf("%s: %d events are kept although nothing is missing", tt.name, len(l.open))
		}
	}
}

func TestDemoReportFails(t *testing.T) {
	for _, tt := range []struct {
		r    demoResult
		want string
	}{
		{demoResult{Accepted: 5, Deliveries: 5, Retries: 2, Duplicates: 1}, ""},
		{demoResult{Lost: 2}, "deliveries: 2 lost"},
		{demoResult{Lost: 1, BadSignatures: 3}, "deliveries: 1 lost, 3 with a bad signature"},
	} {
		d := &demo{screen: newScreen(&bytes.Buffer{}, true)}
		got := ""
		if err := d.report(newDemoCommand(), tt.r); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.r, got, tt.want)
		}
	}
}

func TestDemoSamplesMatchTheConfig(t *testing.T) {
	c, err := demoConfig(t.TempDir(), "http://127.0.0.1:1/hook/", newDemoSecrets())
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Webhooks) != len(demoHooks) {
		t.Fatalf("%d webhooks, %d names", len(c.Webhooks), len(demoHooks))
	}
	for i, w := range c.Webhooks {
		if w.Name != demoHooks[i] || hookBit(w.Name).count() != 1 {
			t.Errorf("webhook %d is %s, its name here is %s", i, w.Name, demoHooks[i])
		}
	}
	for i := range 500 {
		if err := checkJSON(flowSample(i).data); err != nil {
			t.Errorf("sample %d: %v: %s", i, err, flowSample(i).data)
		}
	}
}

func TestScreenKeepsToItsWidth(t *testing.T) {
	var b bytes.Buffer
	s := newScreen(&b, false)
	s.width = 40
	envelope := `{"id":"we_1","type":"t","time":"2026-01-02T03:04:05Z","data":{"email":"a***@example.com","note":"` + strings.Repeat("x", 200) + `"}}`
	s.body(envelope)
	s.body(envelope)
	s.progress(strings.Repeat("p", 100))
	s.arrival(bench.Delivery{Hook: "partner", Status: 503, BadSign: errors.New(strings.Repeat("why ", 50))}, time.Second, "", false)
	for line := range strings.Lines(b.String()) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 40 {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	if !strings.Contains(b.String(), `{ … "data":{"email"`) || !strings.Contains(b.String(), `{"id":"we_1"`) {
		t.Errorf("%s", b.String())
	}
}

func TestShortTime(t *testing.T) {
	for d, want := range map[time.Duration]string{
		420 * time.Microsecond: "0.42 ms", 3500 * time.Microsecond: "3.5 ms", 250 * time.Millisecond: "250 ms", 1250 * time.Millisecond: "1.25 s",
	} {
		if got := shortTime(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
