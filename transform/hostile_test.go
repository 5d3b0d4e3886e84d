package transform

import (
	"context"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	wb "edgerelay/transform/internal/wasmbuild"
)

// hostile guests and how each must end. Every one of them would run for ever, or take the process with it, if nobody looked.
func hostile() map[string]struct {
	wasm []byte
	kind Kind
} {
	type guestCase = struct {
		wasm []byte
		kind Kind
	}
	cases := map[string]guestCase{}
	add := func(name string, kind Kind, wasm []byte) { cases[name] = guestCase{wasm, kind} }
	simple := func(name string, kind Kind, code ...[]byte) { add(name, kind, newGuest().transform(code...)) }

	simple("endless loop", KindFuel, wb.Loop(), wb.I32(0))
	simple("endless loop with work", KindFuel, wb.Loop(wb.Get(0), wb.I32(1), wb.Op(0x6a), wb.Set(0)), wb.I32(0))
	simple("fill loop", KindFuel, wb.Loop(wb.I32(0), wb.I32(1), wb.I32(131072), wb.Op(0xfc, 11, 0)), wb.I32(0))
	simple("copy loop", KindFuel, wb.Loop(wb.I32(0), wb.I32(1), wb.I32(131071), wb.Op(0xfc, 10, 0, 0)), wb.I32(0))
	simple("unreachable", KindTrap, wb.Op(0x00))
	simple("division by zero", KindTrap, wb.I32(1), wb.I32(0), wb.Op(0x6d))
	simple("load outside", KindTrap, wb.I32(-8), wb.Op(0x28, 2, 0))
	simple("memory bomb", KindFuel, wb.Loop(wb.I32(1), wb.Op(0x40, 0), drop), wb.I32(0))
	simple("memory at once", KindMemory, wb.I32(65000), wb.Op(0x40, 0), wb.I32(-1), wb.Op(0x46, 0x04, 0x40, 0x00, 0x0b), wb.I32(0))
	simple("grow by nothing for ever", KindFuel, wb.Loop(wb.I32(0), wb.Op(0x40, 0), drop), wb.I32(0))

	g := newGuest()
	f := g.Func("i", "i", "", wb.Get(0), wb.Call(8), wb.I32(1), wb.Op(0x6a))
	g.Func("i", "i", "", wb.Get(0), wb.Call(f), wb.I32(1), wb.Op(0x6a))
	add("deep recursion", KindStack, g.transform(wb.I32(0), wb.Call(f)))

	g = newGuest() // f0 calls f1 twice, f1 calls f2 twice …: 2^40 calls without a loop
	last := g.Func("", "", "")
	for range 40 {
		last = g.Func("", "", "", wb.Call(last), wb.Call(last))
	}
	add("exponential calls without a loop", KindFuel, g.transform(wb.Call(last), wb.I32(0)))

	g = newGuest()
	g.Table(1, -1)
	add("table bomb", KindFuel, g.transform(wb.Loop(wb.Op(0xd0, 0x70), wb.I32(1000), wb.Op(0xfc, 15, 0), drop), wb.I32(0)))

	g = newGuest()
	leaf := g.Func("", "", "", wb.Cat(many(wb.Cat(wb.I32(8), wb.I32(1), wb.Op(0x36, 2, 0)), 20_000)...))
	add("long leaf", KindFuel, g.transform(wb.Loop(wb.Call(leaf)), wb.I32(0)))

	g = newGuest()
	add("huge output", KindOutputTooLarge, g.transform(wb.Loop(wb.I32(0), wb.I32(65536), wb.Call(g.outputWrite)), wb.I32(0)))
	g = newGuest()
	add("output longer than memory", KindOutputTooLarge, g.transform(wb.I32(0), wb.I32(-1), wb.Call(g.outputWrite), wb.I32(0)))
	g = newGuest()
	add("output outside memory", KindPointer, g.transform(wb.I32(131000), wb.I32(1000), wb.Call(g.outputWrite), wb.I32(0)))
	g = newGuest()
	add("input outside memory", KindPointer, g.transform(wb.I32(-2), wb.I32(100), wb.Call(g.inputRead)))
	g = newGuest()
	add("key outside memory", KindPointer, g.transform(wb.I32(-1), wb.I32(-1), wb.I32(0), wb.I32(0), wb.Call(g.metaGet)))
	g = newGuest()
	add("set outside memory", KindPointer, g.transform(wb.I32(0), wb.I32(5), wb.I32(-1), wb.I32(2), wb.Call(g.set)))
	g = newGuest()
	add("log outside memory", KindPointer, g.transform(wb.I32(0), wb.I32(1), wb.I32(-1), wb.Call(g.log), wb.I32(0)))
	g = newGuest()
	add("reason outside memory", KindPointer, g.transform(wb.I32(-1), wb.I32(2), wb.Call(g.reason), wb.I32(0)))
	g = newGuest()
	add("log for ever", KindFuel, g.transform(wb.Loop(wb.I32(0), wb.I32(0), wb.I32(0), wb.Call(g.log)), wb.I32(0)))
	g = newGuest()
	add("read for ever", KindFuel, g.transform(wb.Loop(wb.I32(0), wb.I32(131072), wb.Call(g.inputRead), drop), wb.I32(0)))

	for name, wasi := range map[string]struct {
		params, results string
		args            []byte
		kind            Kind
	}{
		"random_get": {"ii", "i", wb.Cat(wb.I32(0), wb.I32(131072)), KindFuel}, "clock_time_get": {"iIi", "i", wb.Cat(wb.I32(0), wb.I64(0), wb.I32(0)), KindFuel},
		"sched_yield": {"", "i", nil, KindFuel}, "proc_exit": {"i", "", wb.I32(0), KindExit}, "path_open": {"iiiiiIIii", "i",
			wb.Cat(wb.I32(3), wb.I32(-1), wb.I32(-1), wb.I32(-1), wb.I32(0), wb.I64(0), wb.I64(0), wb.I32(0), wb.I32(-1)), KindFuel},
		"fd_write":       {"iiii", "i", wb.Cat(wb.I32(1), wb.I32(0), wb.I32(1024), wb.I32(0)), KindFuel},
		"poll_oneoff":    {"iiii", "i", wb.Cat(wb.I32(0), wb.I32(0), wb.I32(64), wb.I32(0)), KindFuel},
		"args_sizes_get": {"ii", "i", wb.Cat(wb.I32(0), wb.I32(-1)), KindPointer},
		"fd_fdstat_get":  {"ii", "i", wb.Cat(wb.I32(1), wb.I32(-5)), KindPointer}, "fd_read": {"iiii", "i", wb.Cat(wb.I32(0), wb.I32(0), wb.I32(-1), wb.I32(-3)), KindPointer},
	} {
		g := &guest{Module: wb.New()}
		f := g.Import(wasiModule, name, wasi.params, wasi.results)
		g.Memory(2, -1)
		code := wb.Cat(wasi.args, wb.Call(f))
		if wasi.results != "" {
			code = append(code, drop...)
		}
		add("wasi "+name, wasi.kind, g.transform(wb.Loop(code), wb.I32(0)))
	}
	for name, code := range map[string][]byte{"loop": wb.Loop(), "recursion": wb.Call(0)} {
		m := wb.New()
		m.Memory(1, -1)
		m.Export(exportStart, wb.Func, m.Func("", "", "", code))
		add("program: "+name, map[string]Kind{"loop": KindFuel, "recursion": KindStack}[name], m.Bytes())
	}
	for name, code := range map[string]func(f map[string]uint32) []byte{
		"allocates for ever": func(f map[string]uint32) []byte { return wb.Loop(wb.I64(4000), wb.Call(f["alloc"]), drop) },
		"loads for ever":     func(f map[string]uint32) []byte { return wb.Loop(wb.I64(0), wb.Call(f["input_load_u64"]), drop) },
		"stores for ever":    func(f map[string]uint32) []byte { return wb.Loop(wb.I64(64), wb.I64(1), wb.Call(f["store_u64"])) },
	} {
		g := newExtismGuest("alloc", "input_load_u64", "store_u64")
		add("extism: "+name, KindFuel, g.transform(code(g.f), wb.I32(0)))
	}
	return cases
}

