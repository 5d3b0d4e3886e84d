package transform

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	wb "edgerelay/transform/internal/wasmbuild"
)

// More of them, and others: go test ./transform/ -run Mutated -mutations=200000 -mutation-seed=2
var (
	mutations    = flag.Int("mutations", 10_000, "how many damaged modules are loaded and run")
	mutationSeed = flag.Uint64("mutation-seed", 1, "which ones")
)

// originals are modules of every ABI to begin with.
func originals(t *testing.T) [][]byte {
	var all [][]byte
	files, err := filepath.Glob("../plugins/*/*.wasm") // what a compiler makes: long functions
	if err != nil || len(files) == 0 {
		t.Fatalf("%d modules, %v", len(files), err)
	}
	for _, f := range files {
		wasm, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, wasm)
	}
	g := newExtismGuest("alloc", "store_u8", "output_set", "config_get", "length", "var_set", "log_info")
	extism := g.transform(g.store("text", 4), wb.I64(4), wb.Call(g.f["output_set"]), g.store("n", 1), wb.Call(g.f["log_info"]), wb.I32(0))
	cat := program([]string{"fd_read", "fd_write", "environ_get"}, func(f map[string]uint32) []byte {
		return wb.Cat(vector(1024, 60_000), wb.I32(0), wb.I32(0), wb.I32(1), wb.I32(8), wb.Call(f["fd_read"]), drop,
			wb.I32(256), wb.I32(512), wb.Call(f["environ_get"]), drop,
			wb.I32(4), wb.I32(8), wb.Op(0x28, 2, 0, 0x36, 2, 0), wb.I32(1), wb.I32(0), wb.I32(1), wb.I32(8), wb.Call(f["fd_write"]), drop)
	})
	all = append(all, echo(), counting(), extism, cat, falseEngine(), setGuest("header:X", "value"))
	cases := hostile()
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		if wasm := cases[name].wasm; len(wasm) < 4096 {
			all = append(all, wasm)
		}
	}
	return all
}

// falseEngine exports all that an engine of scripts does, and does nothing right: every function answers 8.
func falseEngine() []byte {
	m := wb.New()
	m.Import(scriptModule, "host_call", "iiiii", "i")
	m.Memory(2, -1)
	signatures := map[string][2]string{"malloc": {"i", "i"}, "free": {"i", ""}, "qjs_new_string": {"ii", "i"}, "qjs_call": {"iiii", "i"},
		"qjs_free_value": {"i", ""}, "qjs_is_exception": {"i", "i"}, "qjs_get_exception": {"", "i"}, "qjs_is_job_pending": {"", "i"},
		"qjs_execute_pending_job": {"", "i"}, "qjs_is_string": {"i", "i"}, "qjs_get_string_len": {"ii", "i"}, "qjs_free_cstring": {"i", ""},
		"qjs_get_float64": {"i", "F"}, "qjs_new_number": {"F", "i"}, "qjs_init": {"", "i"}, "qjs_set_max_stack_size": {"i", ""},
		"qjs_eval": {"iiii", "i"}, "qjs_new_host_function": {"iii", "i"}, "qjs_get_undefined": {"", "i"}, "qjs_is_promise": {"i", "i"},
		"qjs_promise_state": {"i", "i"}, "qjs_promise_result": {"i", "i"}}
	for _, name := range slices.Sorted(maps.Keys(signatures)) {
		s, code := signatures[name], []byte(nil)
		switch {
		case name == "qjs_init" || name == "qjs_is_exception" || name == "qjs_is_job_pending" || name == "qjs_is_promise":
			code = wb.I32(0)
		case name == "qjs_call": // calls the host with nonsense, which calls it again
			code = wb.Cat(wb.I32(0), wb.I32(0), wb.I32(0), wb.I32(3), wb.I32(64), wb.Call(0))
		case s[1] == "i":
			code = wb.I32(8)
		case s[1] == "F":
			code = append([]byte{0x44}, make([]byte, 8)...)
		}
		m.Export(name, wb.Func, m.Func(s[0], s[1], "", code))
	}
	return withScript(m.Bytes(), `{"file":"t.js","kind":"script","code":"1"}`)
}

