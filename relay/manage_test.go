package relay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"edgerelay/bench"
	"edgerelay/relay/admin"
	"edgerelay/relay/event"
)

// reply is what the management API answered.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (p *reply) decode(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal(p.body, into); err != nil {
		t.Fatalf("%v in %s", err, p.body)
	}
}

// as asks the API with a token; "" = the generated one. headers are names and values in turn.
func (r *running) as(token, method, path, body string, headers ...string) *reply {
	r.t.Helper()
	req, err := http.NewRequest(method, "http://"+r.AdminAddr().String()+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if token == "" {
		token, _ = r.AdminToken()
	}
	if token != "none" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return &reply{resp.StatusCode, resp.Header, b}
}

// must asks and wants this status.
func (r *running) must(status int, token, method, path, body string, headers ...string) *reply {
	r.t.Helper()
	p := r.as(token, method, path, body, headers...)
	if p.status != status {
		r.t.Fatalf("%s %s: %d, want %d: %s", method, path, p.status, status, p.body)
	}
	return p
}

// named gives a webhook of a file another name.
func named(hook, name string) string { return strings.Replace(hook, "name: w", "name: "+name, 1) }

func (r *running) make(token, body string) admin.Detail {
	r.t.Helper()
	var d admin.Detail
	r.must(201, token, "POST", "/api/v1/webhooks", body).decode(r.t, &d)
	return d
}

// A webhook is made, gets events, is changed, paused, tested, rotated, rolled back, copied and deleted, and it is all there after a restart.
func TestLifeOfAWebhook(t *testing.T) {
	rec := receiver(t, nil, "w", "v2")
	dir := t.TempDir()
	r := start(t, dir, "webhooks:\n"+named(hook(rec, "w", ""), "file"))
	d := r.make("", fmt.Sprintf(`{"name":"feed","events":["a"],"url":"%s?token=CANARY-TOKEN&n=1","secret":%q,"headers":{"X-Api-Key":"CANARY-KEY","X-Env":"prod"}}`, rec.URL("w"), testSecret))
	if d.Origin != "api" || d.Status != "active" || d.Revision != 1 || strings.Contains(string(d.Definition), "CANARY") || strings.Contains(string(d.Definition), "whsec_") {
		t.Fatalf("%+v %s", d, d.Definition)
	}
	path := "/api/v1/webhooks/" + d.ID
	r.send(`{"type":"a","data":1}`)
	r.wait(rec, "w", 1)
	// What the form got is sent back as it is: nothing is lost by that.
	p := r.must(200, "", "PATCH", path, fmt.Sprintf(`{"description":"new","url":"%s?token=***&n=1","headers":{"X-Api-Key":"***","X-Env":"test"},"secret":"***"}`, rec.URL("w")), "If-Match", `"1"`)
	if p.header.Get("ETag") != `"2"` {
		t.Errorf("ETag %q", p.header.Get("ETag"))
	}
	i := r.indexOf(admin.Actor{}, d.ID)
	if c := r.config().Webhooks[i]; !strings.Contains(c.URL, "CANARY-TOKEN") || c.Headers[0].Value != "CANARY-KEY" || c.Headers[1].Value != "test" || c.Secret.Reveal()[0] != testSecret {
		t.Errorf("redacted values were taken for real ones: %s %v", c.URL, c.Headers)
	}
	r.must(412, "", "PATCH", path, `{"description":"too late"}`, "If-Match", `"1"`)
	r.must(422, "", "PATCH", path, `{"filter":"data.x >"}`)
	if p := r.must(422, "", "PATCH", path, `{"urll":"https://a.example"}`); !strings.Contains(string(p.body), `did you mean \"url\"`) || !strings.Contains(string(p.body), `"path":"urll"`) {
		t.Errorf("%s", p.body)
	}
	r.must(409, "", "POST", "/api/v1/webhooks", `{"name":"feed","events":["a"],"url":"https://a.example"}`)
	if p := r.must(409, "", "POST", "/api/v1/webhooks", `{"name":"file","events":["a"],"url":"https://a.example"}`); !strings.Contains(string(p.body), "edgerelay.yaml:") {
		t.Errorf("the place of the file's webhook is not named: %s", p.body)
	}
	r.must(200, "", "POST", path+"/pause", "")
	r.send(`{"type":"a","data":2}`) // dropped
	r.must(200, "", "PATCH", path, `{"on_paused":"hold"}`)
	r.send(`{"type":"a","data":3}`) // held
	r.must(200, "", "POST", path+"/publish", "")
	r.wait(rec, "w", 2)

	var trial admin.Trial
	r.must(200, "", "POST", path+"/test", `{"event":{"type":"a","data":7}}`).decode(t, &trial)
	if trial.Response == nil || trial.Response.Status != 200 && trial.Response.Status != 204 || !slices.ContainsFunc(trial.Request.Headers, func(h admin.TrialHeader) bool { return h.Name == "webhook-test" && h.Value == "true" }) {
		t.Errorf("%+v", trial)
	}
	var secrets admin.SecretAnswer
	r.must(200, "", "GET", path+"/secret", "").decode(t, &secrets)
	if !slices.Equal(secrets.Secrets, []string{testSecret}) {
		t.Errorf("%+v", secrets)
	}
	var rotated admin.RotateAnswer
	r.must(200, "", "POST", path+"/rotate-secret", `{"overlap_seconds":3600}`).decode(t, &rotated)
	r.must(200, "", "GET", path+"/secret", "").decode(t, &secrets)
	if !slices.Equal(secrets.Secrets, []string{rotated.Secret, testSecret}) {
		t.Errorf("while both are good: %+v", secrets)
	}
	r.mu.Lock()
	r.retire(t.Context(), time.Now().Add(time.Hour+time.Second))
	r.mu.Unlock()
	r.must(200, "", "GET", path+"/secret", "").decode(t, &secrets)
	if !slices.Equal(secrets.Secrets, []string{rotated.Secret}) {
		t.Errorf("after the overlap: %+v", secrets)
	}
	var versions admin.VersionList
	r.must(200, "", "GET", path+"/versions", "").decode(t, &versions)
	if len(versions.Items) < 5 || versions.Items[len(versions.Items)-1].Revision != 1 || bytes.Contains(r.must(200, "", "GET", path+"/versions", "").body, []byte("CANARY")) {
		t.Errorf("%+v", versions)
	}
	var back admin.Detail
	r.must(200, "", "POST", path+"/rollback", `{"revision":1}`).decode(t, &back)
	if back.Description != "" || back.Status != "active" {
		t.Errorf("%+v", back)
	}
	var copied admin.Detail
	r.must(201, "", "POST", path+"/duplicate", "").decode(t, &copied)
	if copied.Name != "feed (copy)" || copied.Status != "draft" || copied.ID == d.ID {
		t.Errorf("%+v", copied)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}

	r = start(t, dir, "webhooks:\n"+named(hook(rec, "w", ""), "file"))
	r.must(200, "", "GET", path, "").decode(t, &back)
	if back.Name != "feed" || back.Revision != 8 {
		t.Errorf("after a restart: %+v", back)
	}
	r.send(`{"type":"a","data":4}`)
	r.wait(rec, "w", 3)
	r.must(204, "", "DELETE", path, "")
	r.must(404, "", "GET", path, "")
	var log struct{ Items []admin.AuditEntry }
	all := r.must(200, "", "GET", "/api/v1/audit?limit=100&object="+d.ID, "")
	all.decode(t, &log)
	var actions []string
	for _, e := range log.Items {
		actions = append(actions, e.Action)
	}
	want := "delete rollback secret.read secret.retire secret.read secret.rotate secret.read publish update pause update create"
	if got := strings.Join(actions, " "); got != want || bytes.Contains(all.body, []byte("CANARY")) || bytes.Contains(all.body, []byte("whsec_")) {
		t.Errorf("audit: %s\nwant   %s\n%s", got, want, all.body)
	}
}

func (r *running) wait(rec *bench.Receiver, name string, n int64) {
	r.t.Helper()
	if err := rec.Wait(within(r.t), name, func(c bench.Counts) bool { return c.Delivered >= n }); err != nil {
		r.t.Fatal(err)
	}
}

// A file's webhook can be paused and tested here, and nothing else; a reload that takes a name of the API's is refused with both places.
func TestWebhooksOfFilesThroughTheAPI(t *testing.T) {
	rec := receiver(t, nil, "w")
	r := start(t, t.TempDir(), "webhooks:\n"+hook(rec, "w", ""))
	path := "/api/v1/webhooks/" + event.NamedWebhookID("default", "w").String()
	var d admin.Detail
	r.must(200, "", "POST", path+"/pause", "").decode(t, &d)
	if d.Status != "paused" || d.Origin != "file" {
		t.Errorf("%+v", d)
	}
	r.must(200, "", "PATCH", path, `{"status":"active"}`).decode(t, &d)
	if d.Status != "active" {
		t.Errorf("%+v", d)
	}
	for _, tt := range [][3]string{{"PATCH", "", `{"name":"x"}`}, {"DELETE", "", ""}, {"POST", "/unpublish", ""}, {"POST", "/duplicate", ""}, {"POST", "/rotate-secret", ""}} {
		if p := r.must(409, "", tt[0], path+tt[1], tt[2]); !strings.Contains(string(p.body), "edgerelay.yaml:") {
			t.Errorf("%v: %s", tt, p.body)
		}
	}
	made := r.make("", `{"name":"mine","events":["a"],"url":"https://a.example"}`)
	err := r.Reload(t.Context(), r.load("webhooks:\n"+hook(rec, "w", "")+named(hook(rec, "w", ""), "mine")))
	if err == nil || !strings.Contains(err.Error(), made.ID) || !strings.Contains(err.Error(), "edgerelay.yaml:") {
		t.Errorf("%v", err)
	}
	// What the files say now makes the stored webhook impossible: it is held, and everything else works.
	if err := r.Reload(t.Context(), r.load("policy: { require_https: true }\ntenants: [{ id: default }]\nevent_types: [{ name: b }]\nstrict_event_types: true\n")); err != nil {
		t.Fatal(err)
	}
	r.must(200, "", "GET", "/api/v1/webhooks/"+made.ID, "").decode(t, &d)
	if d.Status != "disabled" || !strings.Contains(d.Disabled, "unknown event type") {
		t.Errorf("%+v", d)
	}
}

// Only what changes is compiled again.
func TestUnchangedWebhooksAreNotCompiledAgain(t *testing.T) {
	rec := receiver(t, nil, "w")
	r := start(t, t.TempDir(), "authorizations: [{ name: k, type: bearer, token: t0123456789abcdef }]\nwebhooks:\n"+hook(rec, "w", ", authorization: k")+named(hook(rec, "w", ""), "other"))
	a := r.make("", `{"name":"a","events":["x"],"url":"https://a.example"}`)
	before := r.built.units
	b := r.make("", `{"name":"b","events":["x"],"url":"https://b.example"}`)
	r.must(200, "", "PATCH", "/api/v1/webhooks/"+b.ID, `{"events":["y"]}`)
	for id, u := range before {
		if r.built.units[id] != u {
			t.Errorf("%s was compiled again", u.def.Name)
		}
	}
	if err := r.Reload(t.Context(), r.load("authorizations: [{ name: k, type: bearer, token: t0123456789abcdef }]\nwebhooks:\n"+hook(rec, "w", ", authorization: k")+named(hook(rec, "w", ", concurrency: 3"), "other"))); err != nil {
		t.Fatal(err)
	}
	for id, u := range before {
		if same := r.built.units[id] == u; same != (u.def.Name != "other") {
			t.Errorf("%s after a reload: same %v", u.def.Name, same)
		}
	}
	if u := r.built.units[before[event.NamedWebhookID("default", "w")].target.Webhook.ID]; u.refs.Load() != 1 {
		t.Errorf("%d references", u.refs.Load())
	}
	_ = a
}

func TestIdempotencyKey(t *testing.T) {
	r := start(t, t.TempDir(), "")
	const body = `{"name":"w","events":["a"],"url":"https://a.example"}`
	var first, second admin.Detail
	r.must(201, "", "POST", "/api/v1/webhooks", body, "Idempotency-Key", "k1").decode(t, &first)
	p := r.must(201, "", "POST", "/api/v1/webhooks", body, "Idempotency-Key", "k1")
	p.decode(t, &second)
	if first.ID != second.ID || p.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("%s, then %s", first.ID, second.ID)
	}
	r.must(422, "", "POST", "/api/v1/webhooks", strings.Replace(body, "w", "v", 1), "Idempotency-Key", "k1")
	r.must(409, "", "POST", "/api/v1/webhooks", body, "Idempotency-Key", "k2")
}

