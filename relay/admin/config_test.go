package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"edgerelay/config"
)

// fakeTrier knows one webhook, acme's.
type fakeTrier struct{}

func (fakeTrier) Try(_ context.Context, in *TryRequest, tenants []string) (*TryAnswer, error) {
	if in.Webhook != "" && (in.Webhook != acmeWebhook.String() || tenants != nil && tenants[0] != "acme") {
		return nil, ErrNotFound
	}
	body := NewTrialBody([]byte("hello"), 3, func(s string) string { return s })
	return &TryAnswer{Trial: Trial{Webhook: "feed", Action: "send", Steps: []TrialStep{}, Request: &TrialRequest{Method: "POST", Headers: []TrialHeader{}, TrialBody: body}}}, nil
}

type fakeConfig struct{}

func (fakeConfig) Print() ([]byte, error) { return []byte("version: 1\n"), nil }

func (fakeConfig) Export(tenants []string) ([]byte, error) {
	if tenants == nil {
		tenants = []string{"acme", "zeta"}
	}
	return []byte("# " + strings.Join(tenants, " ") + "\n"), nil
}

func (fakeConfig) Reload(context.Context) (*ConfigReport, error) {
	return &ConfigReport{Applied: true, Changes: []config.Change{}, Affected: []AffectedWebhook{}, NeedsRestart: []string{}, Warnings: Mistakes{}}, nil
}

func (fakeConfig) Plan(_ context.Context, next *config.Inventory) (*ConfigReport, error) {
	if next != nil && len(next.Objects) == 0 {
		return nil, Mistakes{{Path: "objects", Message: "is empty"}}
	}
	return &ConfigReport{Changes: []config.Change{{Action: "add", Kind: "webhooks", Name: "x"}}, Affected: []AffectedWebhook{}, NeedsRestart: []string{}, Warnings: Mistakes{}}, nil
}

func fakeEventTypes() []EventType {
	return []EventType{
		{Name: "order.sent", Scope: "any", Origin: "file", Description: "It is on its way."},
		{Name: "order.paid", Scope: "any", Origin: "file", Example: json.RawMessage(`{"n":1}`)},
		{Name: "own", Tenant: "acme", Scope: "global", Origin: "file"},
		{Name: "own", Tenant: "zeta", Scope: "any", Origin: "file"},
		{Name: "secret", Tenant: "zeta", Scope: "any", Origin: "file"},
	}
}

func withBody(text string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Content-Type", "application/json")
		r.Body = io.NopCloser(bytes.NewReader([]byte(text)))
		r.ContentLength = int64(len(text))
	}
}

func TestTryRoute(t *testing.T) {
	b := newBed(t, withFakes)
	for _, c := range []struct {
		token, body string
		status      int
		want        string
	}{
		{"acme-editor", `{"draft":{"name":"x"}}`, 200, `"body":"hel","body_bytes":5,"body_truncated":true`},
		{"acme-editor", `{"webhook":"` + acmeWebhook.String() + `","event":{"type":"a"}}`, 200, `"action":"send"`},
		{"acme-editor", `{"webhook":"` + zetaWebhook.String() + `"}`, 404, `not-found`},
		{"acme-viewer", `{"draft":{}}`, 403, `forbidden`},
		{"acme-editor", `{}`, 422, `give a draft, or the id of a webhook`},
		{"acme-editor", `{"draft":{},"event":{},"stored":"we_1"}`, 422, `give one of event, example and stored`},
		{"acme-editor", `{"webhook":"x","compare":true}`, 422, `needs a draft`},
		{"acme-editor", `{"draft":{},"colour":1}`, 422, `colour`},
		{"acme-editor", ``, 400, `missing`},
		{"acme-editor", `{"draft":"` + strings.Repeat("x", maxTryBody) + `"}`, 413, `too-large`},
	} {
		rec := b.do("POST", "/api/v1/try", c.token, withBody(c.body))
		if rec.Code != c.status || !strings.Contains(rec.Body.String(), c.want) {
			t.Errorf("%s %.80s: %d %s", c.token, c.body, rec.Code, rec.Body)
		}
	}
}

