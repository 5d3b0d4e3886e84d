package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"edgerelay/relay/event"
)

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// rig is a store in a temporary directory.
type rig struct {
	*Store
	t     testing.TB
	opt   Options
	clock *clock
}

func newRig(t testing.TB, adapt func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, clock: &clock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}}
	r.opt = Options{Dir: filepath.Join(t.TempDir(), "history"), Log: slog.New(slog.DiscardHandler), Now: r.clock.Now, plain: true}
	if adapt != nil {
		adapt(&r.opt)
	}
	r.open()
	t.Cleanup(func() {
		if r.Store != nil {
			r.shut()
		}
	})
	return r
}

func (r *rig) open() {
	r.t.Helper()
	s, err := Open(r.opt)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Store = s
}

func (r *rig) shut() {
	r.t.Helper()
	if err := r.Store.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.Store = nil
}

// newEvent makes an event as the ingress does.
func (r *rig) newEvent(tenant, id, typ, data string) *event.Event {
	r.t.Helper()
	f, err := event.Parse(fmt.Appendf(nil, `{"id":%q,"type":%q,"data":%s}`, id, typ, data), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	e, _ := event.BuildEvent(nil, &f, nil, r.clock.Now())
	e.Tenant = []byte(tenant)
	return e.Clone()
}

// newAttempt makes what the sending side would tell.
func (r *rig) newAttempt(e *event.Event, w event.WebhookID, number int, status Status) *Attempt {
	a := &Attempt{Delivery: event.DeliveryIDOf(e.Tenant, e.ID, w), Webhook: w, WebhookName: "feed", Event: e, EventID: e.ID, Type: e.Type, Tenant: e.Tenant, Program: e.Program,
		Mark: e.Mark, Number: number, Start: r.clock.Now(), Status: status, HTTPStatus: 200, Method: []byte("POST"), URL: []byte("https://receiver.example/in"),
		RequestHeaders: []Header{{[]byte("webhook-id"), e.ID}}, RequestBody: e.Envelope, RequestSize: len(e.Envelope), SameAsEvent: true,
		ResponseHeaders: []Header{{[]byte("Content-Type"), []byte("text/plain")}}, ResponseBody: []byte("thank you"), ResponseSize: 9,
		Timings: Timings{DNS: time.Millisecond, Total: 5 * time.Millisecond}, TransformLog: []byte("info hello\n"), Keep: true}
	if status.Failed() {
		a.HTTPStatus, a.Reason, a.Detail = 500, "status", "the receiver answered 500"
		a.Next = a.Start.Add(time.Second)
	}
	return a
}

var feed, crm = event.NamedWebhookID("acme", "feed"), event.NamedWebhookID("acme", "crm")

// deliver records an event and attempts of it.
func (r *rig) deliver(e *event.Event, w event.WebhookID, statuses ...Status) {
	rec := r.Recorder()
	rec.Event(e, []event.WebhookID{w})
	for i, st := range statuses {
		rec.Attempt(r.newAttempt(e, w, i+1, st))
	}
}

func (r *rig) attempts(q Query) []*Attempt {
	r.t.Helper()
	if q.Limit == 0 {
		q.Limit = 1000
	}
	p, err := r.Attempts(context.Background(), q, true)
	if err != nil {
		r.t.Fatal(err)
	}
	return p.Items
}

func (r *rig) events(q Query) []string {
	r.t.Helper()
	if q.Limit == 0 {
		q.Limit = 100_000
	}
	p, err := r.Events(context.Background(), q, false)
	if err != nil {
		r.t.Fatal(err)
	}
	ids := []string{}
	for _, e := range p.Items {
		ids = append(ids, e.ID)
	}
	return ids
}

func want(t testing.TB, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: %s, want %s", what, g, w)
	}
}

