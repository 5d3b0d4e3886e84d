package transform

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	wb "edgerelay/transform/internal/wasmbuild"
)

// counting keeps a count in a global, one in memory, one in memory it grows, and one in memory behind what it is told it has, and writes
// them all: "1111" for the first event.
func counting() []byte {
	g := newGuest()
	counter := g.Global('i', true, 0x41, 0)
	last := func() []byte { return wb.Cat(wb.Op(0x3f, 0), wb.I32(16), wb.Op(0x74), wb.I32(8), wb.Op(0x6b)) } // of what memory.size says
	load := func(at []byte) []byte { return wb.Cat(at, wb.Op(0x28, 2, 0)) }
	bump := func(at []byte) []byte { return wb.Cat(at, load(at), wb.I32(1), wb.Op(0x6a, 0x36, 2, 0)) }
	digit := func(i int32, value []byte) []byte {
		return wb.Cat(wb.I32(i), value, wb.I32('0'), wb.Op(0x6a, 0x3a, 0, 0))
	}
	behind := wb.I32(4<<16 - 8)
	return g.transform(
		wb.Op(0x23), wb.U32(counter), wb.I32(1), wb.Op(0x6a, 0x24), wb.U32(counter),
		bump(wb.I32(1024)),
		wb.I32(2), wb.Op(0x40, 0), drop, // two pages more: 2 -> 4
		bump(last()), wb.I32(4<<16-16), wb.I32(4<<16-16), load(wb.I32(4<<16-16)), wb.I32(1), wb.Op(0x6a, 0x36, 2, 0), drop,
		digit(0, wb.Cat(wb.Op(0x23), wb.U32(counter))), digit(1, load(wb.I32(1024))), digit(2, load(last())), digit(3, load(wb.I32(4<<16-16))),
		digit(4, wb.Cat(wb.Op(0x3f, 0))), digit(5, load(behind)),
		wb.I32(0), wb.I32(6), wb.Call(g.outputWrite), wb.I32(0))
}

func TestIsolation(t *testing.T) {
	h := newHost(t, Options{})
	g := newGuest()
	g.Table(1, 2)
	tables := g.transform(wb.Op(0xfc, 16, 0), wb.I32('0'), wb.Op(0x6a), wb.Set(0), wb.Op(0xd0, 0x70), wb.I32(1), wb.Op(0xfc, 15, 0), drop,
		wb.I32(0), wb.Get(0), wb.Op(0x3a, 0, 0), wb.I32(0), wb.I32(1), wb.Call(g.outputWrite), wb.I32(0))
	for _, c := range []struct {
		name      string
		wasm      []byte
		isolation Isolation
		want      Isolation
		outputs   string
		instances int64
	}{
		{"event", counting(), IsolationEvent, IsolationEvent, "111141 111141 111141 ", 1},
		{"fresh", counting(), IsolationFresh, IsolationFresh, "111141 111141 111141 ", 4}, // one for NewPool, which the first run uses
		{"shared", counting(), IsolationShared, IsolationShared, "111141 221261 331381 ", 1},
		{"tables", tables, IsolationEvent, IsolationFresh, "1 1 1 ", 4},
	} {
		before := h.countersOf(c.name).instances.Load()
		m, err := h.Compile(context.Background(), c.name, c.wasm)
		if err != nil {
			t.Fatal(c.name, err)
		}
		p, err := h.NewPool(m, PoolConfig{Isolation: c.isolation, Size: 1})
		if err != nil {
			t.Fatal(c.name, err)
		}
		var out Result
		outputs := ""
		for range 3 {
			out.Reset()
			if err := p.Run(context.Background(), &testMeta, nil, &out); err != nil {
				t.Fatal(c.name, err)
			}
			outputs += string(out.Body) + " "
		}
		if outputs != c.outputs || p.Isolation() != c.want {
			t.Errorf("%s: %q, want %q; %v", c.name, outputs, c.outputs, p.Isolation())
		}
		if n := m.Stats().Instances - before; n > c.instances {
			t.Errorf("%s: %d instances", c.name, n)
		}
		p.Close(context.Background())
		m.Close(context.Background())
	}
}

