package kit

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"edgerelay/plugins"
	"edgerelay/transform"
)

//go:embed testdata/counter.wasm
var counter []byte

func TestCounterIsItsSource(t *testing.T) {
	tool, ok := look("wat2wasm")
	if !ok {
		t.Skip("skipped: no wat2wasm; apt-get install wabt")
	}
	out := filepath.Join(t.TempDir(), "counter.wasm")
	if text, err := exec.Command(tool, "testdata/counter.wat", "-o", out).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	built, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(built, counter) {
		t.Error("testdata/counter.wasm is not what wat2wasm makes of counter.wat")
	}
}

const signup = `{"id":"evt_1","type":"user.signed_up","time":"2026-01-01T00:00:00Z","data":{"email":"ada@example.com"}}`

// onDisk writes a plugin. Files end up as given; the manifest has the name, version and ABI already.
func onDisk(t *testing.T, wasm []byte, manifest string, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, text []byte) {
		t.Helper()
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("plugin.yaml", []byte("name: tested\nversion: 1.0.0\nabi: edgerelay_v1\n"+manifest))
	write("plugin.wasm", wasm)
	for name, text := range files {
		write(name, []byte(text))
	}
	return dir
}

func testDir(t *testing.T, h *Host, dir string, o TestOptions) *Report {
	t.Helper()
	p, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := h.Test(t.Context(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestGolden(t *testing.T) {
	h := newHost(t)
	const masked = `{"data":{"email":"a***@example.com"},"id":"evt_1","type":"user.signed_up","time":"2026-01-01T00:00:00Z"}`
	good := map[string]string{"tests/a/event.json": signup, "tests/a/expected.json": masked, "tests/a/expect.yaml": "headers: { x-masked: \"1\" }\n"}
	for _, c := range []struct {
		name     string
		wasm     []byte
		manifest string
		files    map[string]string
		want     string // of the first problem, "" = passes
		diff     string // a line
	}{
		{"as it should be", plugins.Mask, "capabilities: [headers]", nil, "", ""},
		{"a capability that is not declared", plugins.Mask, "", nil, "add capabilities: [headers]", ""},
		{"another body", plugins.Mask, "capabilities: [headers]", map[string]string{"tests/a/expected.json": strings.ReplaceAll(masked, "***", "**")},
			"the body differs from expected.json", `-     "email": "a**@example.com"`},
		{"a body that is no JSON", plugins.Mask, "capabilities: [headers]", map[string]string{"tests/a/expected.json": "{"}, "expected.json is not JSON", ""},
		{"a body that nobody expects", plugins.Mask, "capabilities: [headers]", map[string]string{"tests/a/expected.json": "-"}, "--update makes it", ""},
		{"another header", plugins.Mask, "capabilities: [headers]", map[string]string{"tests/a/expect.yaml": "headers: { X-Masked: yes }"}, `header X-Masked is "1", want "yes"`, ""},
		{"a header that nobody expects", plugins.Mask, "capabilities: [headers]", map[string]string{"tests/a/expect.yaml": ""}, `header X-Masked: "1" is not expected`, ""},
		{"a header that does not come", plugins.Mask, "capabilities: [headers]", map[string]string{"tests/a/expect.yaml": "headers: { X-Masked: 1, X-More: 2 }"}, `header X-More is missing`, ""},
		{"another action", plugins.Mask, "capabilities: [headers]", map[string]string{"tests/a/expect.yaml": "action: drop"}, "action is send, want drop", ""},
		{"too much fuel", plugins.Mask, "capabilities: [headers]", map[string]string{"tests/a/expect.yaml": "headers: { X-Masked: 1 }\nmax_fuel: 10"}, "max_fuel is 10", ""},
		{"a log that does not come", plugins.Mask, "capabilities: [headers]", map[string]string{"tests/a/expect.yaml": "headers: { X-Masked: 1 }\nlog: [hello]"}, `nothing in its log contains "hello"`, ""},
		{"out of fuel", plugins.Mask, "capabilities: [headers]\nlimits: { fuel: 10 }", nil, "action is error, want send: fuel: more than 10", ""},
		{"out of fuel, as expected", plugins.Mask, "capabilities: [headers]\nlimits: { fuel: 10 }", map[string]string{"tests/a/expect.yaml": "error: fuel"}, "", ""},
		{"another error", plugins.Mask, "capabilities: [headers]\nlimits: { fuel: 10 }", map[string]string{"tests/a/expect.yaml": "error: trap"}, "error is fuel, want trap", ""},
		{"a configuration it has no schema for", plugins.Mask, "capabilities: [headers]", map[string]string{"tests/a/config.json": `{"a":1}`}, "action is error, want send: config: config: plugin \"tested\" takes no configuration", ""},
		{"a configuration that its schema refuses", plugins.Mask, "capabilities: [headers]\nconfig: { type: object, properties: { a: { type: string } } }",
			map[string]string{"tests/a/config.json": `{"a":1}`, "tests/a/expect.yaml": "error: config"}, "", ""},
		{"state that is reset", counter, "capabilities: [query]", map[string]string{"tests/a/expected.json": "-", "tests/a/expected.txt": "1",
			"tests/a/expect.yaml": "query: { n: 1 }\nlog: [count]"}, "", ""},
		{"state that stays", counter, "capabilities: [query]\nisolation: shared", map[string]string{"tests/a/expected.json": "-", "tests/a/expected.txt": "1",
			"tests/a/expect.yaml": "query: { n: 1 }"}, "not deterministic: another body when the same event comes again", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{}
			for _, m := range []map[string]string{good, c.files} {
				for name, text := range m {
					files[name] = text
				}
			}
			for name, text := range files {
				if text == "-" {
					delete(files, name)
				}
			}
			r := testDir(t, h, onDisk(t, c.wasm, c.manifest, files), TestOptions{})
			if len(r.Cases) != 1 {
				t.Fatalf("%d cases", len(r.Cases))
			}
			got := r.Cases[0]
			if c.want == "" {
				if !got.Passed || r.Passed != 1 {
					t.Errorf("failed: %v\n%s", got.Problems, got.Diff)
				}
				return
			}
			if got.Passed || r.Failed != 1 || !strings.Contains(got.Problems[0], c.want) || !strings.Contains(got.Diff, c.diff) {
				t.Errorf("got %v\n%s\nwant %s %s", got.Problems, got.Diff, c.want, c.diff)
			}
		})
	}
}

func TestGoldenIsolation(t *testing.T) {
	h := newHost(t)
	// The first run, its repetition and the other event all count: the second case begins where the first one ended.
	dir := onDisk(t, counter, "capabilities: [query]\nisolation: fresh", map[string]string{
		"tests/a/event.json": signup, "tests/a/expect.yaml": "query: { n: 1 }", "tests/a/expected.txt": "1",
		"tests/b/event.json": signup, "tests/b/expect.yaml": "query: { n: 1 }", "tests/b/expected.txt": "1"})
	if r := testDir(t, h, dir, TestOptions{}); r.Failed != 0 {
		t.Errorf("%+v", r.Cases)
	}
	if r := testDir(t, h, dir, TestOptions{Only: regexp.MustCompile("^b$")}); r.Passed != 1 || r.Cases[0].Name != "b" {
		t.Errorf("only b: %+v", r)
	}
}

func TestUpdate(t *testing.T) {
	h := newHost(t)
	dir := onDisk(t, plugins.Mask, "capabilities: [headers]", map[string]string{
		"events/signup.json":   signup,
		"tests/a/expect.yaml":  "event: signup\nmax_fuel: 100000\n",
		"tests/b/event.json":   `{"type":"a","data":{"n":1}}`,
		"tests/b/expected.txt": "something else",
		"tests/c/event.json":   signup, "tests/c/expected.json": "{}", "tests/c/expect.yaml": "action: drop\n",
	})
	r := testDir(t, h, dir, TestOptions{Update: true})
	if r.Failed != 0 {
		t.Errorf("%+v", r.Cases)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, "tests", name))
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	if got, want := read("a/expect.yaml"), "event: signup\nheaders:\n  X-Masked: \"1\"\nmax_fuel: 100000\n"; got != want {
		t.Errorf("expect.yaml:\n%s\nwant\n%s", got, want)
	}
	if got := read("a/expected.json"); !strings.Contains(got, "\n  \"type\": \"user.signed_up\",\n") {
		t.Errorf("expected.json: %s", got)
	}
	if got := read("b/expected.txt"); !strings.HasPrefix(got, `{"id":"evt_sample"`) {
		t.Errorf("expected.txt: %s", got)
	}
	if got, want := read("c/expect.yaml"), "headers:\n  X-Masked: \"1\"\n"; got != want {
		t.Errorf("expect.yaml: %s", got)
	}
	again := testDir(t, h, dir, TestOptions{Update: true})
	for _, c := range again.Cases {
		if len(c.Updated) > 0 {
			t.Errorf("%s was updated again: %v", c.Name, c.Updated)
		}
	}
	if r := testDir(t, h, dir, TestOptions{}); r.Passed != 3 {
		t.Errorf("%+v", r.Cases)
	}
}

func TestUpdateTakesAwayABody(t *testing.T) {
	h := newHost(t)
	dir := onDisk(t, counter, "capabilities: [query]\nlimits: { fuel: 1 }", map[string]string{"tests/a/event.json": signup, "tests/a/expected.txt": "1"})
	r := testDir(t, h, dir, TestOptions{Update: true})
	if _, err := os.Stat(filepath.Join(dir, "tests/a/expected.txt")); r.Failed != 0 || err == nil {
		t.Errorf("%+v %v", r.Cases, err)
	}
}

// TestExpectText: what --update writes is read back as the same.
func TestExpectText(t *testing.T) {
	for _, s := range []string{"", "plain", "two words", "true", "No", "1", "1.5", "# x", "a: b", "it's", `"`, "\n", "é", " x", "x ", "-", "a#b", "a/b.c_d-e", "null", "~", "${HOME}", "2026-01-01"} {
		x := Expect{Action: transform.Drop.String(), Reason: s, Log: []string{s + "."}}
		var back Expect
		if err := back.decode("expect.yaml", []byte(x.text())); err != nil {
			t.Errorf("%q: %v\n%s", s, err, x.text())
		}
		if back.Reason != s || back.Log[0] != s+"." || back.Action != "drop" {
			t.Errorf("%q comes back as %+v:\n%s", s, back, x.text())
		}
	}
}

func TestJUnit(t *testing.T) {
	h := newHost(t)
	dir := onDisk(t, counter, "capabilities: [query]", map[string]string{"tests/a/event.json": signup, "tests/a/expect.yaml": "query: { n: 1 }",
		"tests/a/expected.txt": "1", "tests/b<>/event.json": signup, "tests/b<>/expect.yaml": "query: { n: 1 }", "tests/b<>/expected.txt": "2"})
	text, err := testDir(t, h, dir, TestOptions{}).JUnit()
	if err != nil {
		t.Fatal(err)
	}
	var s junitSuite
	if err := xml.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	if s.Tests != 2 || s.Failures != 1 || s.Cases[0].Failure != nil || s.Cases[1].Name != "b<>" || !strings.Contains(s.Cases[1].Failure.Text, "- 2\n+ 1") ||
		s.Cases[0].SystemOut != "info: counted\n" {
		t.Errorf("%s", text)
	}
}

func TestRunAndRequest(t *testing.T) {
	h := newHost(t)
	r, err := h.NewModuleRunner(t.Context(), "counter", counter, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(t.Context())
	e, err := ParseEvent("e", []byte(signup))
	if err != nil {
		t.Fatal(err)
	}
	o := r.Run(t.Context(), &e)
	if o.Action != "send" || string(o.Body) != "1" || o.Fuel == 0 || o.Memory != 65536 || len(o.Log) != 1 || r.Undeclared(o) != nil {
		t.Errorf("%+v", o)
	}
	for _, c := range []struct {
		name, address string
		o             Outcome
		want          string
	}{
		{"a body", "https://a.example/x?y=1", Outcome{Body: []byte("1")}, `POST https://a.example/x?y=1 [{Content-Type application/json}] 1`},
		{"everything", "https://a.example/x?n=0&y=1", Outcome{Body: []byte("<a/>"), Method: "PUT", Path: "/p%20q/r", ContentType: "application/xml",
			Headers: []Field{{"X-A", "b"}}, Query: []Field{{"n", "2 3"}}},
			`PUT https://a.example/p%20q/r?y=1&n=2+3 [{Content-Type application/xml} {X-A b}] <a/>`},
		{"a GET", "https://a.example/", Outcome{Body: []byte(`{"a":1,"b":"c d"}`), Method: "GET"}, `GET https://a.example/?a=1&b=c+d [] `},
		{"a DELETE", "https://a.example/1", Outcome{Body: []byte(`{}`), Method: "DELETE"}, `DELETE https://a.example/1 [] `},
	} {
		q, err := c.o.Request(c.address)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		headers := fmtFields(q.Headers)
		if got := q.Method + " " + q.URL + " " + headers + " " + string(q.Body); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func fmtFields(fs []Field) string {
	var list []string
	for _, f := range fs {
		list = append(list, "{"+f.Name+" "+f.Value+"}")
	}
	return "[" + strings.Join(list, " ") + "]"
}

func TestLoadRefuses(t *testing.T) {
	manifest := "name: a\nversion: 1.0.0\nabi: edgerelay_v1\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"no manifest", nil, "plugin.yaml"},
		{"an empty manifest", map[string]string{"plugin.yaml": ""}, `p/plugin.yaml:1:1: name: is missing`},
		{"a bad name", map[string]string{"plugin.yaml": "name: A b\nversion: 1.0.0\nabi: edgerelay_v1\n"}, `p/plugin.yaml:1:7: name: "A b" is not a plugin's name`},
		{"a bad version", map[string]string{"plugin.yaml": "name: a\nversion: one\nabi: edgerelay_v1\n"}, `p/plugin.yaml:2:10: version: "one" is not a version`},
		{"another ABI", map[string]string{"plugin.yaml": "name: a\nversion: 1.0.0\nabi: edgerelay_v9\n"}, `p/plugin.yaml:3:6: abi: "edgerelay_v9" is not allowed`},
		{"a module elsewhere", map[string]string{"plugin.yaml": manifest + "module: ../other.wasm\n"}, `module: "../other.wasm" is not a file below`},
		{"an unknown capability", map[string]string{"plugin.yaml": manifest + "capabilities: [headers, fly]\n"}, `p/plugin.yaml:4:25: capabilities[1]: "fly" is no capability`},
		{"a bad schema", map[string]string{"plugin.yaml": manifest + "config: { type: nonsense }\n"}, "config: is not a JSON Schema"},
		{"a schema that reads a file", map[string]string{"plugin.yaml": manifest + "config: { $ref: \"file:///etc/passwd\" }\n"}, "config: is not a JSON Schema"},
		{"a bad event", map[string]string{"plugin.yaml": manifest, "events/e.json": "{\n \"typ\": 1}"}, `p/events/e.json:2:`},
		{"a bad test event", map[string]string{"plugin.yaml": manifest, "tests/t/event.json": "[]"}, `p/tests/t/event.json:1:1: an event is a JSON object`},
		{"no test event", map[string]string{"plugin.yaml": manifest, "tests/t/expect.yaml": "action: send"}, `p/tests/t: has no event.json`},
		{"an unknown sample event", map[string]string{"plugin.yaml": manifest, "tests/t/expect.yaml": "event: x"}, `has no sample event "x"`},
		{"a misspelt expectation", map[string]string{"plugin.yaml": manifest, "tests/t/event.json": signup, "tests/t/expect.yaml": "header: {}"}, `did you mean "headers"?`},
		{"an unknown error", map[string]string{"plugin.yaml": manifest, "tests/t/event.json": signup, "tests/t/expect.yaml": "error: oops"}, `"oops" is no kind of error`},
		{"two bodies", map[string]string{"plugin.yaml": manifest, "tests/t/event.json": signup, "tests/t/expected.json": "{}", "tests/t/expected.txt": ""}, "keep one"},
	} {
		files := fstest.MapFS{}
		for name, text := range c.files {
			files[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if _, err := LoadFS(files, "p"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("name: a\nversion: 1.0.0\nabi: edgerelay_v1\nconfig: { type: object }\n", "action: send\nheaders: { a: b }\n", signup)
	f.Fuzz(func(t *testing.T, manifest, expect, event string) {
		files := fstest.MapFS{"plugin.yaml": {Data: []byte(manifest)}, "tests/t/expect.yaml": {Data: []byte(expect)}, "tests/t/event.json": {Data: []byte(event)}}
		p, err := LoadFS(files, "p")
		if err != nil {
			return
		}
		if len(p.Cases) != 1 || !ValidName(p.Name) || !json.Valid(p.Cases[0].Event.Envelope) {
			t.Errorf("%+v", p)
		}
	})
}
