package meter

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	wb "edgerelay/transform/internal/wasmbuild"
)

// FuzzRewrite: a rewritten module is valid exactly when the original is. The bytes are a whole module.
func FuzzRewrite(f *testing.F) {
	f.Add(sum())
	for _, build := range []func(m *wb.Module){
		func(m *wb.Module) { m.Global('r', false, 0xd2, 0) },
		func(m *wb.Module) {
			m.Table(1, 2)
			fn := m.Func("ii", "i", "iIfF", wb.Get(0), wb.Op(0x11, 0, 0))
			m.Elem(0, fn)
			m.Start(m.Func("", "", "", wb.Op(0xd2), wb.U32(fn), wb.Op(0x1a)))
		},
		func(m *wb.Module) {
			m.Memory(1, 2)
			m.Data(0, []byte("abc"))
			m.Func("", "i", "", wb.I32(0), wb.I32(0), wb.I32(3), wb.Op(0xfc, 8, 0, 0, 0xfc, 9, 0, 0x3f, 0, 0x40, 0))
		},
		func(m *wb.Module) {
			m.Func("i", "i", "", wb.Get(0), wb.Op(0x04, 0x7f), wb.I32(1), wb.Op(0x05), wb.I32(2), wb.Op(0x0b, 0x0e, 1, 0, 0))
		},
	} {
		m := wb.New()
		build(m)
		f.Add(m.Bytes())
	}
	for _, pattern := range []string{"v2/testdata/{br_table,ref_func,bulk,elem,linking,start,simd_const}.*.wasm", "v1/testdata/{func,if,memory_grow,globals}.*.wasm"} {
		addSeeds(f, pattern)
	}
	rc := wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(16)
	e := newEngine(f, rc)
	f.Fuzz(func(t *testing.T, wasm []byte) {
		if len(wasm) > 1<<16 {
			return
		}
		m, err := Decode(wasm)
		if err != nil || !localsChecked(m) {
			return // refused, and the engine might allocate gigabytes for it
		}
		m.names = nil // a broken name section is left out: the engine may think otherwise
		metered, _, err := m.Rewrite(Options{})
		if errors.Is(err, ErrUnsupported) {
			return
		}
		original := e.accepts(withoutCustom(wasm))
		if err != nil {
			if original == nil {
				t.Fatalf("the engine accepts it, Rewrite says %v", err)
			}
			return
		}
		if rewritten := e.accepts(metered); (original == nil) != (rewritten == nil) {
			t.Fatalf("original: %v; rewritten: %v", original, rewritten)
		}
	})
}

// FuzzBody puts the bytes into a function, where FuzzRewrite seldom gets to: a module with one of everything around it.
func FuzzBody(f *testing.F) {
	for _, code := range [][]byte{
		{}, wb.Get(0), wb.Cat(wb.I32(1), wb.Op(0x40, 0)), wb.Op(0x3f, 0), wb.Cat(wb.Get(0), wb.Op(0x10, 1)),
		wb.Cat(wb.Get(0), wb.Op(0x23, 0, 0x6a, 0x24, 0), wb.I32(1)), wb.Cat(wb.Loop(wb.I32(1), wb.Op(0x0d, 0)), wb.I32(1)),
		wb.Cat(wb.Op(0xd2, 1, 0x1a), wb.I32(1)), wb.Cat(wb.I32(1), wb.Op(0x11, 1, 0)), wb.Cat(wb.I32(1), wb.Op(0x04, 1, 0x05, 0x0b)),
		wb.Cat(wb.I32(0), wb.I32(0), wb.I32(1), wb.Op(0xfc, 8, 0, 0), wb.I32(0), wb.I32(0), wb.I32(1), wb.Op(0xfc, 10, 0, 0), wb.I32(2)),
		wb.Cat(wb.I32(0), wb.Op(0xd0, 0x70), wb.I32(1), wb.Op(0xfc, 17, 0, 0xfc, 16, 0)),
		wb.Cat(wb.Op(0x02, 0x7f), wb.I32(1), wb.I32(0), wb.Op(0x0e, 1, 0, 0, 0x0b)), wb.Op(0x00, 0x0f, 0x1b, 0x1a, 0x00),
		wb.Cat(wb.Op(0xfd, 0x0c), make([]byte, 16), wb.Op(0xfd, 0x1b, 1)), wb.Cat(wb.I32(0), wb.Op(0xfd, 0x00, 4, 0, 0xfd, 0x80, 0x01, 0xfd, 0x53)),
	} {
		f.Add(code)
	}
	rc := wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(16)
	e := newEngine(f, rc)
	f.Fuzz(func(t *testing.T, code []byte) {
		m := wb.New()
		m.Type("", "")
		m.Type("i", "i")
		imported := m.Import("env", "f", "i", "i")
		m.Memory(1, 2)
		m.Table(2, 4)
		m.Global('i', true, 0x41, 1)
		m.Global('r', false, 0xd2, byte(imported))
		m.Data(0, []byte("abc"))
		fn := m.Func("i", "i", "iIfFvre", code)
		m.Func("", "", "", wb.I32(1), wb.Call(fn), wb.Op(0x1a))
		m.Elem(0, fn)
		wasm := m.Bytes()
		metered, _, err := rewrite(wasm, Options{})
		if errors.Is(err, ErrUnsupported) {
			return
		}
		original := e.accepts(wasm)
		if err != nil {
			if original == nil {
				t.Fatalf("the engine accepts it, Rewrite says %v", err)
			}
			return
		}
		if rewritten := e.accepts(metered); (original == nil) != (rewritten == nil) {
			t.Fatalf("original: %v; rewritten: %v", original, rewritten)
		}
	})
}

// localsChecked reports whether the numbers of local variables are such that the engine can be asked.
func localsChecked(m *Module) bool {
	s := &m.sections[secCode]
	if !s.ok {
		return true
	}
	r, f := &reader{b: s.body}, &function{m: m}
	for n := r.count(); n > 0 && r.err == nil; n-- {
		body := &reader{b: r.bytes(r.u32())}
		f.readLocals(body, 0)
		if body.err != nil || body.left() > maxFunctionBody {
			return false
		}
	}
	return r.err == nil
}

// withoutCustom returns a module without its custom sections.
func withoutCustom(wasm []byte) []byte {
	out := append([]byte(nil), wasm[:8]...)
	r := &reader{b: wasm, i: 8}
	for r.left() > 0 && r.err == nil {
		at := r.i
		id := r.u8()
		r.bytes(r.u32())
		if id != secCustom {
			out = append(out, wasm[at:r.i]...)
		}
	}
	return out
}

// addSeeds adds modules of the specification's tests; the pattern may have one list in braces.
func addSeeds(f *testing.F, pattern string) {
	dir, err := moduleDir()
	if err != nil {
		f.Fatal(err)
	}
	before, rest, _ := strings.Cut(pattern, "{")
	list, after, _ := strings.Cut(rest, "}")
	for _, name := range strings.Split(list, ",") {
		files, err := filepath.Glob(filepath.Join(dir, "internal", "integration_test", "spectest", before+name+after))
		if err != nil || len(files) == 0 {
			f.Fatal(fmt.Errorf("no seeds for %s: %w", name, err))
		}
		for _, file := range files[:min(len(files), 12)] {
			wasm, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(wasm)
		}
	}
}
