package transform

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

const jsEvent = `{"id":"ev_1","type":"order.created","time":"2024-12-14T15:29:18.700Z","data":{"name":"Ann & Bob","n":2.5,"tags":["a","b c"],"none":null}}`

// shaped is what a script made of jsEvent, in one line.
func shaped(out *Result) string {
	s := fmt.Sprintf("%v|%s|%s", out.Action, out.ContentType, out.Body)
	for _, part := range []string{out.Method, out.Path, out.Reason} {
		if part != "" {
			s += "|" + part
		}
	}
	for _, fs := range [][]Field{out.Headers, out.Query} {
		for _, f := range fs {
			s += "|" + f.Name + "=" + string(f.Value)
		}
	}
	for _, l := range out.Log {
		s += "|" + l.String()
	}
	return s
}

func TestJavaScript(t *testing.T) {
	h := newHost(t, Options{})
	keepEngine(t, h)
	fn := func(body string) string { return "export default function (event, ctx) {\n" + body + "\n}" }
	for _, c := range []struct{ name, source, want string }{
		{"object", fn(`return {text: event.data.name, n: event.data.n}`), `send|application/json|{"text":"Ann & Bob","n":2.5}`},
		{"string", fn(`return "hello"`), `send|text/plain; charset=utf-8|hello`},
		{"array", fn(`return [1, "ü", null]`), `send|application/json|[1,"ü",null]`},
		{"number", fn(`return 42`), `send|application/json|42`},
		{"nothing", fn(``), `send||`},
		{"arrow", `export default (event) => event.type`, `send|text/plain; charset=utf-8|order.created`},
		{"async", `export default async function (event) { await null; return await new Promise((f) => f({a: 1})) }`, `send|application/json|{"a":1}`},
		{"drop", fn(`return ctx.drop("not ours")`), `drop|||not ours`},
		{"drop without return", fn(`ctx.drop()`), `drop|`},
		{"fail", fn(`return ctx.fail("no customer")`), `fail|||no customer`},
		{"retry", fn(`return ctx.retry("later")`), `retry|||later`},
		{"request", fn(`ctx.method("PUT"); ctx.path("/v2"); ctx.header("X-A", 1); ctx.query("q", "a b"); ctx.contentType("application/x+json"); return {}`),
			`send|application/x+json|{}|PUT|/v2|X-A=1|q=a b`},
		{"log", fn(`ctx.log("a", {b: 1}, undefined); console.warn("w"); console.error(new Error("e")); return 1`),
			`send|application/json|1|info: a {"b":1} undefined|warn: w|error: Error: e`},
		{"meta", fn(`const {id, type, time, tenant, webhook, attempt, config} = ctx; return {id, type, time, tenant, webhook, attempt, config}`),
			`send|application/json|{"id":"ev_1","type":"order.created","time":"2024-12-14T15:29:18.700Z","tenant":"acme","webhook":"wh_1","attempt":12,"config":{"a":[1]}}`},
		{"clock", fn(`return new Date().toISOString()`), `send|text/plain; charset=utf-8|2024-12-14T15:29:18.700Z`},
		{"time zone", fn(`return new Date(0).getTimezoneOffset()`), `send|application/json|0`},
		{"xml", fn(`return ctx.xml({...event.data, "1st item": {a: [1, [2]]}, s: "<\r'\u0001>", e: []}, "order")`),
			`send|application/xml; charset=utf-8|<?xml version="1.0" encoding="UTF-8"?><order><name>Ann &amp; Bob</name><n>2.5</n><tags>a</tags><tags>b c</tags><none nil="true"/>` +
				`<_1st_item name="1st item"><a>1</a><a><item>2</item></a></_1st_item><s>&lt;&#13;&apos;` + "\uFFFD" + `&gt;</s></order>`},
		{"xml of an array", fn(`return ctx.xml([1, 2])`), `send|application/xml; charset=utf-8|<?xml version="1.0" encoding="UTF-8"?><event><item>1</item><item>2</item></event>`},
		{"form", fn(`return ctx.form({a: {b: 1}, c: [2, 3], d: null, "e f": "x&ü~*"})`),
			`send|application/x-www-form-urlencoded|a%5Bb%5D=1&c%5B%5D=2&c%5B%5D=3&d=&e+f=x%26%C3%BC%7E*`},
		{"text", fn(`return ctx.text(12)`), `send|text/plain; charset=utf-8|12`},
		{"type set before", fn(`ctx.contentType("text/csv"); return "a,b"`), `send|text/csv|a,b`},
		{"lone surrogate", fn(`return "a\ud800b"`), "send|text/plain; charset=utf-8|a\uFFFDb"},
		{"zero byte", fn(`return "a\u0000b"`), "send|text/plain; charset=utf-8|a\x00b"},
		{"svix", `function handler(webhook) { webhook.payload = {name: webhook.payload.name, type: webhook.eventType}; webhook.method = "PUT"; return webhook }`,
			`send|application/json|{"name":"Ann & Bob","type":"order.created"}|PUT`},
		{"svix cancelled", `function handler(webhook) { webhook.cancel = true; return webhook }`, `drop|||cancelled by the handler`},
		{"svix headers", `function handler(webhook) { webhook.headers["X-A"] = "1"; webhook.payload = "p"; return webhook }`, `send|text/plain; charset=utf-8|p|X-A=1`},
		{"hookdeck", `addHandler("transform", (request, context) => { request.headers["x-a"] = "1"; request.body = {n: request.body.n}; request.query = "?q=a%20b&r"; return request })`,
			`send|application/json|{"n":2.5}|x-a=1|q=a b|r=`},
		{"hookdeck async", `addHandler("transform", async (request) => { request.body = [request.body.n]; return request })`, `send|application/json|[2.5]`},
		{"convoy", `function transform(payload) { return {name: payload.name} }`, `send|application/json|{"name":"Ann & Bob"}`},
		{"named exports", `export function transform(payload) { return payload.n }`, `send|application/json|2.5`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out Result
			err := runOnce(t, h, packFiles(t, "transform.js", c.source), PoolConfig{Config: []byte(`{"a":[1]}`)}, jsEvent, &out)
			if err != nil || strings.TrimRight(shaped(&out), "|") != strings.TrimRight(c.want, "|") {
				t.Errorf("%v\n%s\nwant\n%s", err, shaped(&out), c.want)
			}
		})
	}
	if h.Compilations() != 1 {
		t.Errorf("%d compilations of one engine", h.Compilations())
	}
}

