package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"edgerelay/bench"
	"edgerelay/config"
	"edgerelay/relay/admin"
	"edgerelay/relay/store"
)

// apiOp is one operation of the API's document.
type apiOp struct {
	method, path string
	ID           string `json:"operationId"`
	Role         string `json:"x-role"`
	Scope        string `json:"x-scope"`
	Programs     bool   `json:"x-program-tokens"`
	Parameters   []struct {
		Name, In string
		Required bool
		Example  any
	}
	RequestBody *struct {
		Content map[string]struct {
			Examples map[string]struct{ Value json.RawMessage }
		}
	}
	Responses map[string]struct{ Content map[string]any }
}

// success is the status that the operation answers when all is well.
func (o *apiOp) success() int {
	for _, s := range slices.Sorted(maps.Keys(o.Responses)) {
		if n, err := strconv.Atoi(s); err == nil && n < 300 {
			return n
		}
	}
	return 0
}

// succeeds: a job of the tests may be done before it can be cancelled.
func (o *apiOp) succeeds(status int) bool {
	return status < 300 && o.has(status) || o.ID == "cancel-job" && status == 409
}

func (o *apiOp) has(status int) bool {
	_, ok := o.Responses[strconv.Itoa(status)]
	return ok
}

func (o *apiOp) stream() bool {
	for _, r := range o.Responses {
		if r.Content["text/event-stream"] != nil {
			return true
		}
	}
	return false
}

// examples are its bodies, "" when it takes none.
func (o *apiOp) examples() map[string]string {
	all := map[string]string{}
	if o.RequestBody != nil {
		for name, e := range o.RequestBody.Content["application/json"].Examples {
			all[name] = string(e.Value)
		}
	}
	if len(all) == 0 {
		all["none"] = ""
	}
	return all
}

func operations(t *testing.T, document []byte) (all []*apiOp) {
	t.Helper()
	var d struct{ Paths map[string]map[string]*apiOp }
	if err := json.Unmarshal(document, &d); err != nil {
		t.Fatal(err)
	}
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(d.Paths[path])) {
			o := d.Paths[path][method]
			o.method, o.path = strings.ToUpper(method), path
			all = append(all, o)
		}
	}
	return all
}

// marker is in everything of tenant acme that has a text; whoever may not see acme must not find it anywhere.
const marker = "only-acme-knows"

// apiBed is a relay with something of everything for tenant acme.
type apiBed struct {
	*running
	rec    *bench.Receiver
	ops    []*apiOp
	text   []byte
	dead   []admin.Delivery
	unique atomic.Int64
	tokens map[string]string
}

const bedConfig = `
tenants: [{ id: acme, name: Acme only-acme-knows, programs: [{ id: summer, name: only-acme-knows }] }, { id: zeta, programs: [{ id: summer }] }]
event_types:
  - { name: order.paid, description: Somebody has paid, example: { total: 7 } }
  - { name: secret.type, tenant: acme, description: only-acme-knows }
authorizations:
  - { name: crm, tenant: acme, type: bearer, token: only-acme-knows-0123456789 }
ingress: { listen: 127.0.0.1:0, tokens: [{ name: shop, token: shop-token-0123456789, tenant: acme, program: summer }] }
`

