package meter

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// wholeGuest is a guest of package transform with the least of a host around it.
type wholeGuest struct {
	main   api.Function
	event  []byte
	output []byte
	stack  [1]uint64
}

func newWholeGuest(t testing.TB, rc wazero.RuntimeConfig, wasm []byte) *wholeGuest {
	t.Helper()
	g := &wholeGuest{}
	ctx := context.Background()
	e := newEngine(t, rc)
	wasi_snapshot_preview1.MustInstantiate(ctx, e)
	i32 := api.ValueTypeI32
	host := e.NewHostModuleBuilder("edgerelay_v1")
	answers := map[string]int{"input_read": 2, "config_read": 2, "meta_get": 4, "set": 4}
	for name, n := range answers {
		host.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, s []uint64) {
			if name != "input_read" {
				s[0] = 0
				return
			}
			m.Memory().Write(uint32(s[0]), g.event[:min(len(g.event), int(uint32(s[1])))])
			s[0] = uint64(len(g.event))
		}), []api.ValueType{i32, i32, i32, i32}[:n], []api.ValueType{i32}).Export(name)
	}
	for name, n := range map[string]int{"output_write": 2, "reason": 2, "log": 3} {
		host.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, m api.Module, s []uint64) {
			if name == "output_write" {
				b, _ := m.Memory().Read(uint32(s[0]), uint32(s[1]))
				g.output = append(g.output, b...)
			}
		}), []api.ValueType{i32, i32, i32}[:n], nil).Export(name)
	}
	if _, err := host.Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	m, err := e.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithStartFunctions("_initialize", StartExport))
	if err != nil {
		t.Fatal(err)
	}
	if g.main = m.ExportedFunction("transform"); g.main == nil {
		t.Fatal("no transform")
	}
	return g
}

func (g *wholeGuest) run(event []byte) string {
	g.event, g.output = event, g.output[:0]
	err := g.main.CallWithStack(context.Background(), g.stack[:])
	return fmt.Sprintf("%d %q %s", g.stack[0], g.output, reason(err))
}

// goGuest builds the Go guest of package transform.
func goGuest(t testing.TB) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "go.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", out, "main.go")
	cmd.Dir = "../testdata/guests/go-upper"
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, msg)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// TestWholeGuests runs real guests as they are and rewritten, side by side: the same results for the same events.
func TestWholeGuests(t *testing.T) {
	files, err := filepath.Glob("../../plugins/*/*.wasm")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d modules, %v", len(files), err)
	}
	guests := map[string][]byte{}
	for _, f := range files {
		if guests[filepath.Base(f)], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	if !testing.Short() {
		guests["go"] = goGuest(t)
	}
	events := []string{``, `{}`, `nonsense`, `{"do":"drop"}`, `{"id":"e","type":"order.created","time":"2024-12-14T15:29:18.700Z","data":null}`,
		`{"id":"e","type":"order.created","data":{"items":[` + strings.Repeat(`{"sku":"A-1001","price":12.5,"by":"ada@example.com","ü":"\u00fc\ud83d\ude00"},`, 40) + `{}]}}`,
		`{"type":"deep","data":` + strings.Repeat(`[`, 100) + strings.Repeat(`]`, 100) + `}`, `{"type":"cut","data":{"a":[1,2`}
	wrote := 0
	for name, wasm := range guests {
		metered, _, err := rewrite(wasm, Options{MaxTable: 10_000})
		if err != nil {
			t.Fatal(name, err)
		}
		plain, rewritten := newWholeGuest(t, wazero.NewRuntimeConfig(), wasm), newWholeGuest(t, wazero.NewRuntimeConfig(), metered)
		for _, event := range events {
			want, got := plain.run([]byte(event)), rewritten.run([]byte(event))
			if got != want {
				t.Errorf("%s: event %.60s: %.200s, rewritten: %.200s", name, event, want, got)
			}
			if len(plain.output) > 0 {
				wrote++
			}
		}
	}
	if wrote < len(guests) { // some want a configuration, and say so to every event
		t.Errorf("%d guests wrote %d times: the test did not test them", len(guests), wrote)
	}
}
