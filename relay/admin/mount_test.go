package admin

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestNarrowShowsOneTenant(t *testing.T) {
	b := newBed(t, nil)
	as := func(tenant string) func(*http.Request) {
		return func(r *http.Request) { *r = *r.WithContext(Narrow(r.Context(), tenant)) }
	}
	for _, tt := range []struct {
		token, tenant, target string
		status                int
		sees                  string // of the names z (zeta) and feed (acme)
	}{
		{"all-viewer", "acme", "/api/v1/webhooks", 200, "feed"},
		{"all-viewer", "zeta", "/api/v1/webhooks", 200, "z"},
		{"all-viewer", "zeta", "/api/v1/webhooks/" + acmeWebhook.String(), 404, ""},
		{"acme-viewer", "acme", "/api/v1/webhooks/" + acmeWebhook.String(), 200, "feed"},
		{"acme-viewer", "zeta", "/api/v1/webhooks", 200, ""}, // nothing is widened
		{"acme-viewer", "zeta", "/api/v1/webhooks/" + zetaWebhook.String(), 404, ""},
		{"all-admin", "acme", "/metrics", 403, ""},
		{"wrong", "acme", "/api/v1/webhooks", 401, ""},
	} {
		rec := b.do("GET", tt.target, tt.token, as(tt.tenant))
		if rec.Code != tt.status {
			t.Errorf("%+v: %d", tt, rec.Code)
		}
		for _, name := range []string{"z", "feed"} {
			if strings.Contains(rec.Body.String(), `"name":"`+name+`"`) != (name == tt.sees) {
				t.Errorf("%+v: %s", tt, rec.Body)
			}
		}
	}
}

func TestWhoami(t *testing.T) {
	b := newBed(t, nil)
	for token, want := range map[string]whoAnswer{
		"all-viewer":  {Name: "gv", Role: "viewer", Global: true, Tenants: []string{}},
		"acme-editor": {Name: "ae", Role: "editor", Tenants: []string{"acme"}},
	} {
		rec := b.do("GET", "/api/v1/whoami", token)
		var got whoAnswer
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got.Name != want.Name || got.Role != want.Role || got.Global != want.Global || !slices.Equal(got.Tenants, want.Tenants) {
			t.Errorf("%s: %+v, want %+v", token, got, want)
		}
	}
}

func TestMountGetsTheRest(t *testing.T) {
	b := newBed(t, nil)
	wantProblem(t, "nothing mounted", b.do("GET", "/ui/", ""), 404)
	b.Mount(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	for _, target := range []string{"/", "/ui", "/ui/", "/ui/a/b"} {
		if rec := b.do("GET", target, ""); rec.Code != http.StatusTeapot {
			t.Errorf("%s: %d", target, rec.Code)
		}
	}
	for _, target := range []string{"/uix", "/api/v1/nothing", "/favicon.ico"} {
		wantProblem(t, target, b.do("GET", target, ""), 404)
	}
}

func TestListOfWebhooksThatNeedSomebody(t *testing.T) {
	b := newBed(t, nil)
	rec := b.do("GET", "/api/v1/webhooks?health=failing", "all-viewer")
	if body := rec.Body.String(); rec.Code != 200 || !strings.Contains(body, `"name":"z"`) || strings.Contains(body, `"name":"feed"`) {
		t.Errorf("%d %s", rec.Code, body)
	}
	if rec := b.do("GET", "/api/v1/webhooks?health=failing", "acme-viewer"); !strings.Contains(rec.Body.String(), `"items":[]`) {
		t.Errorf("acme's are fine: %s", rec.Body)
	}
}
