package relay

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"edgerelay/bench"
	"edgerelay/config"
	"edgerelay/relay/admin"
)

const canaries = "canary-key canary-pw canary-url canary-body canary-head"

func shows(t *testing.T, tr *admin.Trial) string {
	t.Helper()
	text, err := json.Marshal(tr)
	if err != nil {
		t.Fatal(err)
	}
	for c := range strings.FieldsSeq(canaries) {
		if strings.Contains(string(text), c) {
			t.Errorf("%s is shown: %s", c, text)
		}
	}
	return string(text)
}

func (r *running) given(t *testing.T, c *config.Config, i int, text string) *trialEvent {
	t.Helper()
	e, err := givenEvent([]byte(text), &c.Webhooks[i], time.Unix(1_700_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestPreviewShowsTheRequestAndNoCredentials(t *testing.T) {
	t.Setenv("CANARY_BODY", "canary-body")
	rec := receiver(t, nil, "w")
	text := "authorizations:\n- { name: k, type: header, headers: [{ name: X-K, value: canary-key }, { name: X-Open, value: open, visibility: public }] }\nwebhooks:\n" +
		hook(rec, "w", ", authorization: k, headers: { X-Token: canary-head, X-Env: prod }, transform: [{ plugin: redact, config: { fields: [data.email] } }], "+
			"payload: { type: json, body: { mail: '{{ data.email }}', who: '${CANARY_BODY}', n: '{{ data.n }}' } }, filter: 'data.n > 1'")
	r := start(t, t.TempDir(), text)
	c := r.config()
	tr, problems := r.preview(t.Context(), c, 0, r.given(t, c, 0, `{"type":"a","data":{"email":"ada@example.com","n":7}}`), time.Now())
	if problems != nil {
		t.Fatal(problems)
	}
	out := shows(t, tr)
	if !tr.Matches || tr.Action != "send" || tr.Request == nil || tr.Request.Method != "POST" || len(tr.Steps) != 1 || tr.Steps[0].Fuel <= 0 || tr.Steps[0].Action != "send" {
		t.Fatal(out)
	}
	if body := *tr.Request.Body; strings.Contains(body, "ada@example.com") || !strings.Contains(body, `"who":"***"`) || !strings.Contains(body, `"n":7`) {
		t.Error(body)
	}
	for _, want := range []string{`{"name":"X-K","value":"***","redacted":true}`, `{"name":"X-Open","value":"open"}`, `{"name":"X-Token","value":"***","redacted":true}`,
		`"name":"webhook-signature","value":"v1,`, `{"name":"X-Env","value":"prod"}`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
	if tr, _ = r.preview(t.Context(), c, 0, r.given(t, c, 0, `{"type":"a","data":{"email":"x","n":1}}`), time.Now()); tr.Matches || tr.Mismatch != "the filter does not let it through" {
		t.Errorf("%+v", tr)
	}
	if n := rec.Snapshot().Requests; n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestTestIsSentAroundTheQueue(t *testing.T) {
	got := make(chan http.Header, 20)
	rec := receiver(t, func(d bench.Delivery) {
		h := http.Header{}
		for _, f := range d.Headers {
			h.Add(f.Name, f.Value)
		}
		got <- h
	}, "w")
	r := start(t, t.TempDir(), "event_types: [{ name: a, example: { n: 5 } }]\nwebhooks:\n"+hook(rec, "w", ", status: draft"))
	c := r.config()
	e, err := exampleEvent(c, "", &c.Webhooks[0], time.Now())
	if err != nil {
		t.Fatal(err)
	}
	tr, err := r.testWebhook(t.Context(), c, 0, e)
	if err != nil {
		t.Fatal(err)
	}
	out := shows(t, tr)
	if tr.Response == nil || tr.Response.Status != 200 && tr.Response.Status != 204 || tr.Action != "send" || tr.Event.Source != "example" || tr.Timings.Send <= 0 {
		t.Fatal(out)
	}
	if h := <-got; h.Get("Webhook-Test") != "true" || h.Get("Webhook-Id") != tr.Event.ID {
		t.Errorf("%v", h)
	}
	if s := rec.Snapshot(); s.BadSignatures != 0 || s.Requests != 1 {
		t.Errorf("%+v", s)
	}
	if s := r.Queue(); s.Events != 0 || s.Pending != 0 {
		t.Errorf("%+v", s)
	}
	if err := rec.Answer("w", bench.Answer{Status: 503}); err != nil {
		t.Fatal(err)
	}
	for range 12 { // more than a circuit would bear
		if tr, err = r.testWebhook(t.Context(), c, 0, e); err != nil || tr.Reason != "status" || tr.Action != "retry" || tr.Response.Status != 503 {
			t.Fatalf("%v %+v", err, tr)
		}
	}
}

func TestTrialsAreLimited(t *testing.T) {
	ts := newTrials()
	for range maxTrials {
		if _, _, err := ts.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := ts.begin(t.Context()); err != errBusyTrials {
		t.Error(err)
	}
}

func TestEventsForTrials(t *testing.T) {
	c, err := config.Parse("x.yaml", []byte(`
tenants: [{ id: t1 }, { id: t2 }]
event_types: [{ name: a.none }, { name: a.other, tenant: t2, example: 2 }, { name: a.one, example: { n: 1 } }]
webhooks:
  - { name: w, tenant: t1, program: p, events: ["a.*"], url: "https://w.example/" }
  - { name: x, tenant: t1, events: [a.none, b], url: "https://w.example/" }
  - { name: y, tenant: t1, events: [b], url: "https://w.example/" }
`))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_700_000_000, 0)
	e, err := exampleEvent(c, "", &c.Webhooks[0], now)
	if err != nil || string(e.Type) != "a.one" || string(e.Data) != `{"n":1}` || string(e.Tenant) != "t1" || string(e.Program) != "p" || string(e.Time) != "2023-11-14T22:13:20.000Z" {
		t.Errorf("%v %+v", err, e)
	}
	for i, want := range map[int]string{1: "has an example", 2: "the catalogue has none"} {
		if _, err := exampleEvent(c, "", &c.Webhooks[i], now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: %v", i, err)
		}
	}
	for typ, want := range map[string]string{"a.none": "has no example", "a.other": `no event type "a.other"`, "z": `no event type "z"`} {
		if _, err := exampleEvent(c, typ, &c.Webhooks[0], now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", typ, err)
		}
	}
	if e, err = givenEvent([]byte(`{"id":"mine","type":"q","tenant":"t2","data":[1]}`), &c.Webhooks[0], now); err != nil || string(e.Tenant) != "t1" || string(e.ID) != "mine" {
		t.Errorf("%v %+v", err, e)
	}
	fresh, err := storedEvent(&e.Event, true, now)
	if err != nil || string(fresh.ID) == "mine" || string(fresh.Data) != "[1]" || string(fresh.Time) != string(e.Time) {
		t.Errorf("%v %+v", err, fresh)
	}
	same, err := storedEvent(&e.Event, false, now)
	if err != nil || string(same.Envelope) != string(e.Envelope) {
		t.Errorf("%v %s", err, same.Envelope)
	}
	for _, text := range []string{`{}`, `{"type":"a","data":`, strings.Repeat(" ", maxTrialEvent+1)} {
		if _, err := givenEvent([]byte(text), &c.Webhooks[0], now); err == nil {
			t.Errorf("%.20s is an event", text)
		}
	}
}
