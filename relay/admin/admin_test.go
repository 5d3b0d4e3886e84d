package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"edgerelay/relay/event"
)

// fakeDeliveries is the edge of this package: the queue behind it has its own tests.
type fakeDeliveries struct {
	list    func(Filter, string, int) ([]Delivery, string, error)
	get     func(event.DeliveryID) (Delivery, []byte, error)
	redrive func(event.DeliveryID) error
}

func (f *fakeDeliveries) List(_ context.Context, fl Filter, cursor string, limit int) ([]Delivery, string, error) {
	return f.list(fl, cursor, limit)
}

func (f *fakeDeliveries) Get(_ context.Context, id event.DeliveryID) (Delivery, []byte, error) {
	return f.get(id)
}

func (f *fakeDeliveries) Redrive(_ context.Context, id event.DeliveryID) error { return f.redrive(id) }

// The two tenants of the tests, with one delivery and one webhook each.
var (
	acmeDelivery = event.DeliveryID{1}
	zetaDelivery = event.DeliveryID{2}
	acmeWebhook  = event.WebhookID{1}
	zetaWebhook  = event.WebhookID{2}
)

func deliveryOf(id event.DeliveryID) Delivery {
	d := Delivery{ID: id.String(), Webhook: acmeWebhook.String(), Event: "we_1", Type: "a.b", Tenant: "acme", Status: "dead", Attempts: 6,
		AcceptedAt: time.UnixMilli(1_700_000_000_123).UTC(), LastFailure: &Failure{Reason: "status", HTTPStatus: 500, At: time.UnixMilli(1_700_000_001_000).UTC()}}
	if id == zetaDelivery {
		d.Tenant, d.Webhook = "zeta", zetaWebhook.String()
	}
	return d
}

// bed is a server with fakes behind it and a record of what was asked of them.
type bed struct {
	*Server
	deliveries *fakeDeliveries
	redriven   []event.DeliveryID
	logs       bytes.Buffer
}

var testTokens = []Token{
	{Name: "gv", Token: "all-viewer", Tenants: []string{"*"}, Role: RoleViewer},
	{Name: "ge", Token: "all-editor", Tenants: []string{"*"}, Role: RoleEditor},
	{Name: "ga", Token: "all-admin", Tenants: []string{"acme", "*"}, Role: RoleAdmin},
	{Name: "av", Token: "acme-viewer", Tenants: []string{"acme"}, Role: RoleViewer},
	{Name: "ae", Token: "acme-editor", Tenants: []string{"acme"}, Role: RoleEditor},
	{Name: "aa", Token: "acme-admin", Tenants: []string{"acme"}, Role: RoleAdmin},
}

func newBed(t *testing.T, change func(*Options)) *bed {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	b := &bed{}
	b.deliveries = &fakeDeliveries{
		list: func(f Filter, _ string, _ int) ([]Delivery, string, error) {
			var out []Delivery
			for _, id := range []event.DeliveryID{acmeDelivery, zetaDelivery} {
				if d := deliveryOf(id); f.Tenants == nil || slices.Contains(f.Tenants, d.Tenant) {
					out = append(out, d)
				}
			}
			return out, "", nil
		},
		get: func(id event.DeliveryID) (Delivery, []byte, error) {
			if id != acmeDelivery && id != zetaDelivery {
				return Delivery{}, nil, fmt.Errorf("get: %w", ErrNotFound)
			}
			return deliveryOf(id), []byte(`{"id":"we_1","data":{"html":"<b>"}}`), nil
		},
		redrive: func(id event.DeliveryID) error { b.redriven = append(b.redriven, id); return nil },
	}
	o := Options{
		Listener: ln, Tokens: testTokens, Deliveries: b.deliveries,
		Webhooks: func() []Webhook {
			return []Webhook{
				{ID: zetaWebhook.String(), Name: "z", Tenant: "zeta", URL: "https://z.example/", Status: "paused", Circuit: "open", Counters: Counters{Dead: 5}},
				{ID: acmeWebhook.String(), Name: "feed", Tenant: "acme", URL: "https://u:hunter2@a.example/h?key=hunter2&p={{ program }}", Status: "active", Circuit: "closed", Counters: Counters{Delivered: 3}},
			}
		},
		Keys: func(string) []Key {
			return []Key{{Type: "OKP", Curve: "Ed25519", X: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", ID: "k", Use: "sig", Algorithm: "EdDSA"}}
		},
		Series:  func([]string, string, int) Series { return Series{} },
		Watch:   func(AttemptFilter) AttemptWatch { return &fewAttempts{} }, // ends at once
		Stats:   func() Stats { return Stats{Version: "v1", Queue: QueueStats{Pending: 77}} },
		Health:  func() []Check { return []Check{{Name: "loop"}} },
		Ready:   func() []Check { return []Check{{Name: "queue"}, {Name: "disk"}} },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "metrics here") }),
		Pprof:   true, Log: slog.New(slog.NewTextHandler(&b.logs, nil)),
	}
	if change != nil {
		change(&o)
	}
	if b.Server, err = New(o); err != nil {
		t.Fatal(err)
	}
	return b
}