func newAPIBed(t *testing.T) *apiBed {
	t.Helper()
	b := &apiBed{rec: receiver(t, nil, "w", "dead"), tokens: map[string]string{"none": "none"}}
	if err := b.rec.Answer("dead", bench.Answer{Status: 422}); err != nil {
		t.Fatal(err)
	}
	text := bedConfig + "webhooks:\n" + strings.Replace(hook(b.rec, "w", ", tenant: acme, description: only-acme-knows"), "'*'", "never", 1) +
		strings.Replace(hook(b.rec, "dead", ", tenant: acme, retry: { schedule: [] }, description: only-acme-knows"), "'*'", "order.paid", 1)
	r := &running{t: t, dir: t.TempDir()}
	head := strings.Replace(r.head(), "ingress: { listen: 127.0.0.1:0 }\n", "", 1)
	b.running = startWith(t, r.dir, head+text)
	b.Relay.load = func() (*config.Config, error) { return config.Parse("edgerelay.yaml", []byte(head+text)) }
	for range 12 {
		b.event()
	}
	b.dead = b.running.dead(12)
	b.text = b.must(200, "none", "GET", "/api/openapi.json", "").body
	b.ops = operations(t, b.text)
	make := func(kind, body string) { b.tokens[kind] = b.token(body) }
	make("global", `{"name":"global","tenants":["*"],"role":"admin"}`)
	make("own admin", `{"name":"own admin","tenants":["acme"],"role":"admin"}`)
	make("own editor", `{"name":"own editor","tenants":["acme"],"role":"editor"}`)
	make("own viewer", `{"name":"own viewer","tenants":["acme"],"role":"viewer"}`)
	make("other tenant", `{"name":"other","tenants":["zeta"],"role":"admin"}`)
	make("ingress token", `{"name":"ingress","kind":"ingress","tenants":["acme"]}`)
	make("program token", `{"name":"program","kind":"program","tenants":["acme"],"program":"summer"}`)
	make("expired", `{"name":"expired","tenants":["*"],"role":"admin","expires":"30d"}`)
	for _, tk := range b.store.Tokens() {
		if tk.Name == "expired" {
			old := tk.Revoked(time.Time{})
			old.ExpiresAt = time.Now().Add(-time.Second)
			if err := b.store.PutToken(t.Context(), old, &store.Entry{Actor: "test", Action: "expire", Kind: "tokens"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	make("revoked", `{"name":"revoked","tenants":["*"],"role":"admin"}`)
	for _, tk := range b.store.Tokens() {
		if tk.Name == "revoked" {
			b.must(200, "", "POST", "/api/v1/tokens/"+tk.ID+"/revoke", "")
		}
	}
	return b
}

func (b *apiBed) token(body string) string {
	var c admin.CreatedToken
	b.must(201, "", "POST", "/api/v1/tokens", body).decode(b.t, &c)
	if !store.LooksLikeToken(c.Token) {
		b.t.Errorf("%s has no checksum", c.Hint)
	}
	return c.Token
}

// event sends an event of acme and returns its id.
func (b *apiBed) event() string {
	req, err := http.NewRequest("POST", "http://"+b.IngressAddr().String()+"/v1/events", strings.NewReader(`{"type":"order.paid","data":{"who":"only-acme-knows"}}`))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer shop-token-0123456789")
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	var a struct{ ID string }
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil || resp.StatusCode != 202 {
		b.t.Fatalf("%d %v", resp.StatusCode, err)
	}
	return a.ID
}

var exampleID = regexp.MustCompile(`(wh|dl|we|au|jb|tk)_[0-9a-hjkmnp-tv-z]{26}`)

// fresh makes a thing of acme for an id of this kind.
func (b *apiBed) fresh(kind string) string {
	n := b.unique.Add(1)
	var made struct{ ID string }
	switch kind {
	case "wh":
		body := fmt.Sprintf(`{"name":"fresh %d","tenant":"acme","events":["never"],"url":%q,"description":"only-acme-knows"}`, n, b.rec.URL("w"))
		b.must(201, "", "POST", "/api/v1/webhooks", body).decode(b.t, &made)
		b.must(200, "", "PATCH", "/api/v1/webhooks/"+made.ID, `{"log":"errors"}`)
	case "au":
		body := fmt.Sprintf(`{"name":"fresh %d only-acme-knows","tenant":"acme","type":"bearer","token":"only-acme-knows-token"}`, n)
		b.must(201, "", "POST", "/api/v1/authorizations", body).decode(b.t, &made)
	case "tk":
		b.must(201, "", "POST", "/api/v1/tokens", fmt.Sprintf(`{"name":"only-acme-knows %d","tenants":["acme"]}`, n)).decode(b.t, &made)
	case "jb":
		var answer struct{ Job struct{ ID string } }
		b.must(202, b.tokens["own admin"], "POST", "/api/v1/deliveries/redrive", `{"type":"no.such.type"}`).decode(b.t, &answer)
		return answer.Job.ID
	case "dl":
		return b.dead[int(n)%len(b.dead)].ID
	case "we":
		return b.dead[int(n)%len(b.dead)].Event
	default:
		b.t.Fatalf("no fixture for ids of kind %q", kind)
	}
	return made.ID
}

// request fills the document's own example of an operation with ids of acme.
func (b *apiBed) request(o *apiOp, body string) (path, filled string) {
	path = o.path
	query := url.Values{}
	for _, p := range o.Parameters {
		text := fmt.Sprint(p.Example)
		if p.Example == nil {
			if p.Required {
				b.t.Fatalf("%s: parameter %s has no example", o.ID, p.Name)
			}
			continue
		}
		if kind := exampleID.FindStringSubmatch(text); kind != nil {
			text = b.fresh(kind[1])
		}
		switch p.In {
		case "path":
			if o.path == "/api/v1/event-types/{name}" {
				text = fmt.Sprintf("fresh.%d", b.unique.Add(1))
				b.must(201, "", "POST", "/api/v1/event-types", fmt.Sprintf(`{"name":%q,"tenant":"acme","description":"only-acme-knows"}`, text))
			}
			path = strings.ReplaceAll(path, "{"+p.Name+"}", text)
		case "query":
			query.Set(p.Name, text)
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	filled = exampleID.ReplaceAllStringFunc(body, func(id string) string { return b.fresh(id[:2]) })
	filled = strings.ReplaceAll(filled, "https://crm.example/hooks", b.rec.URL("w"))
	n := strconv.FormatInt(b.unique.Add(1), 10)
	for _, name := range []string{`"name":"orders"`, `"name":"summer orders"`, `"name":"a copy"`, `"name":"crm key"`, `"name":"order.refunded"`} {
		filled = strings.ReplaceAll(filled, name, strings.TrimSuffix(name, `"`)+n+`"`)
	}
	return path, filled
}

// send asks with a token; of a stream only the beginning is read.
func (b *apiBed) send(o *apiOp, token, path, body string) *reply {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, o.method, "http://"+b.AdminAddr().String()+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if token != "none" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	if o.stream() && resp.StatusCode == 200 {
		return &reply{resp.StatusCode, resp.Header, nil}
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return &reply{resp.StatusCode, resp.Header, text}
}

var roles = map[string]int{"": 0, "viewer": 1, "editor": 2, "admin": 3}

// TestAPIMatrix tries every operation of the document with every kind of credential, on things of tenant acme. What is expected follows from the rules and from what the
// document says, so a new operation is in it as soon as it is in the document.
func TestAPIMatrix(t *testing.T) {
	b := newAPIBed(t)
	role := map[string]string{"global": "admin", "own admin": "admin", "own editor": "editor", "own viewer": "viewer", "other tenant": "admin", "program token": "editor"}
	cells := 0
	for _, o := range b.ops {
		for _, who := range slices.Sorted(maps.Keys(b.tokens)) {
			name := o.method + " " + o.path + " as " + who
			examples := o.examples()
			body := examples[slices.Sorted(maps.Keys(examples))[0]]
			path, body := b.request(o, body)
			before := b.writes()
			p := b.send(o, b.tokens[who], path, body)
			cells++
			hasID := strings.Contains(o.path, "{") && o.path != "/api/v1/programs/{program}/webhooks"
			switch {
			case o.Role == "":
				if p.status == 401 || p.status == 403 {
					t.Errorf("%s: %d, it is open", name, p.status)
				}
			case slices.Contains([]string{"none", "expired", "revoked", "ingress token"}, who):
				if p.status != 401 {
					t.Errorf("%s: %d, want 401", name, p.status)
				}
			case who == "program token" && !o.Programs, roles[role[who]] < roles[o.Role], o.Scope == "global" && who != "global":
				if p.status != 403 {
					t.Errorf("%s: %d, want 403", name, p.status)
				}
			case who == "other tenant" && hasID:
				if p.status != 404 {
					t.Errorf("%s: %d, want 404: %s", name, p.status, p.body)
				}
			case who == "other tenant":
				if p.status >= 500 || p.status == 401 || p.status == 403 {
					t.Errorf("%s: %d: %s", name, p.status, p.body)
				}
			default:
				if !o.succeeds(p.status) {
					t.Errorf("%s: %d, want %d: %s\n%s %s", name, p.status, o.success(), p.body, path, body)
				}
			}
			if p.status >= 400 && p.status != 503 && b.writes() != before {
				t.Errorf("%s: refused with %d, and something was written", name, p.status)
			}
			sees := slices.Contains([]string{"global", "own admin", "own editor", "own viewer"}, who) || who == "program token" && p.status < 300
			if !sees && bytes.Contains(p.body, []byte(marker)) {
				t.Errorf("%s: the answer shows what is acme's: %s", name, p.body)
			}
			if p.status >= 400 && !strings.HasPrefix(p.header.Get("Content-Type"), "application/problem+json") {
				t.Errorf("%s: %d without a problem document", name, p.status)
			}
		}
	}
	t.Logf("%d operations, %d credentials, %d cells", len(b.ops), len(b.tokens), cells)
}

// writes counts the lines of the audit log: every change makes one. Jobs write theirs when they end, whenever that is.
func (b *apiBed) writes() int {
	kinds := []string{store.Webhooks, store.Authorizations, store.EventTypes, "tokens"}
	all, err := b.store.Audit(nil, time.Time{}, 1_000_000, func(e *store.Entry) bool { return slices.Contains(kinds, e.Kind) })
	if err != nil {
		b.t.Fatal(err)
	}
	return len(all)
}

// TestAPIDocument: the document is valid OpenAPI 3.1, each of its examples works, and every answer is what it says.
func TestAPIDocument(t *testing.T) {
	b := newAPIBed(t)
	schemas := jsonschema.NewCompiler()
	schemas.DefaultDraft(jsonschema.Draft2020)
	schemas.AssertFormat()
	official, err := os.ReadFile("testdata/oas31-schema.json") // of the OpenAPI Initiative, with which documents are checked
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"oas31.json": official, "api.json": b.text} {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err == nil {
			err = schemas.AddResource("https://test.example/"+name, doc)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	valid, err := schemas.Compile("https://test.example/oas31.json")
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(b.text))
	if err == nil {
		err = valid.Validate(document)
	}
	if err != nil {
		t.Errorf("the document is not valid OpenAPI 3.1: %v", err)
	}
	pointer := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")
	fits := func(o *apiOp, part string, text []byte) error {
		s, err := schemas.Compile("https://test.example/api.json#/paths/" + pointer.Replace(o.path) + "/" + strings.ToLower(o.method) + "/" + part + "/content/application~1json/schema")
		if err != nil {
			return err
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return err
		}
		return s.Validate(v)
	}
	executed := 0
	for _, o := range b.ops {
		for name, body := range o.examples() {
			path, body := b.request(o, body)
			p := b.send(o, b.tokens["global"], path, body)
			executed++
			if !o.succeeds(p.status) {
				t.Errorf("%s, example %s: %d, want %d: %s\n%s %s", o.ID, name, p.status, o.success(), p.body, path, body)
				continue
			}
			if p.status == 409 {
				continue
			}
			if body != "" {
				if err := fits(o, "requestBody", []byte(body)); err != nil {
					t.Errorf("%s, example %s does not fit its own schema: %v", o.ID, name, err)
				}
			}
			if o.Responses[strconv.Itoa(p.status)].Content["application/json"] == nil {
				continue
			}
			if err := fits(o, "responses/"+strconv.Itoa(p.status), p.body); err != nil {
				t.Errorf("%s, example %s: the answer is not what the document says: %v\n%.600s", o.ID, name, err, p.body)
			}
		}
	}
	page := b.must(200, "none", "GET", "/api/docs", "")
	for _, o := range b.ops {
		if !bytes.Contains(page.body, []byte(`id="`+o.ID+`"`)) {
			t.Errorf("the reference page lacks %s", o.ID)
		}
	}
	if bytes.Contains(page.body, []byte("://cdn")) || bytes.Contains(page.body, []byte("<script")) {
		t.Error("the reference page is not self-contained")
	}
	t.Logf("%d operations, %d examples executed", len(b.ops), executed)
}
