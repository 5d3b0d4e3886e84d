package meter

// copier copies a section while its function indices move: two imports of ours stand before the module's own functions.
// A nil copier only reads; that is how Decode checks a section.
type copier struct {
	out  []byte
	last int // what lies before it in the reader is copied
}

func (c *copier) replace(r *reader, from int, v uint32) {
	if c == nil || r.err != nil {
		return
	}
	c.out = append(c.out, r.b[c.last:from]...)
	c.out = appendU32(c.out, v)
	c.last = r.i
}

func (c *copier) finish(r *reader) []byte { return append(c.out, r.b[c.last:]...) }

// added is how many functions we import.
const added = 2

func (m *Module) moved(f uint32) uint32 {
	if int(f) >= m.importedFuncs {
		return f + added
	}
	return f
}

// funcIndex reads a function index from a place that also declares the function for ref.func.
func (m *Module) funcIndex(r *reader, c *copier) {
	at := r.i
	f := r.u32()
	if r.err != nil {
		return
	}
	if int(f) >= len(m.funcs) {
		r.fail(ErrInvalid, "function %d of %d", f, len(m.funcs))
		return
	}
	m.declare(f)
	c.replace(r, at, m.moved(f))
}

// constExpr reads a constant expression up to and including its end.
func (m *Module) constExpr(r *reader, c *copier) {
	for r.err == nil {
		switch op := r.u8(); op {
		case opEnd:
			return
		case opI32Const:
			r.signed(5)
		case opI64Const:
			r.signed(10)
		case opF32Const:
			r.bytes(4)
		case opF64Const:
			r.bytes(8)
		case opGlobalGet:
			if g := r.u32(); int(g) >= len(m.globals) {
				r.fail(ErrInvalid, "global %d of %d", g, len(m.globals))
			}
		case opRefNull:
			r.heapType()
		case opRefFunc:
			m.funcIndex(r, c)
		case opVector:
			if sub := r.u8(); sub != vecConst {
				r.fail(ErrInvalid, "vector instruction 0x%x in a constant", sub)
			}
			r.bytes(16)
		default:
			r.fail(ErrInvalid, "instruction 0x%x in a constant", op)
		}
	}
}

func (r *reader) heapType() {
	if t := r.u8(); t != funcref && t != externref {
		r.fail(ErrUnsupported, "typed references are not supported (0x%x)", t)
	}
}

func (m *Module) copyGlobals(r *reader, c *copier) {
	for n := r.count(); n > 0 && r.err == nil; n-- {
		g := m.globalType(r)
		if c == nil {
			m.globals = append(m.globals, g)
		}
		m.constExpr(r, c)
	}
}

func (m *Module) copyElems(r *reader, c *copier) {
	for n := r.count(); n > 0 && r.err == nil; n-- {
		mode := r.u32()
		if mode > 7 {
			r.fail(ErrInvalid, "element segment mode %d", mode)
		}
		passive, explicit, exprs := mode&1 != 0, mode&2 != 0, mode&4 != 0
		if !passive {
			if explicit {
				r.u32() // table
			}
			m.constExpr(r, c)
		}
		if passive || explicit {
			if !exprs {
				r.zero() // element kind: functions
			} else if t := r.valueType(); t != funcref && t != externref {
				r.fail(ErrInvalid, "element type 0x%x", t)
			}
		}
		for k := r.count(); k > 0 && r.err == nil; k-- {
			if exprs {
				m.constExpr(r, c)
			} else {
				m.funcIndex(r, c)
			}
		}
	}
}

func (m *Module) copyExports(r *reader, c *copier) {
	for n := r.count(); n > 0 && r.err == nil; n-- {
		r.name()
		kind, at := r.u8(), r.i
		if f := r.u32(); kind == KindFunc {
			c.replace(r, at, m.moved(f))
		}
	}
}

// copyNames returns a name section with the module's name and its functions' names, for traces of traps. Names of locals would not
// fit any more. A section that is broken is left out, as the specification allows.
func (m *Module) copyNames() []byte {
	r := &reader{b: m.names}
	out := appendName(nil, "name")
	for r.left() > 0 && r.err == nil {
		id := r.u8()
		sub := &reader{b: r.bytes(r.u32())}
		body := sub.b
		switch {
		case id == 0:
			sub.name()
		case id == 1:
			c := new(copier)
			for n := sub.count(); n > 0 && sub.err == nil; n-- {
				at := sub.i
				f := sub.u32()
				c.replace(sub, at, m.moved(f))
				sub.name()
			}
			body = c.finish(sub)
		default:
			continue
		}
		if sub.err != nil || sub.left() > 0 {
			return nil
		}
		out = append(appendU32(append(out, id), uint32(len(body))), body...)
	}
	if r.err != nil {
		return nil
	}
	return out
}