func TestLockedEndpoint(t *testing.T) {
	r := start(t, t.TempDir(), "policy: { lock_endpoint: true }\n")
	d := r.make("", fmt.Sprintf(`{"name":"w","events":["a"],"url":"https://a.example/x","secret":%q}`, testSecret))
	path := "/api/v1/webhooks/" + d.ID
	for _, body := range []string{`{"url":"https://b.example/"}`, `{"secret":"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`, `{"secret":null}`, `{"url":null}`} {
		r.must(422, "", "PATCH", path, body)
	}
	r.must(200, "", "PATCH", path, `{"url":"https://a.example/x","secret":"***","events":["b"]}`)
	r.must(200, "", "POST", path+"/rotate-secret", "")
}

func TestAuthorizationsThroughTheAPI(t *testing.T) {
	r := start(t, t.TempDir(), "authorizations: [{ name: shared, type: bearer, token: CANARY-0123456789 }]\n")
	var a admin.Authorization
	p := r.must(201, "", "POST", "/api/v1/authorizations", `{"name":"crm","type":"header","endpoint":"https://crm.example","headers":[{"name":"X-Key","value":"CANARY-1"},{"name":"X-App","value":"open","visibility":"public"}]}`)
	p.decode(t, &a)
	if strings.Contains(string(p.body), "CANARY") || !strings.Contains(string(p.body), "open") || a.Tenant != "default" {
		t.Errorf("%s", p.body)
	}
	r.must(409, "", "POST", "/api/v1/authorizations", `{"name":"shared","type":"bearer","token":"x"}`)
	r.must(422, "", "POST", "/api/v1/authorizations", `{"name":"m","type":"mtls","cert_file":"/etc/passwd","key_file":"/etc/passwd"}`)
	w := r.make("", `{"name":"w","events":["a"],"url":"https://crm.example/hooks","authorization":"crm"}`)
	r.must(422, "", "PATCH", "/api/v1/webhooks/"+w.ID, `{"url":"https://elsewhere.example"}`)
	path := "/api/v1/authorizations/" + a.ID
	r.must(409, "", "DELETE", path, "")
	r.must(422, "", "PATCH", path, `{"endpoint":"https://elsewhere.example"}`)
	old := r.built.units[idOf(t, w.ID)].target.Webhook
	r.must(200, "", "PATCH", path, `{"headers":[{"name":"X-Key","value":"***"},{"name":"X-App","value":"closed","visibility":"public"}]}`, "If-Match", `"1"`)
	now := r.built.units[idOf(t, w.ID)].target.Webhook
	if old == now || now.Authorization.Headers[0].Value != "CANARY-1" || now.Authorization.Headers[1].Value != "closed" {
		t.Errorf("the webhook does not use the changed credentials")
	}
	r.must(204, "", "DELETE", "/api/v1/webhooks/"+w.ID, "")
	r.must(204, "", "DELETE", path, "")
	r.must(409, "", "DELETE", "/api/v1/authorizations/file:shared", "")
}

