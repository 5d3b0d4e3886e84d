package meter

import (
	"fmt"
	"strings"
)

// order is the rank of every section: the data count stands between the elements and the code.
var order = [numSections]int{secType: 1, secImport: 2, secFunc: 3, secTable: 4, secMemory: 5, secGlobal: 6, secExport: 7, secStart: 8,
	secElem: 9, secDataCount: 10, secCode: 11, secData: 12}

// Decode reads a module's sections and checks what Rewrite relies on. The code is looked at by Rewrite only.
func Decode(wasm []byte) (*Module, error) {
	if len(wasm) < 8 || string(wasm[:4]) != "\x00asm" {
		return nil, fmt.Errorf("%w: it does not begin with \\0asm", ErrInvalid)
	}
	if string(wasm[4:8]) == "\x0d\x00\x01\x00" {
		return nil, fmt.Errorf("%w: a WebAssembly component, not a core module", ErrUnsupported)
	}
	if string(wasm[4:8]) != "\x01\x00\x00\x00" {
		return nil, fmt.Errorf("%w: version % x", ErrInvalid, wasm[4:8])
	}
	m := &Module{size: len(wasm), start: -1}
	if err := m.split(&reader{b: wasm, i: 8}); err != nil {
		return nil, err
	}
	for _, s := range []struct {
		id     int
		decode func(*reader)
	}{
		{secType, m.decodeTypes}, {secImport, m.decodeImports}, {secFunc, m.decodeFuncs}, {secTable, m.decodeTables},
		{secMemory, m.decodeMemory}, {secGlobal, func(r *reader) { m.copyGlobals(r, nil) }}, {secExport, m.decodeExports},
		{secStart, m.decodeStart}, {secElem, func(r *reader) { m.copyElems(r, nil) }}, {secData, m.decodeData},
	} {
		if !m.sections[s.id].ok {
			continue
		}
		r := &reader{b: m.sections[s.id].body, base: m.sections[s.id].base}
		s.decode(r)
		if r.err == nil && r.left() > 0 {
			r.fail(ErrInvalid, "section %d: %d bytes too many", s.id, r.left())
		}
		if r.err != nil {
			return nil, r.err
		}
	}
	return m, nil
}

func (m *Module) split(r *reader) error {
	last, named := 0, false
	for r.left() > 0 && r.err == nil {
		id := r.u8()
		size := r.u32()
		base := r.base + r.i
		body := r.bytes(size)
		switch {
		case r.err != nil:
		case id == secCustom:
			c := &reader{b: body, base: base}
			if name := c.name(); c.err == nil && name == "name" {
				if named {
					c.fail(ErrInvalid, "two name sections")
				}
				named, m.names = true, body[min(c.i, len(body)):]
			}
			r.err = c.err
		case id == 13:
			r.fail(ErrUnsupported, "exception handling is not supported (tag section)")
		case id >= numSections:
			r.fail(ErrInvalid, "section %d", id)
		case order[id] <= last:
			r.fail(ErrInvalid, "section %d is out of order", id)
		default:
			last = order[id]
			m.sections[id] = section{body: body, base: base, ok: true}
		}
	}
	return r.err
}

func (m *Module) decodeTypes(r *reader) {
	for n := r.count(); n > 0 && r.err == nil; n-- {
		if form := r.u8(); form != 0x60 {
			if form == 0x4e || form == 0x50 || form == 0x5e || form == 0x5f {
				r.fail(ErrUnsupported, "garbage-collected types are not supported")
			}
			r.fail(ErrInvalid, "type form 0x%x", form)
		}
		m.types = append(m.types, FuncType{Params: r.signature(), Results: r.signature()})
	}
}

func (r *reader) signature() []byte {
	n := r.count()
	if n > maxSignature {
		r.fail(ErrUnsupported, "a function with %d parameters or results (at most %d)", n, maxSignature)
	}
	at := r.i
	for ; n > 0 && r.err == nil; n-- {
		r.valueType()
	}
	if r.err != nil {
		return nil
	}
	return r.b[at:r.i:r.i]
}

