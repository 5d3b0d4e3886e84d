package dashboard

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeAPI is the edge of this package; the real one is behind the pages in the browser tests.
type fakeAPI struct {
	mu      sync.Mutex
	tokens  map[string]identity
	answers map[string]any // "METHOD path" → what is answered; a *problem is an error
	asked   []string       // "METHOD uri"
	bodies  []string
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fail := func(p *problem) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(p.Status)
		json.NewEncoder(w).Encode(p)
	}
	who, ok := f.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	if !ok {
		fail(&problem{Status: 401, Title: "Unauthorized"})
		return
	}
	if r.URL.Path == "/api/v1/whoami" {
		json.NewEncoder(w).Encode(who)
		return
	}
	f.asked = append(f.asked, r.Method+" "+r.RequestURI)
	var body strings.Builder
	b := make([]byte, 64<<10)
	n, _ := r.Body.Read(b)
	body.Write(b[:n])
	f.bodies = append(f.bodies, body.String())
	switch a := f.answers[r.Method+" "+r.URL.Path].(type) {
	case nil:
		fail(&problem{Status: 404, Title: "Not found"})
	case *problem:
		fail(a)
	default:
		json.NewEncoder(w).Encode(a)
	}
}

type bed struct {
	*Dashboard
	t     *testing.T
	api   *fakeAPI
	clock time.Time
	logs  strings.Builder
}

type obj = map[string]any