func TestConfigRoutes(t *testing.T) {
	b := newBed(t, withFakes)
	for _, c := range []struct {
		method, path, token, body string
		status                    int
		want                      string
	}{
		{"GET", "/api/v1/config", "all-admin", "", 200, "version: 1"},
		{"GET", "/api/v1/config", "all-editor", "", 403, ""},
		{"GET", "/api/v1/config", "acme-admin", "", 403, ""},
		{"POST", "/api/v1/config/reload", "all-admin", "", 200, `"applied":true`},
		{"POST", "/api/v1/config/reload", "acme-admin", "", 403, ""},
		{"POST", "/api/v1/config/plan", "all-admin", "", 200, `"changes":[{"action":"add"`},
		{"POST", "/api/v1/config/plan", "all-admin", `{"salt":"00","objects":[{"kind":"webhooks","name":"a","values":[{"path":"url","text":"x","hash":"y"}]}]}`, 200, ""},
		{"POST", "/api/v1/config/plan", "all-admin", `{"objects":[]}`, 422, "is empty"},
		{"POST", "/api/v1/config/plan", "all-admin", `{"objects":[{"colour":1}]}`, 422, "colour"},
		{"POST", "/api/v1/config/plan", "all-editor", "", 403, ""},
	} {
		change := func(*http.Request) {}
		if c.body != "" {
			change = withBody(c.body)
		}
		rec := b.do(c.method, c.path, c.token, change)
		if rec.Code != c.status || !strings.Contains(rec.Body.String(), c.want) {
			t.Errorf("%s %s %s: %d %s", c.token, c.path, c.body, rec.Code, rec.Body)
		}
	}
	if !strings.Contains(b.logs.String(), `msg="reload through the API" token=ga`) {
		t.Errorf("%s", b.logs.String())
	}
}

func TestEventTypeRoutes(t *testing.T) {
	b := newBed(t, withFakes)
	names := func(query, token string) string {
		rec := b.do("GET", "/api/v1/event-types"+query, token)
		var p page[EventType]
		if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || rec.Code != 200 {
			return rec.Body.String()
		}
		var names []string
		for _, i := range p.Items {
			names = append(names, i.Name+i.Tenant)
		}
		if p.NextCursor != "" {
			names = append(names, "…"+p.NextCursor)
		}
		return strings.Join(names, " ")
	}
	for _, c := range []struct{ query, token, want string }{
		{"", "all-viewer", "order.paid order.sent ownacme ownzeta secretzeta"},
		{"", "acme-viewer", "order.paid order.sent ownacme"},
		{"?search=way", "acme-viewer", "order.sent"},
		{"?search=ORDER", "acme-viewer", "order.paid order.sent"},
		{"?scope=global", "all-viewer", "ownacme"},
		{"?tenant=zeta", "all-viewer", "order.paid order.sent ownzeta secretzeta"},
	} {
		if got := names(c.query, c.token); got != c.want {
			t.Errorf("%s as %s: %s", c.query, c.token, got)
		}
	}
	first := names("?limit=2", "acme-viewer")
	_, cursor, _ := strings.Cut(first, "…")
	if got := names("?limit=2&cursor="+cursor, "acme-viewer"); got != "ownacme" {
		t.Errorf("second page: %s (%s)", got, first)
	}
	for path, want := range map[string]int{"/api/v1/event-types/order.paid": 200, "/api/v1/event-types/own": 200, "/api/v1/event-types/secret": 404, "/api/v1/event-types/none": 404,
		"/api/v1/event-types/own?tenant=zeta": 404, "/api/v1/event-types?tenant=zeta": 404} {
		if rec := b.do("GET", path, "acme-viewer"); rec.Code != want {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
	if rec := b.do("GET", "/api/v1/event-types/own", "all-viewer"); rec.Code != 409 {
		t.Errorf("%d", rec.Code)
	}
	if rec := b.do("GET", "/api/v1/event-types/own?tenant=zeta", "all-viewer"); rec.Code != 200 || !strings.Contains(rec.Body.String(), `"tenant":"zeta"`) {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// withFakes gives the server what these routes need.
func withFakes(o *Options) { o.Try, o.Config, o.EventTypes = fakeTrier{}, fakeConfig{}, fakeEventTypes }

// Every route of this file with every token: who may not gets 401, 403 or 404, and nobody sees what is another tenant's.
func TestRoutesAndTokens(t *testing.T) {
	b := newBed(t, withFakes)
	routes := append(append(b.tryRoutes(), b.configRoutes()...), b.eventTypeRoutes()...)
	if len(routes) < 6 {
		t.Fatalf("%d routes", len(routes))
	}
	for _, rt := range routes {
		body := ""
		for _, example := range rt.bodies {
			body = example
		}
		for _, tok := range append([]Token{{Name: "none"}, {Name: "wrong", Token: "wrong"}}, testTokens...) {
			change := func(*http.Request) {}
			if body != "" {
				change = withBody(body)
			}
			rec := b.do(rt.method, strings.ReplaceAll(rt.path, "{name}", "order.paid"), tok.Token, change)
			want := rt.status
			switch {
			case tok.Role == 0:
				want = 401
			case tok.Role < rt.role, rt.global && tok.Tenants[len(tok.Tenants)-1] != "*":
				want = 403
			}
			if rec.Code != want {
				t.Errorf("%s %s as %s: %d, want %d: %s", rt.method, rt.path, tok.Name, rec.Code, want, rec.Body)
			}
			if tok.Tenants != nil && tok.Tenants[0] == "acme" && tok.Name[0] == 'a' && strings.Contains(rec.Body.String(), "zeta") {
				t.Errorf("%s %s as %s: %s", rt.method, rt.path, tok.Name, rec.Body)
			}
		}
	}
}
