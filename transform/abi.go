package transform

import (
	"context"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"edgerelay/transform/meter"
)

// ABI is a way in which a module and the host talk to each other. The set is closed; which one a module speaks is seen from its imports
// and exports. Each has a file of its own.
type ABI uint8

const (
	ABINative     ABI = iota + 1 // edgerelay_v1: the guest asks for everything through imports (native.go)
	ABIExtism                    // a plug-in made with an Extism PDK (extism.go)
	ABICommand                   // a WASI program: standard input to standard output (command.go)
	ABIJavaScript                // JavaScript packed together with its engine (javascript.go)
)

func (a ABI) String() string {
	return [...]string{"", "edgerelay_v1", "extism", "wasi", "javascript"}[a]
}

// dialect is what differs from ABI to ABI.
type dialect struct {
	imports map[string]map[string]hostFunc           // by module: what may be imported
	check   func(c *code, m *meter.Module) string    // why the exports do not do, or ""; sets what c needs to know of them
	setup   func(in *instance)                       // optional: makes what an instance has besides its memory, before anything runs
	start   func(in *instance) *Error                // optional: after the inits that the module exports, under their fuel
	run     func(in *instance) *Error                // gives the event to the guest
	foreign func(imp *meter.Import) (message string) // optional: explains an import that is not offered
}

// dialects is filled by init: the functions refer to it.
var dialects [ABIJavaScript + 1]*dialect

func init() {
	dialects = [...]*dialect{
		ABINative:     &nativeDialect,
		ABIExtism:     &extismDialect,
		ABICommand:    &commandDialect,
		ABIJavaScript: &scriptDialect,
	}
}

// hostModules are all modules whose functions guests may import, each for some ABIs only.
func hostModules() map[string]map[string]hostFunc {
	all := map[string]map[string]hostFunc{meter.ImportModule: meterFuncs}
	for _, d := range dialects[ABINative:] {
		for module, funcs := range d.imports {
			all[module] = funcs
		}
	}
	return all
}

// recognise says which ABI a module speaks, or that of ABINative when it speaks none: its messages say what to build.
func recognise(m *meter.Module) ABI {
	native := exportsFunc(m, exportTransform)
	for i := range m.Imports {
		switch m.Imports[i].Module {
		case abiModule:
			native = true
		case extismModule:
			return ABIExtism
		}
	}
	if !native && exportsFunc(m, exportStart) {
		return ABICommand
	}
	return ABINative
}

func exportsFunc(m *meter.Module, name string) bool {
	e := m.Export(name)
	return e != nil && e.Kind == meter.KindFunc
}

// hostFunc is an import that we answer. Signatures are written with one letter per value: i for i32, I for i64.
type hostFunc struct {
	params, results string
	call            func(in *instance, s []uint64)
}

// meterFuncs are the imports that package meter adds.
var meterFuncs = map[string]hostFunc{
	meter.RefillImport: {"", "", func(in *instance, _ []uint64) { in.refill() }},
	meter.GrowImport:   {"i", "i", func(in *instance, s []uint64) { s[0] = uint64(in.grow(uint32(s[0]))) }},
}

// register makes one host module. The instance that calls is found in the context: guests run under nothing else.
func register(ctx context.Context, rt wazero.Runtime, module string, funcs map[string]hostFunc) error {
	b := rt.NewHostModuleBuilder(module)
	for name, f := range funcs {
		call := f.call
		b.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(ctx context.Context, stack []uint64) {
			call(ctx.(*callContext).in, stack)
		}), valueTypes(f.params), valueTypes(f.results)).Export(name)
	}
	if _, err := b.Instantiate(ctx); err != nil {
		return fmt.Errorf("register imports %q: %w", module, err)
	}
	return nil
}

func valueTypes(letters string) []api.ValueType {
	ts := make([]api.ValueType, len(letters))
	for i, l := range letters {
		ts[i] = api.ValueTypeI32
		if l == 'I' {
			ts[i] = api.ValueTypeI64
		}
	}
	return ts
}

func signature(params, results string) meter.FuncType {
	return meter.FuncType{Params: letters(params), Results: letters(results)}
}

func letters(s string) []byte {
	ts := make([]byte, len(s))
	for i, t := range valueTypes(s) {
		ts[i] = t
	}
	return ts
}

// What a call costs in fuel: leaving and entering the guest, and the bytes that are moved.
const (
	hostCallFuel  = 200
	bytesPerFuel  = 8
	growPageFuel  = 65536 / 2 // fetched from the system, cleared, and copied when memory moves
	hostFuelCheck = FuelSlice / 16
)

// text is a view of at most limit bytes of what the guest points to.
func (in *instance) text(ptr, length uint64, limit int) []byte {
	n := uint64(uint32(length))
	b := in.view(ptr, n)
	b = b[:min(len(b), limit)]
	in.spend(hostCallFuel + int64(len(b))/bytesPerFuel)
	return b
}

// view is a part of the guest's memory, valid until the guest runs again. A bad pointer ends the guest.
func (in *instance) view(ptr, n uint64) []byte {
	if in.memory == nil {
		in.abort(KindPointer, "a pointer without a memory")
	}
	b, ok := in.memory.Read(uint32(ptr), uint32(n))
	if !ok {
		in.abort(KindPointer, fmt.Sprintf("%d bytes at %d are outside the memory of %d bytes", uint32(n), uint32(ptr), in.memory.Size()))
	}
	return b
}

// roomForOutput ends the guest when the body would be longer than it may be.
func (in *instance) roomForOutput(n uint64) {
	if uint64(len(in.out.Body))+n > uint64(in.pool.limits.MaxOutput) {
		in.abort(KindOutputTooLarge, fmt.Sprintf("more than %d bytes of output", in.pool.limits.MaxOutput))
	}
}

// oneOf joins names for a message.
func oneOf(names []string) string { return strings.Join(names, ", ") }
