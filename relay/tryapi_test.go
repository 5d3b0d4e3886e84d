package relay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"edgerelay/bench"
	"edgerelay/relay/admin"
	"edgerelay/relay/event"
)

// ask sends a JSON body with a token ("" = the generated one) and returns status and answer.
func (r *running) ask(method, path, token, body string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequest(method, "http://"+r.AdminAddr().String()+path, bytes.NewReader([]byte(body)))
	if err != nil {
		r.t.Fatal(err)
	}
	if token == "" {
		token, _ = r.AdminToken()
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

const acmeToken = "acme-token-long-enough"

func TestTryThroughTheAPI(t *testing.T) {
	t.Setenv("CANARY", "canary-from-env")
	rec := receiver(t, nil, "feed", "foreign")
	if err := rec.Answer("feed", bench.Answer{Status: 500}); err != nil {
		t.Fatal(err)
	}
	feed := strings.Replace(hook(rec, "feed", ", tenant: acme, retry: { schedule: [1h] }, headers: { X-Env: '${CANARY}' }"), "'*'", "order.*", 1)
	text := "tenants: [{ id: acme }, { id: zeta }]\nevent_types: [{ name: order.paid, example: { n: 3 } }, { name: order.zeta, tenant: zeta, example: 1 }]\nwebhooks:\n" +
		feed + hook(rec, "foreign", ", tenant: zeta")
	r := &running{t: t, dir: t.TempDir()}
	head := strings.Replace(r.head(), "admin: { listen: 127.0.0.1:0 }",
		"admin: { listen: 127.0.0.1:0, tokens: [{ name: ops, token: ops-token-long-enough, tenants: ['*'] }, { name: acme, token: "+acmeToken+", tenants: [acme], role: editor }] }", 1)
	r = startWith(t, r.dir, head+text)
	id, foreign := event.NamedWebhookID("acme", "feed").String(), event.NamedWebhookID("zeta", "foreign").String()

	try := func(body string) (int, admin.TryAnswer, string) {
		t.Helper()
		status, text := r.ask("POST", "/api/v1/try", acmeToken, body)
		var a admin.TryAnswer
		if status == 200 {
			if err := json.Unmarshal([]byte(text), &a); err != nil {
				t.Fatal(err, text)
			}
		}
		for _, secret := range []string{"canary", testSecret[6:]} {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows a secret: %s", body, text)
			}
		}
		return status, a, text
	}
	// The webhook in force, with the catalogue's example.
	status, a, out := try(`{"webhook":"` + id + `"}`)
	if status != 200 || !a.Matches || a.Event.Source != "example" || a.Event.Type != "order.paid" || !strings.Contains(*a.Request.Body, `"data":{"n":3}`) {
		t.Fatalf("%d %s", status, out)
	}
	// An event that was sent and waits, by its own id and by that of its delivery.
	sent := r.send(`{"type":"order.paid","tenant":"acme","data":{"n":7}}`)
	r.send(`{"id":"zetas","type":"order.paid","tenant":"zeta","data":{"n":8}}`)
	delivery := ""
	r.eventually("it waits", func() bool {
		page, _, err := deliveries{r.Relay}.List(t.Context(), admin.Filter{Tenants: []string{"acme"}}, "", 10)
		if err != nil || len(page) != 1 {
			return false
		}
		delivery = page[0].ID
		return true
	})
	for _, stored := range []string{sent, delivery} {
		if status, a, out = try(fmt.Sprintf(`{"webhook":%q,"stored":%q}`, id, stored)); status != 200 || a.Event.ID != sent || a.Event.Source != "stored" || !strings.Contains(*a.Request.Body, `{"n":7}`) {
			t.Errorf("%s: %d %s", stored, status, out)
		}
	}
	// A draft of it, compared.
	draft := fmt.Sprintf(`{"name":"feed","events":["order.*"],"url":%q,"headers":{"X-Env":"test"},"payload":{"body":{"n":"{{ data.n }}"}}}`, rec.URL("feed"))
	if status, a, out = try(fmt.Sprintf(`{"webhook":%q,"draft":%s,"event":{"type":"order.paid","data":{"n":9}},"compare":true}`, id, draft)); status != 200 ||
		*a.Request.Body != `{"n":9}` || a.Published == nil || !strings.Contains(*a.Diff, "-X-Env: ***\n") || !strings.Contains(*a.Diff, "+X-Env: test\n") || !strings.Contains(*a.Diff, `+  "n": 9`) {
		t.Errorf("%d %s", status, out)
	}
	// What is refused, in the words of the configuration; what belongs to another tenant does not exist.
	for _, c := range []struct {
		body   string
		status int
		want   string
	}{
		{`{"webhook":"` + foreign + `"}`, 404, "not-found"},
		{`{"webhook":"` + id + `","stored":"zetas"}`, 404, "not-found"},
		{`{"webhook":"` + id + `","stored":"dl_00000000000000000000000000"}`, 404, "not-found"},
		{`{"webhook":"` + id + `","example":"order.zeta"}`, 422, `"path":"example"`},
		{`{"webhook":"` + id + `","event":{"data":1}}`, 422, `"path":"event","message":"the event is malformed`},
		{`{"draft":{"name":"x","tenant":"zeta","events":["a"],"url":"https://a.example/"}}`, 422, `"path":"draft.tenant","message":"unknown tenant \"zeta\""`},
		{`{"draft":{"name":"x","events":["a"],"url":"ftp://a.example/","filter":"data.n >"}}`, 422, `"path":"draft.url"`},
		{`{"draft":{"name":"x","events":["a"],"url":"https://a.example/","filter":"data.n >"},"event":{"type":"a"}}`, 422, `"path":"draft.filter"`},
		{`{"draft":{"name":"x","events":["a"],"url":"https://a.example/","transform":[{"wasm":"/etc/passwd"}]},"event":{"type":"a"}}`, 422, `"path":"draft.transform[0].wasm"`},
		{`{"draft":{"name":"x","events":["a"],"url":"https://a.example/"},"event":{"type":"a"},"compare":true}`, 422, `nothing in force|no webhook in force`},
	} {
		status, _, out := try(c.body)
		found := false
		for w := range strings.SplitSeq(c.want, "|") {
			found = found || strings.Contains(out, w)
		}
		if status != c.status || !found {
			t.Errorf("%s: %d %s", c.body, status, out)
		}
	}
	if n := rec.Snapshot().Hooks["feed"].Requests; n != 1 {
		t.Errorf("%d requests were sent, one was a delivery", n)
	}
}

func TestConfigThroughTheAPI(t *testing.T) {
	rec := receiver(t, nil, "a", "b")
	r := start(t, t.TempDir(), "webhooks:\n"+hook(rec, "a", ""))
	r.loadedFrom("webhooks:\n" + hook(rec, "a", "") + hook(rec, "b", ""))
	if status, out := r.ask("GET", "/api/v1/config", "", ""); status != 200 || !strings.Contains(out, "name: a") || strings.Contains(out, testSecret) || !strings.Contains(out, "secret: '***'") {
		t.Errorf("%d %s", status, out)
	}
	for path, applied := range map[string]bool{"/api/v1/config/plan": false, "/api/v1/config/reload": true} {
		if applied {
			continue
		}
		if status, out := r.ask("POST", path, "", ""); status != 200 || !strings.Contains(out, `"changes":[{"action":"add","kind":"webhooks","tenant":"default","name":"b"}]`) {
			t.Errorf("%s: %d %s", path, status, out)
		}
	}
	if status, out := r.ask("POST", "/api/v1/config/reload", "", ""); status != 200 || !strings.Contains(out, `"applied":true,"changes":[{"action":"add"`) || len(r.config().Webhooks) != 2 {
		t.Errorf("%d %s", status, out)
	}
	r.loadedFrom("webhooks:\n" + hook(rec, "a", ", filter: '1 +'"))
	if status, out := r.ask("POST", "/api/v1/config/reload", "", ""); status != 422 || !strings.Contains(out, `"path":"webhooks[0].filter"`) || !strings.Contains(out, "edgerelay.yaml:") || len(r.config().Webhooks) != 2 {
		t.Errorf("%d %s", status, out)
	}
	r.Relay.load = nil
	if status, out := r.ask("POST", "/api/v1/config/reload", "", ""); status != 409 {
		t.Errorf("%d %s", status, out)
	}
	if status, out := r.ask("GET", "/api/v1/event-types", "", ""); status != 200 || out != "{\"items\":[]}\n" {
		t.Errorf("%d %s", status, out)
	}
}
