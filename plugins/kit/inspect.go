package kit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"edgerelay/transform"
	"edgerelay/transform/meter"
)

// Inspection is what can be told of a module without running it.
type Inspection struct {
	Bytes    int    `json:"bytes"`
	SHA256   string `json:"sha256"`
	ABI      string `json:"abi"`      // edgerelay_v1, javascript, extism, wasi; of refused ones also component, unknown
	Language string `json:"language"` // what it was probably written in; unknown
	Tools    string `json:"tools,omitempty"`
	Accepted bool   `json:"accepted"`
	Refusal  string `json:"refusal,omitempty"` // why the relay would not take it

	MemoryMin uint64 `json:"memory_min"`           // bytes
	MemoryMax uint64 `json:"memory_max,omitempty"` // bytes; 0 = as much as it is given
	Isolation string `json:"isolation,omitempty"`  // what isolation event means for it: reset or fresh instances

	Imports  []Symbol  `json:"imports"`
	Exports  []Symbol  `json:"exports"`
	Sections []Section `json:"sections"`
	Does     []string  `json:"does"` // what its imports allow it to do

	Manifest *Manifest `json:"manifest,omitempty"`
}

// Symbol is an import or an export.
type Symbol struct {
	Module string `json:"module,omitempty"`
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	Type   string `json:"type,omitempty"`
}

// Section of a module.
type Section struct {
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
}

// Inspect looks into a module and asks the engine whether it would take it.
func (h *Host) Inspect(ctx context.Context, wasm []byte) *Inspection {
	sum := sha256.Sum256(wasm)
	i := &Inspection{Bytes: len(wasm), SHA256: hex.EncodeToString(sum[:]), ABI: "unknown", Language: "unknown",
		Imports: []Symbol{}, Exports: []Symbol{}, Sections: []Section{}, Does: []string{}}
	raw := sections(wasm)
	for _, s := range raw {
		i.Sections = append(i.Sections, Section{s.name, len(s.body)})
	}
	if m, err := meter.Decode(wasm); err == nil {
		i.describe(m)
	} else if isComponent(wasm) {
		i.ABI = "component"
	}
	i.guessLanguage(raw)
	module, err := h.Compile(ctx, "module", wasm)
	if err != nil {
		var e *transform.Error
		i.Refusal = err.Error()
		if errors.As(err, &e) {
			i.Refusal = e.Msg
		}
		return i
	}
	i.Accepted, i.Isolation, i.ABI = true, "reset", module.ABI().String()
	if !module.Resettable() {
		i.Isolation = "fresh"
	}
	module.Close(ctx)
	return i
}

func isComponent(wasm []byte) bool {
	return bytes.HasPrefix(wasm, []byte("\x00asm")) && len(wasm) >= 8 && wasm[6] == 1
}

func (i *Inspection) describe(m *meter.Module) {
	i.Imports, i.Exports = symbols(m), []Symbol{}
	for _, e := range m.Exports {
		s := Symbol{Name: e.Name, Kind: kindName(e.Kind)}
		if e.Kind == meter.KindFunc {
			s.Type = m.FuncType(e.Index).String()
		}
		i.Exports = append(i.Exports, s)
	}
	if m.Memory != nil {
		i.MemoryMin = uint64(m.Memory.Min) << 16
		if m.Memory.HasMax {
			i.MemoryMax = uint64(m.Memory.Max) << 16
		}
	}
	i.ABI = abiOf(m)
	for _, imp := range i.Imports {
		if what := powers[imp.Name]; what != "" && imp.Module == "edgerelay_v1" {
			i.Does = append(i.Does, what)
		}
	}
}

// powers are what imports of edgerelay_v1 are good for.
var powers = map[string]string{
	"input_read": "reads the event", "output_write": "writes the body", "meta_get": "reads id, tenant, attempt and the like",
	"config_read": "reads its configuration", "set": "may set headers, query, method, path and content type", "log": "writes to its log",
	"reason": "gives reasons",
}

func symbols(m *meter.Module) []Symbol {
	all := []Symbol{}
	for _, imp := range m.Imports {
		s := Symbol{Module: imp.Module, Name: imp.Name, Kind: kindName(imp.Kind)}
		if imp.Kind == meter.KindFunc {
			s.Type = imp.Type.String()
		}
		all = append(all, s)
	}
	return all
}

// inspectImports returns the imports of a module that the engine has accepted.
func inspectImports(wasm []byte) []Symbol {
	m, err := meter.Decode(wasm)
	if err != nil {
		return nil
	}
	return symbols(m)
}