// mutate damages a module the way a hostile author or a broken disk would.
func mutate(r *rand.Rand, wasm []byte, others [][]byte) []byte {
	out := bytes.Clone(wasm)
	kinds := 4 // of damage that leaves everything in its place
	if r.IntN(4) == 0 {
		kinds = 8
	}
	begin := 8
	if code := codeAt(out); code > 0 && r.IntN(8) > 0 { // most of a small module is names and types, where all damage looks alike
		begin = code
	}
	for range 1 + r.IntN(3) {
		at := min(begin+r.IntN(max(1, len(out)-begin)), len(out))
		switch r.IntN(kinds) {
		case 0, 1, 2:
			if at < len(out) {
				out[at] = byte(r.Uint32())
			}
		case 3:
			if at < len(out) {
				out[at] ^= 1 << r.IntN(8)
			}
		case 4: // an interesting number
			v := [][]byte{{0xff, 0xff, 0xff, 0xff, 0x0f}, {0x80, 0x80, 0x80, 0x80, 0x08}, {0xff, 0xff, 0xff, 0xff, 0x07}, {0}, {0x7f}}[r.IntN(5)]
			out = slices.Replace(out, at, min(at+len(v), len(out)), v...)
		case 5:
			out = slices.Insert(out, at, byte(r.Uint32()))
		case 6:
			out = slices.Delete(out, at, min(at+1+r.IntN(8), len(out)))
		case 7: // a piece of another module
			o := others[r.IntN(len(others))]
			from := r.IntN(len(o))
			piece := o[from:min(from+1+r.IntN(64), len(o))]
			out = slices.Replace(out, at, min(at+len(piece), len(out)), piece...)
		}
	}
	return out
}

// codeAt is where the code of a module begins, 0 when it has none.
func codeAt(wasm []byte) int {
	for at := 8; at < len(wasm); {
		id := wasm[at]
		size, n := binary.Uvarint(wasm[at+1:])
		if n <= 0 {
			return 0
		}
		at += 1 + n
		if id == 10 {
			return at
		}
		at += int(size)
	}
	return 0
}

// TestMutatedBinaries loads damaged modules and runs them: nothing panics, nothing hangs, memory stays bounded, and no module is kept.
func TestMutatedBinaries(t *testing.T) {
	n := *mutations
	if raceEnabled && testing.Short() {
		n = min(n, 500)
	}
	h := newHost(t, Options{MaxMemory: 64 << 20})
	all := originals(t)
	r := rand.New(rand.NewPCG(*mutationSeed, 0))
	counts := map[string]int{}
	var slowest time.Duration
	var heap uint64
	for i := range n {
		wasm := mutate(r, all[r.IntN(len(all))], all)
		start := time.Now()
		verdict := loadAndRun(t, h, wasm)
		took := time.Since(start)
		counts[verdict]++
		slowest = max(slowest, took)
		if took > 30*time.Second {
			t.Errorf("module %d took %v: %s", i, took, verdict)
		}
		if i%100 == 0 {
			var s runtime.MemStats
			runtime.ReadMemStats(&s)
			heap = max(heap, s.HeapAlloc)
		}
	}
	t.Logf("%d modules, the slowest took %v, the heap had %d MB at most: %v", n, slowest, heap>>20, counts)
	if heap > hostileHeap {
		t.Errorf("the heap has %d bytes", heap)
	}
	if kept(h) != 0 {
		t.Errorf("%d modules are still kept", kept(h))
	}
	if counts["ran"] == 0 || counts["refused"] == 0 || counts["trap"] == 0 {
		t.Errorf("the modules are damaged too much or too little: %v", counts)
	}
}

// loadAndRun says how far a module came.
func loadAndRun(t *testing.T, h *Host, wasm []byte) string {
	ctx := context.Background()
	m, err := h.Compile(ctx, "mutated", wasm)
	if err != nil {
		return kindOf(t, err).String()
	}
	defer m.Close(ctx)
	cfg := PoolConfig{Size: 1, Limits: Limits{Fuel: 1_000_000, Timeout: 10 * time.Second}, Config: []byte(`{"n":"v"}`)}
	if m.ABI() == ABIExtism && len(m.Entries()) > 0 {
		cfg.Entry = m.Entries()[0]
	}
	p, err := h.NewPool(m, cfg)
	if err != nil {
		return kindOf(t, err).String()
	}
	defer p.Close(ctx)
	verdict := "ran"
	for range 2 {
		var out Result
		if err := p.Run(ctx, &testMeta, []byte(`{"a":"text"}`), &out); err != nil {
			verdict = kindOf(t, err).String()
		}
	}
	return verdict
}
