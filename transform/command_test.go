package transform

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	wb "edgerelay/transform/internal/wasmbuild"
)

// program is a WASI program of that code, with some imports.
func program(imports []string, code func(f map[string]uint32) []byte) []byte {
	m := wb.New()
	f := map[string]uint32{}
	for _, n := range imports {
		f[n] = m.Import(wasiModule, n, wasiFuncs[n].params, wasiFuncs[n].results)
	}
	m.Memory(2, -1)
	m.Export(exportStart, wb.Func, m.Func("", "", "", code(f)))
	return m.Bytes()
}

// vector writes an address and a length to 0 and 4.
func vector(ptr, length int32) []byte {
	return wb.Cat(wb.I32(0), wb.I32(ptr), wb.Op(0x36, 2, 0), wb.I32(4), wb.I32(length), wb.Op(0x36, 2, 0))
}

func TestCommand(t *testing.T) {
	h := newHost(t, Options{})
	all := []string{"fd_read", "fd_write", "proc_exit"}
	exit := func(code int32) []byte {
		return program(all, func(f map[string]uint32) []byte { return wb.Cat(wb.I32(code), wb.Call(f["proc_exit"])) })
	}
	// cat reads into 1024 and writes as much as it got.
	cat := program(all, func(f map[string]uint32) []byte {
		return wb.Cat(vector(1024, 60_000), wb.I32(0), wb.I32(0), wb.I32(1), wb.I32(8), wb.Call(f["fd_read"]), drop,
			wb.I32(4), wb.I32(8), wb.Op(0x28, 2, 0, 0x36, 2, 0), wb.I32(1), wb.I32(0), wb.I32(1), wb.I32(8), wb.Call(f["fd_write"]), drop)
	})
	for _, c := range []struct {
		name   string
		wasm   []byte
		cfg    PoolConfig
		input  string
		action Action
		body   string
		kind   Kind
	}{
		{name: "cat", wasm: cat, input: `{"a":1}`, body: `{"a":1}`},
		{name: "output over the limit", wasm: cat, cfg: PoolConfig{Limits: Limits{MaxOutput: 5}}, input: "123456", kind: KindOutputTooLarge},
		{name: "exit 0", wasm: exit(0)},
		{name: "exit 100", wasm: exit(100), action: Drop},
		{name: "exit 1", wasm: exit(1), kind: KindFailed},
		{name: "exit -1", wasm: exit(-1), kind: KindFailed},
		{name: "trap", wasm: program(nil, func(map[string]uint32) []byte { return wb.Op(0x00) }), kind: KindTrap},
		{name: "loop", wasm: program(nil, func(map[string]uint32) []byte { return wb.Loop() }), kind: KindFuel},
		{name: "read for ever", wasm: program(all, func(f map[string]uint32) []byte {
			return wb.Loop(wb.I32(0), wb.I32(0), wb.I32(1024), wb.I32(8200), wb.Call(f["fd_read"]), drop)
		}), kind: KindFuel},
		{name: "read outside", wasm: program(all, func(f map[string]uint32) []byte {
			return wb.Cat(vector(-8, 100), wb.I32(0), wb.I32(0), wb.I32(1), wb.I32(8), wb.Call(f["fd_read"]), drop)
		}), input: "123456789", kind: KindPointer},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out Result
			err := runOnce(t, h, c.wasm, c.cfg, c.input, &out)
			if c.kind != 0 {
				if err == nil || kindOf(t, err) != c.kind {
					t.Errorf("got %v, want %v", err, c.kind)
				}
				return
			}
			if err != nil || out.Action != c.action || string(out.Body) != c.body {
				t.Errorf("%v, %v %q", err, out.Action, out.Body)
			}
		})
	}
	p := newPool(t, h, cat, PoolConfig{})
	if p.module.ABI() != ABICommand || p.Isolation() != IsolationFresh {
		t.Errorf("%v, isolation %v", p.module.ABI(), p.Isolation())
	}
}

// TestGoProgram: a program as anybody would write it, built with nothing but Go.
func TestGoProgram(t *testing.T) {
	if raceEnabled && testing.Short() {
		t.Skip("compiling it takes a while under the race detector")
	}
	out := filepath.Join(t.TempDir(), "program.wasm")
	cmd := exec.Command("go", "build", "-o", out, "main.go")
	cmd.Dir = filepath.Join("testdata", "guests", "go-program")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, msg)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(t, Options{})
	body := newPool(t, h, wasm, PoolConfig{Config: []byte(`{"greeting":"hello"}`), Size: 1})
	asRequest := newPool(t, h, wasm, PoolConfig{Output: OutputRequest, Size: 1})
	run := func(p *Pool, event string) (*Result, error) {
		out := new(Result)
		return out, p.Run(context.Background(), &testMeta, []byte(event), out)
	}
	res, err := run(body, `{"do":"echo"}`)
	want := `{"do":"echo"} {"greeting":"hello"} ev_1 order.created 2024-12-14T15:29:18.7Z`
	if err != nil || string(res.Body) != want {
		t.Errorf("%v %q, want %q", err, res.Body, want)
	}
	if len(res.Log) != 1 || res.Log[0].String() != "warn: to the log" {
		t.Errorf("log %v", res.Log)
	}
	if res, err = run(body, `{"do":"drop"}`); err != nil || res.Action != Drop {
		t.Errorf("%v %v", err, res.Action)
	}
	if _, err = run(body, `{"do":"fail"}`); kindOf(t, err) != KindFailed || !strings.Contains(err.Error(), "exit code 1: no customer") {
		t.Errorf("%v", err)
	}
	if _, err = run(body, `{"do":"panic"}`); kindOf(t, err) != KindFailed || !strings.Contains(err.Error(), "exit code 2: panic: as asked") {
		t.Errorf("%v", err)
	}
	if _, err = run(asRequest, `{"do":"echo"}`); kindOf(t, err) != KindBadResult {
		t.Errorf("%v", err)
	}
	res, err = run(asRequest, `{"do":"request"}`)
	if err != nil || res.Method != "PUT" || res.Path != "/v2/x" || header(res, "X-A") != "1" || string(res.Body) != `{"a":[1,2]}` ||
		res.ContentType != "application/json" || len(res.Query) != 1 || string(res.Query[0].Value) != "two words" {
		t.Errorf("%v %+v %q", err, res, res.Body)
	}
}