func newBed(t *testing.T, change func(*Options)) *bed {
	t.Helper()
	b := &bed{t: t, clock: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	b.api = &fakeAPI{
		tokens: map[string]identity{"global": {Name: "ops", Role: "admin", Global: true}, "acme": {Name: "acme-ed", Role: "editor", Tenants: []string{"acme"}},
			"reader": {Name: "reader", Role: "viewer", Tenants: []string{"acme", "zeta"}}},
		answers: map[string]any{
			"GET /api/v1/tenants":    obj{"items": []obj{{"id": "acme", "name": "Acme"}, {"id": "zeta"}}},
			"GET /api/v1/stats":      obj{"version": "v1", "webhooks": obj{"total": 1, "active": 1}},
			"GET /api/v1/webhooks":   obj{"items": []obj{{"id": "wh_1", "name": "feed", "tenant": "acme", "status": "active", "circuit": "closed", "events": []string{"a.b"}}}},
			"GET /api/v1/deliveries": obj{"items": []obj{}},
		},
	}
	o := Options{API: b.api, Version: "v1", Log: slog.New(slog.NewTextHandler(&b.logs, nil)), Now: func() time.Time { return b.clock }}
	if change != nil {
		change(&o)
	}
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	b.Dashboard = d
	return b
}

// do sends a request as a browser on a page of ours does.
func (b *bed) do(method, target string, form url.Values, cookies []*http.Cookie, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	r.Host = "127.0.0.1:8081"
	if method != "GET" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for _, c := range cookies {
		r.AddCookie(c)
	}
	for _, c := range change {
		c(r)
	}
	rec := httptest.NewRecorder()
	b.ServeHTTP(rec, r)
	return rec
}

// signIn returns the cookies of a new session.
func (b *bed) signIn(token string) []*http.Cookie {
	b.t.Helper()
	rec := b.do("POST", "/ui/login", url.Values{"token": {token}}, nil)
	if rec.Code != http.StatusSeeOther {
		b.t.Fatalf("sign in: %d %s", rec.Code, rec.Body)
	}
	return rec.Result().Cookies()
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

func (b *bed) csrf(cookies []*http.Cookie) string {
	b.t.Helper()
	m := csrfField.FindStringSubmatch(b.do("GET", "/ui/tenants", nil, cookies).Body.String())
	if m == nil {
		b.t.Fatal("no form with a token on the page")
	}
	return m[1]
}

func TestSignIn(t *testing.T) {
	b := newBed(t, nil)
	for _, token := range []string{"", "wrong", "a\r\nb"} {
		if rec := b.do("POST", "/ui/login", url.Values{"token": {token}}, nil); rec.Code != 401 || len(rec.Result().Cookies()) > 0 || !strings.Contains(rec.Body.String(), "not valid") {
			t.Errorf("token %q: %d", token, rec.Code)
		}
	}
	rec := b.do("POST", "/ui/login", url.Values{"token": {" global\n"}, "next": {"/ui/t/acme/webhooks"}}, nil)
	if rec.Code != 303 || rec.Header().Get("Location") != "/ui/t/acme/webhooks" {
		t.Fatalf("%d to %q", rec.Code, rec.Header().Get("Location"))
	}
	c := rec.Result().Cookies()[0]
	if c.Name != "edgerelay_session" || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || len(c.Value) < 40 {
		t.Errorf("cookie %+v", c)
	}
	if strings.Contains(b.logs.String(), "global") && strings.Contains(b.logs.String(), "token=global") {
		t.Error("the log shows the token")
	}
}

func TestCookieWithTLSHasTheHostPrefix(t *testing.T) {
	b := newBed(t, func(o *Options) { o.Secure = true })
	c := b.signIn("global")[0]
	if c.Name != "__Host-edgerelay" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("cookie %+v", c)
	}
	if h := b.do("GET", "/ui/login", nil, nil).Header(); h.Get("Strict-Transport-Security") == "" {
		t.Error("no HSTS")
	}
}

func TestSessionsEnd(t *testing.T) {
	b := newBed(t, nil)
	in := func(c []*http.Cookie) bool { return b.do("GET", "/ui/tenants", nil, c).Code == 200 }
	c := b.signIn("global")
	if !in(c) {
		t.Fatal("not signed in")
	}
	b.clock = b.clock.Add(11 * time.Hour)
	if !in(c) {
		t.Error("a session in use ended before its time")
	}
	b.clock = b.clock.Add(13 * time.Hour)
	if in(c) {
		t.Error("an idle session lives on")
	}
	c = b.signIn("global")
	for range 20 {
		b.clock = b.clock.Add(10 * time.Hour)
		in(c)
	}
	if in(c) {
		t.Error("a session has no end")
	}

	one, two := b.signIn("global"), b.signIn("global")
	other := b.signIn("acme")
	b.do("POST", "/ui/logout", url.Values{"csrf": {b.csrf(one)}}, one)
	if in(one) || !in(two) {
		t.Error("signing out ends another session, or not its own")
	}
	three := b.signIn("global")
	b.do("POST", "/ui/logout", url.Values{"csrf": {b.csrf(two)}, "everywhere": {"1"}}, two)
	if in(two) || in(three) || b.do("GET", "/ui/t/acme/webhooks", nil, other).Code != 200 {
		t.Error("signing out everywhere")
	}
	delete(b.api.tokens, "acme") // revoked
	if rec := b.do("GET", "/ui/t/acme/webhooks", nil, other); rec.Code != 303 || !strings.HasPrefix(rec.Header().Get("Location"), "/ui/login") {
		t.Errorf("a revoked token: %d", rec.Code)
	}
	if len(b.sessions.all) != 0 {
		t.Errorf("%d sessions are left", len(b.sessions.all))
	}
}

func TestSessionsAreBounded(t *testing.T) {
	b := newBed(t, nil)
	first, _ := b.sessions.open("x")
	b.clock = b.clock.Add(time.Second)
	for range mostSessions {
		b.sessions.open("y")
	}
	if len(b.sessions.all) != mostSessions || b.sessions.find(first) != nil {
		t.Errorf("%d sessions; the oldest is still there: %v", len(b.sessions.all), b.sessions.find(first) != nil)
	}
}

func TestTooManyFailedSignIns(t *testing.T) {
	b := newBed(t, nil)
	for range mostStrikes {
		b.do("POST", "/ui/login", url.Values{"token": {"wrong"}}, nil)
	}
	if rec := b.do("POST", "/ui/login", url.Values{"token": {"global"}}, nil); rec.Code != 429 || rec.Header().Get("Retry-After") == "" {
		t.Errorf("blocked: %d", rec.Code)
	}
	elsewhere := func(r *http.Request) { r.RemoteAddr = "192.0.2.9:1" }
	if rec := b.do("POST", "/ui/login", url.Values{"token": {"global"}}, nil, elsewhere); rec.Code != 303 {
		t.Errorf("from elsewhere: %d", rec.Code)
	}
	b.clock = b.clock.Add(strikeWindow)
	b.signIn("global")
}

// Every action × every way in which a foreign page, or an old one, could cause it.
func TestCSRFMatrix(t *testing.T) {
	b := newBed(t, nil)
	c := b.signIn("global")
	token := b.csrf(c)
	other := b.csrf(b.signIn("global"))
	forged := 0
	var actions []string
	for _, rt := range b.routes() {
		if method, path, _ := strings.Cut(rt.pattern, " "); method != "GET" {
			actions = append(actions, path)
		}
	}
	for _, path := range append(actions, "/ui/login", "/ui/theme") {
		target := strings.NewReplacer("{tenant}", "acme", "{id}", "wh_1", "{action}", "publish", "{$}", "", "{name}", "x", "{kind}", "x").Replace(path)
		open := path == "/ui/login" || path == "/ui/theme"
		for name, attack := range map[string]struct {
			csrf   string
			change func(*http.Request)
		}{
			"cross-site, no token":     {"", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }},
			"cross-site, stolen token": {token, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }},
			"same-site sibling":        {token, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }},
			"foreign origin, old browser": {token, func(r *http.Request) {
				r.Header.Del("Sec-Fetch-Site")
				r.Header.Set("Origin", "https://evil.example")
			}},
			"null origin":               {token, func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "null") }},
			"no token":                  {"", nil},
			"wrong token":               {"x", nil},
			"token of another session":  {other, nil},
			"token in the query":        {"", func(r *http.Request) { r.URL.RawQuery = "csrf=" + token }},
			"text/plain body":           {token, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }},
			"no headers, no form token": {"", func(r *http.Request) { r.Header.Del("Sec-Fetch-Site") }},
		} {
			if open && attack.change == nil || open && !strings.Contains(name, "site") && !strings.Contains(name, "origin") {
				continue // these two need no session; what they change is the caller's own
			}
			b.api.asked = nil
			change := attack.change
			if change == nil {
				change = func(*http.Request) {}
			}
			rec := b.do("POST", target, url.Values{"csrf": {attack.csrf}, "token": {"global"}}, c, change)
			wrote := false
			for _, a := range b.api.asked {
				wrote = wrote || !strings.HasPrefix(a, "GET ")
			}
			if rec.Code != 403 || wrote {
				forged++
				t.Errorf("POST %s, %s: %d, asked %v", target, name, rec.Code, b.api.asked)
			}
		}
	}
	t.Logf("%d actions, %d forged requests got through", len(actions)+2, forged)
	if len(b.sessions.all) != 2 {
		t.Error("a forged request ended a session")
	}
}