// TestWriteBehindTheEnd: after a reset memory is still as large as an earlier event made it; what a guest writes there must not last.
func TestWriteBehindTheEnd(t *testing.T) {
	h := newHost(t, Options{})
	at := int32(5<<16 - 8)
	g := newGuest()
	wasm := g.transform(
		wb.I32(1024), wb.I32(1), wb.Call(g.inputRead), drop,
		wb.I32(0), wb.I32(1024), wb.I32(1024), wb.Call(g.inputRead), drop, drop,
		wb.I32(1024), wb.Op(0x2d, 0, 0), wb.I32('g'), wb.Op(0x46, 0x04, 0x40), wb.I32(3), wb.Op(0x40, 0), drop, wb.Op(0x05),
		wb.I32(0), wb.I32(at), wb.Op(0x2d, 0, 0), wb.I32('0'), wb.Op(0x6a, 0x3a, 0, 0), wb.I32(at), wb.I32(5), wb.Op(0x3a, 0, 0),
		wb.I32(0), wb.I32(1), wb.Call(g.outputWrite), wb.Op(0x0b), wb.I32(0))
	p := newPool(t, h, wasm, PoolConfig{Size: 1})
	var out Result
	for _, input := range []string{"grow", "write", "write"} {
		out.Reset()
		if err := p.Run(context.Background(), &testMeta, []byte(input), &out); err != nil {
			t.Fatal(err)
		}
		if input == "write" && string(out.Body) != "0" {
			t.Errorf("saw %q of the event before", out.Body)
		}
	}
	if n := p.module.Stats().Instances; n != 1 {
		t.Errorf("%d instances: the test did not test it", n)
	}
}

