package transform

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// cModule compiles testdata/guests/c-orders, or skips the test.
func cModule(t testing.TB, flags ...string) []byte {
	t.Helper()
	for _, version := range []string{"-19", ""} {
		clang, err := exec.LookPath("clang" + version)
		if err != nil {
			continue
		}
		linker, err := exec.LookPath("wasm-ld" + version)
		if err != nil {
			continue
		}
		out := filepath.Join(t.TempDir(), "orders.wasm")
		args := append([]string{"--target=wasm32", "-O2", "-mbulk-memory", "-Wno-unused-function", "-ffreestanding", "-nostdlib", "-I../plugins/sdk/c",
			"-fuse-ld=" + linker, "-Wl,--no-entry", "-Wl,--stack-first", "-Wl,-z,stack-size=32768", "-o", out, "testdata/guests/c-orders/orders.c"}, flags...)
		if text, err := exec.Command(clang, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		wasm, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return wasm
	}
	t.Skip("skipped: no clang with wasm-ld; apt-get install clang-19 lld-19")
	return nil
}

var order = []byte(`{"id":"e","type":"order.created","time":"2026-01-01T00:00:00Z","data":{"order":"A-1001","items":[` +
	strings.Repeat(`{"name":"some thing for \"all\"","price":129.50,"sku":"A-1001-20"},`, 12) + `{"name":"last","price":1}]}}`)

// TestExtismSame: the same source gives the same body with either ABI.
func TestExtismSame(t *testing.T) {
	h := newHost(t, Options{})
	var bodies []string
	for _, flags := range [][]string{nil, {"-DEXTISM"}} {
		p := newPool(t, h, cModule(t, flags...), PoolConfig{Size: 1})
		for range 2 {
			var out Result
			if err := p.Run(context.Background(), &testMeta, order, &out); err != nil {
				t.Fatal(err)
			}
			bodies = append(bodies, string(out.Body))
		}
	}
	for _, b := range bodies {
		if b != bodies[0] || !strings.HasPrefix(b, `{"text":"A-1001","fields":[{"title":"some thing for \"all\"","value":"129.50"},`) {
			t.Errorf("%s", b)
		}
	}
}

// BenchmarkExtism is the price of Extism's ABI, which carries eight bytes for each call of the host.
func BenchmarkExtism(b *testing.B) {
	h := newHost(b, Options{})
	for _, c := range []struct {
		name  string
		flags []string
	}{{"native", nil}, {"extism", []string{"-DEXTISM"}}} {
		for _, i := range []Isolation{IsolationEvent, IsolationFresh} {
			b.Run(c.name+"/"+i.String(), func(b *testing.B) {
				p := newPool(b, h, cModule(b, c.flags...), PoolConfig{Isolation: i, Size: 1})
				var out Result
				b.ReportAllocs()
				for b.Loop() {
					out.Reset()
					if err := p.Run(context.Background(), &testMeta, order, &out); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(out.Fuel), "fuel/op")
			})
		}
	}
}