// keepEngine keeps the engine compiled while a test goes through many scripts.
func keepEngine(t *testing.T, h *Host) {
	t.Helper()
	m, err := h.Compile(context.Background(), "engine", packFiles(t, "t.js", "export default () => 1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close(context.Background()) })
}

func TestJavaScriptErrors(t *testing.T) {
	h := newHost(t, Options{})
	keepEngine(t, h)
	for _, c := range []struct {
		name, source string
		kind         Kind
		want         string
	}{
		{"type error", "export default function (event) {\n  const x = {};\n  return x.a.b;\n}", KindFailed, "cannot read property 'b' of undefined (transform.js:3:10)"},
		{"thrown", "function check(e) {\n  throw new Error('no customer');\n}\nexport default (e) => check(e)", KindFailed, "Error: no customer (transform.js:2:13)"},
		{"thrown text", "export default () => { throw 'no customer' }", KindFailed, "failed: no customer"},
		{"rejected", "export default async () => {\n  throw new Error('later')\n}", KindFailed, "Error: later (transform.js:2:"},
		{"never", "export default () => new Promise(() => {})", KindFailed, "never comes"},
		{"null", "export default () => null", KindFailed, "returned null"},
		{"function", "export default () => () => 1", KindFailed, "returned a function"},
		{"reserved header", "export default (e, ctx) => ctx.header('Host', 'evil')", KindFailed, `header:Host = "evil" is refused`},
		{"url of svix", "function handler(w) { w.url = 'https://evil.example'; return w }", KindFailed, "webhook.url: a transform can set a path"},
		{"loop", "export default () => { for (;;); }", KindFuel, ""},
		{"jobs for ever", "export default () => { const f = () => Promise.resolve().then(f); f() }", KindFuel, ""},
		{"recursion", "export default function f() { return f() + 1 }", KindFailed, "Maximum call stack size exceeded"},
		{"memory", "export default () => { const a = []; for (;;) a.push(new Uint8Array(1 << 20)) }", KindFailed, "out of memory"},
		{"output", "export default () => 'x'.repeat(1024).repeat(2048)", KindOutputTooLarge, ""},
		{"log", "export default (e, ctx) => { for (;;) ctx.log('x') }", KindFuel, ""},
		{"no function", "export const a = 1", KindInit, "exports no function"},
		{"top level", "nothing.at.all;\nexport default () => 1", KindInit, "nothing is not defined (transform.js:1:1)"},
		{"endless top level", "for (;;);\nexport default () => 1", KindInit, "start: more than"},
		{"await that never ends", "await new Promise(() => {});\nexport default () => 1", KindInit, "never comes"},
		{"dynamic import", "export default (e) => import(e.id)", KindFailed, "could not load module"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out Result
			err := runOnce(t, h, packFiles(t, "transform.js", c.source), PoolConfig{QuarantineAfter: -1}, jsEvent, &out)
			t.Log(err)
			if err == nil || kindOf(t, err) != c.kind || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %v: %s", err, c.kind, c.want)
			}
		})
	}
}

