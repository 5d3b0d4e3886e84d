package relay

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"

	"edgerelay/bench"
	"edgerelay/config"
)

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestSecretCanaries plants secrets of every kind, uses and changes and breaks what holds them, and looks for them wherever something comes out of the relay.
func TestSecretCanaries(t *testing.T) {
	rec := receiver(t, nil, "w")
	if err := rec.Answer("w", bench.Answer{Times: 1, Status: 422}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	canary := map[string]string{
		"signing secret of a file": testSecret, "signing secret of the API": "whsec_CANARYCANARYCANARYCANARYCANARY00",
		"header value": "canary-header-0123456789", "basic password": "canary-basic-0123456789", "bearer token": "canary-bearer-0123456789",
		"client secret": "canary-oauth-0123456789", "bearer token of the API": "canary-apibearer-0123456789", "operator's token": "canary-operator-0123456789",
		"producer's token": "canary-producer-0123456789", "password of the mail server": "canary-smtp-0123456789", "argument of a URL": "canary-url-0123456789",
		"webhook's header": "canary-hookheader-0123456789",
	}
	text := fmt.Sprintf(`version: 1
data_dir: %s
ingress: { listen: 127.0.0.1:0, tokens: [{ name: p, token: %s, tenant: default }] }
admin: { listen: 127.0.0.1:0, tokens: [{ name: o, token: %s, tenants: ["*"] }] }
sender: { allow_private_networks: [127.0.0.0/8] }
alerts: { smtp: { host: 127.0.0.1, port: 1, username: u, password: %s, from: a@example.com } }
authorizations:
- { name: h, type: header, headers: [{ name: X-Key, value: %s }] }
- { name: b, type: basic, username: u, password: %s }
- { name: t, type: bearer, token: %s }
- { name: o, type: oauth2, token_url: "https://127.0.0.1:1/", client_id: c, client_secret: %s }
webhooks:
- { name: w, events: ['*'], url: '%s?token=%s', secret: %s, authorization: h, headers: { X-Api-Token: %s }, retry: { schedule: [] } }
- { name: oauth, events: ['*'], url: '%s', authorization: o, retry: { schedule: [] } }
`, filepath.Join(dir, "data"), canary["producer's token"], canary["operator's token"], canary["password of the mail server"], canary["header value"], canary["basic password"],
		canary["bearer token"], canary["client secret"], rec.URL("w"), canary["argument of a URL"], testSecret, canary["webhook's header"], rec.URL("w"))
	c, err := config.Parse("edgerelay.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var log syncBuffer
	relay, err := New(t.Context(), Options{Config: c, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), Version: "test",
		Load: func() (*config.Config, error) { return config.Parse("edgerelay.yaml", []byte(text)) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	r := &running{Relay: relay, t: t, dir: dir}
	operator := canary["operator's token"]
	key, err := os.ReadFile(filepath.Join(dir, "data", "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	canary["master key"] = strings.TrimSpace(string(key))

	var out bytes.Buffer // everything that comes out of the relay
	ask := func(method, path, body string) {
		p := r.as(operator, method, path, body)
		fmt.Fprintf(&out, "\n== %s %s: %d %v\n%s", method, path, p.status, p.header, p.body)
	}
	made := r.must(201, operator, "POST", "/api/v1/webhooks", fmt.Sprintf(`{"name":"api","events":["*"],"url":"%s?key=%s","secret":%q,"headers":{"X-Secret":%q}}`, rec.URL("w"),
		canary["argument of a URL"], canary["signing secret of the API"], canary["webhook's header"]))
	out.Write(made.body)
	var id, au struct{ ID string }
	made.decode(t, &id)
	r.must(201, operator, "POST", "/api/v1/authorizations", fmt.Sprintf(`{"name":"api","type":"bearer","token":%q}`, canary["bearer token of the API"])).decode(t, &au)
	created := r.must(201, operator, "POST", "/api/v1/tokens", `{"name":"n","tenants":["*"],"role":"admin"}`)
	var token struct{ Token string }
	created.decode(t, &token)
	canary["token of the API"] = token.Token
	r.as(token.Token, "GET", "/api/v1/whoami", "")

	path := "/api/v1/webhooks/" + id.ID
	ask("PATCH", path, `{"description":"x","authorization":"api"}`)
	ask("PATCH", "/api/v1/authorizations/"+au.ID, fmt.Sprintf(`{"token":%q,"endpoint":"https://%s"}`, canary["bearer token of the API"], "elsewhere.example"))
	// Mistakes beside and in secrets: what is said about them does not repeat them.
	ask("PATCH", path, fmt.Sprintf(`{"secret":["%s\n"],"concurrency":"x"}`, canary["signing secret of the API"]))
	ask("POST", "/api/v1/webhooks", fmt.Sprintf(`{"name":"bad","events":["*"],"url":"ftp://u:%s@a.example","secret":%q}`, canary["basic password"], canary["signing secret of the API"]))
	ask("POST", "/api/v1/authorizations", fmt.Sprintf(`{"name":"bad","type":"bearer","token":"%s\n"}`, canary["bearer token"]))
	ask("POST", path+"/test", `{"event":{"type":"a","data":1}}`)
	ask("POST", "/api/v1/try", fmt.Sprintf(`{"webhook":%q,"event":{"type":"a","data":1}}`, id.ID))
	for range 2 {
		req := r.as(canary["producer's token"], "GET", "/api/v1/webhooks", "") // a producer's token is no operator's
		fmt.Fprintf(&out, "%d %s", req.status, req.body)
	}
	ask("POST", "/api/v1/config/reload", "")
	for _, o := range operations(t, r.must(200, "none", "GET", "/api/openapi.json", "").body) {
		if o.method == "GET" && !o.stream() && o.ID != "get-secret" {
			ask("GET", strings.NewReplacer("{id}", id.ID, "{name}", "a").Replace(o.path), "")
		}
	}
	ask("GET", path+"/versions", "")
	ask("GET", "/api/v1/audit?limit=500", "")
	for _, name := range []string{"goroutine", "heap", "threadcreate", "block", "mutex", "allocs"} {
		if err := pprof.Lookup(name).WriteTo(&out, 1); err != nil {
			t.Fatal(err)
		}
	}
	places := map[string]string{"what the API, metrics and profiles show": out.String(), "the log": log.String()}
	err = filepath.WalkDir(filepath.Join(dir, "data"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "master.key" || strings.Contains(path, "history") {
			return err
		}
		text, err := os.ReadFile(path)
		places["the file "+d.Name()] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if shown := r.must(200, operator, "GET", path+"/secret", ""); !bytes.Contains(shown.body, []byte(canary["signing secret of the API"])) {
		t.Errorf("the one place that shows it does not: %s", shown.body)
	}
	for kind, secret := range canary {
		for place, text := range places {
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("%s is in %s: …%.300s", kind, place, text[max(0, at-200):])
			}
		}
	}
	t.Logf("%d kinds of secrets looked for in %d places, %d bytes", len(canary), len(places), out.Len()+len(log.String()))
}
