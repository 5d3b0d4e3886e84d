package alert

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"edgerelay/relay/event"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func at(n Notice, t time.Time) *Notice { n.At = t; return &n }

func TestLedgerKeepsItsInterval(t *testing.T) {
	l := newLedger(rules{minInterval: 5 * time.Minute, maxPerDay: 100}, 10*time.Second)
	to := []string{"Ops@example.com"}
	l.note(at(deadNotice(1), noon), to)
	if l.take(noon) != nil || !l.next().Equal(noon.Add(10*time.Second)) {
		t.Fatalf("news is gathered until %v", l.next())
	}
	first := l.take(noon.Add(10 * time.Second))
	if first == nil || first.to != "Ops@example.com" || first.news[0].Dead != 1 {
		t.Fatalf("%+v", first)
	}
	l.note(at(deadNotice(2), noon.Add(11*time.Second)), []string{"ops@example.com"}) // the same person
	if l.take(noon.Add(time.Hour)) != nil {
		t.Error("two e-mails to one recipient at the same time")
	}
	sent := noon.Add(12 * time.Second)
	l.sent(first.key, sent)
	for i := range 1000 {
		l.note(at(deadNotice(i), noon.Add(time.Minute)), to)
	}
	if l.take(sent.Add(5*time.Minute-1)) != nil {
		t.Error("an e-mail before the interval is over")
	}
	second := l.take(sent.Add(5 * time.Minute))
	if second == nil || second.news[0].Dead != 1001 || len(second.news[0].Samples) != maxSamples || second.news[0].Reasons["HTTP 500"] != 501 {
		t.Fatalf("%+v", second.news[0])
	}
	l.note(at(deadNotice(3), noon.Add(6*time.Minute)), to)
	l.failed(second.key)
	third := l.take(sent.Add(6 * time.Minute))
	if third == nil || third.news[0].Dead != 1002 || !third.news[0].LastDead.Equal(noon.Add(6*time.Minute)) {
		t.Fatalf("after a failure %+v", third)
	}
}

func TestLedgerKeepsItsDailyCap(t *testing.T) {
	l := newLedger(rules{minInterval: time.Minute, maxPerDay: 3}, 0)
	now, sent := noon, 0
	var last *letter
	for range 60 {
		l.note(at(deadNotice(1), now), []string{"a@example.com"})
		if w := l.take(now); w != nil {
			last = w
			sent++
			l.sent(w.key, now)
		}
		now = now.Add(time.Minute)
	}
	if sent != 3 || !last.last || !strings.Contains(compose(last, "").Text, "last e-mail of today") {
		t.Fatalf("%d e-mails, last %v", sent, last)
	}
	midnight := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	if next := l.next(); !next.Equal(midnight) {
		t.Errorf("next at %v", next)
	}
	if w := l.take(midnight); w == nil || w.news[0].Dead != 57 || w.last {
		t.Errorf("on the next day %+v", w)
	}
}

func TestLedgerReportsTroubleThatLasts(t *testing.T) {
	l := newLedger(rules{minInterval: time.Minute, maxPerDay: 100, openAfter: 5 * time.Minute}, 0)
	to := func(event.WebhookID) []string { return []string{"a@example.com"} }
	note := func(kind Kind, after time.Duration) {
		l.note(&Notice{Kind: kind, At: noon.Add(after), ID: feed, Name: "feed", Reason: "timeout"}, to(feed))
	}
	note(Failing, 0)
	note(Recovered, time.Minute)
	l.ripen(noon.Add(time.Hour), to)
	if w := l.take(noon.Add(time.Hour)); w != nil {
		t.Fatalf("short trouble is told: %+v", w)
	}
	note(Failing, time.Hour)
	if next := l.next(); !next.Equal(noon.Add(time.Hour + 5*time.Minute)) {
		t.Errorf("ripe at %v", next)
	}
	l.ripen(noon.Add(time.Hour+5*time.Minute), to)
	w := l.take(noon.Add(time.Hour + 5*time.Minute))
	if w == nil || !w.news[0].FailingAt.Equal(noon.Add(time.Hour)) || !strings.Contains(compose(w, "").Subject, "feed is failing") {
		t.Fatalf("%+v", w)
	}
	l.sent(w.key, noon.Add(time.Hour+5*time.Minute))
	l.ripen(noon.Add(5*time.Hour), to)
	if w := l.take(noon.Add(5 * time.Hour)); w != nil {
		t.Fatalf("told twice: %+v", w)
	}
	note(Recovered, 6*time.Hour)
	if w := l.take(noon.Add(6 * time.Hour)); w == nil || !strings.Contains(compose(w, "").Subject, "feed works again") {
		t.Fatalf("%+v", w)
	}
	note(Failing, 7*time.Hour)
	note(Reset, 7*time.Hour)
	l.ripen(noon.Add(24*time.Hour), to)
	if len(l.failing) != 0 || !l.next().IsZero() && l.next().Before(noon.Add(24*time.Hour)) && l.people["a@example.com"].News != nil {
		t.Error("a webhook that was changed is still reported")
	}
}

// TestLedgerIsBounded: neither many recipients, nor many webhooks, nor many kinds of failures make it grow without end.
func TestLedgerIsBounded(t *testing.T) {
	l := newLedger(rules{minInterval: time.Hour, maxPerDay: 1}, 0)
	for i := range 3 * maxPeople {
		l.note(at(deadNotice(i), noon), []string{fmt.Sprintf("p%d@example.com", i)})
	}
	for i := range 1000 {
		n := deadNotice(i)
		n.ID, n.Name = event.NamedWebhookID("acme", fmt.Sprint(i)), strings.Repeat("n", 255)
		n.Status = i
		for range 5 {
			n.Event, n.Type = strings.Repeat("e", 255), strings.Repeat("t", 255)
			l.note(at(n, noon), []string{"p0@example.com", "p1@example.com"})
		}
	}
	if len(l.people) != maxPeople || l.lost != 2*maxPeople {
		t.Errorf("%d people, %d lost", len(l.people), l.lost)
	}
	p := l.people["p0@example.com"]
	if len(p.News) != maxWebhooks || p.Omitted == 0 {
		t.Errorf("%d webhooks, %d omitted", len(p.News), p.Omitted)
	}
	m := &Manager{ledger: l, forgetAt: noon.Add(time.Hour)}
	for range 100 {
		for _, v := range m.unstored(noon) {
			if len(v) > 64<<10 {
				t.Fatalf("a value of %d bytes", len(v))
			}
			if err := json.Unmarshal(v, &person{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if text := compose(l.take(noon.Add(time.Hour)), "").Text; len(text) > 200<<10 {
		t.Errorf("an e-mail of %d bytes", len(text))
	}
	if gone := l.forget(noon.Add(48 * time.Hour)); len(gone) != 0 {
		t.Error("forgets people with news")
	}
}
