package transform

import (
	"errors"
	"fmt"
	"strings"

	"edgerelay/transform/meter"
)

// howToBuild ends every refusal of a binary that was built in the wrong way.
const howToBuild = "; build a core module that exports transform() -> i32 and its memory, for example " +
	"Go: GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared; " +
	"C: clang --target=wasm32 -nostdlib -Wl,--no-entry -Wl,--export=transform; " +
	"Rust: a cdylib for wasm32-unknown-unknown"

// decode reads a module, rewrites it and checks that it is one we run. It fills in what the code has to know of it.
func (c *code) decode(name string, wasm []byte) ([]byte, error) {
	refused := func(format string, args ...any) ([]byte, error) {
		return nil, &Error{Kind: KindRefused, Module: name, Msg: fmt.Sprintf(format, args...)}
	}
	m, err := meter.Decode(wasm)
	if err != nil {
		hint := ""
		if errors.Is(err, meter.ErrUnsupported) && strings.Contains(err.Error(), "component") {
			hint = howToBuild
		}
		return refused("%v%s", err, hint)
	}
	if c.abi == 0 {
		c.abi = recognise(m)
	}
	d := dialects[c.abi]
	for i := range m.Imports {
		if msg := d.checkImport(&m.Imports[i]); msg != "" {
			return refused("%s", msg)
		}
	}
	if m.Memory != nil {
		c.memory = *m.Memory
	}
	if msg := d.check(c, m); msg != "" {
		return refused("%s", msg)
	}
	out, info, err := m.Rewrite(meter.Options{MaxTable: MaxTable, Free: c.host.free})
	if err != nil {
		return refused("%v", err)
	}
	c.info = info
	if c.host.as {
		c.info.Globals, c.info.Resettable = nil, false
		return wasm, nil
	}
	if info.HasStart {
		c.init = append([]string{meter.StartExport}, c.init...)
	}
	return out, nil
}

// checkImport returns why an import cannot be satisfied, or "".
func (d *dialect) checkImport(imp *meter.Import) string {
	if imp.Kind != meter.KindFunc {
		return fmt.Sprintf("it imports %s.%s, which is not a function; the module must have its own memory, tables and globals", imp.Module, imp.Name)
	}
	funcs, ok := d.imports[imp.Module]
	if !ok {
		return d.foreign(imp)
	}
	f, ok := funcs[imp.Name]
	if !ok {
		return fmt.Sprintf("it imports %s.%s, which does not exist", imp.Module, imp.Name)
	}
	if want := signature(f.params, f.results); !want.Equal(imp.Type) {
		return fmt.Sprintf("it imports %s.%s as %s, it is %s", imp.Module, imp.Name, imp.Type, want)
	}
	return ""
}

// foreignToNative recognises what the module was built for.
func foreignToNative(imp *meter.Import) string {
	what := fmt.Sprintf("it imports %s.%s, but only %s and %s are offered", imp.Module, imp.Name, abiModule, wasiModule)
	switch {
	case strings.HasPrefix(imp.Module, "wasi:"):
		return what + " (built for WASI 0.2 or later)" + howToBuild
	case imp.Module == "go" || imp.Module == "gojs":
		return what + " (built with GOOS=js)" + howToBuild
	case imp.Module == "wasi_unstable":
		return what + " (built for an old WASI)" + howToBuild
	case imp.Module == scriptModule && strings.HasPrefix(imp.Name, "host_"):
		return what + " (a JavaScript engine without a script: pack both with edgerelay plugin build)"
	case imp.Module == "env":
		return what + " (a symbol that was undefined when the module was linked: declare it with the import module " + abiModule + ")"
	}
	return what
}