func (m *Module) decodeImports(r *reader) {
	for n := r.count(); n > 0 && r.err == nil; n-- {
		imp := Import{Module: r.name(), Name: r.name(), Kind: r.u8()}
		if imp.Module == ImportModule {
			r.fail(ErrUnsupported, "imports from %q are reserved", ImportModule)
		}
		switch imp.Kind {
		case KindFunc:
			if t := m.typeIndex(r); r.err == nil {
				imp.Type = m.types[t]
				m.funcs = append(m.funcs, t)
			}
			m.importedFuncs++
		case KindTable:
			m.table(r)
			m.importedTables++
		case KindMemory:
			r.limits()
			m.importedMemories++
		case KindGlobal:
			m.globals = append(m.globals, m.globalType(r))
			m.importedGlobals++
		case 4:
			r.fail(ErrUnsupported, "exception handling is not supported (tag import)")
		default:
			r.fail(ErrInvalid, "import kind 0x%x", imp.Kind)
		}
		m.Imports = append(m.Imports, imp)
	}
}

func (m *Module) typeIndex(r *reader) uint32 {
	t := r.u32()
	if int(t) >= len(m.types) {
		r.fail(ErrInvalid, "type %d of %d", t, len(m.types))
		return 0
	}
	return t
}

func (m *Module) globalType(r *reader) global {
	g := global{typ: r.valueType()}
	switch f := r.u8(); f {
	case 0, 1:
		g.mutable = f == 1
	default:
		r.fail(ErrInvalid, "mutability 0x%x", f)
	}
	return g
}

func (m *Module) decodeFuncs(r *reader) {
	for n := r.count(); n > 0 && r.err == nil; n-- {
		m.funcs = append(m.funcs, m.typeIndex(r))
	}
}

func (m *Module) table(r *reader) Limits {
	switch t := r.u8(); t {
	case funcref, externref:
	case 0x40, 0x63, 0x64, 0x69:
		r.fail(ErrUnsupported, "typed tables are not supported (0x%x)", t)
	default:
		r.fail(ErrInvalid, "table of type 0x%x", t)
	}
	return r.limits()
}

func (m *Module) decodeTables(r *reader) {
	n := r.count()
	if n > maxTables {
		r.fail(ErrUnsupported, "%d tables (at most %d)", n, maxTables)
	}
	for ; n > 0 && r.err == nil; n-- {
		m.Tables = append(m.Tables, m.table(r))
	}
}

func (m *Module) decodeMemory(r *reader) {
	switch n := r.u32(); n {
	case 0:
	case 1:
		l := r.limits()
		m.Memory = &l
	default:
		r.fail(ErrUnsupported, "%d memories", n)
	}
	if m.Memory != nil && m.importedMemories > 0 {
		r.fail(ErrUnsupported, "two memories")
	}
}

func (m *Module) decodeExports(r *reader) {
	for n := r.count(); n > 0 && r.err == nil; n-- {
		e := Export{Name: r.name(), Kind: r.u8(), Index: r.u32()}
		switch {
		case r.err != nil:
		case strings.HasPrefix(e.Name, prefix):
			r.fail(ErrUnsupported, "export %q: names with %s are reserved", e.Name, prefix)
		case e.Kind == KindFunc && int(e.Index) >= len(m.funcs), e.Kind == KindGlobal && int(e.Index) >= len(m.globals):
			r.fail(ErrInvalid, "export %q: index %d is out of range", e.Name, e.Index)
		case e.Kind > 4:
			r.fail(ErrInvalid, "export kind 0x%x", e.Kind)
		case e.Kind == KindFunc:
			m.declare(e.Index)
		}
		m.Exports = append(m.Exports, e)
	}
}

func (m *Module) decodeStart(r *reader) {
	f := r.u32()
	if r.err != nil {
		return
	}
	if int(f) >= len(m.funcs) {
		r.fail(ErrInvalid, "start function %d of %d", f, len(m.funcs))
		return
	}
	if t := m.FuncType(f); len(t.Params)+len(t.Results) > 0 {
		r.fail(ErrInvalid, "start function has the signature %s", t)
	}
	m.start = int64(f)
}

func (m *Module) decodeData(r *reader) {
	for n := r.count(); n > 0 && r.err == nil; n-- {
		switch mode := r.u32(); mode {
		case 1:
		case 2:
			r.u32()
			m.constExpr(r, nil)
		case 0:
			m.constExpr(r, nil)
		default:
			r.fail(ErrInvalid, "data segment mode %d", mode)
		}
		r.bytes(r.u32())
	}
}
