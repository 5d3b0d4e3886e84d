package meter

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// BenchmarkMetering runs the same guests with and without metering: the target is at most 35 % more time.
func BenchmarkMetering(b *testing.B) {
	mask, err := os.ReadFile("../../plugins/mask/mask.wasm")
	if err != nil {
		b.Fatal(err)
	}
	out := filepath.Join(b.TempDir(), "go.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", out, "main.go")
	cmd.Dir = "../testdata/guests/go-upper"
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if msg, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, msg)
	}
	goGuest, err := os.ReadFile(out)
	if err != nil {
		b.Fatal(err)
	}
	event := []byte(`{"id":"e","type":"order.created","data":{"items":[` + strings.Repeat(`{"sku":"A-1001","price":12.5,"by":"ada@example.com"},`, 18) + `{}]}}`)
	for _, g := range []struct {
		name string
		wasm []byte
	}{{"mask", mask}, {"go", goGuest}} {
		metered, _, err := rewrite(g.wasm, Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(g.name+"/plain", func(b *testing.B) { benchGuest(b, g.wasm, event) })
		b.Run(g.name+"/metered", func(b *testing.B) { benchGuest(b, metered, event) })
	}
	b.Run("rewrite", func(b *testing.B) {
		b.SetBytes(int64(len(goGuest)))
		for b.Loop() {
			if _, _, err := rewrite(goGuest, Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchGuest(b *testing.B, wasm, event []byte) {
	ctx := context.Background()
	e := newEngine(b, wazero.NewRuntimeConfig())
	wasi_snapshot_preview1.MustInstantiate(ctx, e)
	i32 := api.ValueTypeI32
	host := e.NewHostModuleBuilder("edgerelay_v1")
	for name, n := range map[string]int{"input_read": 2, "config_read": 2, "meta_get": 4, "set": 4} {
		params := []api.ValueType{i32, i32, i32, i32}[:n]
		host.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, s []uint64) {
			if name == "input_read" {
				m.Memory().Write(uint32(s[0]), event)
				s[0] = uint64(len(event))
				return
			}
			s[0] = 0
		}), params, []api.ValueType{i32}).Export(name)
	}
	for _, name := range []string{"output_write", "reason"} {
		host.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(context.Context, []uint64) {}), []api.ValueType{i32, i32}, nil).Export(name)
	}
	if _, err := host.Instantiate(ctx); err != nil {
		b.Fatal(err)
	}
	m, err := e.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	if err != nil {
		b.Fatal(err)
	}
	f := m.ExportedFunction("transform")
	var stack [1]uint64
	for b.Loop() {
		if err := f.CallWithStack(ctx, stack[:]); err != nil || stack[0] != 0 {
			b.Fatal(stack, err)
		}
	}
}
