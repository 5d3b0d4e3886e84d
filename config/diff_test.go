package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const before = `
retry: { schedule: [1s, 2s] }
ingress: { tokens: [{ name: shop, token: canary-token-of-the-shop }] }
authorizations:
  - { name: crm, type: header, headers: [{ name: X-Key, value: canary-one }, { name: X-Open, value: shown, visibility: public }] }
event_types: [{ name: a, schema: { type: object } }]
webhooks:
  - name: one
    events: [a]
    url: https://one.example/in?token=canary-arg
    secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
    headers: { X-Env: prod, X-Api-Key: canary-head }
    payload: { body: { a: "{{ data.a }}", list: [1, 2], secret: canary-body } }
    transform: [{ plugin: pick, config: { fields: [data.a] }, timeout: 20ms }]
  - { name: two, events: [a], url: "https://two.example/${CANARY}" }
  - { name: three, events: [a], url: "https://three.example/" }
`

func parsed(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("x.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// describe writes changes one per line.
func describeChanges(changes []Change) []string {
	lines := []string{}
	for _, c := range changes {
		if len(c.Fields) == 0 {
			lines = append(lines, fmt.Sprintf("%s %s %s", c.Action, c.Kind, c.Name))
		}
		for _, f := range c.Fields {
			lines = append(lines, fmt.Sprintf("%s %s %s: %s %q -> %q %v", c.Action, c.Kind, c.Name, f.Path, f.Old, f.New, f.Secret))
		}
	}
	return lines
}

func TestDiff(t *testing.T) {
	t.Setenv("CANARY", "canary-env")
	for _, c := range []struct {
		name, old, new string
		want           []string
	}{
		{"nothing", "", "", nil},
		{"a setting", "[1s, 2s]", "[1s, 3s]", []string{`change  : retry.schedule "[1s, 2s]" -> "[1s, 3s]" false`, `change webhooks one: retry.schedule "[1s, 2s]" -> "[1s, 3s]" false`,
			`change webhooks two: retry.schedule "[1s, 2s]" -> "[1s, 3s]" false`, `change webhooks three: retry.schedule "[1s, 2s]" -> "[1s, 3s]" false`}},
		{"a token", "canary-token-of-the-shop", "canary-token-of-another", []string{`change ingress.tokens shop: token "***" -> "***" true`}},
		{"a secret header", "canary-one", "canary-two", []string{`change authorizations crm: headers[0].value "***" -> "***" true`}},
		{"a public header", "value: shown", "value: seen", []string{`change authorizations crm: headers[1].value "shown" -> "seen" false`}},
		{"a schema", "type: object }", "type: array }", []string{`change event_types a: schema "{\"type\":\"object\"}" -> "{\"type\":\"array\"}" false`}},
		{"an argument of a URL", "canary-arg", "canary-gra", []string{`change webhooks one: url "https://one.example/in?token=***" -> "https://one.example/in?token=***" true`}},
		{"a signing secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", []string{`change webhooks one: secret[0] "***" -> "***" true`}},
		{"a header", "X-Env: prod", "X-Env: test, X-New: 1", []string{`change webhooks one: headers.X-Env "prod" -> "test" false`, `change webhooks one: headers.X-New "" -> "1" false`}},
		{"a header that is a credential", "canary-head", "canary-daeh", []string{`change webhooks one: headers.X-Api-Key "***" -> "***" true`}},
		{"a definition", `"{{ data.a }}", list: [1, 2]`, `"{{ data.b }}", list: [1]`, []string{`change webhooks one: payload.body.a "{{ data.a }}" -> "{{ data.b }}" false`,
			`change webhooks one: payload.body.list[1] "2" -> "" false`}},
		{"a transform", "timeout: 20ms", "timeout: 30ms", []string{`change webhooks one: transform[0].timeout "20ms" -> "30ms" false`}},
		{"an expanded URL", "two.example/${CANARY}", "two.example/${CANARY}2", []string{`change webhooks two: url "https://two.example/***" -> "https://two.example/***" true`}},
		{"another name", "name: three", "name: four", []string{"add webhooks four", "remove webhooks three"}},
		{"a list", "[a]\n    url", "[a, b]\n    url", []string{`change webhooks one: events "[a]" -> "[a, b]" false`}},
		{"a pointer", "type: object }", "type: object }, validate: false", []string{`change event_types a: validate "" -> "false" false`}},
	} {
		if !strings.Contains(before, c.old) {
			t.Fatalf("%s: %q is not in the text", c.name, c.old)
		}
		old, next := parsed(t, before).Inventory(), parsed(t, strings.Replace(before, c.old, c.new, 1)).Inventory()
		changes, err := old.Diff(next)
		if got := describeChanges(changes); err != nil || !slices.Equal(got, c.want) && len(got)+len(c.want) > 0 {
			t.Errorf("%s: %v\n%s\nwant\n%s", c.name, err, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
		// The same over the wire.
		text, err := json.Marshal(next.Sealed([]byte("salt and pepper")))
		if err != nil || strings.Contains(string(text), "canary") || strings.Contains(string(text), "MfKQ9r8") {
			t.Fatalf("%s: %v %s", c.name, err, text)
		}
		var sealed Inventory
		if err := json.Unmarshal(text, &sealed); err != nil {
			t.Fatal(err)
		}
		over, err := old.Diff(sealed)
		if got := describeChanges(over); err != nil || !slices.Equal(got, describeChanges(changes)) {
			t.Errorf("%s, sealed: %v\n%s", c.name, err, strings.Join(got, "\n"))
		}
	}
	c := parsed(t, before).Inventory()
	if _, err := c.Diff(Inventory{Salt: "x"}); err == nil {
		t.Error("a salt that is none")
	}
	if _, err := c.Diff(Inventory{Objects: []Object{{Kind: "a"}, {Kind: "a"}}}); err == nil {
		t.Error("an object twice")
	}
}

// FuzzDiff compares whatever comes over the wire.
func FuzzDiff(f *testing.F) {
	c, err := Parse("x.yaml", []byte("webhooks: [{ name: a, events: [a], url: 'https://a.example/', secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw }]"))
	if err != nil {
		f.Fatal(err)
	}
	old := c.Inventory()
	text, _ := json.Marshal(old.Sealed([]byte("s")))
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		var v Inventory
		if json.Unmarshal(text, &v) != nil {
			return
		}
		changes, err := old.Diff(v)
		if out, _ := json.Marshal(changes); err == nil && strings.Contains(string(out), "MfKQ9r8") && !strings.Contains(string(text), "MfKQ9r8") {
			t.Errorf("a secret is shown: %s", out)
		}
	})
}