func kindName(kind byte) string {
	return [...]string{"function", "table", "memory", "global"}[min(kind, meter.KindGlobal)]
}

// abiOf recognises how a module wants to be talked to, also where the relay cannot.
func abiOf(m *meter.Module) string {
	for _, imp := range m.Imports {
		switch {
		case imp.Module == "edgerelay_v1":
			return "edgerelay_v1"
		case strings.HasPrefix(imp.Module, "extism:"):
			return "extism"
		case strings.HasPrefix(imp.Module, "wasi:"):
			return "component"
		}
	}
	switch {
	case m.Export("transform") != nil:
		return "edgerelay_v1"
	case m.Export("_start") != nil:
		return "wasi"
	}
	return "unknown"
}

type rawSection struct {
	name string
	body []byte
}

var sectionNames = []string{"custom", "type", "import", "function", "table", "memory", "global", "export", "start", "element", "code", "data", "data count"}

// sections splits a module as far as it can be split; a custom section has its own name.
func sections(wasm []byte) (all []rawSection) {
	if len(wasm) < 8 {
		return nil
	}
	for b := wasm[8:]; len(b) > 0; {
		id := b[0]
		n, size := u32(b[1:])
		if size == 0 || uint64(n) > uint64(len(b)-1-size) {
			return all
		}
		body := b[1+size : 1+size+int(n)]
		b = b[1+size+int(n):]
		s := rawSection{name: fmt.Sprintf("section %d", id), body: body}
		if int(id) < len(sectionNames) {
			s.name = sectionNames[id]
		}
		if id == 0 {
			if name, rest, ok := text(body); ok {
				s.name, s.body = name, rest
			}
		}
		all = append(all, s)
	}
	return all
}

// u32 reads a number in LEB128; size 0 = there is none.
func u32(b []byte) (v uint32, size int) {
	for i := 0; i < 5 && i < len(b); i++ {
		v |= uint32(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}

// text reads a name with its length before it.
func text(b []byte) (s string, rest []byte, ok bool) {
	n, size := u32(b)
	if size == 0 || uint64(n) > uint64(len(b)-size) {
		return "", nil, false
	}
	return string(b[size : size+int(n)]), b[size+int(n):], true
}

// guessLanguage looks for what compilers leave behind.
func (i *Inspection) guessLanguage(raw []rawSection) {
	for _, s := range raw {
		if s.name == "producers" {
			i.readProducers(s.body)
		}
	}
	exports := func(name string) bool {
		return slices.ContainsFunc(i.Exports, func(s Symbol) bool { return s.Name == name })
	}
	switch {
	case slices.ContainsFunc(raw, func(s rawSection) bool { return s.name == "edgerelay.javascript" }):
		i.Language = "JavaScript"
	case i.Language != "unknown":
	case strings.Contains(strings.ToLower(i.Tools), "rustc"):
		i.Language = "Rust"
	case strings.Contains(strings.ToLower(i.Tools), "clang"):
		i.Language = "C or C++"
	case slices.ContainsFunc(raw, func(s rawSection) bool { return s.name == "go:buildid" || s.name == "go.buildid" }):
		i.Language = "Go"
	case exports("__new") && exports("__pin"), slices.ContainsFunc(raw, func(s rawSection) bool { return isAssemblyScript(s) }):
		i.Language = "AssemblyScript"
	}
}

// isAssemblyScript finds the headers of its strings: the runtime's own messages are in every module's data, in UTF-16.
func isAssemblyScript(s rawSection) bool {
	return s.name == "data" && bytes.Contains(s.body, []byte("~\x00l\x00i\x00b\x00/\x00r\x00t\x00"))
}

// readProducers reads the section in which compilers sign: fields of values with versions.
func (i *Inspection) readProducers(b []byte) {
	fields, size := u32(b)
	if size == 0 {
		return
	}
	b = b[size:]
	for ; fields > 0; fields-- {
		field, rest, ok := text(b)
		n, size := u32(rest)
		if !ok || size == 0 {
			return
		}
		b = rest[size:]
		for ; n > 0; n-- {
			name, rest, ok := text(b)
			if !ok {
				return
			}
			version, rest, ok := text(rest)
			if !ok {
				return
			}
			b = rest
			switch field {
			case "language":
				i.Language = strings.TrimSpace(name + " " + version)
			default:
				i.Tools = strings.TrimPrefix(i.Tools+", "+strings.TrimSpace(name+" "+version), ", ")
			}
		}
	}
}
