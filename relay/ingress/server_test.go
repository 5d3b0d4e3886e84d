package ingress

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/metrics"
	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
)

// fakeQueue is a queue at the edge of the package: what it is not told to do panics, by way of the nil interface.
type fakeQueue struct {
	queue.Queue
	append func(ctx context.Context, e *event.Event, targets []event.WebhookID, d *queue.Dedup) (queue.Receipt, error)
	stats  atomic.Pointer[queue.Stats]
	failed chan struct{}
}

func (q *fakeQueue) Append(ctx context.Context, e *event.Event, targets []event.WebhookID, d *queue.Dedup) (queue.Receipt, error) {
	return q.append(ctx, e, targets, d)
}
func (q *fakeQueue) Failed() <-chan struct{} { return q.failed }
func (q *fakeQueue) Stats() queue.Stats {
	if s := q.stats.Load(); s != nil {
		return *s
	}
	return queue.Stats{}
}

// stored is one accepted event with what came along.
type stored struct {
	*event.Event
	targets []event.WebhookID
	dedup   *queue.Dedup
}

// harness is a running server with a queue that keeps everything, and deduplicates like a real one.
type harness struct {
	*Server
	t     testing.TB
	queue *fakeQueue
	url   string
	addr  string
	log   *bytes.Buffer

	mu     sync.Mutex
	events []stored
	seen   map[[16]byte]stored
}

func (h *harness) keep(_ context.Context, e *event.Event, targets []event.WebhookID, d *queue.Dedup) (queue.Receipt, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := stored{Event: e.Clone(), targets: append([]event.WebhookID(nil), targets...)}
	if d != nil {
		copied := *d
		s.dedup = &copied
		if first, ok := h.seen[d.Key]; ok {
			if first.dedup.Fingerprint != d.Fingerprint {
				return queue.Receipt{}, queue.ErrMismatch
			}
			return queue.Receipt{Replayed: true, ID: first.ID}, nil
		}
		h.seen[d.Key] = s
	}
	h.events = append(h.events, s)
	return queue.Receipt{ID: e.ID}, nil
}

func (h *harness) stored() []stored {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]stored(nil), h.events...)
}

func hook(name, tenant string, patterns ...string) *webhooks.Webhook {
	return &webhooks.Webhook{ID: event.NamedWebhookID(tenant, name), Name: name, Tenant: tenant, Events: patterns, Status: webhooks.StatusActive}
}

