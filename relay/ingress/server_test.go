package ingress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

func TestAccepted(t *testing.T) {
	h := start(t)
	r := h.post(`{"type":"order.paid","data":{"total":19.90}}`, "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if r.StatusCode != 202 || r.Header.Get("X-Durability") != "fsync" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Server") != "" {
		t.Errorf("status %d, header %v", r.StatusCode, r.Header)
	}
	var answer struct{ ID string }
	if err := json.Unmarshal([]byte(r.body), &answer); err != nil {
		t.Fatal(err)
	}
	if _, err := event.ParseTypeID(event.PrefixEvent, answer.ID); err != nil {
		t.Error(err)
	}
	all := h.stored()
	if len(all) != 1 {
		t.Fatalf("%d events stored, want 1", len(all))
	}
	e := all[0]
	if string(e.ID) != answer.ID || string(e.Tenant) != "default" || string(e.Program) != "" || string(e.Trace) != "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" {
		t.Errorf("stored id %s tenant %s program %s trace %s", e.ID, e.Tenant, e.Program, e.Trace)
	}
	at := time.UnixMicro(e.Accepted)
	if since := time.Since(at); since < 0 || since > time.Minute {
		t.Errorf("accepted %v ago", since)
	}
	want := fmt.Sprintf(`{"id":"%s","type":"order.paid","time":"%s","data":{"total":19.90}}`, answer.ID, at.UTC().Format("2006-01-02T15:04:05.000Z"))
	if string(e.Envelope) != want {
		t.Errorf("envelope %s\n    want %s", e.Envelope, want)
	}
	if len(e.targets) != 2 || e.targets[0] != event.NamedWebhookID("default", "paid") || e.targets[1] != event.NamedWebhookID("default", "orders") {
		t.Errorf("targets %v", e.targets)
	}
	if e.dedup != nil {
		t.Error("an event without an id was deduplicated")
	}
	if n := h.count("/v1/events", "202"); n != 1 {
		t.Errorf("metric counts %v accepted requests, want 1", n)
	}
}

