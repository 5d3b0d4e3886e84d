package meter

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
)

// BenchmarkMetering runs the same guests with and without metering: the target is at most 35 % more time.
func BenchmarkMetering(b *testing.B) {
	mask, err := os.ReadFile("../../plugins/mask/mask.wasm")
	if err != nil {
		b.Fatal(err)
	}
	goModule := goGuest(b)
	event := []byte(`{"id":"e","type":"order.created","data":{"items":[` + strings.Repeat(`{"sku":"A-1001","price":12.5,"by":"ada@example.com"},`, 18) + `{}]}}`)
	for _, g := range []struct {
		name string
		wasm []byte
	}{{"mask", mask}, {"go", goModule}} {
		metered, _, err := rewrite(g.wasm, Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(g.name+"/plain", func(b *testing.B) { benchGuest(b, g.wasm, event) })
		b.Run(g.name+"/metered", func(b *testing.B) { benchGuest(b, metered, event) })
	}
	b.Run("rewrite", func(b *testing.B) {
		b.SetBytes(int64(len(goModule)))
		for b.Loop() {
			if _, _, err := rewrite(goModule, Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchGuest(b *testing.B, wasm, event []byte) {
	g := newWholeGuest(b, wazero.NewRuntimeConfig(), wasm)
	g.event = event
	for b.Loop() {
		g.output = g.output[:0]
		if err := g.main.CallWithStack(context.Background(), g.stack[:]); err != nil || g.stack[0] != 0 {
			b.Fatal(g.stack, err)
		}
	}
}
