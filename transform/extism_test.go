package transform

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	wb "edgerelay/transform/internal/wasmbuild"
)

// The plug-ins of other people: those in the test folder of Extism's Go SDK, which no code of ours uses. Its content is fixed by its sum.
const (
	extismSDK = "github.com/extism/go-sdk@v1.7.1"
	extismSum = "h1:lWJos6uY+tRFdlIHR+SJjwFDApY7OypS/2nMhiVQ9Sw="
)

// thirdParty returns the folder with their modules. Where it cannot be had, in continuous integration, that is a failure.
func thirdParty(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", extismSDK)
	cmd.Dir = t.TempDir() // not in our module: its go.mod does not want it
	out, err := cmd.Output()
	var module struct{ Dir, Sum, Error string }
	if jsonErr := json.Unmarshal(out, &module); jsonErr != nil || module.Error != "" || module.Dir == "" {
		unavailable(t, "%s: %v %s", extismSDK, err, module.Error)
	}
	if module.Sum != extismSum {
		t.Fatalf("%s has the sum %s, want %s", extismSDK, module.Sum, extismSum)
	}
	return filepath.Join(module.Dir, "wasm")
}

// unavailable ends a test for which something from the network is missing: on a developer's machine that is no failure.
func unavailable(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf("NOT TESTED, the network is needed: "+format, args...)
}

// TestExtismPlugins: every one of them runs, or is refused for the right reason.
func TestExtismPlugins(t *testing.T) {
	if raceEnabled && testing.Short() {
		t.Skip("compiling all of them takes a minute under the race detector")
	}
	dir := thirdParty(t)
	h := newHost(t, Options{})
	type plugin struct {
		file, entry, config, input string
		body                       string // exactly, or a part when it begins with "…"
		kind                       Kind   // instead
		fuel                       int64  // 0 = the default
		msg                        string
	}
	const config = `{"thing":"a thing","code":"0","greeting":"Howdy","duration":"0"}`
	plugins := []plugin{
		{file: "alloc", entry: "run_test", fuel: 1_000_000_000},
		{file: "config", entry: "run_test", config: config, body: `{"config": "a thing"}`},
		{file: "count_vowels", entry: "count_vowels", input: "hello world", body: `…"count":3`},
		{file: "count_vowels_std", input: "hello world", body: `…"count": 3`},
		{file: "exit", config: `{"code":"0"}`},
		{file: "exit", config: `{"code":"3"}`, kind: KindFailed, msg: "ended with code 3"},
		{file: "fail", entry: "run_test", kind: KindFailed, msg: "Some error message"},
		{file: "fs", entry: "run_test", kind: KindFailed, msg: "returned 1"},
		{file: "fs_std", entry: "run_test", kind: KindFailed, msg: "returned 1"},
		{file: "hello", entry: "run_test", body: "Hello, world!"},
		{file: "hello", kind: KindRefused, msg: "which of its functions shall be called? Name one: run_test"},
		{file: "hello", entry: "nothing", kind: KindRefused, msg: `no function "nothing"`},
		{file: "hello_haskell", entry: "testing", config: config, input: "John", body: "Howdy, John"},
		{file: "host", kind: KindRefused, msg: "extism:host/user.mult: this Extism plug-in wants functions of its own host"},
		{file: "host_memory", kind: KindRefused, msg: "host.to_upper"},
		{file: "host_multiple", kind: KindRefused, msg: "extism:host/user.hostGreenMessage"},
		{file: "http", entry: "run_test", kind: KindTrap, msg: "a transform has no network"},
		{file: "http_headers", entry: "http_get", input: `{"url":"https://example.com"}`, kind: KindTrap, msg: "a transform has no network"},
		{file: "input_offset", entry: "input_offset_length", input: "hello world", body: "\x0b\x00\x00\x00\x00\x00\x00\x00"},
		{file: "lib", entry: "capitalize", kind: KindRefused, msg: `no function "capitalize"`},
		{file: "log", entry: "run_test"},
		{file: "main", kind: KindRefused, msg: "lib.capitalize"},
		{file: "nested.c.instr", kind: KindRefused, msg: "dylibso_observe.instrument_enter, but a WASI program is offered only"},
		{file: "noop"},
		{file: "println", entry: "run_test"},
		{file: "read_write", entry: "try_read", kind: KindFailed, msg: "Path not found in config"},
		{file: "replace", entry: "run_test"},
		{file: "sleep", entry: "run_test", config: config, body: "slept for 0 seconds"},
		{file: "std_command", input: "ben", body: "hello ben"},
		{file: "var", entry: "run_test", body: "a: 0"},
	}
	for _, c := range plugins {
		t.Run(c.file+" "+c.entry+c.config, func(t *testing.T) {
			wasm, err := os.ReadFile(filepath.Join(dir, c.file+".wasm"))
			if err != nil {
				t.Fatal(err)
			}
			var out Result
			err = runOnce(t, h, wasm, PoolConfig{Entry: c.entry, Config: []byte(c.config), Limits: Limits{Fuel: c.fuel, Timeout: 10 * time.Second}}, c.input, &out)
			t.Logf("%v %q fuel %d log %v: %v", out.Action, clipped(out.Body, 100), out.Fuel, out.Log, err)
			switch {
			case c.kind != 0:
				if err == nil || kindOf(t, err) != c.kind || !strings.Contains(err.Error(), c.msg) {
					t.Errorf("got %v, want %v: %s", err, c.kind, c.msg)
				}
			case err != nil:
				t.Error(err)
			case strings.HasPrefix(c.body, "…"):
				if !strings.Contains(string(out.Body), c.body[len("…"):]) {
					t.Errorf("got %q", out.Body)
				}
			case string(out.Body) != c.body:
				t.Errorf("got %q, want %q", out.Body, c.body)
			}
		})
	}
}

