package transform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"edgerelay/transform/meter"
)

// Extism plug-ins, as the PDKs of that project build them: the host owns a second memory, through which everything goes that the plug-in
// reads and writes, in pieces of one or eight bytes (extismmemory.go). The input is the event, the output the body or the request
// (output.go). A plug-in has its configuration, a log, and variables that live as long as the event; it has no network.
const extismModule = "extism:host/env"

// Where a plug-in begins, unless the configuration names a function: what is exported first of these.
var extismEntries = []string{exportTransform, "run", "handle"}

const (
	exportStart    = "_start"            // of programs; a plug-in that exports nothing else is one, too
	exportCtors    = "__wasm_call_ctors" // of libraries for the old WASI
	exportHaskell  = "hs_init"           // (argc, argv): the Haskell runtime
	maxExtismVars  = 1 << 20             // bytes of names and values
	extismLogLevel = 0                   // trace: everything is logged, the limit for logs does the rest
)

var extismDialect = dialect{
	imports: map[string]map[string]hostFunc{extismModule: extismFuncs, wasiModule: wasiFuncs},
	check:   checkExtism,
	setup: func(in *instance) {
		in.extism = &extismState{vars: make(map[string][]byte)}
		in.extism.clear()
	},
	run: runExtism,
	foreign: func(imp *meter.Import) string {
		return fmt.Sprintf("it imports %s.%s: this Extism plug-in wants functions of its own host, but only %s and %s are offered",
			imp.Module, imp.Name, extismModule, wasiModule)
	},
}

// extismState is what the host keeps for a plug-in.
type extismState struct {
	extismMemory
	input, inputLen   uint64
	output, outputLen uint64
	failure           uint64 // block of the message that error_set was called with
	vars              map[string][]byte
	varBytes          int
}

// reset makes everything as it is before an event. The input has room: it is limited by itself.
func (x *extismState) reset(input []byte) {
	x.clear()
	clear(x.vars)
	x.output, x.outputLen, x.failure, x.varBytes = 0, 0, 0, 0
	x.input, x.inputLen = x.add(uint64(len(input))), uint64(len(input))
	copy(x.bytes[x.input:], input)
}

func checkExtism(c *code, m *meter.Module) string {
	var others []string
	for _, e := range m.Exports {
		if e.Kind == meter.KindFunc && isExtismEntry(e.Name, m.FuncType(e.Index)) {
			others = append(others, e.Name)
		}
	}
	for _, name := range extismEntries {
		if i := indexOf(others, name); i >= 0 {
			others = append([]string{name}, append(others[:i:i], others[i+1:]...)...)
			c.entry = name
			break
		}
	}
	c.entries = others
	if len(others) == 0 {
		if !exportsFunc(m, exportStart) {
			return "it exports no function () -> i32 that could be called: an Extism plug-in exports transform"
		}
		c.entries, c.entry = []string{exportStart}, exportStart
		return ""
	}
	for _, name := range []string{exportInitialize, exportCtors} {
		if exportsFunc(m, name) && m.FuncType(m.Export(name).Index).Equal(signature("", "")) {
			c.init = append(c.init, name)
			break
		}
	}
	if exportsFunc(m, exportHaskell) && m.FuncType(m.Export(exportHaskell).Index).Equal(signature("ii", "")) {
		c.init = append(c.init, exportHaskell)
	}
	return ""
}

// isExtismEntry: what a plug-in exports to be called, and not what its language's runtime leaves behind.
func isExtismEntry(name string, t meter.FuncType) bool {
	if strings.HasPrefix(name, "_") || strings.HasPrefix(name, "asyncify_") || strings.HasPrefix(name, "hs_") {
		return false
	}
	return t.Equal(signature("", "i")) || t.Equal(signature("", ""))
}

func indexOf(list []string, s string) int {
	for i := range list {
		if list[i] == s {
			return i
		}
	}
	return -1
}

func runExtism(in *instance) *Error {
	x := in.extism
	x.reset(in.input)
	in.hostFuel += int64(len(in.input)) / bytesPerFuel
	in.stack[0] = 0
	if err := in.guest(in.main); err != nil {
		if err.Kind != KindExit {
			return err
		}
		if in.spent = true; in.end.code != 0 {
			return &Error{Kind: KindFailed, Msg: fmt.Sprintf("the plug-in ended with code %d%s", in.end.code, in.lastLine())}
		}
	} else if code := int32(in.stack[0]); code != 0 {
		msg := string(bytes.ToValidUTF8(clipped(x.block(x.failure), maxReason), []byte("\uFFFD")))
		if msg == "" {
			msg = fmt.Sprintf("the plug-in returned %d and no message", code)
		}
		return &Error{Kind: KindFailed, Msg: msg}
	}
	body, ok := x.read(x.output, x.outputLen)
	if !ok {
		return &Error{Kind: KindPointer, Msg: fmt.Sprintf("an output of %d bytes at %d, outside the plug-in's memory of %d bytes", x.outputLen, x.output, len(x.bytes))}
	}
	if len(body) > in.pool.limits.MaxOutput {
		return &Error{Kind: KindOutputTooLarge, Msg: fmt.Sprintf("more than %d bytes of output", in.pool.limits.MaxOutput)}
	}
	in.out.Body = append(in.out.Body, body...)
	return in.finishOutput()
}

func clipped(b []byte, n int) []byte { return b[:min(len(b), n)] }

