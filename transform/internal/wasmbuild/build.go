// Package wasmbuild assembles small WebAssembly modules for tests, where no assembler may be assumed. Nothing else may import it.
package wasmbuild

// Kinds of exports.
const (
	Func   = 0
	Table  = 1
	Memory = 2
	Global = 3
)

// Module collects the sections of a module. Imports must be added before functions.
type Module struct {
	types, imports, funcs, tables, mems, globals, exports, elems, codes, datas [][]byte
	index                                                                      map[string]uint32 // signature to type
	imported                                                                   uint32
	start                                                                      []byte
	custom                                                                     [][]byte
}

// New returns an empty module.
func New() *Module { return &Module{index: make(map[string]uint32)} }

// Cat joins pieces of code.
func Cat(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// Op is raw code.
func Op(b ...byte) []byte { return b }

// U32 encodes an unsigned integer.
func U32(v uint32) []byte {
	var b []byte
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func s64(v int64) []byte {
	var b []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && c&0x40 == 0) || (v == -1 && c&0x40 != 0) {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// I32 and I64 push a constant; Get, Set and Tee are of locals; Call calls.
func I32(v int32) []byte   { return append([]byte{0x41}, s64(int64(v))...) }
func I64(v int64) []byte   { return append([]byte{0x42}, s64(v)...) }
func Get(l uint32) []byte  { return append([]byte{0x20}, U32(l)...) }
func Set(l uint32) []byte  { return append([]byte{0x21}, U32(l)...) }
func Tee(l uint32) []byte  { return append([]byte{0x22}, U32(l)...) }
func Call(f uint32) []byte { return append([]byte{0x10}, U32(f)...) }

// Loop repeats body for ever.
func Loop(body ...[]byte) []byte { return Cat(Op(0x03, 0x40), Cat(body...), Op(0x0c, 0x00, 0x0b)) }

func vec(items [][]byte) []byte { return Cat(U32(uint32(len(items))), Cat(items...)) }
func str(s string) []byte       { return append(U32(uint32(len(s))), s...) }

func valueType(letter rune) byte {
	return map[rune]byte{'i': 0x7f, 'I': 0x7e, 'f': 0x7d, 'F': 0x7c, 'v': 0x7b, 'r': 0x70, 'e': 0x6f}[letter]
}

func letters(s string) []byte {
	b := U32(uint32(len(s)))
	for _, l := range s {
		b = append(b, valueType(l))
	}
	return b
}

// Type returns the index of a signature, written with a letter per value: i I f F for numbers, v for a vector, r and e for references.
func (m *Module) Type(params, results string) uint32 {
	key := params + ">" + results
	if i, ok := m.index[key]; ok {
		return i
	}
	i := uint32(len(m.types))
	m.index[key] = i
	m.types = append(m.types, Cat(Op(0x60), letters(params), letters(results)))
	return i
}

// Import adds an imported function.
func (m *Module) Import(module, name, params, results string) uint32 {
	m.imports = append(m.imports, Cat(str(module), str(name), Op(Func), U32(m.Type(params, results))))
	m.imported++
	return m.imported - 1
}

// ImportRaw adds an import of any kind; desc is the kind and what follows it.
func (m *Module) ImportRaw(module, name string, desc ...byte) {
	m.imports = append(m.imports, Cat(str(module), str(name), desc))
}

// Func adds a function; locals is written like parameters. The end is added.
func (m *Module) Func(params, results, locals string, code ...[]byte) uint32 {
	m.funcs = append(m.funcs, U32(m.Type(params, results)))
	var ls [][]byte
	for _, l := range locals {
		ls = append(ls, Op(1, valueType(l)))
	}
	body := Cat(vec(ls), Cat(code...), Op(0x0b))
	m.codes = append(m.codes, Cat(U32(uint32(len(body))), body))
	return m.imported + uint32(len(m.funcs)) - 1
}

func limits(min, max int64) []byte {
	if max < 0 {
		return Cat(Op(0), U32(uint32(min)))
	}
	return Cat(Op(1), U32(uint32(min)), U32(uint32(max)))
}

// Memory adds a memory and exports it; max < 0 is none.
func (m *Module) Memory(min, max int64) {
	m.mems = append(m.mems, limits(min, max))
	m.Export("memory", Memory, 0)
}

// Table adds a table of functions; max < 0 is none.
func (m *Module) Table(min, max int64) { m.tables = append(m.tables, Cat(Op(0x70), limits(min, max))) }

// Global adds a global; init is a constant expression without its end.
func (m *Module) Global(typ byte, mutable bool, init ...byte) uint32 {
	mut := byte(0)
	if mutable {
		mut = 1
	}
	m.globals = append(m.globals, Cat(Op(valueType(rune(typ)), mut), init, Op(0x0b)))
	return uint32(len(m.globals)) - 1
}

// Export adds an export.
func (m *Module) Export(name string, kind byte, index uint32) {
	m.exports = append(m.exports, Cat(str(name), Op(kind), U32(index)))
}

// Elem puts functions into table 0.
func (m *Module) Elem(offset int32, funcs ...uint32) {
	var list [][]byte
	for _, f := range funcs {
		list = append(list, U32(f))
	}
	m.elems = append(m.elems, Cat(Op(0), I32(offset), Op(0x0b), vec(list)))
}

// Data puts bytes into the memory.
func (m *Module) Data(offset int32, b []byte) {
	m.datas = append(m.datas, Cat(Op(0), I32(offset), Op(0x0b), U32(uint32(len(b))), b))
}

// Start names the start function.
func (m *Module) Start(f uint32) { m.start = U32(f) }

// Custom adds a custom section at the end.
func (m *Module) Custom(name string, b []byte) { m.custom = append(m.custom, Cat(str(name), b)) }

// Bytes returns the module.
func (m *Module) Bytes() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, b []byte) { out = Cat(out, Op(id), U32(uint32(len(b))), b) }
	for _, s := range []struct {
		id    byte
		items [][]byte
	}{{1, m.types}, {2, m.imports}, {3, m.funcs}, {4, m.tables}, {5, m.mems}, {6, m.globals}, {7, m.exports}, {8, nil}, {9, m.elems}, {10, m.codes}, {11, m.datas}} {
		if s.id == 8 && m.start != nil {
			section(8, m.start)
		}
		if s.id == 10 && len(m.datas) > 0 {
			section(12, U32(uint32(len(m.datas))))
		}
		if len(s.items) > 0 {
			section(s.id, vec(s.items))
		}
	}
	for _, c := range m.custom {
		section(0, c)
	}
	return out
}
