package meter

import (
	"context"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// engine is a runtime with the imports of rewritten modules: fuel without an end, and memory that grows as far as the module allows.
type engine struct {
	wazero.Runtime
	refills int
}

const plenty = 1 << 20

func newEngine(t testing.TB, rc wazero.RuntimeConfig) *engine {
	t.Helper()
	ctx := context.Background()
	e := &engine{Runtime: wazero.NewRuntimeWithConfig(ctx, rc.WithCoreFeatures(api.CoreFeaturesV2))}
	t.Cleanup(func() { e.Close(ctx) })
	_, err := e.NewHostModuleBuilder(ImportModule).
		NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, _ []uint64) {
		e.refills++
		m.ExportedGlobal(FuelExport).(api.MutableGlobal).Set(plenty)
	}), nil, nil).Export(RefillImport).
		NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(grow), []api.ValueType{api.ValueTypeI32}, []api.ValueType{api.ValueTypeI32}).
		Export(GrowImport).Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func grow(_ context.Context, m api.Module, s []uint64) {
	pages := m.ExportedGlobal(PagesExport).(api.MutableGlobal)
	old, ok := m.Memory().Grow(uint32(s[0]))
	if !ok {
		s[0] = 0xffff_ffff
		return
	}
	s[0] = uint64(old)
	pages.Set(uint64(m.Memory().Size() >> 16))
}

// instantiate instantiates a module; of a rewritten one it calls the start function.
func (e *engine) instantiate(wasm []byte, name string) (api.Module, error) {
	ctx := context.Background()
	m, err := e.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithName(name).WithStartFunctions())
	if err != nil {
		return nil, err
	}
	if start := m.ExportedFunction(StartExport); start != nil {
		if _, err := start.Call(ctx); err != nil {
			m.Close(ctx)
			return nil, err
		}
	}
	return m, nil
}

// accepts reports whether the engine takes the module.
func (e *engine) accepts(wasm []byte) error {
	m, err := e.CompileModule(context.Background(), wasm)
	if err == nil {
		m.Close(context.Background())
	}
	return err
}

// moduleDir is where wazero's source lies: the module's archive has the specification's tests in it.
var moduleDir = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	return strings.TrimSpace(string(out)), err
})

func rewrite(wasm []byte, o Options) ([]byte, Info, error) {
	m, err := Decode(wasm)
	if err != nil {
		return nil, Info{}, err
	}
	return m.Rewrite(o)
}