func TestWhatWasRecordedIsReadBack(t *testing.T) {
	r := newRig(t, nil)
	e := r.newEvent("acme", "order-1", "order.paid", `{"total":19.90}`)
	e.Program, e.Trace = []byte("summer"), []byte("00-abc")
	r.deliver(e, feed, StatusRetrying, StatusDelivered)
	check := func(t *testing.T) {
		j, err := r.Journey(context.Background(), []string{"acme"}, "order-1")
		if err != nil || j.Event == nil || len(j.Attempts) != 2 {
			t.Fatalf("journey %+v: %v", j, err)
		}
		whole, err := j.Event.Whole()
		if err != nil {
			t.Fatal(err)
		}
		for what, pair := range map[string][2][]byte{"id": {whole.ID, e.ID}, "type": {whole.Type, e.Type}, "tenant": {whole.Tenant, e.Tenant}, "program": {whole.Program, e.Program},
			"trace": {whole.Trace, e.Trace}, "time": {whole.Time, e.Time}, "data": {whole.Data, e.Data}, "envelope": {whole.Envelope, e.Envelope}} {
			if !bytes.Equal(pair[0], pair[1]) {
				t.Errorf("%s: %q, want %q", what, pair[0], pair[1])
			}
		}
		want(t, "webhooks", j.Event.Webhooks, []event.WebhookID{feed})
		first, second := j.Attempts[0], j.Attempts[1]
		want(t, "first", fmt.Sprint(first.Status, first.HTTPStatus, " ", first.Reason, " ", first.Number, first.Next.Sub(first.Start), first.SameAsEvent), "retrying 500 status 1 1s true")
		want(t, "second", fmt.Sprint(second.Status, second.Reason, second.Number, second.Timings, string(second.TransformLog)), fmt.Sprint(StatusDelivered, "", 2, Timings{DNS: time.Millisecond, Total: 5 * time.Millisecond}, "info hello\n"))
		want(t, "answer", fmt.Sprintf("%s %s %s", second.ResponseBody, second.ResponseHeaders[0].Name, second.RequestHeaders[0].Value), "thank you Content-Type order-1")
		byID, err := r.Delivery(context.Background(), nil, first.Delivery)
		if err != nil || len(byID) != 2 || byID[0].ID != first.ID || first.ID == second.ID {
			t.Errorf("by delivery: %v, %v", byID, err)
		}
	}
	check(t)
	r.shut()
	r.open()
	check(t)
	if j, err := r.Journey(context.Background(), []string{"other"}, "order-1"); err != nil || j.Event != nil || j.Attempts != nil {
		t.Errorf("another tenant sees %+v, %v", j, err)
	}
}