func TestNoActionByGET(t *testing.T) {
	b := newBed(t, nil)
	c := b.signIn("global")
	for _, rt := range b.routes() {
		method, path, _ := strings.Cut(rt.pattern, " ")
		if method != "GET" {
			continue
		}
		b.api.asked, b.api.bodies = nil, nil
		b.do("GET", strings.NewReplacer("{tenant}", "acme", "{id}", "wh_1", "{$}", "", "{name}", "x", "{action}", "publish").Replace(path), nil, c)
		for i, a := range b.api.asked {
			if !strings.HasPrefix(a, "GET ") && !strings.Contains(b.api.bodies[i], `"dry_run":true`) {
				t.Errorf("GET %s asks %s", path, a)
			}
		}
	}
}

func TestSecurityHeadersOnEveryAnswer(t *testing.T) {
	b := newBed(t, nil)
	c := b.signIn("global")
	for _, target := range []string{"/", "/ui", "/ui/", "/ui/login", "/ui/tenants", "/ui/t/acme/", "/ui/nothing", b.static.url("app.css"), "/ui/static/0/none"} {
		for _, cookies := range [][]*http.Cookie{nil, c} {
			h := b.do("GET", target, nil, cookies).Header()
			if csp := h.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") ||
				h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("X-Frame-Options") != "DENY" {
				t.Errorf("%s: %v", target, h)
			}
			if !strings.HasPrefix(target, "/ui/static/") && h.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: may be cached: %q", target, h.Get("Cache-Control"))
			}
		}
	}
}

func TestPagesNeedASession(t *testing.T) {
	b := newBed(t, nil)
	for _, rt := range b.routes() {
		method, path, _ := strings.Cut(rt.pattern, " ")
		target := strings.NewReplacer("{tenant}", "acme", "{id}", "wh_1", "{$}", "").Replace(path)
		for _, c := range [][]*http.Cookie{nil, {{Name: "edgerelay_session", Value: "made-up"}}} {
			if rec := b.do(method, target, nil, c); rec.Code != 303 || !strings.HasPrefix(rec.Header().Get("Location"), "/ui/login") {
				t.Errorf("%s without a session: %d", rt.pattern, rec.Code)
			}
		}
	}
	if len(b.api.asked) > 0 {
		t.Errorf("the API was asked without a session: %v", b.api.asked)
	}
}