func idOf(t *testing.T, text string) event.WebhookID {
	t.Helper()
	id, err := event.ParseWebhookID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Linked webhooks are made only by their program's address, and cannot subscribe to what is for global ones.
func TestLinkedWebhooks(t *testing.T) {
	r := start(t, t.TempDir(), "tenants: [{ id: acme, programs: [{ id: summer }, { id: winter }] }, { id: zeta }]\nevent_types: [{ name: a }, { name: g, scope: global }]\n")
	var token struct{ ID, Token string }
	r.must(201, "", "POST", "/api/v1/tokens", `{"name":"shop","kind":"program","tenants":["acme"],"program":"summer"}`).decode(t, &token)
	const path = "/api/v1/programs/summer/webhooks"
	var d admin.Detail
	r.must(201, token.Token, "POST", path, `{"name":"w","events":["a"],"url":"https://a.example"}`).decode(t, &d)
	if d.Tenant != "acme" || d.Program != "summer" {
		t.Errorf("%+v", d)
	}
	if p := r.must(422, token.Token, "POST", path, `{"name":"v","events":["g"],"url":"https://a.example"}`); !strings.Contains(string(p.body), "scope is global") {
		t.Errorf("%s", p.body)
	}
	r.must(404, token.Token, "POST", "/api/v1/programs/winter/webhooks", `{"name":"v","events":["a"],"url":"https://a.example"}`)
	r.must(422, token.Token, "POST", path, `{"name":"v","tenant":"zeta","events":["a"],"url":"https://a.example"}`)
	r.must(403, token.Token, "GET", "/api/v1/webhooks", "")
	r.must(422, "", "POST", "/api/v1/webhooks", `{"name":"v","tenant":"acme","program":"summer","events":["a"],"url":"https://a.example"}`)
	r.must(422, "", "PATCH", "/api/v1/webhooks/"+d.ID, `{"program":"winter"}`)
	r.must(422, "", "PATCH", "/api/v1/webhooks/"+d.ID, `{"tenant":"zeta"}`)
	r.must(200, "", "POST", "/api/v1/tokens/"+token.ID+"/revoke", "")
	r.must(401, token.Token, "POST", path, `{"name":"v","events":["a"],"url":"https://a.example"}`)
	// A token makes none that reaches further or can do more.
	var small struct{ Token string }
	r.must(201, "", "POST", "/api/v1/tokens", `{"name":"small","tenants":["acme"],"role":"admin"}`).decode(t, &small)
	for _, body := range []string{`{"name":"x","tenants":["*"]}`, `{"name":"x","tenants":["acme","zeta"]}`, `{"name":"x","kind":"ingress","tenants":["zeta"]}`, `{"name":"x","tenants":["acme"],"expires":"-1d"}`} {
		r.must(422, small.Token, "POST", "/api/v1/tokens", body)
	}
}

// The fate of what waits for a deleted webhook is what was asked for.
func TestDeleteWithItsDeliveries(t *testing.T) {
	rec := receiver(t, nil, "w")
	if err := rec.Answer("w", bench.Answer{Status: 500}); err != nil {
		t.Fatal(err)
	}
	r := start(t, t.TempDir(), "")
	for _, fate := range []string{"bury", "discard"} {
		d := r.make("", fmt.Sprintf(`{"name":"w","events":["a"],"url":%q,"retry":{"schedule":["1h"]}}`, rec.URL("w")))
		r.send(`{"type":"a","data":1}`)
		r.eventually("it waits for a retry", func() bool { return r.Queue().Retrying == 1 })
		r.must(204, "", "DELETE", "/api/v1/webhooks/"+d.ID+"?deliveries="+fate, "")
		if fate == "discard" {
			r.eventually("nothing is left", func() bool {
				r.wakeKeeper()
				s := r.Queue()
				return s.Retrying+s.Pending == 0 && s.Dead == 1 // that of the first webhook
			})
			return
		}
		r.eventually("it is dead", func() bool { s := r.Queue(); return s.Retrying+s.Pending == 0 && s.Dead == 1 })
	}
}