// extismConfig turns a configuration into what config_get answers: texts as they are, everything else as JSON.
func extismConfig(config []byte) (map[string]string, error) {
	if len(config) == 0 {
		return nil, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(config, &members); err != nil {
		return nil, fmt.Errorf("the configuration of an Extism plug-in must be an object: %w", err)
	}
	values := make(map[string]string, len(members))
	for name, raw := range members {
		var s string
		if json.Unmarshal(raw, &s) != nil {
			s = string(raw)
		}
		values[name] = s
	}
	return values, nil
}

// extismFuncs are the imports of extism:host/env. Addresses are those of the second memory.
var extismFuncs = map[string]hostFunc{
	"input_length":   {"", "I", extismGet(func(x *extismState) uint64 { return x.inputLen })},
	"input_offset":   {"", "I", extismGet(func(x *extismState) uint64 { return x.input })},
	"output_length":  {"", "I", extismGet(func(x *extismState) uint64 { return x.outputLen })},
	"output_offset":  {"", "I", extismGet(func(x *extismState) uint64 { return x.output })},
	"error_get":      {"", "I", extismGet(func(x *extismState) uint64 { return x.failure })},
	"memory_bytes":   {"", "I", extismGet(func(x *extismState) uint64 { return uint64(len(x.bytes)) })},
	"input_load_u8":  {"I", "i", func(in *instance, s []uint64) { s[0] = in.extismInput(s[0], 1) }},
	"input_load_u64": {"I", "I", func(in *instance, s []uint64) { s[0] = in.extismInput(s[0], 8) }},
	"load_u8":        {"I", "i", func(in *instance, s []uint64) { s[0] = in.extismLoad(s[0], 1) }},
	"load_u64":       {"I", "I", func(in *instance, s []uint64) { s[0] = in.extismLoad(s[0], 8) }},
	"store_u8":       {"Ii", "", func(in *instance, s []uint64) { in.extismStore(s[0], s[1], 1) }},
	"store_u64":      {"II", "", func(in *instance, s []uint64) { in.extismStore(s[0], s[1], 8) }},
	"alloc":          {"I", "I", func(in *instance, s []uint64) { s[0] = in.extismAlloc(s[0]) }},
	"free":           {"I", "", extismDo(func(x *extismState, s []uint64) { x.free(s[0]) })},
	"length":         {"I", "I", extismDo(func(x *extismState, s []uint64) { s[0] = x.length(s[0]) })},
	"length_unsafe":  {"I", "I", extismDo(func(x *extismState, s []uint64) { s[0] = x.length(s[0]) })},
	"input_set":      {"II", "", extismDo(func(x *extismState, s []uint64) { x.input, x.inputLen = s[0], s[1] })},
	"output_set":     {"II", "", extismDo(func(x *extismState, s []uint64) { x.output, x.outputLen = s[0], s[1] })},
	"error_set":      {"I", "", extismDo(func(x *extismState, s []uint64) { x.failure = s[0] })},
	"reset":          {"", "", extismDo(func(x *extismState, _ []uint64) { x.output, x.outputLen, x.failure = 0, 0, 0 })},
	"config_get":     {"I", "I", extismConfigGet},
	"var_get":        {"I", "I", extismVarGet},
	"var_set":        {"II", "", extismVarSet},
	"http_request": {"II", "I", func(in *instance, _ []uint64) {
		in.abort(KindTrap, "it called http_request: a transform has no network; what it needs must be in the event or in its configuration")
	}},
	"http_status_code": {"", "i", extismGet(func(*extismState) uint64 { return 0 })},
	"http_headers":     {"", "I", extismGet(func(*extismState) uint64 { return 0 })},
	"get_log_level":    {"", "i", extismGet(func(*extismState) uint64 { return extismLogLevel })},
	"log_trace":        {"I", "", extismLog(LevelDebug)},
	"log_debug":        {"I", "", extismLog(LevelDebug)},
	"log_info":         {"I", "", extismLog(LevelInfo)},
	"log_warn":         {"I", "", extismLog(LevelWarn)},
	"log_error":        {"I", "", extismLog(LevelError)},
}

func extismDo(f func(x *extismState, s []uint64)) func(*instance, []uint64) {
	return func(in *instance, s []uint64) {
		in.spend(hostCallFuel)
		f(in.extism, s)
	}
}

func extismGet(f func(x *extismState) uint64) func(*instance, []uint64) {
	return extismDo(func(x *extismState, s []uint64) { s[0] = f(x) })
}

func extismLog(level Level) func(*instance, []uint64) {
	return func(in *instance, s []uint64) {
		limit := in.pool.limits.MaxLog
		text := clipped(in.extism.block(s[0]), limit)
		in.spend(hostCallFuel + int64(len(text))/bytesPerFuel)
		in.out.logLine(level, text, limit)
	}
}

func extismConfigGet(in *instance, s []uint64) {
	in.spend(hostCallFuel)
	value, ok := in.pool.values[string(in.extism.block(s[0]))]
	if s[0] = 0; ok {
		s[0] = in.extismBlock([]byte(value))
	}
}

func extismVarGet(in *instance, s []uint64) {
	in.spend(hostCallFuel)
	value, ok := in.extism.vars[string(in.extism.block(s[0]))]
	if s[0] = 0; ok {
		s[0] = in.extismBlock(value)
	}
}

// extismVarSet keeps a value, or forgets it when there is none.
func extismVarSet(in *instance, s []uint64) {
	x := in.extism
	name, value := x.block(s[0]), x.block(s[1])
	in.spend(hostCallFuel + int64(len(name)+len(value))/bytesPerFuel)
	if old, ok := x.vars[string(name)]; ok {
		x.varBytes -= len(name) + len(old)
		delete(x.vars, string(name))
	}
	if s[1] == 0 {
		return
	}
	if x.varBytes+len(name)+len(value) > maxExtismVars {
		in.abort(KindMemory, fmt.Sprintf("more than %d bytes of variables", maxExtismVars))
	}
	x.varBytes += len(name) + len(value)
	x.vars[string(name)] = bytes.Clone(value)
}
