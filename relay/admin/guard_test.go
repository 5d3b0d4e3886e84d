package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestHealth(t *testing.T) {
	var diskErr error
	b := newBed(t, func(o *Options) {
		o.Ready = func() []Check { return []Check{{Name: "queue"}, {Name: "disk", Err: diskErr}} }
	})
	for _, tt := range []struct {
		name, target, token string
		err                 error
		status              int
		body                string
	}{
		{"fine", "/readyz", "", nil, 200, `{"status":"ok"}`},
		{"failing", "/readyz", "", errors.New("disk is low"), 503, `{"status":"failing"}`},
		{"verbose", "/readyz?verbose", "all-viewer", errors.New("disk is low"), 503,
			`{"status":"failing","checks":[{"name":"queue","ok":true},{"name":"disk","ok":false,"detail":"disk is low"}]}`},
		{"live", "/healthz?verbose", "all-viewer", errors.New("disk is low"), 200, `{"status":"ok","checks":[{"name":"loop","ok":true}]}`},
	} {
		diskErr = tt.err
		rec := b.do("GET", tt.target, tt.token)
		if rec.Code != tt.status || strings.TrimSpace(rec.Body.String()) != tt.body {
			t.Errorf("%s: %d %s, want %d %s", tt.name, rec.Code, rec.Body, tt.status, tt.body)
		}
	}
	rec := b.do("GET", "/readyz?verbose", "")
	wantProblem(t, "verbose without a token", rec, 401)
	if rec.Header().Get("WWW-Authenticate") == "" {
		t.Error("401 without WWW-Authenticate")
	}
	wantProblem(t, "verbose for one tenant", b.do("GET", "/readyz?verbose", "acme-admin"), 403)
}

func TestPprofOnlyWhenEnabled(t *testing.T) {
	b := newBed(t, func(o *Options) { o.Pprof = false })
	wantProblem(t, "pprof", b.do("GET", "/debug/pprof/", "all-admin"), 404)
}

func TestHead(t *testing.T) {
	b := newBed(t, nil)
	if rec := b.do("HEAD", "/api/v1/stats", "all-viewer"); rec.Code != 200 {
		t.Errorf("HEAD: %d", rec.Code)
	}
}

func TestSecurityHeadersOnEveryAnswer(t *testing.T) {
	b := newBed(t, nil)
	for _, target := range []string{"/healthz", "/nothing", "/api/v1/stats", "/metrics", "/debug/pprof/"} {
		for _, token := range []string{"", "all-admin"} {
			h := b.do("GET", target, token).Header()
			for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Frame-Options": "DENY"} {
				if h.Get(name) != want {
					t.Errorf("%s: %s is %q", target, name, h.Get(name))
				}
			}
			if !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") {
				t.Errorf("%s: no content security policy", target)
			}
		}
	}
}

func TestHostCheck(t *testing.T) {
	b := newBed(t, func(o *Options) { o.Hosts = []string{"relay.internal"} })
	for host, want := range map[string]int{
		"127.0.0.1:8081": 200, "localhost:8081": 200, "LOCALHOST": 200, "[::1]:8081": 200, "[::1]": 200, "127.9.9.9": 200, "[::ffff:127.0.0.1]:1": 200,
		"relay.internal:8081": 200, "Relay.Internal": 200,
		"evil.example": 421, "evil.example:8081": 421, "127.0.0.1.evil.example": 421, "localhost.evil.example": 421, "10.0.0.1": 421, "": 421, "0.0.0.0": 421,
	} {
		rec := b.do("GET", "/healthz", "", func(r *http.Request) { r.Host = host })
		if rec.Code != want {
			t.Errorf("host %q: %d, want %d", host, rec.Code, want)
		}
	}
	b.loopback = false // as on 0.0.0.0, where the names of the machine are not known
	if rec := b.do("GET", "/healthz", "", func(r *http.Request) { r.Host = "relay.example" }); rec.Code != 200 {
		t.Errorf("not on loopback: %d", rec.Code)
	}
}

