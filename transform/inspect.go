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

// decode reads a module, rewrites it and checks that it is one we run.
func decode(name string, wasm []byte) ([]byte, meter.Info, *meter.Module, error) {
	refused := func(format string, args ...any) ([]byte, meter.Info, *meter.Module, error) {
		return nil, meter.Info{}, nil, &Error{Kind: KindRefused, Module: name, Msg: fmt.Sprintf(format, args...)}
	}
	if len(wasm) > MaxModule {
		return refused("the module has %d bytes, at most %d are accepted", len(wasm), MaxModule)
	}
	m, err := meter.Decode(wasm)
	if err != nil {
		hint := ""
		if errors.Is(err, meter.ErrUnsupported) && strings.Contains(err.Error(), "component") {
			hint = howToBuild
		}
		return refused("%v%s", err, hint)
	}
	for i := range m.Imports {
		if msg := checkImport(&m.Imports[i]); msg != "" {
			return refused("%s", msg)
		}
	}
	if msg := checkExports(m); msg != "" {
		return refused("%s", msg)
	}
	out, info, err := m.Rewrite(meter.Options{MaxTable: MaxTable})
	if err != nil {
		return refused("%v", err)
	}
	return out, info, m, nil
}

// checkImport returns why an import cannot be satisfied, or "".
func checkImport(imp *meter.Import) string {
	if imp.Kind != meter.KindFunc {
		return fmt.Sprintf("it imports %s.%s, which is not a function; the module must have its own memory, tables and globals", imp.Module, imp.Name)
	}
	var f hostFunc
	var ok bool
	switch imp.Module {
	case abiModule:
		f, ok = abiFuncs[imp.Name]
	case wasiModule:
		f, ok = wasiFuncs[imp.Name]
	default:
		return foreignImport(imp)
	}
	if !ok {
		return fmt.Sprintf("it imports %s.%s, which does not exist", imp.Module, imp.Name)
	}
	if want := (meter.FuncType{Params: letters(f.params), Results: letters(f.results)}); !want.Equal(imp.Type) {
		return fmt.Sprintf("it imports %s.%s as %s, it is %s", imp.Module, imp.Name, imp.Type, want)
	}
	return ""
}

func letters(s string) []byte {
	ts := make([]byte, len(s))
	for i, t := range valueTypes(s) {
		ts[i] = t
	}
	return ts
}

// foreignImport recognises what the module was built for.
func foreignImport(imp *meter.Import) string {
	what := fmt.Sprintf("it imports %s.%s, but only %s and %s are offered", imp.Module, imp.Name, abiModule, wasiModule)
	switch {
	case strings.HasPrefix(imp.Module, "extism:"):
		return what + " (an Extism plug-in)" + howToBuild
	case strings.HasPrefix(imp.Module, "wasi:"):
		return what + " (built for WASI 0.2 or later)" + howToBuild
	case imp.Module == "go" || imp.Module == "gojs":
		return what + " (built with GOOS=js)" + howToBuild
	case imp.Module == "wasi_unstable":
		return what + " (built for an old WASI)" + howToBuild
	case imp.Module == "env":
		return what + " (a symbol that was undefined when the module was linked: declare it with the import module " + abiModule + ")"
	}
	return what
}

func checkExports(m *meter.Module) string {
	e := m.Export(exportTransform)
	if e == nil || e.Kind != meter.KindFunc {
		if s := m.Export("_start"); s != nil {
			return "it exports _start and no transform: a program, not a library" + howToBuild
		}
		return "it does not export the function transform" + howToBuild
	}
	result := meter.FuncType{Results: letters("i")}
	for name, want := range map[string]meter.FuncType{exportTransform: result, exportInit: result, exportInitialize: {}} {
		e := m.Export(name)
		if e == nil || e.Kind != meter.KindFunc {
			continue
		}
		if got := m.FuncType(e.Index); !got.Equal(want) {
			return fmt.Sprintf("it exports %s as %s, it must be %s", name, got, want)
		}
	}
	if mem := m.Export(exportMemory); mem == nil || mem.Kind != meter.KindMemory || m.Memory == nil {
		return "it does not export its memory as \"memory\"" + howToBuild
	}
	return ""
}
