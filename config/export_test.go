package config

import (
	"regexp"
	"strings"
	"testing"
)

func TestExportLoadsAgain(t *testing.T) {
	objects := []Exported{
		{List: "webhooks", Tenant: "acme", Name: "feed", Text: []byte(`{"name":"feed","events":["a","b.*"],"url":"https://a.example/in?token=canary-arg","authorization":"crm","headers":{"X-Env":"$${x} ${HOME}","X-Api-Key":"canary-head"},"payload":{"body":{"z":1.50,"a":"{{ data.a }}","yes":"true"}},"secret":["whsec_canaryQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw","whsec_canaryQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx"]}`)},
		{List: "webhooks", Tenant: "12", Name: "feed", Generated: true, Text: []byte(`{"name":"feed","events":["a"],"url":"https://b.example/"}`)},
		{List: "authorizations", Tenant: "acme", Name: "crm", Text: []byte(`{"name":"crm","type":"header","headers":[{"name":"X-K","value":"canary-value"},{"name":"X-P","value":"seen","visibility":"public"}]}`)},
		{List: "event_types", Tenant: "acme", Name: "a", Text: []byte(`{"name":"a","schema":{"type":"string","pattern":"^\\d+${"},"example":"1"}`)},
	}
	text, err := Export(objects)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "canary") {
		t.Errorf("a secret is in it:\n%s", text)
	}
	values := map[string]string{"ACME_FEED_URL": "https://a.example/in?token=canary-arg", "ACME_FEED_HEADERS_X_API_KEY": "canary-head", "ACME_FEED_SECRET_0": "whsec_canaryQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		"ACME_FEED_SECRET_1": "whsec_canaryQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx", "T12_FEED_SECRET": "generated", "ACME_CRM_HEADERS_0_VALUE": "canary-value"}
	for _, m := range regexp.MustCompile(`(?m)^#   ([A-Z0-9_]+): `).FindAllStringSubmatch(string(text), -1) {
		if values[m[1]] == "" {
			t.Errorf("unexpected variable %s", m[1])
		}
		t.Setenv(m[1], values[m[1]])
		delete(values, m[1])
	}
	if len(values) > 0 {
		t.Errorf("no variables for %v in\n%s", values, text)
	}
	c, err := Parse("export.yaml", text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	w := c.Webhooks[0]
	if w.URL != "https://a.example/in?token=canary-arg" || w.Headers[0].Value != "$${x} ${HOME}" || w.Headers[1].Value != "canary-head" || string(w.Payload.Body) != `{"z":1.50,"a":"{{ data.a }}","yes":"true"}` ||
		len(w.Secret) != 2 || w.Tenant != "acme" || c.Webhooks[1].Secret[0].Reveal() != "generated" {
		t.Errorf("%+v", w)
	}
	if h := c.Authorizations[0].Headers; h[0].Value.Reveal() != "canary-value" || h[1].Value.Reveal() != "seen" {
		t.Errorf("%+v", c.Authorizations[0])
	}
	if string(c.EventTypes[0].Schema.JSON) != `{"type":"string","pattern":"^\\d+${"}` {
		t.Errorf("%s", c.EventTypes[0].Schema.JSON)
	}
	if none, err := Export(nil); err != nil || !strings.HasPrefix(string(none), "# ") {
		t.Errorf("%v %s", err, none)
	}
}

// FuzzExport: whatever is stored is exported without what is secret in it, as YAML that can be read.
func FuzzExport(f *testing.F) {
	f.Add("webhooks", []byte(`{"name":"w","events":["a"],"url":"https://a.example/","secret":"canary-secret","headers":{"X-Token":"canary-2"}}`))
	f.Add("authorizations", []byte(`{"name":"a","type":"basic","username":"u","password":"canary"}`))
	f.Fuzz(func(t *testing.T, list string, text []byte) {
		if secretPath[list] == nil {
			return
		}
		out, err := Export([]Exported{{List: list, Tenant: "t", Name: "n", Text: text}})
		if err != nil {
			return
		}
		if _, _, err := parseYAML(out); err != nil {
			t.Errorf("%v in\n%s", err, out)
		}
	})
}