// runOnce compiles a module, gives it one event twice and checks that both runs are the same.
func runOnce(t *testing.T, h *Host, wasm []byte, cfg PoolConfig, input string, out *Result) error {
	t.Helper()
	m, err := h.Compile(context.Background(), t.Name(), wasm)
	if err != nil {
		return err
	}
	defer m.Close(context.Background())
	cfg.Size = 1
	if cfg.Limits.Timeout == 0 {
		cfg.Limits.Timeout = time.Minute // this machine may do other things, too
	}
	p, err := h.NewPool(m, cfg)
	if err != nil {
		return err
	}
	defer p.Close(context.Background())
	var first Result
	err = p.Run(context.Background(), &testMeta, []byte(input), &first)
	again := p.Run(context.Background(), &testMeta, []byte(input), out)
	if first.Fuel != out.Fuel || string(first.Body) != string(out.Body) || (err == nil) != (again == nil) {
		t.Errorf("two runs differ: %q %d %v, then %q %d %v", first.Body, first.Fuel, err, out.Body, out.Fuel, again)
	}
	return again
}

// plugin is an Extism plug-in under construction.
type extismGuest struct {
	*wb.Module
	f map[string]uint32
}

func newExtismGuest(names ...string) *extismGuest {
	g := &extismGuest{Module: wb.New(), f: map[string]uint32{}}
	for _, n := range names {
		g.f[n] = g.Import(extismModule, n, extismFuncs[n].params, extismFuncs[n].results)
	}
	return g
}

// transform ends the plug-in; text lies in the second memory after store.
func (g *extismGuest) transform(code ...[]byte) []byte {
	g.Export("transform", wb.Func, g.Func("", "i", "II", code...))
	return g.Bytes()
}

// store makes a block of the text and leaves its address on the stack; local 0 is used. Like the AssemblyScript PDK it can make the
// block too short for what is written to it.
func (g *extismGuest) store(text string, size int64) []byte {
	code := wb.Cat(wb.I64(size), wb.Call(g.f["alloc"]), wb.Set(0))
	for i := range len(text) {
		code = wb.Cat(code, wb.Get(0), wb.I64(int64(i)), wb.Op(0x7c), wb.I32(int32(text[i])), wb.Call(g.f["store_u8"]))
	}
	return wb.Cat(code, wb.Get(0))
}