// do sends a request; token "" = none.
func (b *bed) do(method, target, token string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Host = "127.0.0.1:8081"
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, c := range change {
		c(r)
	}
	rec := httptest.NewRecorder()
	b.handler.ServeHTTP(rec, r)
	return rec
}

// fill puts an id into a route's pattern.
func fill(rt route, tenant string) string {
	id := map[string]string{"acme": acmeDelivery.String(), "zeta": zetaDelivery.String()}[tenant]
	if strings.Contains(rt.path, "/webhooks/") {
		id = map[string]string{"acme": acmeWebhook.String(), "zeta": zetaWebhook.String()}[tenant]
	}
	path := strings.ReplaceAll(rt.path, "{id}", id)
	if path == "/debug/pprof/profile" || path == "/debug/pprof/trace" {
		path += "?seconds=0.01"
	}
	return path
}

// Every route with every token for a thing of the own and of a foreign tenant. What is expected follows from the rules, not from the table.
func TestRoleTenantRouteMatrix(t *testing.T) {
	b := newBed(t, nil)
	for _, rt := range b.routes() {
		if strings.HasSuffix(rt.path, "/profile") {
			continue // takes a second; it is served by the same code as its siblings
		}
		for _, tenant := range []string{"acme", "zeta"} {
			for _, tok := range append([]Token{{Name: "none"}, {Name: "wrong", Token: "wrong"}}, testTokens...) {
				b.redriven = nil
				rec := b.do(rt.method, fill(rt, tenant), tok.Token)
				own := slices.Contains(tok.Tenants, "*") || slices.Contains(tok.Tenants, tenant)
				want := http.StatusOK
				switch {
				case rt.role == 0:
				case tok.Role == 0:
					want = http.StatusUnauthorized
				case strings.HasPrefix(rt.path, "/debug/") && tok.Role != RoleAdmin,
					rt.method == "POST" && tok.Role == RoleViewer,
					(rt.path == "/metrics" || strings.HasPrefix(rt.path, "/debug/")) && !slices.Contains(tok.Tenants, "*"):
					want = http.StatusForbidden
				case strings.Contains(rt.path, "{id}") && !own:
					want = http.StatusNotFound
				case rt.method == "POST":
					want = http.StatusAccepted
				}
				name := fmt.Sprintf("%s %s of %s as %s", rt.method, rt.path, tenant, tok.Name)
				if rec.Code != want {
					t.Errorf("%s: %d, want %d", name, rec.Code, want)
				}
				if want >= 400 {
					wantProblem(t, name, rec, want)
				}
				if strings.HasSuffix(rt.path, "z") != (rt.role == 0) && !strings.HasPrefix(rt.path, "/api/docs") && rt.path != "/api/openapi.json" && rt.path != "/.well-known/jwks.json" {
					t.Errorf("%s: only health, the document and public keys are open", name)
				}
				if tok.Role > 0 && !slices.Contains(tok.Tenants, "*") && strings.Contains(rec.Body.String(), "zeta") {
					t.Errorf("%s: the answer shows a foreign tenant: %s", name, rec.Body)
				}
				if strings.Contains(rec.Body.String(), "hunter2") {
					t.Errorf("%s: the answer shows a secret", name)
				}
				if acted := len(b.redriven) > 0; acted != (want == http.StatusAccepted) {
					t.Errorf("%s: redriven %v", name, b.redriven)
				}
			}
		}
	}
}

func wantProblem(t *testing.T, name string, rec *httptest.ResponseRecorder, status int) {
	t.Helper()
	var p problem
	if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil {
		t.Errorf("%s: %v in %s", name, err, rec.Body)
		return
	}
	if rec.Code != status || p.Status != status || p.Title == "" || !strings.HasPrefix(p.Type, problemPrefix) || rec.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: code %d, problem %+v, want %d", name, rec.Code, p, status)
	}
}

