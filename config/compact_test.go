package config

import (
	"strings"
	"testing"
)

func TestCompact(t *testing.T) {
	for text, want := range map[string]string{"a: 1\nb: [x, '2']\n": `{"a":1,"b":["x","2"]}`, ` { "b" : 1.50, "a" : "\u00e4" } `: `{"b":1.50,"a":"ä"}`} {
		if got, err := Compact("x", []byte(text)); err != nil || string(got) != want {
			t.Errorf("%q: %s %v", text, got, err)
		}
	}
	if _, err := Compact("x", []byte("a: [")); err == nil {
		t.Error("no mistake")
	}
}

const madeBase = `
retry: { schedule: [7s] }
tenants: [{ id: t1 }, { id: t2 }]
event_types: [{ name: a, scope: global }]
authorizations: [{ name: crm, type: bearer, token: canary-token, endpoint: "https://crm.example" }]
webhooks: [{ name: mine, tenant: t1, events: [a], url: "https://a.example/" }]
`

// What is made through the API is checked by the code of the files, reads no environment, and names no files.
func TestMadeWebhooksNameNoFiles(t *testing.T) {
	c := parsed(t, madeBase)
	made, problems := c.MakeWebhook([]byte(`{"name":"own","tenant":"t1","events":["a"],"url":"https://b.example/{{ data.x }}","description":"${HOME} $${x}","payload":{"body":{"z":1.50,"a":"\ud83d\ude00"}}}`))
	if problems != nil {
		t.Fatal(problems)
	}
	w := made.Value
	if w.Description != "${HOME} $${x}" || w.Method != "POST" || w.Concurrency != 16 || len(w.Retry.Schedule) != 1 || string(w.Payload.Body) != `{"z":1.50,"a":"😀"}` {
		t.Errorf("%+v %s", w, w.Payload.Body)
	}
	for text, want := range map[string]string{
		`{"name":"x","tenant":"t1","program":"p","events":["a"],"url":"https://b.example/"}`:                        `scope is global`,
		`{"name":"x","tenant":"t3","events":["a"],"url":"https://b.example/"}`:                                      `unknown tenant "t3"`,
		`{"name":"x","tenant":"t1","events":["a"],"url":"https://b.example/","authorization":"crm"}`:                `only for URLs under its endpoint`,
		`{"name":"x","tenant":"t1","events":["a"],"url":"https://b.example/","transform":[{"wasm":"/etc/passwd"}]}`: `transform[0].wasm: names a file`,
		`{"name":"x","tenant":"t1","events":["a"],"url":"https://b.example/","tls":{"ca_file":"/etc/passwd"}}`:      `tls.ca_file: names a file`,
		`{"name":"x","tenant":"t1","events":["a"],"url":"https://b.example/","concurrency":"16"}`:                   `want a whole number`,
		`{"name":"x","tenant":"t1","events":["a"],"url":"https://b.example/","colour":"red"}`:                       `unknown key "colour"`,
		`{"name":"x","name":"y","tenant":"t1","events":["a"],"url":"https://b.example/"}`:                           `duplicate key "name"`,
		`{}`: `name: is missing`,
		`[]`: `want keys with values`,
	} {
		if _, problems := c.MakeWebhook([]byte(text)); len(problems) == 0 || !strings.Contains(problems.Error(), want) || strings.Contains(problems.Error(), "canary") {
			t.Errorf("%s: %v, want %q", text, problems, want)
		}
	}
	for text, want := range map[string]string{`{"name":"b","schema":"/etc/passwd"}`: `want the schema itself`, `{"name":"b","validate":true}`: `needs a schema`} {
		if _, problems := c.MakeEventType([]byte(text)); len(problems) == 0 || !strings.Contains(problems.Error(), want) {
			t.Errorf("%s: %v, want %q", text, problems, want)
		}
	}
}

// FuzzMake makes whatever an API might be sent: it never panics, and what it takes can be printed and compared.
func FuzzMake(f *testing.F) {
	f.Add("webhooks", []byte(`{"name":"x","tenant":"t1","events":["a"],"url":"https://b.example/"}`))
	f.Add("event_types", []byte(`{"name":"b","schema":{"type":"object"}}`))
	f.Add("authorizations", []byte(`{"name":"a","type":"bearer","token":"t"}`))
	c, err := Parse("x.yaml", []byte(madeBase))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, kind string, text []byte) {
		var m MadeObjects
		var problems Problems
		switch kind {
		case "webhooks":
			var w *Made[Webhook]
			w, problems = c.MakeWebhook(text)
			m.Webhooks = append(m.Webhooks, w)
		case "event_types":
			var e *Made[EventType]
			e, problems = c.MakeEventType(text)
			m.EventTypes = append(m.EventTypes, e)
		case "authorizations":
			var a *Made[Authorization]
			a, problems = c.MakeAuthorization(text)
			m.Authorizations = append(m.Authorizations, a)
		default:
			return
		}
		if len(problems) > 0 {
			return
		}
		next := c.With(m)
		if _, err := next.Print(); err != nil {
			t.Error(err)
		}
		if len(next.Webhooks) == 2 {
			next.Conceal(1)
		}
		next.Inventory()
	})
}