func TestTypeScript(t *testing.T) {
	h := newHost(t, Options{})
	keepEngine(t, h)
	run := func(files ...string) (*Result, error) {
		out := new(Result)
		return out, runOnce(t, h, packFiles(t, files...), PoolConfig{}, jsEvent, out)
	}
	out, err := run("transform.ts", "import { greet } from './greet';\ninterface Event { data: { name: string } }\nexport default function (event: Event): object {\n  return { text: greet(event.data.name) };\n}\n",
		"greet.ts", "export function greet(name: string): string {\n  if (name === '') throw new Error('nobody');\n  return `Hello ${name}`;\n}\n")
	if err != nil || string(out.Body) != `{"text":"Hello Ann & Bob"}` {
		t.Errorf("%v %q", err, out.Body)
	}
	_, err = run("transform.ts", "import { greet } from './greet';\ninterface Event { data: { name: string } }\n\nexport default (event: Event) =>\n  greet('');\n",
		"greet.ts", "type T = string;\n\nexport function greet(name: T): T {\n  if (name === '') {\n    throw new Error('nobody');\n  }\n  return name;\n}\n")
	if err == nil || !strings.Contains(err.Error(), "Error: nobody (greet.ts:5:") {
		t.Errorf("%v", err)
	}
	if out, err = run("handler.ts", "interface W { payload: any }\nfunction handler(w: W): W { w.payload = 1; return w }\n"); err != nil || string(out.Body) != "1" {
		t.Errorf("a handler that is not exported: %v %q", err, out.Body)
	}
	if out, err = run("common.js", "module.exports = (event) => event.data.n\n"); err != nil || string(out.Body) != "2.5" {
		t.Errorf("CommonJS: %v %q", err, out.Body)
	}
}

// TestScriptsShareTheirEngine: one compilation, and a hash for each.
func TestScriptsShareTheirEngine(t *testing.T) {
	h := newHost(t, Options{})
	var hashes []string
	for i := range 3 {
		m, err := h.Compile(context.Background(), "js", packFiles(t, "t.js", fmt.Sprintf("export default () => %d", i)))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close(context.Background())
		hashes = append(hashes, m.Hash())
		if m.ABI() != ABIJavaScript || !m.Resettable() {
			t.Errorf("%v, resettable %v", m.ABI(), m.Resettable())
		}
	}
	if h.Compilations() != 1 || hashes[0] == hashes[1] || hashes[1] == hashes[2] {
		t.Errorf("%d compilations, hashes %v", h.Compilations(), hashes)
	}
	if _, err := h.Compile(context.Background(), "engine", jsEngine(t)); err == nil || !strings.Contains(err.Error(), "an engine without a script") && !strings.Contains(err.Error(), "engine without a script") {
		t.Errorf("the engine alone: %v", err)
	}
}

// TestJavaScriptIsolation: what a script keeps is gone at the next event, and stays where isolation is switched off.
func TestJavaScriptIsolation(t *testing.T) {
	h := newHost(t, Options{})
	wasm := packFiles(t, "t.js", "let n = 0;\nglobalThis.seen = [];\nexport default (e) => { n++; seen.push(e); Array.prototype.evil = 1; return [n, seen.length, Math.random()] }")
	for isolation, want := range map[Isolation]string{IsolationEvent: "[1,1,", IsolationFresh: "[1,1,", IsolationShared: "[30,30,"} {
		p := newPool(t, h, wasm, PoolConfig{Isolation: isolation, Size: 1})
		var out Result
		random := map[string]bool{}
		for i := range 30 {
			out.Reset()
			meta := testMeta
			meta.ID = fmt.Appendf(nil, "ev_%d", i)
			if err := p.Run(context.Background(), &meta, []byte(jsEvent), &out); err != nil {
				t.Fatal(err)
			}
			random[string(out.Body[strings.LastIndexByte(string(out.Body), ','):])] = true
		}
		if !strings.HasPrefix(string(out.Body), want) || len(random) != 30 {
			t.Errorf("%v: %s, want %s; %d different random numbers", isolation, out.Body, want, len(random))
		}
	}
}

// TestFalseEngines: modules that carry a script and export what an engine does, but are none.
func TestFalseEngines(t *testing.T) {
	h := newHost(t, Options{})
	if _, err := h.Compile(context.Background(), "m", withScript(echo(), `{"kind":"script"}`)); kindOf(t, err) != KindRefused || !strings.Contains(err.Error(), "not its engine") {
		t.Errorf("%v", err)
	}
	for _, section := range []string{``, `{`, `{"kind":"x"}`, `{"kind":"script","map":{"version":2}}`, `{"kind":"script","map":{"version":3,"sources":[],"mappings":"AAAA"}}`,
		`{"kind":"script","map":{"version":3,"mappings":"!"}}`} {
		if _, err := h.Compile(context.Background(), "m", withScript(echo(), section)); kindOf(t, err) != KindRefused {
			t.Errorf("%q: %v", section, err)
		}
	}
}