func TestSearch(t *testing.T) {
	r := newRig(t, nil)
	for i := range 300 {
		tenant, typ, status := "acme", "order.paid", StatusDelivered
		if i%3 == 0 {
			tenant = "other"
		}
		if i%5 == 0 {
			typ = "order.refunded"
		}
		if i%50 == 1 {
			status = StatusDead
		}
		w := feed
		if i%2 == 0 {
			w = crm
		}
		e := r.newEvent(tenant, fmt.Sprintf("e%03d", i), typ, fmt.Sprintf(`{"number":"nr-%d-x","name":"%s"}`, i, strings.Repeat("n", 200)))
		if i%7 == 0 {
			e.Program = []byte("summer")
		}
		r.deliver(e, w, status)
		r.clock.add(time.Second)
	}
	r.Recorder().Event(r.newEvent("acme", "nobody", "order.paid", `{}`), nil)
	begin := r.clock.Now().Add(-300 * time.Second)
	expect := func(keep func(i int) bool) (ids []string) {
		for i := 299; i >= 0; i-- {
			if keep(i) {
				ids = append(ids, fmt.Sprintf("e%03d", i))
			}
		}
		return ids
	}
	for name, c := range map[string]struct {
		q    Query
		keep func(i int) bool
	}{
		"type":    {Query{Type: "order.refunded"}, func(i int) bool { return i%5 == 0 }},
		"tenant":  {Query{Tenants: []string{"other"}}, func(i int) bool { return i%3 == 0 }},
		"program": {Query{Program: "summer"}, func(i int) bool { return i%7 == 0 }},
		"webhook": {Query{Webhook: crm}, func(i int) bool { return i%2 == 0 }},
		"time":    {Query{From: begin.Add(10 * time.Second), To: begin.Add(20 * time.Second)}, func(i int) bool { return i >= 10 && i < 20 }},
		"text":    {Query{Text: "nr-17-x"}, func(i int) bool { return i == 17 }},
		"several": {Query{Tenants: []string{"acme"}, Type: "order.refunded", Webhook: feed, Text: "nr-"}, func(i int) bool { return i%3 != 0 && i%5 == 0 && i%2 == 1 }},
		"none":    {Query{Type: "order.never"}, func(int) bool { return false }},
		"id":      {Query{Event: "e042"}, func(i int) bool { return i == 42 }},
	} {
		got := r.events(c.q)
		if name == "none" {
			want(t, name, len(got), 0)
			continue
		}
		want(t, "events by "+name, got, expect(c.keep))
		ids := []string{}
		for _, a := range r.attempts(c.q) {
			ids = append(ids, string(a.EventID))
		}
		want(t, "attempts by "+name, ids, expect(c.keep))
		c.q.Oldest = true
		got = r.events(c.q)
		for i, j := 0, len(got)-1; i < j; i, j = i+1, j-1 {
			got[i], got[j] = got[j], got[i]
		}
		if name != "id" {
			want(t, "oldest first by "+name, got, expect(c.keep))
		}
	}
	dead := r.attempts(Query{Statuses: []Status{StatusDead}})
	want(t, "dead", len(dead), 6)
	var all []string
	for q := (Query{Limit: 7}); ; {
		p, err := r.Events(context.Background(), q, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range p.Items {
			all = append(all, e.ID)
		}
		if p.Next == 0 {
			break
		}
		if q.Before, err = ParseCursor(FormatCursor(p.Next)); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "page by page", all, append([]string{"nobody"}, expect(func(int) bool { return true })...))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Events(ctx, Query{Text: "x", Limit: 1}, false); err == nil {
		t.Error("a cancelled search goes on")
	}
	if _, err := ParseCursor("no cursor!"); err == nil {
		t.Error("a cursor of nobody is taken")
	}
}

// filesWith returns the files below dir that have text in them.
func filesWith(t testing.TB, dir, text string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(text)) {
			names = append(names, path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return filesWith(t, dir, text) // a slice was written again meanwhile
	}
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestRetention(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Retention, o.FailedRetention, o.BodyRetention = 72*time.Hour, 240*time.Hour, 24*time.Hour
	})
	r.deliver(r.newEvent("acme", "good", "x", `{"a":"good-body"}`), feed, StatusDelivered)
	r.deliver(r.newEvent("acme", "late", "x", `{"a":"late-body"}`), feed, StatusRetrying, StatusDelivered)
	r.deliver(r.newEvent("acme", "bad", "x", `{"a":"bad-body"}`), feed, StatusRetrying, StatusDead)
	step := func(d time.Duration) {
		t.Helper()
		if err := r.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		r.clock.add(d)
		r.deliver(r.newEvent("acme", fmt.Sprintf("at-%d", r.clock.Now().Unix()), "x", `{}`), feed) // makes a new slice
		if err := r.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := r.Retain(); err != nil {
			t.Fatal(err)
		}
	}
	known := func(id string) (events, attempts int) {
		t.Helper()
		j, err := r.Journey(context.Background(), nil, id)
		if err != nil {
			t.Fatal(err)
		}
		if j.Event != nil && !j.Event.FromTry {
			events++
		}
		return events, len(j.Attempts)
	}
	step(12 * time.Hour)
	if len(filesWith(t, r.opt.Dir, "good-body")) == 0 {
		t.Fatal("the body is not where the test looks for it")
	}
	step(24 * time.Hour)
	if names := filesWith(t, r.opt.Dir, "good-body"); len(names) > 0 {
		t.Errorf("a body that is too old is still in %v", names)
	}
	for id, tries := range map[string]int{"good": 1, "late": 2, "bad": 2} {
		events, attempts := known(id)
		want(t, id+" without body", []int{events, attempts}, []int{1, tries})
	}
	step(60 * time.Hour)
	for id, tries := range map[string]int{"good": 0, "late": 2, "bad": 2} {
		events, attempts := known(id)
		want(t, id+" after retention", []int{events, attempts}, []int{0, tries})
	}
	r.shut()
	r.open()
	step(time.Hour)
	want(t, "failures after a restart", len(r.attempts(Query{Statuses: []Status{StatusDead}})), 1)
	step(240 * time.Hour)
	for _, id := range []string{"good", "late", "bad"} {
		events, attempts := known(id)
		want(t, id+" after failed_retention", []int{events, attempts}, []int{0, 0})
	}
}

// TestNothingComesAnyMore: what is kept expires although nothing new makes the slices roll.
func TestNothingComesAnyMore(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Retention, o.FailedRetention = 72*time.Hour, 240*time.Hour })
	r.deliver(r.newEvent("acme", "bad", "x", `{}`), feed, StatusRetrying, StatusDead)
	if err := r.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	pass := func(d time.Duration) {
		r.clock.add(d)
		if err := errors.Join(r.rollOld(), r.Retain()); err != nil {
			t.Fatal(err)
		}
	}
	pass(100 * time.Hour)
	want(t, "events and attempts", []int{len(r.events(Query{})), len(r.attempts(Query{}))}, []int{0, 2})
	pass(200 * time.Hour)
	want(t, "attempts", len(r.attempts(Query{})), 0)
	if names, _ := filepath.Glob(filepath.Join(r.opt.Dir, "[rf]-*")); len(names) > 0 {
		t.Errorf("left: %v", names)
	}
}

