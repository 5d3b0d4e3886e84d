package meter

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	wb "edgerelay/transform/internal/wasmbuild"
)

// sum is a module whose function f(n) adds up 1 to n in a loop.
func sum() []byte {
	m := wb.New()
	m.Memory(1, 4)
	m.Export("f", wb.Func, m.Func("i", "i", "i",
		wb.Op(0x03, 0x40), wb.Get(1), wb.Get(0), wb.Op(0x6a), wb.Set(1), wb.Get(0), wb.I32(1), wb.Op(0x6b), wb.Tee(0), wb.Op(0x0d, 0, 0x0b),
		wb.Get(1)))
	return m.Bytes()
}

// TestFuelIsExact: the count follows from the code alone, whatever engine runs it.
func TestFuelIsExact(t *testing.T) {
	metered, _, err := rewrite(sum(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, rc := range map[string]wazero.RuntimeConfig{"default": wazero.NewRuntimeConfig(), "interpreter": wazero.NewRuntimeConfigInterpreter()} {
		e := newEngine(t, rc)
		m, err := e.instantiate(metered, "")
		if err != nil {
			t.Fatal(err)
		}
		f := m.ExportedFunction("f")
		fuel := m.ExportedGlobal(FuelExport).(api.MutableGlobal)
		for _, c := range []struct{ n, used int64 }{{1, 15}, {10, 150}, {1000, 15000}} { // nine instructions and six for the loop
			fuel.Set(plenty)
			got, err := f.Call(context.Background(), uint64(c.n))
			if err != nil || int64(got[0]) != c.n*(c.n+1)/2 {
				t.Fatalf("%s: f(%d) = %v, %v", name, c.n, got, err)
			}
			if used := plenty - int64(fuel.Get()); used != c.used {
				t.Errorf("%s: f(%d) used %d, want %d", name, c.n, used, c.used)
			}
		}
		e.refills = 0
		fuel.Set(0)
		if _, err := f.Call(context.Background(), 200_000); err != nil || e.refills != 3 {
			t.Errorf("%s: %d refills, want 3 (%v)", name, e.refills, err) // at once, and after every 1<<20 units
		}
	}
}

// TestFree: without the accounting everything else stays: the same results, and the globals that a host wants.
func TestFree(t *testing.T) {
	free, info, err := rewrite(sum(), Options{Free: true})
	if err != nil {
		t.Fatal(err)
	}
	m, err := newEngine(t, wazero.NewRuntimeConfig()).instantiate(free, "")
	if err != nil {
		t.Fatal(err)
	}
	fuel := m.ExportedGlobal(FuelExport).(api.MutableGlobal)
	fuel.Set(7)
	if got, err := m.ExportedFunction("f").Call(context.Background(), 1000); err != nil || got[0] != 500_500 || fuel.Get() != 7 || !info.Resettable {
		t.Errorf("%v %v, fuel %d, %+v", got, err, fuel.Get(), info)
	}
}

// TestEveryRunPays: whatever repeats, pays at least a unit for every piece of work.
func TestEveryRunPays(t *testing.T) {
	for _, c := range []struct {
		name  string
		least int64
		build func(m *wb.Module) [][]byte
	}{
		{"empty function called", 100, func(m *wb.Module) [][]byte {
			f := m.Func("", "", "")
			return slices.Repeat([][]byte{wb.Call(f)}, 100)
		}},
		{"fill", 65536 / 8, func(m *wb.Module) [][]byte { return [][]byte{wb.I32(0), wb.I32(1), wb.I32(65536), wb.Op(0xfc, 11, 0)} }},
		{"copy", 60000 / 4, func(m *wb.Module) [][]byte {
			return [][]byte{wb.I32(0), wb.I32(1), wb.I32(60000), wb.Op(0xfc, 10, 0, 0)}
		}},
		{"table fill", 500, func(m *wb.Module) [][]byte {
			m.Table(500, 500)
			return [][]byte{wb.I32(0), wb.Op(0xd0, 0x70), wb.I32(500), wb.Op(0xfc, 17, 0)}
		}},
		{"table grow", 500, func(m *wb.Module) [][]byte {
			m.Table(1, 1000)
			return [][]byte{wb.Op(0xd0, 0x70), wb.I32(500), wb.Op(0xfc, 15, 0), wb.Op(0x1a)}
		}},
		{"long straight code", 30_000, func(m *wb.Module) [][]byte { return slices.Repeat([][]byte{wb.I32(1), wb.Op(0x45, 0x1a)}, 15_000) }},
		{"call of a long leaf", 3_000, func(m *wb.Module) [][]byte {
			f := m.Func("", "", "", slices.Repeat([][]byte{wb.I32(1), wb.Op(0x45, 0x1a)}, 1_500)...)
			return [][]byte{wb.Call(f)}
		}},
	} {
		m := wb.New()
		m.Memory(1, -1)
		m.Export("f", wb.Func, m.Func("", "", "", c.build(m)...))
		metered, _, err := rewrite(m.Bytes(), Options{})
		if err != nil {
			t.Fatal(c.name, err)
		}
		i, err := newEngine(t, wazero.NewRuntimeConfig()).instantiate(metered, "")
		if err != nil {
			t.Fatal(c.name, err)
		}
		fuel := i.ExportedGlobal(FuelExport).(api.MutableGlobal)
		fuel.Set(plenty)
		if _, err := i.ExportedFunction("f").Call(context.Background()); err != nil {
			t.Fatal(c.name, err)
		}
		if used := plenty - int64(fuel.Get()); used < c.least {
			t.Errorf("%s: %d units, want at least %d", c.name, used, c.least)
		}
	}
}

func TestInfo(t *testing.T) {
	for _, c := range []struct {
		name       string
		build      func(m *wb.Module)
		globals    int
		resettable bool
	}{
		{"nothing", func(m *wb.Module) {}, 0, true},
		{"globals", func(m *wb.Module) {
			m.Global('i', true, 0x41, 1)
			m.Global('I', false, 0x42, 1)
			m.Global('F', true, 0x44, 0, 0, 0, 0, 0, 0, 0, 0)
		}, 2, true},
		{"a mutable vector", func(m *wb.Module) { m.Global('v', true, append([]byte{0xfd, 0x0c}, make([]byte, 16)...)...) }, 0, false},
		{"a mutable reference", func(m *wb.Module) { m.Global('r', true, 0xd0, 0x70) }, 0, false},
		{"a table that is only read", func(m *wb.Module) {
			m.Table(1, 1)
			m.Func("", "", "", wb.I32(0), wb.Op(0x25, 0, 0x1a))
		}, 0, true},
		{"table.set", func(m *wb.Module) {
			m.Table(1, 1)
			m.Func("", "", "", wb.I32(0), wb.Op(0xd0, 0x70, 0x26, 0))
		}, 0, false},
		{"table.grow", func(m *wb.Module) {
			m.Table(1, -1)
			m.Func("", "i", "", wb.Op(0xd0, 0x70), wb.I32(1), wb.Op(0xfc, 15, 0))
		}, 0, false},
		{"data.drop", func(m *wb.Module) {
			m.Memory(1, 1)
			m.Data(0, []byte("x"))
			m.Func("", "", "", wb.Op(0xfc, 9, 0))
		}, 0, false},
		{"an imported global", func(m *wb.Module) { m.ImportRaw("env", "g", 3, 0x7f, 1) }, 0, false},
		{"an imported memory", func(m *wb.Module) { m.ImportRaw("env", "m", 2, 0, 1) }, 0, false},
	} {
		m := wb.New()
		c.build(m)
		_, info, err := rewrite(m.Bytes(), Options{})
		if err != nil {
			t.Fatal(c.name, err)
		}
		if len(info.Globals) != c.globals || info.Resettable != c.resettable {
			t.Errorf("%s: %+v", c.name, info)
		}
	}
}

func TestTablesAreClamped(t *testing.T) {
	m := wb.New()
	m.Table(10, -1)
	m.Export("grow", wb.Func, m.Func("i", "i", "", wb.Op(0xd0, 0x70), wb.Get(0), wb.Op(0xfc, 15, 0)))
	metered, _, err := rewrite(m.Bytes(), Options{MaxTable: 100})
	if err != nil {
		t.Fatal(err)
	}
	i, err := newEngine(t, wazero.NewRuntimeConfig()).instantiate(metered, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ by, want int32 }{{91, -1}, {90, 10}, {1, -1}} {
		got, err := i.ExportedFunction("grow").Call(context.Background(), uint64(c.by))
		if err != nil || int32(got[0]) != c.want {
			t.Errorf("grow by %d: %v %v, want %d", c.by, got, err, c.want)
		}
	}
	if _, _, err := rewrite(m.Bytes(), Options{MaxTable: 9}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a table that begins too large: %v", err)
	}
}

func TestNamesInTraces(t *testing.T) {
	m := wb.New()
	m.Import("env", "f", "", "")
	inner := m.Func("", "", "", wb.Op(0x00))
	m.Export("run", wb.Func, m.Func("", "", "", wb.Call(inner)))
	names := append([]byte{2, 1, 5}, "inner"...)
	names = append(append(names, 2, 5), "outer"...)
	m.Custom("name", append([]byte{1, byte(len(names))}, names...))
	metered, _, err := rewrite(m.Bytes(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(t, wazero.NewRuntimeConfig())
	if _, err := e.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(func() {}).Export("f").Instantiate(context.Background()); err != nil {
		t.Fatal(err)
	}
	i, err := e.instantiate(metered, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = i.ExportedFunction("run").Call(context.Background())
	if err == nil || !strings.Contains(err.Error(), ".inner()\n") || !strings.Contains(err.Error(), ".outer()") {
		t.Errorf("trace without the names: %v", err)
	}
	m.Custom("name", nil)
	if _, err := Decode(m.Bytes()); !errors.Is(err, ErrInvalid) {
		t.Errorf("two name sections: %v", err)
	}
}

// TestCompileBombs: small functions on which the engine would spend minutes and gigabytes.
func TestCompileBombs(t *testing.T) {
	for name, build := range map[string]func(m *wb.Module){
		"nested blocks": func(m *wb.Module) {
			m.Func("", "", "", slices.Repeat(wb.Op(2, 0x40), 50_000), slices.Repeat(wb.Op(0x0b), 50_000))
		},
		"nested loops": func(m *wb.Module) {
			m.Func("", "", "", slices.Repeat(wb.Op(3, 0x40), 11_000), slices.Repeat(wb.Op(0x0b), 11_000))
		},
		"locals": func(m *wb.Module) { m.Func("", "", strings.Repeat("i", 2001)) },
		"loops and locals": func(m *wb.Module) {
			m.Func("", "", strings.Repeat("i", 2000), slices.Repeat(wb.Op(3, 0x40, 0x0b), 200))
		},
		"blocks and locals": func(m *wb.Module) {
			m.Func("", "", strings.Repeat("i", 1000), slices.Repeat(wb.Op(2, 0x40, 0x0b), 5000))
		},
		"branches": func(m *wb.Module) { m.Func("", "", "", wb.I32(0), wb.Op(0x0e), wb.U32(50_000), make([]byte, 50_001)) },
		"size":     func(m *wb.Module) { m.Func("", "", "", slices.Repeat(wb.Op(0x01), 600_000)) },
	} {
		m := wb.New()
		build(m)
		if _, _, err := rewrite(m.Bytes(), Options{}); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBombs: counts and sizes that an engine would allocate for.
func TestBombs(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}
	section := func(id byte, body ...byte) []byte {
		return append(append([]byte("\x00asm\x01\x00\x00\x00"), id, byte(len(body))), body...)
	}
	locals := append([]byte{1, 10, 1}, append(huge, 0x7f, 0x0b)...)
	locals[1] = byte(len(locals) - 2)
	for name, wasm := range map[string][]byte{
		"types": section(1, huge...), "parameters": section(1, append([]byte{1, 0x60}, huge...)...), "imports": section(2, huge...),
		"functions": section(3, huge...), "tables": section(4, huge...), "globals": section(6, huge...), "exports": section(7, huge...),
		"elements": section(9, huge...), "code": section(10, huge...), "data": section(11, huge...),
		"data size": section(11, append([]byte{1, 1}, huge...)...), "name": section(0, huge...),
		"locals": append(append(section(1, 1, 0x60, 0, 0), 3, 2, 1, 0, 10, byte(len(locals))), locals...),
	} {
		if _, _, err := rewrite(wasm, Options{}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