func TestStatusCodes(t *testing.T) {
	const good = `{"type":"order.paid"}`
	json := []string{"Content-Type", "application/json"}
	cases := map[string]struct {
		method, path, body string
		headers            []string
		status             int
		kind               string // "" = no problem
		header, value      string // of the answer
		detail             string
	}{
		"event":                     {"POST", "/v1/events", good, json, 202, "", "X-Durability", "fsync", ""},
		"event with a query":        {"POST", "/v1/events?x=1", good, json, 202, "", "", "", ""},
		"no content type":           {"POST", "/v1/events", good, nil, 202, "", "", "", ""},
		"content type in capitals":  {"POST", "/v1/events", good, []string{"Content-Type", "Application/JSON; charset=utf-8"}, 202, "", "", "", ""},
		"bad traceparent":           {"POST", "/v1/events", good, []string{"Traceparent", "nonsense"}, 202, "", "", "", ""},
		"not JSON":                  {"POST", "/v1/events", "hello", json, 400, "malformed", "", "", "an event is a JSON object"},
		"empty body":                {"POST", "/v1/events", "", json, 400, "malformed", "", "", ""},
		"no type":                   {"POST", "/v1/events", "{}", json, 400, "malformed", "", "", `member \"type\" is missing`},
		"misspelt member":           {"POST", "/v1/events", `{"type":"t","dta":1}`, json, 400, "malformed", "", "", `unknown member \"dta\"`},
		"type of the relay's own":   {"POST", "/v1/events", `{"type":"edgerelay.delivery.dead"}`, json, 422, "reserved-event-type", "", "", "begin with edgerelay."},
		"too deep":                  {"POST", "/v1/events", `{"type":"t","data":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`, json, 400, "malformed", "", "", "nested deeper than 128"},
		"bad key":                   {"POST", "/v1/events", good, []string{"Idempotency-Key", `"open`}, 400, "idempotency-key", "", "", "quoted string"},
		"unknown route":             {"POST", "/v1/event", good, json, 404, "not-found", "", "", ""},
		"root":                      {"GET", "/", "", nil, 404, "not-found", "", "", ""},
		"trailing slash":            {"POST", "/v1/events/", good, json, 404, "not-found", "", "", ""},
		"doubled slash":             {"POST", "/v1//events", good, json, 404, "not-found", "", "", ""},
		"encoded path":              {"POST", "/v1/%65vents", good, json, 404, "not-found", "", "", ""},
		"dots in the path":          {"POST", "/v1/x/../events", good, json, 404, "not-found", "", "", ""},
		"batch":                     {"POST", "/v1/events/batch", "[]", json, 404, "not-available", "", "", "not available in this version"},
		"source":                    {"POST", "/v1/sources/github", "{}", json, 404, "not-available", "", "", "not available in this version"},
		"GET":                       {"GET", "/v1/events", "", nil, 405, "method-not-allowed", "Allow", "POST", ""},
		"PUT":                       {"PUT", "/v1/events", good, json, 405, "method-not-allowed", "Allow", "POST", ""},
		"PUT with a large body":     {"PUT", "/v1/events", strings.Repeat("x", 100_000), json, 405, "method-not-allowed", "Allow", "POST", ""},
		"DELETE of health":          {"DELETE", "/healthz", "", nil, 405, "method-not-allowed", "Allow", "GET, HEAD", ""},
		"too large":                 {"POST", "/v1/events", `{"type":"t","data":"` + strings.Repeat("x", 4096) + `"}`, json, 413, "too-large", "", "", "at most 4096 bytes"},
		"largest":                   {"POST", "/v1/events", `{"type":"t","data":"` + strings.Repeat("x", 4096-22) + `"}`, json, 202, "", "", "", ""},
		"form":                      {"POST", "/v1/events", "a=b", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "media-type", "Accept-Post", "application/json", ""},
		"multipart":                 {"POST", "/v1/events", "--x\r\n\r\n\r\n--x--", []string{"Content-Type", "multipart/form-data; boundary=x"}, 415, "media-type", "", "", ""},
		"almost JSON":               {"POST", "/v1/events", good, []string{"Content-Type", "application/jsonx"}, 415, "media-type", "", "", ""},
		"structured CloudEvent":     {"POST", "/v1/events", "{}", []string{"Content-Type", "application/cloudevents+json"}, 415, "media-type", "", "", "CloudEvents are not available in this version"},
		"batch of CloudEvents":      {"POST", "/v1/events", "[]", []string{"Content-Type", "application/cloudevents-batch+json"}, 415, "media-type", "", "", "CloudEvents are not available in this version"},
		"binary CloudEvent":         {"POST", "/v1/events", "{}", []string{"Content-Type", "application/json", "ce-specversion", "1.0"}, 415, "media-type", "", "", "CloudEvents are not available in this version"},
		"compressed":                {"POST", "/v1/events", good, []string{"Content-Encoding", "gzip"}, 415, "content-encoding", "Accept-Encoding", "identity", ""},
		"large header":              {"POST", "/v1/events", good, []string{"X-Large", strings.Repeat("x", 20_000)}, 431, "header-too-large", "Connection", "close", ""},
		"many headers":              {"POST", "/v1/events", good, strings.Fields(strings.Repeat("X-Many value ", 2000)), 431, "header-too-large", "", "", ""},
		"health":                    {"GET", "/healthz", "", nil, 200, "", "", "", ""},
		"health by HEAD":            {"HEAD", "/healthz", "", nil, 200, "", "", "", ""},
		"ready":                     {"GET", "/readyz", "", nil, 200, "", "", "", ""},
		"ready, verbose":            {"GET", "/readyz?verbose", "", nil, 200, "", "Content-Type", "text/plain; charset=utf-8", ""},
		"refused with a large body": {"POST", "/nowhere", strings.Repeat("x", 1<<20), json, 404, "not-found", "", "", ""},
	}
	h := start(t)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h.t = t
			r := h.do(c.method, c.path, c.body, c.headers...)
			if r.StatusCode != c.status {
				t.Fatalf("status %d, want %d: %s", r.StatusCode, c.status, r.body)
			}
			if c.kind != "" {
				if got := r.problemType(t); got != c.kind {
					t.Errorf("problem %s, want %s", got, c.kind)
				}
			}
			got := r.Header.Get(c.header)
			if c.header == "Connection" && r.Close {
				got = "close" // net/http takes the header away
			}
			if c.header != "" && got != c.value {
				t.Errorf("header %s: %q, want %q", c.header, got, c.value)
			}
			if !strings.Contains(r.body, c.detail) {
				t.Errorf("body %s, want %q in it", r.body, c.detail)
			}
		})
	}
}