func TestNewRefusesTokens(t *testing.T) {
	for _, tt := range []struct {
		name   string
		tokens []Token
	}{
		{"none", nil},
		{"empty", []Token{{Name: "a", Tenants: []string{"*"}, Role: RoleViewer}}},
		{"no tenants", []Token{{Name: "a", Token: "s3cret-one", Role: RoleViewer}}},
		{"no role", []Token{{Name: "a", Token: "s3cret-one", Tenants: []string{"*"}}}},
		{"twice", []Token{{Name: "a", Token: "s3cret-one", Tenants: []string{"*"}, Role: RoleViewer}, {Name: "b", Token: "s3cret-one", Tenants: []string{"*"}, Role: RoleAdmin}}},
	} {
		if _, err := newGrants(tt.tokens); err == nil {
			t.Errorf("%s: accepted", tt.name)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error shows the token", tt.name)
		}
	}
}

func TestSetTokensReplaces(t *testing.T) {
	b := newBed(t, nil)
	if err := b.SetTokens(nil); err == nil {
		t.Error("no tokens accepted")
	}
	if rec := b.do("GET", "/api/v1/stats", "all-viewer"); rec.Code != 200 {
		t.Errorf("a refused change took effect: %d", rec.Code)
	}
	if err := b.SetTokens([]Token{{Name: "n", Token: "new", Tenants: []string{"*"}, Role: RoleViewer}}); err != nil {
		t.Fatal(err)
	}
	if old, fresh := b.do("GET", "/api/v1/stats", "all-viewer").Code, b.do("GET", "/api/v1/stats", "new").Code; old != 401 || fresh != 200 {
		t.Errorf("old token %d, new token %d", old, fresh)
	}
}

func TestNewToken(t *testing.T) {
	a, b := NewToken(), NewToken()
	if a == b || len(a) != len("edgerelay_")+43 || !strings.HasPrefix(a, "edgerelay_") {
		t.Errorf("%q, %q", a, b)
	}
}

func TestParseRole(t *testing.T) {
	for s, want := range map[string]Role{"": RoleViewer, "viewer": RoleViewer, "editor": RoleEditor, "admin": RoleAdmin} {
		if got, err := ParseRole(s); got != want || err != nil {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	if _, err := ParseRole("root"); err == nil {
		t.Error("root accepted")
	}
}

func TestServeAndClose(t *testing.T) {
	b := newBed(t, nil)
	served := make(chan error, 1)
	go func() { served <- b.Serve() }()
	res, err := http.Get("http://" + b.opts.Listener.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 {
		t.Errorf("status %d", res.StatusCode)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	http.DefaultClient.CloseIdleConnections()
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestRedactURL(t *testing.T) {
	for in, want := range map[string]string{
		"https://a.example/x":                         "https://a.example/x",
		"https://a.example":                           "https://a.example",
		"https://a.example?k=v":                       "https://a.example?k=***",
		"https://a.example/x?k=v&secret&n=&p={{ a }}": "https://a.example/x?k=***&***&n=***&p=***",
		"https://u:p@a.example/x#frag":                "https://***@a.example/x",
		"https://u:p@a.example":                       "https://***@a.example",
		"https://{{ data.host }}/a@b":                 "https://{{ data.host }}/a@b",
		"":                                            "",
	} {
		if got := RedactURL(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzRedactURL(f *testing.F) {
	f.Add("https://a.example/x?k=", "&l=1")
	f.Add("https://a.example/#", "")
	f.Add("//a?b=c&", "=")
	f.Fuzz(func(t *testing.T, before, after string) {
		in := before + "?key=CANARY" + after
		if got := RedactURL(in); strings.Contains(got, "CANARY") {
			t.Errorf("%q: %q", in, got)
		}
		if once := RedactURL(in); RedactURL(once) != once {
			t.Errorf("%q: not stable: %q, then %q", in, once, RedactURL(once))
		}
	})
}
