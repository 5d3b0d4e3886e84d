package ingress

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"edgerelay/relay/catalogue"
	"edgerelay/relay/webhooks"
)

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
	h := start(t, func(o *Options) { o.Policy.Strict, o.Policy.EventTypes = true, []EventType{{Name: "order.paid"}} })
	if r := h.post(`{"type":"order.paid"}`); r.StatusCode != 202 {
		t.Errorf("known type: status %d", r.StatusCode)
	}
	r := h.post(`{"type":"order.payed"}`)
	if r.StatusCode != 422 || r.problemType(t) != "unknown-event-type" || !strings.Contains(r.body, "order.payed") {
		t.Errorf("unknown type: status %d, %s", r.StatusCode, r.body)
	}
	if err := h.SetPolicy(Policy{EventTypes: []EventType{{Name: "order.paid"}}}); err != nil { // not strict any more
		t.Fatal(err)
	}
	if r := h.post(`{"type":"order.payed"}`); r.StatusCode != 202 {
		t.Errorf("after a new policy: status %d", r.StatusCode)
	}
}

func TestSchemasOfEventTypes(t *testing.T) {
	schema, err := catalogue.Compile([]byte(`{"type":"object","required":["points"],"properties":{"points":{"type":"integer","minimum":1}}}`))
	if err != nil {
		t.Fatal(err)
	}
	h := start(t, func(o *Options) {
		o.Policy.Tenants = []string{"acme", "other"}
		o.Policy.EventTypes = []EventType{{Name: "earned", Schema: schema}, {Name: "own", Tenant: "acme", Schema: schema}}
	})
	for body, want := range map[string]int{
		`{"tenant":"acme","type":"earned","data":{"points":1}}`:            202,
		`{"tenant":"acme","type":"earned","data":{"points":0}}`:            422,
		`{"tenant":"acme","type":"earned"}`:                                422,
		`{"tenant":"acme","type":"other","data":{"points":0}}`:             202,
		`{"tenant":"acme","type":"own","data":{}}`:                         422,
		`{"tenant":"other","type":"own","data":{}}`:                        202, // of another tenant, who has no such type
		`{"tenant":"other","type":"earned","data":{}}`:                     422,
		`{"tenant":"acme","type":"earned","data":{"points":1,"points":2}}`: 422,
	} {
		r := h.post(body)
		if r.StatusCode != want {
			t.Errorf("%s: status %d: %s", body, r.StatusCode, r.body)
		}
		if want != 422 {
			continue
		}
		var p struct {
			Type   string
			Errors []catalogue.Violation
		}
		if err := json.Unmarshal([]byte(r.body), &p); err != nil || p.Type != "urn:edgerelay:problem:schema" || len(p.Errors) == 0 || p.Errors[0].Instance == "" {
			t.Errorf("%s: %v %s", body, err, r.body)
		}
	}
	r := h.post(`{"tenant":"acme","type":"earned","data":{"points":0}}`)
	for _, want := range []string{`"schema":"#/properties/points/minimum"`, `"instance":"/data/points"`, `does not fit its schema`} {
		if !strings.Contains(r.body, want) {
			t.Errorf("no %s in %s", want, r.body)
		}
	}
	if n := h.count("/v1/events", "422"); n < 4 {
		t.Errorf("%v refusals are counted", n)
	}
}

func TestPolicyRefuses(t *testing.T) {
	for name, tokens := range map[string][]Token{
		"empty":      {{Name: "a"}},
		"same twice": {{Name: "a", Token: "canary"}, {Name: "b", Token: "canary"}},
		"long":       {{Name: "a", Token: "canary", Tenant: strings.Repeat("x", 256)}},
	} {
		if _, err := (Policy{Tokens: tokens}).compile(nil); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: error %v", name, err)
		}
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
