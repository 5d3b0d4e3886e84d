package meter

import (
	"strconv"
)

// Version changes when the same module would be rewritten differently; compiled code that is kept must not outlive it.
const Version = 3

// Options of Rewrite.
type Options struct {
	// MaxTable clamps the maximum of every table; a table that begins larger is refused. 0: tables stay as they are.
	MaxTable uint32
	// Free leaves the accounting out, and with it every limit on what a run may do: for measuring what the accounting costs.
	Free bool
}

// Info is what the host needs to know about a rewritten module.
type Info struct {
	Globals []string // the names under which mutable globals are exported
	// Resettable: memory and Globals are all that a run can change. Otherwise tables, segments, vectors or references change too, or the
	// module shares state with others, and only a new instance is a clean one.
	Resettable bool
	HasStart   bool // StartExport must be called once, before anything else
	HasMemory  bool // the module has a memory of its own, and PagesExport and the grow import rule its size
	MaxPages   uint32
	Functions  int
}

// Rewrite returns the metered module. Calls are not made at instantiation: call StartExport when Info says so.
func (m *Module) Rewrite(o Options) ([]byte, Info, error) {
	info := m.info()
	out := make([]byte, 0, m.size+m.size/3+512)
	out = append(out, "\x00asm\x01\x00\x00\x00"...)
	for _, id := range []int{secType, secImport, secFunc, secTable, secMemory, secGlobal, secExport, secElem, secDataCount, secCode, secData} {
		var body []byte
		var err error
		s := &m.sections[id]
		switch id {
		case secType:
			body = m.extended(s, 2, []byte{0x60, 0, 0, 0x60, 1, i32, 1, i32})
		case secImport:
			body = m.extended(s, added, m.ourImports())
		case secTable:
			body, err = m.clampedTables(o.MaxTable)
		case secGlobal:
			body, err = m.rewriteGlobals()
		case secExport:
			body, err = m.rewriteExports(&info)
		case secElem:
			body, err = m.rewriteElems()
		case secCode:
			body, err = m.rewriteCode(&info, o.Free)
		default:
			body = s.body
		}
		if err != nil {
			return nil, Info{}, err
		}
		if s.ok || len(body) > 0 {
			out = append(appendU32(append(out, byte(id)), uint32(len(body))), body...)
		}
	}
	if len(m.names) > 0 {
		if names := m.copyNames(); names != nil {
			out = append(appendU32(append(out, secCustom), uint32(len(names))), names...)
		}
	}
	return out, info, nil
}

func (m *Module) info() Info {
	info := Info{HasStart: m.start >= 0, HasMemory: m.Memory != nil, Functions: len(m.funcs) - m.importedFuncs,
		Resettable: m.importedGlobals+m.importedTables+m.importedMemories == 0}
	if m.Memory != nil {
		info.MaxPages = 65536
		if m.Memory.HasMax {
			info.MaxPages = min(info.MaxPages, m.Memory.Max)
		}
	}
	for i, g := range m.globals {
		if !g.mutable || i < m.importedGlobals {
			continue
		}
		if g.typ == v128 || g.typ == funcref || g.typ == externref {
			info.Resettable = false // the engine's interface does not carry these whole
			continue
		}
		info.Globals = append(info.Globals, prefix+"g"+strconv.Itoa(i))
	}
	return info
}

// extended returns a section's vector with n items more, encoded in items.
func (m *Module) extended(s *section, n uint32, items []byte) []byte {
	r := &reader{b: s.body}
	if s.ok {
		n += r.u32()
	}
	return append(append(appendU32(nil, n), s.body[r.i:]...), items...)
}

func (m *Module) ourImports() []byte {
	t := uint32(len(m.types))
	b := append(appendName(appendName(nil, ImportModule), RefillImport), KindFunc)
	b = appendU32(b, t)
	b = append(appendName(appendName(b, ImportModule), GrowImport), KindFunc)
	return appendU32(b, t+1)
}

