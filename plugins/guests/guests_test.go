package guests_test

import (
	"os/exec"
	"strings"
	"testing"

	"edgerelay/plugins/guests"
	"edgerelay/plugins/kit"
)

const order = `{"type":"order.created","data":{"order":"A-1","customer":{"name":"Ada"},"amount":129.5,"currency":"EUR","note":"some \"words\""}}`

// TestModules: the modules are what their compilers make of the templates and the SDKs today: the same bytes out, for the same fuel.
func TestModules(t *testing.T) {
	h, err := kit.NewHost(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(t.Context()) })
	run := func(name string, wasm []byte) *kit.Outcome {
		t.Helper()
		e, err := kit.ParseEvent("order", []byte(order))
		if err != nil {
			t.Fatal(err)
		}
		r, err := h.NewModuleRunner(t.Context(), name, wasm, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close(t.Context())
		o := r.Run(t.Context(), &e)
		if string(o.Body) != `{"text":"Ada ordered A-1 for 129.5 EUR"}` {
			t.Errorf("%s: %s %s", name, o.Body, o.Message)
		}
		return o
	}
	for _, c := range []struct {
		language string
		wasm     []byte
		compiler []string // and the version that it must print, at the end
	}{
		{"c", guests.C, []string{"clang-19", "--version", "19.1.7"}},
		{"rust", guests.Rust, []string{"/usr/bin/rustc", "--version", "1.63.0"}},
		{"assemblyscript", guests.AssemblyScript, nil},
	} {
		committed := run(c.language, c.wasm)
		if len(c.compiler) == 0 {
			continue // npm would have to install the compiler: the golden tests of the scaffold do
		}
		out, err := exec.Command(c.compiler[0], c.compiler[1:len(c.compiler)-1]...).Output()
		if want := c.compiler[len(c.compiler)-1]; err != nil || !strings.Contains(string(out), want) {
			t.Logf("%s is not built again: no %s %s", c.language, c.compiler[0], want)
			continue
		}
		if c.language == "rust" {
			t.Setenv("PATH", "/usr/bin") // Debian's
		}
		built, err := h.BuildNew(t.Context(), c.language)
		if err != nil {
			t.Errorf("%s: %v", c.language, err)
			continue
		}
		if now := run(c.language, built); now.Fuel != committed.Fuel {
			t.Errorf("%s: built now it takes %d units of fuel, the module that is committed %d: build it again", c.language, now.Fuel, committed.Fuel)
		}
	}
}