func TestExtismABI(t *testing.T) {
	h := newHost(t, Options{})
	run := func(wasm []byte, cfg PoolConfig) (*Result, error) {
		out := new(Result)
		return out, runOnce(t, h, wasm, cfg, `{"in":1}`, out)
	}
	output := func(text string) []byte {
		g := newExtismGuest("alloc", "store_u8", "output_set")
		return g.transform(g.store(text, int64(len(text))), wb.I64(int64(len(text))), wb.Call(g.f["output_set"]), wb.I32(0))
	}
	if out, err := run(output("text"), PoolConfig{}); err != nil || string(out.Body) != "text" {
		t.Errorf("%v %q", err, out.Body)
	}

	g := newExtismGuest("alloc", "store_u8", "output_set")
	short := g.transform(g.store("grüße", 5), wb.I64(7), wb.Call(g.f["output_set"]), wb.I32(0))
	if out, err := run(short, PoolConfig{}); err != nil || string(out.Body) != "grüße" {
		t.Errorf("a block that is too short for its text: %v %q", err, out.Body)
	}

	g = newExtismGuest("input_offset", "input_length", "output_set")
	echo := g.transform(wb.Call(g.f["input_offset"]), wb.Call(g.f["input_length"]), wb.Call(g.f["output_set"]), wb.I32(0))
	if out, err := run(echo, PoolConfig{}); err != nil || string(out.Body) != `{"in":1}` {
		t.Errorf("%v %q", err, out.Body)
	}

	g = newExtismGuest("alloc", "store_u8", "config_get", "length", "output_set")
	config := g.transform(g.store("n", 1), wb.Call(g.f["config_get"]), wb.Tee(1), wb.Get(1), wb.Call(g.f["length"]), wb.Call(g.f["output_set"]), wb.I32(0))
	for text, want := range map[string]string{`{"n":"text"}`: "text", `{"n":1.50}`: "1.50", `{"n":{"a":[1]}}`: `{"a":[1]}`, `{"m":1}`: "", ``: ""} {
		if out, err := run(config, PoolConfig{Config: []byte(text)}); err != nil || string(out.Body) != want {
			t.Errorf("config %s: %v %q", text, err, out.Body)
		}
	}
	if _, err := run(config, PoolConfig{Config: []byte(`[1]`)}); err == nil || kindOf(t, err) != KindRefused {
		t.Errorf("a configuration that is no object: %v", err)
	}

	// Variables: set, read, and gone at the next event (runOnce compares two).
	g = newExtismGuest("alloc", "store_u8", "var_get", "var_set", "length", "output_set")
	vars := g.transform(g.store("k", 1), wb.Call(g.f["var_get"]), wb.I64(0), wb.Op(0x52, 0x04, 0x40), wb.I32(9), wb.Op(0x0f, 0x0b),
		g.store("k", 1), g.store("value", 5), wb.Call(g.f["var_set"]), g.store("k", 1), wb.Call(g.f["var_get"]), wb.Tee(1),
		wb.Get(1), wb.Call(g.f["length"]), wb.Call(g.f["output_set"]), wb.I32(0))
	if out, err := run(vars, PoolConfig{Isolation: IsolationShared}); err != nil || string(out.Body) != "value" {
		t.Errorf("%v %q", err, out.Body)
	}

	g = newExtismGuest("alloc", "store_u8", "log_warn", "error_set")
	fails := g.transform(g.store("hello", 5), wb.Call(g.f["log_warn"]), g.store("no customer", 11), wb.Call(g.f["error_set"]), wb.I32(1))
	out, err := run(fails, PoolConfig{QuarantineAfter: 1})
	if err == nil || kindOf(t, err) != KindFailed || !strings.HasSuffix(err.Error(), "failed: no customer") {
		t.Errorf("%v", err)
	}
	if len(out.Log) != 1 || out.Log[0].String() != "warn: hello" {
		t.Errorf("log %v", out.Log)
	}
	if !KindFailed.Permanent() {
		t.Error("what the plug-in refuses it would refuse again")
	}
}

func TestExtismHostile(t *testing.T) {
	h := newHost(t, Options{})
	for name, c := range map[string]struct {
		kind  Kind
		build func(g *extismGuest) [][]byte
	}{
		"output outside": {KindPointer, func(g *extismGuest) [][]byte {
			return [][]byte{wb.I64(8), wb.I64(1 << 40), wb.Call(g.f["output_set"]), wb.I32(0)}
		}},
		"output outside, wrapping": {KindPointer, func(g *extismGuest) [][]byte {
			return [][]byte{wb.I64(-8), wb.I64(16), wb.Call(g.f["output_set"]), wb.I32(0)}
		}},
		"store far outside": {KindPointer, func(g *extismGuest) [][]byte {
			return [][]byte{wb.I64(-4), wb.I64(1), wb.Call(g.f["store_u64"]), wb.I32(0)}
		}},
		"alloc for ever": {KindFuel, func(g *extismGuest) [][]byte {
			return [][]byte{wb.Loop(wb.I64(1<<20), wb.Call(g.f["alloc"]), drop), wb.I32(0)}
		}},
		"alloc of everything": {KindMemory, func(g *extismGuest) [][]byte {
			return [][]byte{wb.I64(-1), wb.Call(g.f["alloc"]), wb.Op(0x50, 0x04, 0x40, 0x00, 0x0b), wb.I32(0)}
		}},
		"small blocks for ever": {KindFuel, func(g *extismGuest) [][]byte {
			return [][]byte{wb.Loop(wb.I64(0), wb.Call(g.f["alloc"]), drop), wb.I32(0)}
		}},
		"log for ever": {KindFuel, func(g *extismGuest) [][]byte {
			return [][]byte{wb.Loop(wb.I64(16), wb.Call(g.f["log_info"])), wb.I32(0)}
		}},
	} {
		g := newExtismGuest("alloc", "output_set", "store_u64", "log_info")
		p := newPool(t, h, g.transform(c.build(g)...), PoolConfig{Size: 1, Limits: Limits{Timeout: time.Minute}})
		for range 2 {
			var out Result
			if err := p.Run(context.Background(), &testMeta, []byte("x"), &out); kindOf(t, err) != c.kind {
				t.Errorf("%s: %v, want %v", name, err, c.kind)
			}
		}
	}
}
