package config

import (
	"strings"
	"testing"
)

const joinBase = `
retry: { schedule: [7s] }
tenants: [{ id: t1 }, { id: t2 }]
event_types: [{ name: a, scope: global }]
authorizations: [{ name: crm, type: bearer, token: canary-token, endpoint: "https://crm.example" }]
webhooks: [{ name: mine, tenant: t1, events: [a], url: "https://a.example/" }]
`

func TestJoin(t *testing.T) {
	c := parsed(t, joinBase)
	next, at, err := c.Join(
		Foreign{"authorizations", "api:au_1", []byte(`{"name":"erp","type":"basic","username":"u","password":"p\u00e4\ud83d\ude00"}`)},
		Foreign{"webhooks", "api:wh_1", []byte(`{"name":"own","tenant":"t1","events":["a"],"url":"https://b.example/{{ data.x }}","authorization":"erp","description":"${HOME} $${x}","payload":{"body":{"z":1.50,"a":"\ud83d\ude00"}}}`)},
		Foreign{"webhooks", "draft", []byte("name: yaml\ntenant: t2\nevents: ['*']\nurl: https://c.example/\n")},
		Foreign{"event_types", "api:b", []byte(`{"name":"b","tenant":"t2","schema":{"type":"object"}}`)})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Webhooks) != 1 || len(c.Authorizations) != 1 || len(c.EventTypes) != 1 {
		t.Error("Join has changed the config that it was given")
	}
	if len(at) != 4 || at[0] != 1 || at[1] != 1 || at[2] != 2 || at[3] != 1 {
		t.Errorf("indexes %v", at)
	}
	w := next.Webhooks[1]
	if w.Description != "${HOME} $${x}" || w.Method != "POST" || w.Concurrency != 16 || len(w.Retry.Schedule) != 1 || string(w.Payload.Body) != `{"z":1.50,"a":"😀"}` {
		t.Errorf("%+v %s", w, w.Payload.Body)
	}
	if p := next.Authorizations[1].Password.Reveal(); p != "pä😀" {
		t.Errorf("%q", p)
	}
}

func TestJoinRefuses(t *testing.T) {
	c := parsed(t, joinBase)
	for _, x := range []struct{ kind, text, want string }{
		{"webhooks", `{"name":"mine","tenant":"t1","events":["a"],"url":"https://b.example/"}`, `api: webhooks[1].name: name "mine" is used twice: first at x.yaml:6:20`},
		{"webhooks", `{"name":"x","tenant":"t1","program":"p","events":["a"],"url":"https://b.example/"}`, `scope is global`},
		{"webhooks", `{"name":"x","tenant":"t3","events":["a"],"url":"https://b.example/"}`, `unknown tenant "t3"`},
		{"webhooks", `{"name":"x","tenant":"t1","events":["a"],"url":"https://b.example/","authorization":"crm"}`, `only for URLs under its endpoint`},
		{"webhooks", `{"name":"x","tenant":"t1","events":["a"],"url":"https://b.example/","transform":[{"wasm":"/etc/passwd"}]}`, `webhooks[1].transform[0].wasm: names a file`},
		{"webhooks", `{"name":"x","tenant":"t1","events":["a"],"url":"https://b.example/","tls":{"ca_file":"/etc/passwd"}}`, `tls.ca_file: names a file`},
		{"webhooks", `{"name":"x","tenant":"t1","events":["a"],"url":"https://b.example/","concurrency":"16"}`, `want a whole number`},
		{"webhooks", `{"name":"x","tenant":"t1","events":["a"],"url":"https://b.example/","colour":"red"}`, `unknown key "colour"`},
		{"webhooks", `{"name":"x","name":"y","tenant":"t1","events":["a"],"url":"https://b.example/"}`, `duplicate key "name"`},
		{"webhooks", `{}`, `webhooks[1].name: is missing`},
		{"webhooks", ``, `api: is empty`},
		{"webhooks", `[]`, `want keys with values`},
		{"webhooks", "name: [", `api:`},
		{"authorizations", `{"name":"m","type":"mtls","cert_file":"/a","key_file":"/b"}`, `cert_file: names a file`},
		{"event_types", `{"name":"b","schema":"/etc/passwd"}`, `want the schema itself`},
		{"event_types", `{"name":"a"}`, `is used twice`},
	} {
		_, _, err := c.Join(Foreign{x.kind, "api", []byte(x.text)})
		if err == nil || !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %q", x.text, err, x.want)
		}
	}
}

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

// FuzzJoin joins whatever an API might be sent: it never panics, never reads a file, and what it takes is what Print shows.
func FuzzJoin(f *testing.F) {
	f.Add("webhooks", []byte(`{"name":"x","tenant":"t1","events":["a"],"url":"https://b.example/"}`))
	f.Add("event_types", []byte(`{"name":"b","schema":{"type":"object"}}`))
	f.Add("authorizations", []byte("name: a\ntype: bearer\ntoken: t\n"))
	c, err := Parse("x.yaml", []byte(joinBase))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, kind string, text []byte) {
		if kind != "webhooks" && kind != "event_types" && kind != "authorizations" {
			return
		}
		next, _, err := c.Join(Foreign{kind, "fuzz", text})
		if err != nil {
			return
		}
		if _, err := next.Print(); err != nil {
			t.Error(err)
		}
		if changes, err := c.Inventory().Diff(next.Inventory()); err != nil || len(changes) != 1 || changes[0].Action != ActionAdd {
			t.Errorf("%v %+v", err, changes)
		}
	})
}