func many(b []byte, n int) [][]byte {
	parts := make([][]byte, n)
	for i := range parts {
		parts[i] = b
	}
	return parts
}

func TestHostileStart(t *testing.T) {
	h := newHost(t, Options{})
	for _, c := range []struct {
		name  string
		build func(g *guest)
	}{
		{"endless start function", func(g *guest) { g.Start(g.Func("", "", "", wb.Loop())) }},
		{"endless init", func(g *guest) { g.Export("init", wb.Func, g.Func("", "i", "", wb.Loop(), wb.I32(0))) }},
		{"endless _initialize", func(g *guest) { g.Export("_initialize", wb.Func, g.Func("", "", "", wb.Loop())) }},
		{"trap in the start function", func(g *guest) { g.Start(g.Func("", "", "", wb.Op(0x00))) }},
		{"output in the start function", func(g *guest) { g.Start(g.Func("", "", "", wb.I32(0), wb.I32(-1), wb.Call(g.outputWrite))) }},
		{"init fails", func(g *guest) { g.Export("init", wb.Func, g.Func("", "i", "", wb.I32(5))) }},
		{"data outside the memory", func(g *guest) { g.Data(1<<20, []byte("x")) }},
	} {
		g := newGuest()
		c.build(g)
		m, err := h.Compile(context.Background(), c.name, g.transform(wb.I32(0)))
		if err != nil {
			t.Fatal(c.name, err)
		}
		_, err = h.NewPool(m, PoolConfig{Limits: Limits{Fuel: 1_000_000}})
		if err == nil || kindOf(t, err) != KindInit {
			t.Errorf("%s: %v", c.name, err)
		}
		m.Close(context.Background())
	}
}