// start runs a server on a free port until the test ends; change may alter the options.
func start(t testing.TB, change ...func(*Options)) *harness {
	t.Helper()
	h := &harness{t: t, queue: &fakeQueue{failed: make(chan struct{})}, seen: map[[16]byte]stored{}, log: &bytes.Buffer{}}
	h.queue.append = h.keep
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tab, err := webhooks.NewTable([]*webhooks.Webhook{hook("paid", "default", "order.paid"), hook("orders", "default", "order.*"), hook("acme", "acme", "*")})
	if err != nil {
		t.Fatal(err)
	}
	var table atomic.Pointer[webhooks.Table]
	table.Store(tab)
	o := Options{Listener: ln, Queue: h.queue, Table: &table, Durability: "fsync", Metrics: metrics.New(), MaxBody: 4096,
		Log: slog.New(slog.NewTextHandler(h.log, nil)), Linger: 50 * time.Millisecond}
	for _, f := range change {
		f(&o)
	}
	if h.Server, err = New(o); err != nil {
		t.Fatal(err)
	}
	h.addr = h.Addr().String()
	h.url = "http://" + h.addr
	served := make(chan error, 1)
	go func() { served <- h.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := h.Close(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("close: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return h
}

// reply is an answer, read to its end.
type reply struct {
	*http.Response
	body string
}

// problemType is the end of the problem's type, after checking that the answer is a proper problem.
func (r reply) problemType(t testing.TB) string {
	t.Helper()
	var p struct {
		Type, Title, Detail string
		Status              int
	}
	if ct := r.Header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("content type %q of status %d, body %s", ct, r.StatusCode, r.body)
		return ""
	}
	if err := json.Unmarshal([]byte(r.body), &p); err != nil || p.Status != r.StatusCode || p.Title == "" {
		t.Errorf("problem %s of status %d: %v", r.body, r.StatusCode, err)
	}
	name, ok := strings.CutPrefix(p.Type, "urn:edgerelay:problem:")
	if !ok {
		t.Errorf("problem type %q", p.Type)
	}
	return name
}

func (h *harness) do(method, path, body string, headers ...string) reply {
	h.t.Helper()
	req, err := http.NewRequest(method, h.url+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	return h.send(req)
}

func (h *harness) send(req *http.Request) reply {
	h.t.Helper()
	tr := &http.Transport{DisableCompression: true}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return reply{resp, string(b)}
}

func (h *harness) post(body string, headers ...string) reply {
	h.t.Helper()
	return h.do("POST", "/v1/events", body, append([]string{"Content-Type", "application/json"}, headers...)...)
}

// count reads edgerelay_ingress_requests_total.
func (h *harness) count(route, code string) (n float64) {
	h.t.Helper()
	families, err := h.opts.Metrics.Gatherer().Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "edgerelay_ingress_requests_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := ""
			for _, l := range m.GetLabel() {
				labels += l.GetValue() + " "
			}
			if labels == code+" "+route+" " {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

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

func TestTokens(t *testing.T) {
	h := start(t, func(o *Options) {
		o.Policy.Tokens = []Token{{Name: "acme", Token: "acme-secret", Tenant: "acme"}, {Name: "summer", Token: "summer-secret", Tenant: "acme", Program: "summer"},
			{Name: "all", Token: "all-secret"}}
	})
	cases := map[string]struct {
		authorization, body string
		status              int
		tenant, program     string
	}{
		"none":                          {"", `{"type":"t"}`, 401, "", ""},
		"wrong":                         {"Bearer nonsense", `{"type":"t"}`, 401, "", ""},
		"empty":                         {"Bearer ", `{"type":"t"}`, 401, "", ""},
		"basic":                         {"Basic YWNtZS1zZWNyZXQ=", `{"type":"t"}`, 401, "", ""},
		"token alone":                   {"acme-secret", `{"type":"t"}`, 401, "", ""},
		"prefix of a token":             {"Bearer acme-secre", `{"type":"t"}`, 401, "", ""},
		"wrong, large body":             {"Bearer nonsense", strings.Repeat("x", 1<<20), 401, "", ""},
		"wrong, malformed":              {"Bearer nonsense", `{`, 401, "", ""},
		"right":                         {"Bearer acme-secret", `{"type":"t"}`, 202, "acme", ""},
		"scheme in small letters":       {"bearer  acme-secret", `{"type":"t"}`, 202, "acme", ""},
		"the same tenant":               {"Bearer acme-secret", `{"type":"t","tenant":"acme"}`, 202, "acme", ""},
		"another tenant":                {"Bearer acme-secret", `{"type":"t","tenant":"umbrella"}`, 403, "", ""},
		"any program of the tenant":     {"Bearer acme-secret", `{"type":"t","program":"winter"}`, 202, "acme", "winter"},
		"program of the token":          {"Bearer summer-secret", `{"type":"t"}`, 202, "acme", "summer"},
		"the same program":              {"Bearer summer-secret", `{"type":"t","program":"summer","tenant":"acme"}`, 202, "acme", "summer"},
		"another program":               {"Bearer summer-secret", `{"type":"t","program":"winter"}`, 403, "", ""},
		"a token for all tenants":       {"Bearer all-secret", `{"type":"t","tenant":"umbrella","program":"p"}`, 202, "umbrella", "p"},
		"a token for all, none is said": {"Bearer all-secret", `{"type":"t"}`, 202, "default", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h.t = t
			before := len(h.stored())
			r := h.post(c.body, "Authorization", c.authorization)
			if r.StatusCode != c.status {
				t.Fatalf("status %d, want %d: %s", r.StatusCode, c.status, r.body)
			}
			after := h.stored()[before:]
			if c.status != 202 {
				if len(after) != 0 {
					t.Errorf("refused, and stored all the same")
				}
				if strings.Contains(r.body, "secret") || c.status == 401 && r.Header.Get("WWW-Authenticate") != "Bearer" {
					t.Errorf("answer %v %s", r.Header, r.body)
				}
				return
			}
			if len(after) != 1 || string(after[0].Tenant) != c.tenant || string(after[0].Program) != c.program {
				t.Errorf("stored %+v", after)
			}
		})
	}
	for name, s := range map[string]string{"%+v": fmt.Sprintf("%+v", h.opts.Policy), "%#v": fmt.Sprintf("%#v", h.opts.Policy)} {
		if strings.Contains(s, "secret") {
			t.Errorf("%s shows tokens: %s", name, s)
		}
	}
}

func TestTenantsOfOpenServer(t *testing.T) {
	cases := map[string]struct {
		tenants []string
		body    string
		status  int
		want    string
	}{
		"none configured":           {nil, `{"type":"t"}`, 202, "default"},
		"none configured, one said": {nil, `{"type":"t","tenant":"x"}`, 202, "x"},
		"one configured":            {[]string{"acme"}, `{"type":"t"}`, 202, "acme"},
		"two configured":            {[]string{"acme", "umbrella"}, `{"type":"t"}`, 422, ""},
		"two configured, one said":  {[]string{"acme", "umbrella"}, `{"type":"t","tenant":"umbrella"}`, 202, "umbrella"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := start(t, func(o *Options) { o.Policy.Tenants = c.tenants })
			r := h.post(c.body)
			if r.StatusCode != c.status {
				t.Fatalf("status %d, want %d: %s", r.StatusCode, c.status, r.body)
			}
			if c.status == 422 {
				if got := r.problemType(t); got != "tenant-required" {
					t.Errorf("problem %s", got)
				}
			} else if got := string(h.stored()[0].Tenant); got != c.want {
				t.Errorf("tenant %q, want %q", got, c.want)
			}
		})
	}
}

func TestStrictEventTypes(t *testing.T) {
	h := start(t, func(o *Options) { o.Policy.EventTypes = []string{"order.paid"} })
	if r := h.post(`{"type":"order.paid"}`); r.StatusCode != 202 {
		t.Errorf("known type: status %d", r.StatusCode)
	}
	r := h.post(`{"type":"order.payed"}`)
	if r.StatusCode != 422 || r.problemType(t) != "unknown-event-type" || !strings.Contains(r.body, "order.payed") {
		t.Errorf("unknown type: status %d, %s", r.StatusCode, r.body)
	}
	if err := h.SetPolicy(Policy{}); err != nil {
		t.Fatal(err)
	}
	if r := h.post(`{"type":"order.payed"}`); r.StatusCode != 202 {
		t.Errorf("after a new policy: status %d", r.StatusCode)
	}
	if err := h.SetPolicy(Policy{EventTypes: []string{}}); err == nil {
		t.Error("a policy that refuses everything was taken")
	}
}

func TestPolicyRefuses(t *testing.T) {
	for name, tokens := range map[string][]Token{
		"empty":      {{Name: "a"}},
		"same twice": {{Name: "a", Token: "canary"}, {Name: "b", Token: "canary"}},
		"long":       {{Name: "a", Token: "canary", Tenant: strings.Repeat("x", 256)}},
	} {
		if _, err := (Policy{Tokens: tokens}).compile(); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: error %v", name, err)
		}
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

func TestPanic(t *testing.T) {
	h := start(t)
	h.queue.append = func(_ context.Context, e *event.Event, _ []event.WebhookID, _ *queue.Dedup) (queue.Receipt, error) {
		panic("BUG: " + string(e.Data))
	}
	r := h.post(`{"type":"t","data":"canary"}`)
	if r.StatusCode != 500 || r.problemType(t) != "internal" || !r.Close {
		t.Errorf("status %d, close %v: %s", r.StatusCode, r.Close, r.body)
	}
	if n := h.count("/v1/events", "500"); n != 1 {
		t.Errorf("metric counts %v, want 1", n)
	}
	if log := h.log.String(); !strings.Contains(log, "panic while answering") || !strings.Contains(log, "server_test.go") || strings.Contains(log, "canary") {
		t.Errorf("log: %s", log)
	}
	h.queue.append = h.keep
	if r := h.post(`{"type":"t"}`); r.StatusCode != 202 {
		t.Errorf("after the panic: status %d", r.StatusCode)
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

func TestHealthAndReady(t *testing.T) {
	cases := map[string]struct {
		change        func(h *harness)
		health, ready int
		missing       string
	}{
		"all well":     {func(*harness) {}, 200, 200, ""},
		"queue full":   {func(h *harness) { h.queue.stats.Store(&queue.Stats{Full: true}) }, 200, 503, "queue has room"},
		"disk low":     {func(h *harness) { h.queue.stats.Store(&queue.Stats{DiskLow: true}) }, 200, 503, "disk has room"},
		"queue failed": {func(h *harness) { close(h.queue.failed) }, 503, 503, "queue works"},
		"draining":     {func(h *harness) { h.Drain() }, 200, 503, "serving (not draining)"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := start(t)
			c.change(h)
			if r := h.do("GET", "/healthz", ""); r.StatusCode != c.health {
				t.Errorf("/healthz: %d, want %d", r.StatusCode, c.health)
			}
			r := h.do("GET", "/readyz", "")
			if r.StatusCode != c.ready || !strings.Contains(r.body, c.missing) {
				t.Errorf("/readyz: %d %s, want %d", r.StatusCode, r.body, c.ready)
			}
			if c.ready == 503 && r.problemType(t) != "not-ready" {
				t.Errorf("problem %s", r.body)
			}
			v := h.do("GET", "/readyz?verbose", "")
			if v.StatusCode != c.ready || strings.Count(v.body, "[-] ") != min(len(c.missing), 1) || c.missing != "" && !strings.Contains(v.body, "[-] "+c.missing+"\n") {
				t.Errorf("/readyz?verbose: %d\n%s", v.StatusCode, v.body)
			}
		})
	}
}

func TestDrain(t *testing.T) {
	h := start(t)
	h.Drain()
	r := h.post(`{"type":"t"}`)
	if r.StatusCode != 503 || r.problemType(t) != "draining" || !r.Close || r.Header.Get("Retry-After") == "" {
		t.Errorf("status %d, close %v, header %v", r.StatusCode, r.Close, r.Header)
	}
}

func TestCloseWaitsForTheAnswer(t *testing.T) {
	h := start(t)
	entered, release := make(chan struct{}), make(chan struct{})
	h.queue.append = func(ctx context.Context, e *event.Event, w []event.WebhookID, d *queue.Dedup) (queue.Receipt, error) {
		close(entered)
		<-release
		return h.keep(ctx, e, w, d)
	}
	silent, err := net.Dial("tcp", h.addr) // a connection that never says anything must not hold up the end
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	answered := make(chan reply, 1)
	go func() { answered <- h.post(`{"type":"t"}`) }()
	<-entered
	closed := make(chan error, 1)
	go func() { closed <- h.Close(context.Background()) }()
	select {
	case <-closed:
		t.Fatal("closed while a request was under way")
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	if r := <-answered; r.StatusCode != 202 || !r.Close {
		t.Errorf("status %d, close %v", r.StatusCode, r.Close)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
	if _, err := net.Dial("tcp", h.addr); err == nil {
		t.Error("still accepting")
	}
}

func TestCloseGivesUp(t *testing.T) {
	h := start(t)
	entered := make(chan struct{})
	h.queue.append = func(ctx context.Context, _ *event.Event, _ []event.WebhookID, _ *queue.Dedup) (queue.Receipt, error) {
		close(entered)
		<-ctx.Done() // a disk that hangs
		return queue.Receipt{}, ctx.Err()
	}
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n"+`{"type":"t"}`)
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.Close(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("close: %v", err)
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err == nil && resp.StatusCode == 202 {
		t.Error("202 for an event that the queue does not have")
	}
}

func TestNewRefuses(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var empty, table atomic.Pointer[webhooks.Table]
	tab, err := webhooks.NewTable(nil)
	if err != nil {
		t.Fatal(err)
	}
	table.Store(tab)
	good := Options{Listener: ln, Queue: &fakeQueue{}, Table: &table, Durability: "os", Metrics: metrics.New(), Log: slog.Default()}
	for name, change := range map[string]func(*Options){
		"no listener": func(o *Options) { o.Listener = nil }, "no queue": func(o *Options) { o.Queue = nil },
		"no table": func(o *Options) { o.Table = nil }, "empty table": func(o *Options) { o.Table = &empty },
		"no durability": func(o *Options) { o.Durability = "" }, "empty token": func(o *Options) { o.Policy.Tokens = []Token{{}} },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	s, err := New(good)
	if err != nil {
		t.Fatal(err)
	}
	if s.opts.MaxBody != 1<<20 || s.opts.ReadTimeout != 10*time.Second || s.opts.IdleTimeout != time.Minute {
		t.Errorf("defaults %+v", s.opts)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Errorf("close without serve: %v", err)
	}
}

// TestReloadUnderLoad is for the race detector: policy and table change while events come in.
func TestReloadUnderLoad(t *testing.T) {
	h := start(t)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 25 {
				if r := h.post(fmt.Sprintf(`{"type":"order.paid","id":"o-%d-%d","data":%d}`, i, n, i)); r.StatusCode != 202 {
					t.Errorf("status %d: %s", r.StatusCode, r.body)
				}
			}
		})
	}
	wg.Go(func() {
		for n := range 100 {
			if err := h.SetPolicy(Policy{Tenants: []string{fmt.Sprintf("t%d", n)}}); err != nil {
				t.Error(err)
			}
			tab, err := webhooks.NewTable([]*webhooks.Webhook{hook("w", fmt.Sprintf("t%d", n), "*")})
			if err != nil {
				t.Error(err)
			}
			h.opts.Table.Store(tab)
		}
	})
	wg.Wait()
	for _, e := range h.stored() {
		if id := strings.Split(string(e.ID), "-"); string(e.Data) != id[1] || !strings.Contains(string(e.Envelope), string(e.ID)) {
			t.Fatalf("event %s has the bytes of another one: %s", e.ID, e.Envelope)
		}
	}
	if n := len(h.stored()); n != 100 {
		t.Errorf("%d events stored, want 100", n)
	}
}
