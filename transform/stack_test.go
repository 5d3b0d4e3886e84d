package transform

import (
	"context"
	"runtime"
	"testing"

	wb "edgerelay/transform/internal/wasmbuild"
)

// recursing calls itself as often as the input is long.
func recursing() []byte {
	g := newGuest()
	g0 := newGuest()
	self := g0.Func("", "", "") // the first function behind the imports
	f := g.Func("i", "i", "", wb.Get(0), wb.Op(0x45, 0x04, 0x7f), wb.I32(0), wb.Op(0x05), wb.Get(0), wb.I32(1), wb.Op(0x6b), wb.Call(self), wb.I32(1), wb.Op(0x6a), wb.Op(0x0b))
	if f != self {
		panic("BUG: the first function is another one")
	}
	return g.transform(wb.I32(0), wb.I32(0), wb.Call(g.inputRead), wb.Call(f), drop, wb.I32(0))
}

// TestStack: a guest may call itself some ten thousand times; one that goes deeper is ended long before the engine would, and what it has
// left behind is not what another event is judged by.
func TestStack(t *testing.T) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("the interpreter has no stack that grows")
	}
	p := newPool(t, newHost(t, Options{}), recursing(), PoolConfig{Size: 1, Limits: Limits{MaxInput: 4 << 20}})
	run := func(depth int) (Result, error) {
		var out Result
		err := p.Run(context.Background(), &testMeta, make([]byte, depth), &out)
		return out, err
	}
	first, err := run(10_000)
	if err != nil {
		t.Fatal(err)
	}
	if in := p.idle[0]; in.stacked.bytes() < 10_000*16 || in.stacked.bytes() > maxStack {
		t.Fatalf("the engine keeps its stack elsewhere now: %d bytes after 10,000 calls", in.stacked.bytes())
	}
	if _, err := run(4 << 20); kindOf(t, err) != KindStack {
		t.Errorf("4 million calls: %v", err)
	}
	deepest := 0
	for depth := 20_000; depth < 1<<20; depth += depth / 2 {
		if _, err := run(depth); err == nil {
			deepest = depth
		} else if kindOf(t, err) != KindStack {
			t.Errorf("%d calls: %v", depth, err)
		}
		if again, err := run(10_000); err != nil || again.Fuel != first.Fuel {
			t.Errorf("after %d calls: %v, fuel %d, before %d", depth, err, again.Fuel, first.Fuel)
		}
	}
	t.Logf("%d calls deep is fine", deepest)
}
