package transform

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	wb "edgerelay/transform/internal/wasmbuild"
)

func TestRefused(t *testing.T) {
	h := newHost(t, Options{})
	withImport := func(module, name, params, results string) []byte {
		m := wb.New()
		m.Import(module, name, params, results)
		m.Memory(1, -1)
		m.Export("transform", wb.Func, m.Func("", "i", "", wb.I32(0)))
		return m.Bytes()
	}
	exports := func(change func(m *wb.Module)) []byte {
		m := wb.New()
		change(m)
		return m.Bytes()
	}
	for _, c := range []struct {
		name string
		wasm []byte
		want string
	}{
		{"empty", nil, "does not begin with"},
		{"text", []byte("(module)"), "does not begin with"},
		{"component", []byte("\x00asm\x0d\x00\x01\x00rest"), "component, not a core module; build a core module"},
		{"large", make([]byte, MaxModule+1), "at most"},
		{"cut off", echo()[:45], "invalid WebAssembly module"},
		{"unknown import", withImport(abiModule, "http_get", "ii", "i"), "imports edgerelay_v1.http_get, which does not exist"},
		{"wrong signature", withImport(abiModule, "input_read", "iI", "i"), "as (i32 i64) -> (i32), it is (i32 i32) -> (i32)"},
		{"unknown WASI", withImport(wasiModule, "fd_fly", "", ""), "which does not exist"},
		{"extism with another host", exports(func(m *wb.Module) {
			m.Import(extismModule, "input_length", "", "I")
			m.Import("extism:host/user", "mult", "I", "I")
			m.Export("transform", wb.Func, m.Func("", "i", "", wb.I32(0)))
		}), "functions of its own host"},
		{"extism without a function", exports(func(m *wb.Module) { m.Import(extismModule, "input_length", "", "I") }), "no function () -> i32"},
		{"extism of another signature", withImport(extismModule, "input_length", "", "i"), "as () -> (i32), it is () -> (i64)"},
		{"wasi 0.2", withImport("wasi:cli/run@0.2.0", "run", "", ""), "WASI 0.2"},
		{"js", withImport("gojs", "runtime.wasmExit", "i", ""), "GOOS=js"},
		{"undefined symbol", withImport("env", "strlen", "i", "i"), "undefined when the module was linked"},
		{"ours", withImport("edgerelay_meter", "refill", "", ""), "reserved"},
		{"imported memory", exports(func(m *wb.Module) { m.ImportRaw("env", "memory", 2, 0, 1) }), "not a function"},
		{"no transform", exports(func(m *wb.Module) { m.Memory(1, -1) }), "does not export the function transform"},
		{"a program that imports ours", exports(func(m *wb.Module) {
			m.Import(abiModule, "input_read", "ii", "i")
			m.Export("_start", wb.Func, m.Func("", "", ""))
		}), "a program, not a library"},
		{"a program with a parameter", exports(func(m *wb.Module) { m.Export("_start", wb.Func, m.Func("i", "", "")) }), "exports _start as (i32) -> ()"},
		{"a program without a memory", exports(func(m *wb.Module) { m.Export("_start", wb.Func, m.Func("", "", "")) }), "no memory"},
		{"a program that needs a host", exports(func(m *wb.Module) {
			m.Import("dylibso_observe", "instrument_enter", "i", "")
			m.Export("_start", wb.Func, m.Func("", "", ""))
		}), "a WASI program is offered only wasi_snapshot_preview1"},
		{"transform with parameters", exports(func(m *wb.Module) {
			m.Memory(1, -1)
			m.Export("transform", wb.Func, m.Func("ii", "i", "", wb.I32(0)))
		}), "exports transform as (i32 i32) -> (i32), it must be () -> (i32)"},
		{"init without a result", exports(func(m *wb.Module) {
			m.Memory(1, -1)
			m.Export("transform", wb.Func, m.Func("", "i", "", wb.I32(0)))
			m.Export("init", wb.Func, m.Func("", "", ""))
		}), "exports init as () -> (), it must be () -> (i32)"},
		{"no memory", exports(func(m *wb.Module) { m.Export("transform", wb.Func, m.Func("", "i", "", wb.I32(0))) }), `export its memory as "memory"`},
		{"large table", exports(func(m *wb.Module) {
			m.Table(MaxTable+1, -1)
			m.Memory(1, -1)
			m.Export("transform", wb.Func, m.Func("", "i", "", wb.I32(0)))
		}), "a table of 10001 entries"},
		{"reserved export", exports(func(m *wb.Module) {
			m.Memory(1, -1)
			f := m.Func("", "i", "", wb.I32(0))
			m.Export("transform", wb.Func, f)
			m.Export("__edgerelay_fuel", wb.Func, f)
		}), "reserved"},
		{"threads", exports(func(m *wb.Module) {
			m.Memory(1, -1)
			m.Export("transform", wb.Func, m.Func("", "i", "", wb.I32(0), wb.Op(0xfe, 0x10, 2, 0)))
		}), "threads are not supported"},
		{"exceptions", exports(func(m *wb.Module) {
			m.Memory(1, -1)
			m.Export("transform", wb.Func, m.Func("", "i", "", wb.Op(0x1f, 0x40, 0, 0x0b), wb.I32(0)))
		}), "exception handling is not supported"},
	} {
		_, err := h.Compile(context.Background(), "m", c.wasm)
		if err == nil || kindOf(t, err) != KindRefused || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	bad := newGuest()
	wasm := bad.transform(wb.I64(0)) // a type error, found by the engine
	if _, err := h.Compile(context.Background(), "m", wasm); kindOf(t, err) != KindCompile {
		t.Errorf("type error: %v", err)
	}
	if n := kept(h); n != 0 {
		t.Errorf("%d refused modules are still kept", n)
	}
}

func TestCompileOnce(t *testing.T) {
	h := newHost(t, Options{})
	var wg sync.WaitGroup
	modules := make([]*Module, 8)
	for i := range modules {
		wg.Go(func() { modules[i], _ = h.Compile(context.Background(), "m", echo()) })
	}
	wg.Wait()
	if h.Compilations() != 1 {
		t.Errorf("%d compilations", h.Compilations())
	}
	p, err := h.NewPool(modules[0], PoolConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range modules {
		m.Close(context.Background())
		m.Close(context.Background())
	}
	var out Result
	if err := p.Run(context.Background(), &testMeta, []byte("x"), &out); err != nil {
		t.Errorf("a pool outlives its module: %v", err)
	}
	p.Close(context.Background())
	p.Close(context.Background())
	if kept(h) != 0 {
		t.Error("the code is still kept")
	}
	if err := p.Run(context.Background(), &testMeta, nil, &out); kindOf(t, err) != KindClosed {
		t.Errorf("run in a closed pool: %v", err)
	}
}

func TestCompileDeadline(t *testing.T) {
	h := newHost(t, Options{CompileTimeout: time.Nanosecond})
	_, err := h.Compile(context.Background(), "m", goModule(t))
	if kindOf(t, err) != KindCompile || !strings.Contains(err.Error(), "not compiled within") && !strings.Contains(err.Error(), "deadline") {
		t.Errorf("%v", err)
	}
}

func TestCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	var sizes []int
	compile := func() {
		h, err := NewHost(context.Background(), Options{CacheDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close(context.Background())
		m, err := h.Compile(context.Background(), "m", echo())
		if err != nil {
			t.Fatal(err)
		}
		p, err := h.NewPool(m, PoolConfig{})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close(context.Background())
		var out Result
		if err := p.Run(context.Background(), &testMeta, []byte("x"), &out); err != nil || string(out.Body) != "x" {
			t.Fatalf("%v %q", err, out.Body)
		}
		files := cacheFiles(t, dir)
		sizes = append(sizes, len(files))
	}
	compile()
	compile()
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info, err)
	}
	for _, f := range cacheFiles(t, dir) {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, b[:len(b)/2], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	compile() // damaged
	for _, f := range cacheFiles(t, dir) {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, bytes.Repeat([]byte{0xff}, len(b)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	compile()
	if sizes[0] == 0 || sizes[1] != sizes[0] || sizes[2] != sizes[0] || sizes[3] != sizes[0] {
		t.Errorf("files in the cache: %v", sizes)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := NewHost(context.Background(), Options{CacheDir: dir}); err == nil {
		t.Error("a cache that everybody can write to was accepted")
	}
}

func cacheFiles(t *testing.T, dir string) (files []string) {
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