func TestLargeGrowthIsNotKept(t *testing.T) {
	h := newHost(t, Options{})
	wasm := newGuest().transform(wb.I32(200), wb.Op(0x40, 0), drop, wb.I32(0))
	p := newPool(t, h, wasm, PoolConfig{Size: 1})
	var out Result
	for range 3 {
		if err := p.Run(context.Background(), &testMeta, nil, &out); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.module.Stats().Instances; n != 3 {
		t.Errorf("%d instances", n)
	}
}

func TestQuarantine(t *testing.T) {
	var logged bytes.Buffer
	h := newHost(t, Options{Log: slog.New(slog.NewTextHandler(&logged, nil))})
	g := newGuest() // traps when there is an input
	wasm := g.transform(wb.I32(0), wb.I32(0), wb.Call(g.inputRead), wb.Op(0x04, 0x40, 0x00, 0x0b), wb.I32(0))
	p := newPool(t, h, wasm, PoolConfig{QuarantineAfter: 3})
	run := func(input string) error {
		var out Result
		return p.Run(context.Background(), &testMeta, []byte(input), &out)
	}
	for _, input := range []string{"x", "x", "", "x", "x", "", "x", "x"} {
		if err := run(input); (err == nil) != (input == "") {
			t.Fatalf("%q: %v", input, err)
		}
	}
	if p.Quarantined() {
		t.Fatal("quarantined though there were never three failures in a row")
	}
	if k := kindOf(t, run("x")); k != KindTrap || !p.Quarantined() {
		t.Errorf("third failure: %v, quarantined %v", k, p.Quarantined())
	}
	if k := kindOf(t, run("")); k != KindQuarantined {
		t.Errorf("after it: %v", k)
	}
	s := p.module.Stats()
	if s.Runs != 9 || s.Failures[KindTrap] != 7 || s.Failures[KindQuarantined] != 1 || s.Results[Send] != 2 || s.Quarantines != 1 || s.Fuel == 0 || s.Seconds == 0 {
		t.Errorf("stats %+v", s)
	}
	if n := strings.Count(logged.String(), "quarantined"); n != 1 {
		t.Errorf("%d lines in the log: %s", n, logged.String())
	}
	p = newPool(t, h, wasm, PoolConfig{QuarantineAfter: -1})
	for range 50 {
		if kindOf(t, run("x")) != KindTrap {
			t.Fatal("quarantined though it was switched off")
		}
	}
}

// slow runs for as long as it may.
func slow() []byte { return newGuest().transform(wb.Loop(), wb.I32(0)) }

func TestBusyAndDrain(t *testing.T) {
	h := newHost(t, Options{})
	m, err := h.Compile(context.Background(), "slow", slow())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(context.Background())
	p, err := h.NewPool(m, PoolConfig{Size: 1, Limits: Limits{Fuel: 1 << 50, Timeout: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	runCtx, stopRun := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		var out Result
		ended <- p.Run(runCtx, &testMeta, nil, &out)
	}()
	for p.slots.inside.Load() == 0 {
		runtime.Gosched()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	var out Result
	if k := kindOf(t, p.Run(ctx, &testMeta, nil, &out)); k != KindBusy {
		t.Errorf("second run: %v", k)
	}
	waiting := make(chan error)
	go func() {
		var out Result
		waiting <- p.Run(context.Background(), &testMeta, nil, &out)
	}()
	p.Close(ctx) // gives up at once
	if k := kindOf(t, <-waiting); k != KindClosed {
		t.Errorf("a run that waited when the pool was closed: %v", k)
	}
	if kept(h) != 1 {
		t.Error("the code is gone while a run is inside")
	}
	stopRun()
	if k := kindOf(t, <-ended); k != KindTimeout {
		t.Errorf("the run inside: %v", k)
	}
}

// TestSwap replaces a pool under load, again and again: every event goes through one of the two versions.
func TestSwap(t *testing.T) {
	h := newHost(t, Options{})
	ctx := context.Background()
	version := func(i int) *Pool {
		g := newGuest()
		g.Data(0, fmt.Appendf(nil, "%04d", i))
		m, err := h.Compile(ctx, "m", g.transform(wb.I32(0), wb.I32(4), wb.Call(g.outputWrite), wb.I32(0)))
		if err != nil {
			t.Fatal(err)
		}
		p, err := h.NewPool(m, PoolConfig{Size: 2})
		if err != nil {
			t.Fatal(err)
		}
		m.Close(ctx)
		return p
	}
	var mu sync.RWMutex
	current := version(0)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			var out Result
			for {
				select {
				case <-stop:
					return
				default:
				}
				mu.RLock()
				p := current
				mu.RUnlock()
				out.Reset()
				if err := p.Run(ctx, &testMeta, nil, &out); err != nil && kindOf(t, err) != KindClosed {
					t.Error(err)
					return
				} else if err == nil && len(out.Body) != 4 {
					t.Errorf("body %q", out.Body)
				}
			}
		})
	}
	var memory [2]uint64
	var goroutines [2]int
	for i := range 350 {
		next := version(i)
		mu.Lock()
		old := current
		current = next
		mu.Unlock()
		old.Close(ctx)
		if i == 50 || i == 349 {
			var s runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&s)
			memory[i/349], goroutines[i/349] = s.HeapAlloc, runtime.NumGoroutine()
		}
	}
	close(stop)
	wg.Wait()
	current.Close(ctx)
	if kept(h) != 0 {
		t.Errorf("%d modules are still kept", kept(h))
	}
	t.Logf("heap after 50 and 350 swaps: %d, %d; goroutines %v", memory[0], memory[1], goroutines)
	if goroutines[1] > goroutines[0]+2 { // a compilation may be on its way out
		t.Errorf("goroutines after 50 and 350 swaps: %v", goroutines)
	}
	if memory[1] > memory[0]+4<<20 {
		t.Errorf("heap after 50 swaps %d, after 350 %d", memory[0], memory[1])
	}
}

// TestHammer runs many events in few instances; under -race this looks at the pool.
func TestHammer(t *testing.T) {
	h := newHost(t, Options{})
	pools := []*Pool{newPool(t, h, counting(), PoolConfig{Size: 3}), newPool(t, h, counting(), PoolConfig{Size: 2, Isolation: IsolationFresh})}
	g := newGuest()
	pools = append(pools, newPool(t, h, g.transform(wb.I32(0), wb.I32(0), wb.Call(g.inputRead), wb.Op(0x04, 0x40, 0x00, 0x0b), wb.I32(0)),
		PoolConfig{Size: 2, QuarantineAfter: -1}))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			var out Result
			for j := range 200 {
				out.Reset()
				p := pools[j%len(pools)]
				input := []byte("x")[:(i+j)%2]
				err := p.Run(context.Background(), &testMeta, input, &out)
				switch {
				case p == pools[2] && (err == nil) != (len(input) == 0):
					t.Errorf("input %q: %v", input, err)
				case p != pools[2] && (err != nil || string(out.Body) != "111141"):
					t.Errorf("%q %v", out.Body, err)
				}
			}
		})
	}
	wg.Wait()
}