func TestRefusals(t *testing.T) {
	b := newBed(t, nil)
	id := acmeDelivery.String()
	for _, tt := range []struct {
		name, method, target string
		status               int
	}{
		{"no such route", "GET", "/api/v1/nothing", 404},
		{"route with a slash at the end", "GET", "/api/v1/deliveries/", 404},
		{"wrong method", "DELETE", "/api/v1/deliveries/" + id, 405},
		{"retry by GET", "GET", "/api/v1/deliveries/" + id + "/retry", 405},
		{"malformed id", "GET", "/api/v1/deliveries/dl_x", 404},
		{"id of another kind", "GET", "/api/v1/deliveries/" + acmeWebhook.String(), 404},
		{"unknown id", "GET", "/api/v1/deliveries/" + event.DeliveryID{9}.String(), 404},
		{"unknown webhook", "GET", "/api/v1/webhooks/" + event.WebhookID{9}.String(), 404},
		{"malformed webhook id", "GET", "/api/v1/webhooks/x", 404},
		{"misspelt parameter", "GET", "/api/v1/deliveries?stauts=dead", 400},
		{"parameter where none is known", "GET", "/api/v1/deliveries/" + id + "?a=1", 400},
		{"parameter twice", "GET", "/api/v1/deliveries?limit=1&limit=2", 400},
		{"malformed query", "GET", "/api/v1/deliveries?a=%zz", 400},
		{"status outside the set", "GET", "/api/v1/deliveries?status=done", 400},
		{"empty status", "GET", "/api/v1/deliveries?status=", 400},
		{"empty event", "GET", "/api/v1/deliveries?event=", 400},
		{"webhook is no id", "GET", "/api/v1/deliveries?webhook=feed", 400},
		{"limit zero", "GET", "/api/v1/deliveries?limit=0", 400},
		{"limit too large", "GET", "/api/v1/deliveries?limit=501", 400},
		{"limit not a number", "GET", "/api/v1/deliveries?limit=ten", 400},
		{"cursor too long", "GET", "/api/v1/deliveries?cursor=" + strings.Repeat("x", 2000), 400},
		{"webhook cursor", "GET", "/api/v1/webhooks?cursor=***", 400},
		{"webhook status", "GET", "/api/v1/webhooks?status=on", 400},
	} {
		rec := b.do(tt.method, tt.target, "all-admin")
		wantProblem(t, tt.name, rec, tt.status)
		if tt.status == 405 && rec.Header().Get("Allow") == "" {
			t.Errorf("%s: no Allow header", tt.name)
		}
	}
	rec := b.do("POST", "/api/v1/deliveries/"+id+"/retry", "all-admin", func(r *http.Request) { r.Body = http.NoBody })
	if rec.Code != http.StatusAccepted {
		t.Errorf("retry without a body: %d", rec.Code)
	}
	r := httptest.NewRequest("POST", "/api/v1/deliveries/"+id+"/retry", strings.NewReader("{}"))
	r.Host = "localhost"
	r.Header.Set("Authorization", "bearer all-admin")
	got := httptest.NewRecorder()
	b.handler.ServeHTTP(got, r)
	wantProblem(t, "retry with a body", got, 400)
}

func TestErrorsOfTheQueue(t *testing.T) {
	b := newBed(t, nil)
	for _, tt := range []struct {
		name   string
		err    error
		status int
	}{
		{"foreign cursor", fmt.Errorf("list: %w", ErrCursor), 400},
		{"gone meanwhile", fmt.Errorf("list: %w", ErrNotFound), 404},
		{"closed", fmt.Errorf("list: %w", ErrUnavailable), 503},
		{"anything else", errors.New("secret path /var/x"), 500},
	} {
		b.deliveries.list = func(Filter, string, int) ([]Delivery, string, error) { return nil, "", tt.err }
		b.deliveries.redrive = func(event.DeliveryID) error { return tt.err }
		rec := b.do("GET", "/api/v1/deliveries?cursor=x", "all-viewer")
		wantProblem(t, tt.name, rec, tt.status)
		wantProblem(t, tt.name, b.do("POST", "/api/v1/deliveries/"+acmeDelivery.String()+"/retry", "all-editor"), tt.status)
		if strings.Contains(rec.Body.String(), "/var/x") {
			t.Errorf("%s: the answer shows an internal error", tt.name)
		}
	}
	if !strings.Contains(b.logs.String(), "/var/x") {
		t.Error("the log does not say what the internal error was")
	}
}