func TestTenantsOfOthersAreNotFound(t *testing.T) {
	b := newBed(t, nil)
	c := b.signIn("acme")
	for path, want := range map[string]int{"/ui/t/acme/webhooks": 200, "/ui/t/zeta/webhooks": 404, "/ui/t/zeta/": 404, "/ui/t/%2e%2e/webhooks": 404} {
		if rec := b.do("GET", path, nil, c); rec.Code != want {
			t.Errorf("%s: %d, want %d", path, rec.Code, want)
		}
	}
	for token, want := range map[string]string{"acme": "/ui/t/acme/", "global": "/ui/tenants", "reader": "/ui/tenants"} {
		if got := b.do("GET", "/ui/", nil, b.signIn(token)).Header().Get("Location"); got != want {
			t.Errorf("%s lands on %q, want %q", token, got, want)
		}
	}
}

func TestLocal(t *testing.T) {
	for next, want := range map[string]string{"/ui/t/a/webhooks?x=1": "/ui/t/a/webhooks?x=1", "https://evil.example/": "", "//evil.example/ui/": "", "/ui//evil.example": "",
		"/api/v1/x": "", "/ui/\\evil": "", "javascript:alert(1)": "", "": "", "/ui/\r\nX: y": ""} {
		if got := local(next); got != want {
			t.Errorf("local(%q) = %q", next, got)
		}
	}
}

func TestErrorsOfTheAPIAreShown(t *testing.T) {
	b := newBed(t, nil)
	c := b.signIn("acme")
	for _, tt := range []struct {
		answer any
		status int
		shows  string
	}{
		{&problem{Status: 404, Title: "Not found"}, 404, "may have been deleted"},
		{&problem{Status: 503, Title: "Not possible just now"}, 503, "Not possible just now"},
		{&problem{Status: 400, Title: "Invalid parameter", Detail: "<script>alert(1)</script>"}, 400, "&lt;script&gt;"},
		{"not a list", 500, "Something went wrong here"},
	} {
		b.api.answers["GET /api/v1/webhooks"] = tt.answer
		rec := b.do("GET", "/ui/t/acme/webhooks", nil, c)
		if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.shows) || strings.Contains(rec.Body.String(), "<script>alert") {
			t.Errorf("%v: %d %s", tt.answer, rec.Code, rec.Body)
		}
	}
}

func TestThemeIsKept(t *testing.T) {
	b := newBed(t, nil)
	c := b.do("POST", "/ui/theme", url.Values{"theme": {"dark"}, "back": {"/ui/login"}}, nil).Result().Cookies()
	if body := b.do("GET", "/ui/login", nil, c).Body.String(); !strings.Contains(body, `data-theme="dark"`) {
		t.Error("the theme is not kept")
	}
	for _, v := range []string{"", `"><script>`} {
		if c := b.do("POST", "/ui/theme", url.Values{"theme": {v}}, nil).Result().Cookies(); len(c) != 1 || c[0].MaxAge >= 0 {
			t.Errorf("theme %q: %v", v, c)
		}
	}
}

func TestStaticFilesAreKeptForEver(t *testing.T) {
	b := newBed(t, nil)
	for name, kind := range map[string]string{"app.css": "text/css", "app.js": "text/javascript", "icon.svg": "image/svg+xml"} {
		h := b.do("GET", b.static.url(name), nil, nil).Header()
		if !strings.HasPrefix(h.Get("Content-Type"), kind) || !strings.Contains(h.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %v", name, h)
		}
	}
	for _, target := range []string{"/ui/static/old/app.css"} {
		if h := b.do("GET", target, nil, nil).Header(); h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", target, h)
		}
	}
}

func TestFormats(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct{ got, want string }{
		{count(1234567), "1\u202f234\u202f567"}, {count(int64(-1000)), "-1\u202f000"}, {count(7), "7"},
		{size(512), "512 B"}, {size(1536), "1.5 KiB"}, {size(10 << 30), "10 GiB"},
		{millis(250), "0.25 ms"}, {millis(12345), "12.3 ms"}, {millis(12_345_678), "12.3 s"}, {millis(0), "0 ms"},
		{whenAt(now.Add(-90*time.Second), now).Ago, "1 min ago"}, {whenAt(now.Add(2*time.Hour+time.Minute), now).Ago, "in 2 h"}, {whenAt(now, now).Ago, "just now"},
		{whenAt(time.Time{}, now).ISO, ""}, {pretty([]byte(`{"b":1,"a":12345678901234567890}`)), "{\n  \"b\": 1,\n  \"a\": 12345678901234567890\n}"}, {pretty([]byte("no json")), "no json"},
		{short("wh_01jf2wkmvcfw6ts1qmgzya291c"), "wh_01jf2…ya291c"}, {short("wh_1"), "wh_1"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}