func TestIdempotency(t *testing.T) {
	h := start(t)
	id := func(r reply) string {
		var a struct{ ID string }
		if err := json.Unmarshal([]byte(r.body), &a); err != nil {
			t.Fatalf("%d %s", r.StatusCode, r.body)
		}
		return a.ID
	}
	steps := []struct {
		name, body, key string
		status          int
		replayed        bool
		same            int // the step whose id must come back, -1 = a new one
	}{
		0:  {"own id", `{"type":"t","id":"o-1"}`, "", 202, false, -1},
		1:  {"own id again", `{"type":"t","id":"o-1"}`, "", 202, true, 0},
		2:  {"own id, other body", `{"type":"t","id":"o-1","data":1}`, "", 422, false, -1},
		3:  {"own id of another tenant", `{"type":"t","id":"o-1","tenant":"acme"}`, "", 202, false, -1},
		4:  {"own id of another program", `{"type":"t","id":"o-1","program":"p"}`, "", 422, false, -1},
		5:  {"key", `{"type":"t"}`, "k-1", 202, false, -1},
		6:  {"key again", `{"type":"t"}`, "k-1", 202, true, 5},
		7:  {"key again, quoted", `{"type":"t"}`, `"k-1"`, 202, true, 5},
		8:  {"key, other body", `{"type":"t","data":1}`, "k-1", 422, false, -1},
		9:  {"a key that looks like an id", `{"type":"t"}`, "o-1", 202, false, -1},
		10: {"own id and key: the id decides", `{"type":"t","id":"o-2"}`, "k-2", 202, false, -1},
		11: {"own id, another key", `{"type":"t","id":"o-2"}`, "k-3", 202, true, 10},
		12: {"escaped id", `{"type":"\u0074","id":"\u006f-3"}`, "", 202, false, -1},
		13: {"nothing to go by", `{"type":"t"}`, "", 202, false, -1},
	}
	ids := make([]string, len(steps))
	for i, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			h.t = t
			headers := []string{}
			if s.key != "" {
				headers = []string{"Idempotency-Key", s.key}
			}
			r := h.post(s.body, headers...)
			if r.StatusCode != s.status || (r.Header.Get("Idempotent-Replayed") == "true") != s.replayed {
				t.Fatalf("status %d, header %v: %s", r.StatusCode, r.Header, r.body)
			}
			if s.status == 422 {
				if got := r.problemType(t); got != "id-mismatch" {
					t.Errorf("problem %s", got)
				}
				return
			}
			if ids[i] = id(r); s.same >= 0 && ids[i] != ids[s.same] {
				t.Errorf("id %s, want %s", ids[i], ids[s.same])
			}
		})
	}
	if ids[12] != "o-3" {
		t.Errorf("escaped id came back as %q", ids[12])
	}
	for _, e := range h.stored() {
		if !strings.HasPrefix(string(e.Envelope), `{"id":"`+string(e.ID)+`","type":"t"`) || string(e.Type) != "t" {
			t.Errorf("id %s, type %s, envelope %s", e.ID, e.Type, e.Envelope)
		}
	}
}

func TestQueueRefusals(t *testing.T) {
	cases := map[string]struct {
		err    error
		status int
		kind   string
		retry  string
	}{
		"full":      {queue.ErrFull, 503, "queue-full", "30"},
		"disk low":  {queue.ErrDiskLow, 503, "disk-low", "60"},
		"closed":    {queue.ErrClosed, 503, "draining", "5"},
		"failed":    {fmt.Errorf("%w: sync: canary", queue.ErrFailed), 503, "queue-failed", "30"},
		"mismatch":  {queue.ErrMismatch, 422, "id-mismatch", ""},
		"too large": {queue.ErrTooLarge, 413, "too-large", ""},
		"other":     {errors.New("canary"), 500, "internal", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := start(t)
			h.queue.append = func(context.Context, *event.Event, []event.WebhookID, *queue.Dedup) (queue.Receipt, error) {
				return queue.Receipt{}, c.err
			}
			r := h.post(`{"type":"t"}`)
			if r.StatusCode != c.status || r.problemType(t) != c.kind || r.Header.Get("Retry-After") != c.retry {
				t.Errorf("status %d, Retry-After %q: %s", r.StatusCode, r.Header.Get("Retry-After"), r.body)
			}
			if strings.Contains(r.body, "canary") {
				t.Errorf("the answer shows the inside: %s", r.body)
			}
		})
	}
}

// TestNoReplyBeforeTheQueue is the promise of the 202: nothing is said before Append has returned.
func TestNoReplyBeforeTheQueue(t *testing.T) {
	h := start(t)
	entered, release := make(chan struct{}), make(chan struct{})
	var returned atomic.Bool
	h.queue.append = func(ctx context.Context, e *event.Event, w []event.WebhookID, d *queue.Dedup) (queue.Receipt, error) {
		close(entered)
		<-release
		returned.Store(true)
		return h.keep(ctx, e, w, d)
	}
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n"+`{"type":"t"}`)
	<-entered
	first := make(chan bool, 1)
	go func() {
		b := make([]byte, 1)
		c.Read(b)
		first <- returned.Load()
	}()
	select {
	case <-first:
		t.Fatal("a byte of the answer before the queue had the event")
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	if !<-first {
		t.Fatal("a byte of the answer before the queue had the event")
	}
}