func (m *Module) clampedTables(limit uint32) ([]byte, error) {
	s := &m.sections[secTable]
	if limit == 0 || !s.ok {
		return s.body, nil
	}
	r := &reader{b: s.body, base: s.base}
	n := r.count()
	out := appendU32(nil, n)
	for ; n > 0; n-- {
		typ := r.u8()
		l := r.limits()
		if l.Min > limit {
			r.fail(ErrUnsupported, "a table of %d entries (at most %d)", l.Min, limit)
			return nil, r.err
		}
		if l.HasMax && l.Max < l.Min {
			r.fail(ErrInvalid, "a table whose maximum is below its minimum")
			return nil, r.err
		}
		if !l.HasMax || l.Max > limit {
			l.Max = limit
		}
		out = appendU32(appendU32(append(out, typ, 1), l.Min), l.Max)
	}
	return out, r.err
}

func (m *Module) rewriteGlobals() ([]byte, error) {
	items := append([]byte{i64, 1, opI64Const}, 0, opEnd)
	items = appendS64(append(items, i32, 1, opI32Const), int64(m.startPages()))
	items = append(items, opEnd)
	s := m.sections[secGlobal]
	if s.ok {
		r, c := &reader{b: s.body, base: s.base}, new(copier)
		m.copyGlobals(r, c)
		if r.err != nil {
			return nil, r.err
		}
		s.body = c.finish(r)
	}
	return m.extended(&s, 2, items), nil
}

func (m *Module) startPages() uint32 {
	if m.Memory == nil {
		return 0
	}
	return m.Memory.Min & 0x1ffff // the engine refuses what is larger
}

func (m *Module) rewriteExports(info *Info) ([]byte, error) {
	var items []byte
	n := uint32(0)
	export := func(name string, kind byte, idx uint32) {
		items = appendU32(append(appendName(items, name), kind), idx)
		n++
	}
	export(FuelExport, KindGlobal, uint32(len(m.globals)))
	export(PagesExport, KindGlobal, uint32(len(m.globals))+1)
	if m.start >= 0 {
		export(StartExport, KindFunc, m.moved(uint32(m.start)))
	}
	for _, name := range info.Globals {
		idx, _ := strconv.Atoi(name[len(prefix)+1:])
		export(name, KindGlobal, uint32(idx))
	}
	s := m.sections[secExport]
	if s.ok {
		r, c := &reader{b: s.body, base: s.base}, new(copier)
		m.copyExports(r, c)
		if r.err != nil {
			return nil, r.err
		}
		s.body = c.finish(r)
	}
	return m.extended(&s, n, items), nil
}

func (m *Module) rewriteElems() ([]byte, error) {
	s := &m.sections[secElem]
	if !s.ok {
		return nil, nil
	}
	r, c := &reader{b: s.body, base: s.base}, new(copier)
	m.copyElems(r, c)
	return c.finish(r), r.err
}

func (m *Module) rewriteCode(info *Info, free bool) ([]byte, error) {
	s := &m.sections[secCode]
	if !s.ok {
		return nil, nil
	}
	g := uint32(len(m.globals))
	f := &function{m: m, slots: slots{fuel: g, pages: g + 1, refill: uint32(m.importedFuncs), grow: uint32(m.importedFuncs) + 1,
		virtual: m.Memory != nil}, free: free}
	r := &reader{b: s.body, base: s.base}
	n := r.count()
	if int(n) != info.Functions {
		r.fail(ErrInvalid, "%d function bodies for %d functions", n, info.Functions)
		return nil, r.err
	}
	out := appendU32(make([]byte, 0, len(s.body)+len(s.body)/3), n)
	for i := uint32(0); i < n && r.err == nil; i++ {
		size := r.u32()
		if size > maxFunctionBody {
			r.fail(ErrUnsupported, "a function of %d bytes (at most %d)", size, maxFunctionBody)
			break
		}
		body := &reader{base: r.base + r.i, b: r.bytes(size)}
		if r.err != nil {
			break
		}
		params := len(m.types[m.funcs[m.importedFuncs+int(i)]].Params)
		out = f.rewrite(out, body, params)
		r.err = body.err
	}
	if r.err == nil && r.left() > 0 {
		r.fail(ErrInvalid, "%d bytes after the last function", r.left())
	}
	info.Resettable = info.Resettable && !f.tables
	return out, r.err
}
