package kit

import (
	"slices"
	"strings"
	"testing"

	"edgerelay/plugins"
)

// module assembles a module of sections, each given as its id and its content.
func module(parts ...[]byte) []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	for _, p := range parts {
		out = append(append(out, p[0], byte(len(p)-1)), p[1:]...)
	}
	return out
}

func TestInspect(t *testing.T) {
	h := newHost(t)
	start := module([]byte("\x01\x01\x60\x00\x00"), []byte("\x03\x01\x00"), []byte("\x05\x01\x01\x01\x02"),
		[]byte("\x07\x02\x06_start\x00\x00\x06memory\x02\x00"), []byte("\x0a\x01\x02\x00\x0b"))
	extism := module([]byte("\x01\x01\x60\x00\x01\x7e"), []byte("\x02\x01\x0fextism:host/env\x0cinput_length\x00\x00"))
	for _, c := range []struct {
		name     string
		wasm     []byte
		abi      string
		accepted bool
		refusal  string
	}{
		{"a plugin", plugins.Mask, "edgerelay_v1", true, ""},
		{"a WASI program", start, "wasi", false, "_start"},
		{"an Extism plug-in", extism, "extism", false, ""},
		{"a component", []byte("\x00asm\x0d\x00\x01\x00"), "component", false, "component"},
		{"no module", []byte("hello"), "unknown", false, ""},
		{"nothing", nil, "unknown", false, ""},
		{"half a module", plugins.Mask[:len(plugins.Mask)/2], "unknown", false, ""},
	} {
		i := h.Inspect(t.Context(), c.wasm)
		// What else than the native ABI is accepted is up to the engine.
		if i.ABI != c.abi || i.ABI == "edgerelay_v1" && !i.Accepted || i.Accepted != (i.Refusal == "") || i.Bytes != len(c.wasm) {
			t.Errorf("%s: ABI %s, accepted %v, %q", c.name, i.ABI, i.Accepted, i.Refusal)
		}
		if !i.Accepted && !strings.Contains(i.Refusal, c.refusal) {
			t.Errorf("%s: refused with %q", c.name, i.Refusal)
		}
	}
	i := h.Inspect(t.Context(), plugins.Mask)
	if i.MemoryMin == 0 || i.Isolation != "reset" || !slices.Contains(i.Does, "reads the event") || i.Exports[0].Name != "memory" {
		t.Errorf("%+v", i)
	}
	if i.Imports[0] != (Symbol{"edgerelay_v1", "input_read", "function", "(i32 i32) -> (i32)"}) {
		t.Errorf("imports %v", i.Imports)
	}
	if !slices.ContainsFunc(i.Sections, func(s Section) bool { return s.Name == "code" && s.Bytes > 100 }) {
		t.Errorf("sections %v", i.Sections)
	}
}

func TestLanguage(t *testing.T) {
	h := newHost(t)
	producers := "\x00\x09producers\x02\x08language\x01\x04Rust\x04" + "2021\x0cprocessed-by\x01\x05rustc\x061.95.0"
	for _, c := range []struct {
		name            string
		wasm            []byte
		language, tools string
	}{
		{"producers", module([]byte(producers)), "Rust 2021", "rustc 1.95.0"},
		{"producers cut off", module([]byte(producers[:40])), "Rust 2021", ""},
		{"Go", module([]byte("\x00\x0ago:buildidx")), "Go", ""},
		{"nobody", module(), "unknown", ""},
	} {
		if i := h.Inspect(t.Context(), c.wasm); i.Language != c.language || i.Tools != c.tools {
			t.Errorf("%s: %q, %q", c.name, i.Language, i.Tools)
		}
	}
}

func FuzzInspect(f *testing.F) {
	f.Add(plugins.Mask)
	f.Add(counter)
	f.Fuzz(func(t *testing.T, wasm []byte) {
		total := 0
		for _, s := range sections(wasm) {
			total += len(s.body)
			i := &Inspection{Language: "unknown"}
			i.readProducers(s.body)
		}
		if total > len(wasm) {
			t.Errorf("%d bytes of sections in %d bytes", total, len(wasm))
		}
	})
}