func TestErase(t *testing.T) {
	r := newRig(t, nil)
	for i := range 50 {
		r.deliver(r.newEvent("acme", fmt.Sprintf("e%d", i), "x", fmt.Sprintf(`{"user":{"id":"%d","mail":"user-%d-end@example.com"}}`, i, i)), feed, StatusRetrying, StatusDelivered)
	}
	r.shut()
	r.open()
	for i := range 50 {
		r.deliver(r.newEvent("acme", fmt.Sprintf("f%d", i), "x", fmt.Sprintf(`{"user":{"id":"%d","mail":"user-%d-end@example.com"}}`, i, i)), feed, StatusDelivered)
	}
	if err := r.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(filesWith(t, r.opt.Dir, "user-42-end")) == 0 {
		t.Fatal("the address is not where the test looks for it")
	}
	out, err := r.Erase(context.Background(), []string{"acme"}, func(e *Event) (bool, error) { return bytes.Contains(e.Envelope, []byte(`"id":"42"`)), nil })
	if err != nil {
		t.Fatal(err)
	}
	want(t, "events, records", []int{len(out.Events), out.Records, out.Unexamined}, []int{2, 5, 0})
	if names := filesWith(t, r.opt.Dir, "user-42-end"); len(names) > 0 {
		t.Errorf("what was erased is still in %v", names)
	}
	want(t, "left", len(r.events(Query{})), 98)
	r.deliver(r.newEvent("acme", "after", "x", `{}`), feed, StatusDelivered)
	r.shut()
	r.open()
	want(t, "left after a restart", len(r.events(Query{})), 99)
	want(t, "attempts left", len(r.attempts(Query{})), 150-3+1)
	if out, err := r.Erase(context.Background(), []string{"other"}, func(*Event) (bool, error) { return true, nil }); err != nil || len(out.Events) != 0 {
		t.Errorf("erasing another tenant's: %+v, %v", out, err)
	}
}

func TestRedaction(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Redact = []string{"data.card.number", "data.cards.*.number", "data.list.pin"} })
	e := r.newEvent("acme", "e1", "x", `{"card":{"number":"4111-1111","c\u0061rd":1},"cards":{"a":{"number":5500005555}},"list":[{"pin":"9876"},{"pin":"5432"}],"ok":"fine"}`)
	a := r.newAttempt(e, feed, 1, StatusDead)
	a.SameAsEvent, a.RequestBody = false, []byte(`<pay><no>4111-1111</no><pin>9876</pin></pay>`)
	a.ResponseBody = []byte("charged 5500005555, thank you")
	a.URL = []byte("https://receiver.example/in?card=4111-1111")
	rec := r.Recorder()
	sub := rec.Subscribe(1)
	defer sub.Close()
	rec.Event(e, []event.WebhookID{feed})
	rec.Attempt(a)
	seen := <-sub.C()
	j, err := r.Journey(context.Background(), nil, "e1")
	if err != nil || j.Event == nil {
		t.Fatal(j, err)
	}
	r.shut()
	for _, secret := range []string{"4111-1111", "5500005555", "9876", "5432"} {
		if names := filesWith(t, r.opt.Dir, secret); len(names) > 0 {
			t.Errorf("%s is in %v", secret, names)
		}
		if strings.Contains(fmt.Sprintf("%s %s %s %s", seen.Event.Envelope, seen.RequestBody, seen.ResponseBody, seen.URL), secret) {
			t.Errorf("%s is shown to those who watch", secret)
		}
	}
	want(t, "envelope", strings.Contains(string(j.Event.Envelope), `"data":{"card":{"number":"***","c\u0061rd":1},"cards":{"a":{"number":"***"}},"list":[{"pin":"***"},{"pin":"***"}],"ok":"fine"}`), true)
	want(t, "request", string(j.Attempts[0].RequestBody), "<pay><no>***</no><pin>***</pin></pay>")
	want(t, "answer", string(j.Attempts[0].ResponseBody), "charged ***, thank you")
	if _, err := j.Event.Whole(); err == nil || !strings.Contains(err.Error(), "redacted") {
		t.Errorf("a redacted event can be sent again: %v", err)
	}
}
