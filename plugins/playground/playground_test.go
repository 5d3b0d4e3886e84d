package playground

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgerelay/plugins/kit"
	"edgerelay/transform/jspack"
)

// counter writes how often its instance has run: what a plugin must not do. See plugins/kit/testdata.
func counter(t *testing.T) []byte {
	t.Helper()
	wasm, err := os.ReadFile("../kit/testdata/counter.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// bench is a session under test; rounds are its states.
type bench struct {
	*Session
	dir    string
	rounds chan *State
}

func newBench(t *testing.T, dir string, fetch func(context.Context, string) (kit.Event, error)) *bench {
	t.Helper()
	h, err := kit.NewHost(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{dir: dir, rounds: make(chan *State, 100)}
	b.Session = NewSession(h, Options{Dir: dir, Fetch: fetch, Report: func(s *State) { b.rounds <- s }})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// until waits for a round that is as wanted.
func (b *bench) until(wanted func(*State) bool) *State {
	for s := range b.rounds {
		if wanted(s) {
			return s
		}
	}
	return nil
}

const manifest = "name: counter\nversion: 1.0.0\nabi: edgerelay_v1\ncapabilities: [query]\n"

// TestSession: every change of a file is a round, also of one that was not there before; a mistake is told and does not end anything.
func TestSession(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"plugin.yaml": manifest, "plugin.wasm": string(counter(t)), "events/one.json": `{"type":"a"}`, "events/two.json": `{"type":"b"}`})
	b := newBench(t, dir, nil)
	s := b.until(func(s *State) bool { return s.Problem == "" })
	if s.Plugin != "counter" || s.Run.Event != "one" || s.Run.Request.Body != "1" || !strings.HasSuffix(s.Run.Request.URL, "?n=1") || s.Run.Diff != "" || s.Tests != nil {
		t.Errorf("the first round: %+v %+v", s, s.Run)
	}
	write(t, dir, map[string]string{"tests/first/expect.yaml": "event: one\nquery: { n: '1' }\n", "tests/first/expected.txt": "1"})
	b.until(func(s *State) bool { return s.Tests != nil && s.Tests.Passed == 1 })
	write(t, dir, map[string]string{"tests/first/expected.txt": "2"})
	if s := b.until(func(s *State) bool { return s.Tests != nil && s.Tests.Failed == 1 }); !strings.Contains(s.Tests.Cases[0].Diff, "- 2\n+ 1") {
		t.Errorf("%q", s.Tests.Cases[0].Diff)
	}
	write(t, dir, map[string]string{"plugin.yaml": manifest + "isolation: no\n"})
	b.until(func(s *State) bool { return strings.Contains(s.Problem, `isolation: "no" is not allowed`) })
	write(t, dir, map[string]string{"plugin.yaml": manifest + "sample: two\n"})
	if s := b.until(func(s *State) bool { return s.Problem == "" }); s.Run.Request.Body != "2" || !strings.Contains(s.Run.Diff, "- 1\n+ 2") {
		t.Errorf("%+v", s.Run)
	}
	if s := b.choose(t.Context(), choice{name: "two"}); s.Run.Event != "two" || s.Run.Diff != "" {
		t.Errorf("%+v", s.Run)
	}
	if s := b.choose(t.Context(), choice{event: `{"type":`}); !strings.Contains(s.Problem, "event:1:") {
		t.Errorf("%+v", s)
	}
	if s := b.choose(t.Context(), choice{name: "one", config: `{"a":1}`}); !strings.Contains(s.Problem, "takes no configuration") {
		t.Errorf("%+v", s)
	}
}

// TestServer: what the page asks for, and what nobody else gets.
func TestServer(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"plugin.yaml": manifest, "plugin.wasm": string(counter(t)), "events/one.json": `{"type":"a"}`, "src/a.c": "int a;", "bin": "\xff"})
	b := newBench(t, dir, func(_ context.Context, id string) (kit.Event, error) {
		return kit.ParseEvent(id, []byte(`{"type":"c","data":5,"tenant":"acme"}`))
	})
	b.until(func(s *State) bool { return s.Problem == "" })
	if _, err := Listen(b.Session, "0.0.0.0:0"); err == nil || !strings.Contains(err.Error(), "is not a loopback address") {
		t.Errorf("a page for everybody: %v", err)
	}
	v, err := Listen(b.Session, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	do := func(method, path, body string, code int) string {
		t.Helper()
		req, err := http.NewRequest(method, v.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != code {
			t.Errorf("%s %s: %d %s %v, want %d", method, path, r.StatusCode, text, err, code)
		}
		return string(text)
	}
	for _, name := range []string{"", "page.js", "page.css"} {
		if do("GET", name, "", 200) == "" {
			t.Errorf("%q is empty", name)
		}
	}
	do("GET", "../", "", 404)
	do("GET", "../"+strings.Repeat("a", 26)+"/api/files", "", 404)
	if got := do("GET", "api/files", "", 200); got != `{"files":["bin","events/one.json","plugin.yaml","src/a.c"],"relay":true}`+"\n" {
		t.Error(got)
	}
	if got := do("GET", "api/file?name=src/a.c", "", 200); got != `{"text":"int a;"}`+"\n" {
		t.Error(got)
	}
	do("GET", "api/file?name=bin", "", 400)
	do("GET", "api/file?name=gone", "", 404)
	do("GET", "api/file?name=../../etc/passwd", "", 400)
	do("GET", "api/file?name=/etc/passwd", "", 400)
	do("PUT", "api/file?name=new.sh", "x", 400)
	do("PUT", "api/file?name=plugin.wasm", "x", 400)
	do("PUT", "api/file?name=src/a.c", "int b;", 200)
	if text, err := os.ReadFile(filepath.Join(dir, "src/a.c")); err != nil || string(text) != "int b;" {
		t.Errorf("%s %v", text, err)
	}
	var s State
	if err := json.Unmarshal([]byte(do("POST", "api/run", `{"event":"{\"type\":\"z\",\"data\":{}}"}`, 200)), &s); err != nil || s.Run == nil || !strings.Contains(s.Run.Input, `"type":"z"`) {
		t.Errorf("%+v %v", s, err)
	}
	if got := do("GET", "api/delivery?id=dl_1", "", 200); !strings.Contains(got, `acme`) {
		t.Error(got)
	}
	r, err := http.Get(v.URL() + "api/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	first := make([]byte, 15)
	if _, err := io.ReadFull(r.Body, first); err != nil || !bytes.HasPrefix(first, []byte(`data: {"round":`)) {
		t.Errorf("%q %v", first, err)
	}
}

// TestScript: what the author of a script waits for after an edit; the time is told, not judged.
func TestScript(t *testing.T) {
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip(err)
	}
	engine, err := os.ReadFile(filepath.Join(cache, "edgerelay-test", "quickjs-"+jspack.EngineSHA256+".wasm"))
	if err != nil {
		t.Skip("skipped: the tests of package transform fetch the JavaScript engine")
	}
	dir := filepath.Join(t.TempDir(), "orders")
	if _, err := kit.New(dir, "ts", "slack"); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{jspack.EnginePath: string(engine)})
	b := newBench(t, dir, nil)
	b.until(func(s *State) bool { return s.Problem == "" })
	source, err := os.ReadFile(filepath.Join(dir, "index.ts"))
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{" bought ", " got ", " took "} {
		write(t, dir, map[string]string{"index.ts": strings.Replace(string(source), " ordered ", word, 1)})
		s := b.until(func(s *State) bool { return s.Problem == "" && strings.Contains(s.Run.Request.Body, word) })
		t.Logf("%.1f ms after the edit, %.1f ms of them work; built in %.1f ms", s.Changed, s.Millis, s.Built.Seconds*1000)
	}
	write(t, dir, map[string]string{"index.ts": "export default function ("})
	b.until(func(s *State) bool { return strings.Contains(s.Problem, "index.ts:1:") })
}