func TestListDeliveriesPassesTheFilter(t *testing.T) {
	b := newBed(t, nil)
	var got Filter
	var cursor string
	var limit int
	b.deliveries.list = func(f Filter, c string, l int) ([]Delivery, string, error) {
		got, cursor, limit = f, c, l
		return nil, "next!", nil
	}
	rec := b.do("GET", "/api/v1/deliveries?status=dead&event=we_1&limit=7&cursor=abc&webhook="+acmeWebhook.String(), "acme-viewer")
	if rec.Code != 200 || strings.TrimSpace(rec.Body.String()) != `{"items":[],"next_cursor":"next!"}` {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if got.State != "dead" || got.Event != "we_1" || got.Webhook != acmeWebhook || !slices.Equal(got.Tenants, []string{"acme"}) || cursor != "abc" || limit != 7 {
		t.Errorf("filter %+v, cursor %q, limit %d", got, cursor, limit)
	}
	b.do("GET", "/api/v1/deliveries", "all-viewer")
	if got.Tenants != nil || limit != 50 {
		t.Errorf("global token: tenants %v, limit %d", got.Tenants, limit)
	}
}

func TestGetDelivery(t *testing.T) {
	b := newBed(t, nil)
	rec := b.do("GET", "/api/v1/deliveries/"+acmeDelivery.String(), "acme-viewer")
	want := `{"id":"` + acmeDelivery.String() + `","webhook":"` + acmeWebhook.String() + `","event":"we_1","type":"a.b","tenant":"acme","status":"dead",` +
		`"attempts":6,"accepted_at":"2023-11-14T22:13:20.123Z","last_failure":{"reason":"status","http_status":500,"at":"2023-11-14T22:13:21Z"},` +
		`"envelope":{"id":"we_1","data":{"html":"<b>"}},"attempts_made":[]}` + "\n"
	if rec.Body.String() != want {
		t.Errorf("got  %s\nwant %s", rec.Body, want)
	}
}

func TestRetryIsLogged(t *testing.T) {
	b := newBed(t, nil)
	b.do("POST", "/api/v1/deliveries/"+acmeDelivery.String()+"/retry", "acme-editor")
	if !slices.Equal(b.redriven, []event.DeliveryID{acmeDelivery}) {
		t.Errorf("redriven %v", b.redriven)
	}
	if l := b.logs.String(); !strings.Contains(l, "token=ae") || strings.Contains(l, "acme-editor") {
		t.Errorf("log line %q: want the token's name and not the token", l)
	}
}

func TestWebhookList(t *testing.T) {
	all := make([]Webhook, 5)
	for i := range all {
		all[i] = Webhook{ID: event.WebhookID{byte(i)}.String(), Name: fmt.Sprintf("Hook %d", 4-i), Tenant: "acme", Status: "active", Program: "p"}
	}
	all[2].Status, all[2].Program = "draft", ""
	b := newBed(t, func(o *Options) { o.Webhooks = func() []Webhook { return slices.Clone(all) } })
	names := func(query string) (string, string) {
		rec := b.do("GET", "/api/v1/webhooks"+query, "acme-viewer")
		var p page[Webhook]
		if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || rec.Code != 200 {
			t.Fatalf("%s: %d %s", query, rec.Code, rec.Body)
		}
		var out []string
		for _, w := range p.Items {
			out = append(out, strings.TrimPrefix(w.Name, "Hook "))
		}
		return strings.Join(out, ""), p.NextCursor
	}
	for _, tt := range []struct{ query, want string }{
		{"", "01234"}, {"?status=draft", "2"}, {"?search=hook%203", "3"}, {"?search=" + all[0].ID, "4"}, {"?search=none", ""},
		{"?program=p", "0134"}, {"?program=", "2"}, {"?limit=5", "01234"},
	} {
		if got, next := names(tt.query); got != tt.want || next != "" {
			t.Errorf("%s: %q (next %q), want %q", tt.query, got, next, tt.want)
		}
	}
	got, next := names("?limit=2")
	all = slices.DeleteFunc(all, func(w Webhook) bool { return w.Name == "Hook 1" }) // the cursor's own webhook goes away
	more, end := names("?limit=9&cursor=" + next)
	if got != "01" || more != "234" || end != "" {
		t.Errorf("pages %q and %q, then %q", got, more, end)
	}
}

func TestStatsOfATenantHideTheSharedQueue(t *testing.T) {
	b := newBed(t, nil)
	for token, want := range map[string]string{
		"all-viewer":  `"webhooks":{"total":2,"active":1,"open_circuits":1,"counters":{"delivered":3,"failed":0,"dead":5,"in_flight":0}},"queue":{"pending":77,`,
		"acme-viewer": `"webhooks":{"total":1,"active":1,"open_circuits":0,"counters":{"delivered":3,"failed":0,"dead":0,"in_flight":0}}}`,
	} {
		if rec := b.do("GET", "/api/v1/stats", token); !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s: %s", token, rec.Body)
		}
	}
}