func TestTimeout(t *testing.T) {
	h := newHost(t, Options{})
	wasm := newGuest().transform(wb.Loop(), wb.I32(0))
	p := newPool(t, h, wasm, PoolConfig{Limits: Limits{Fuel: 1 << 50, Timeout: 20 * time.Millisecond}})
	var out Result
	if k := kindOf(t, p.Run(context.Background(), &testMeta, nil, &out)); k != KindTimeout {
		t.Errorf("%v", k)
	}
	p = newPool(t, h, wasm, PoolConfig{Limits: Limits{Fuel: 1 << 50, Timeout: time.Hour}})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if k := kindOf(t, p.Run(ctx, &testMeta, nil, &out)); k != KindTimeout {
		t.Errorf("%v", k)
	}
}

// TestGarbageCollector: while a guest runs away, a collection must not wait for it.
func TestGarbageCollector(t *testing.T) {
	if raceEnabled {
		t.Skip("times mean nothing under the race detector")
	}
	h := newHost(t, Options{})
	cases := hostile()
	for _, name := range []string{"endless loop", "exponential calls without a loop", "copy loop"} {
		p := newPool(t, h, cases[name].wasm, PoolConfig{Limits: Limits{Fuel: 1 << 50, Timeout: 300 * time.Millisecond}})
		done := make(chan error)
		go func() {
			var out Result
			done <- p.Run(context.Background(), &testMeta, nil, &out)
		}()
		var pauses []time.Duration
		for running := true; running; {
			select {
			case err := <-done:
				if kindOf(t, err) != KindTimeout {
					t.Errorf("%s: %v", name, err)
				}
				running = false
			default:
				runtime.GC()
				var s debug.GCStats
				debug.ReadGCStats(&s)
				pauses = append(pauses, s.Pause[0])
			}
		}
		slices.Sort(pauses)
		median, worst := pauses[len(pauses)/2], pauses[len(pauses)-1]
		t.Logf("%s: %d collections, median pause %v, longest %v", name, len(pauses), median, worst)
		// A collector that waited for the guest would pause for most of its 300 ms. How short the pauses are is for a quiet machine to say.
		if median > 100*time.Millisecond {
			t.Errorf("%s: the collector waits for the guest: median pause %v", name, median)
		}
	}
}
