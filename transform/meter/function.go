package meter

import "slices"

// Prices. One unit is about one instruction; what generates no code is free, what hides work costs more.
const (
	costCall     = 14
	costIndirect = 16
	costLoop     = 6 // every time round, for the accounting itself
	costGrow     = 64
	// A loop or function body of up to wholeBody units is charged at its head, whatever way runs through it. Bigger ones (interpreter
	// loops) pay for every straight piece of code where it begins.
	wholeBody = 160
	// A function that calls nothing and costs at most this is free: its call is charged where it is called.
	freeLeaf = 16
	// Straight code that is longer than this does not stay in the processor's caches: what lies behind pays coldCode times as much. What
	// compilers make stays below, apart from unrolled arithmetic.
	longStraight = 4_000
	coldCode     = 12
)

type editKind byte

const (
	editCharge editKind = iota // insert: pay, ask for more when that goes below zero
	editDeduct                 // insert: pay only
	editCall                   // replace: an index of a function that moved
	editSize                   // replace: memory.size
	editGrow                   // replace: memory.grow
	editBulk                   // insert: pay by the length on the stack
	editLoad                   // insert, before a loop: take the fuel into a local
)

// edit is one change to a body, in order of position: bytes from..to are replaced.
type edit struct {
	kind     editKind
	from, to int
	region   int    // of editCharge, editDeduct and editLoad
	cost     int64  // of editCharge and editDeduct
	arg      uint32 // the function of editCall; of editBulk: how far the length is shifted right
}

// region is the body of a function or of a loop, without the loops in it.
type region struct {
	total   int64
	head    int // its first edit
	segment int // the edit that the current straight piece of code pays through
	loop    bool
	busy    bool // something in it pays by itself: a call, a bulk instruction, a loop
}

// tight reports whether the region is a loop that is charged as a whole and does nothing that changes the fuel. The engine keeps a local in
// a register; with the global every round would wait for what the one before has stored.
func (g *region) tight() bool { return g.loop && !g.busy && g.total <= wholeBody }

// frame is a block that is open.
type frame struct {
	op     byte
	region int
}

// function rewrites one body after the other; its buffers are reused.
type function struct {
	m        *Module
	slots    slots
	locals   uint32 // parameters included
	declared uint32 // locals that the body declares
	blocks   uint64
	loops    uint64
	targets  uint64
	groups   uint32
	groupsAt int
	bodyAt   int
	calls    bool
	bulk     bool
	tight    bool // some loop is
	free     bool // nothing is charged
	tables   bool // sticky over all functions: a table or a segment may change at run time

	edits   []edit
	regions []region
	frames  []frame
}

// slots are the indices of what we added.
type slots struct {
	fuel, pages  uint32 // globals
	refill, grow uint32 // functions
	virtual      bool   // memory is the module's own: its size is virtual
}

func (f *function) rewrite(dst []byte, r *reader, params int) []byte {
	f.edits, f.regions, f.frames = f.edits[:0], f.regions[:0], f.frames[:0]
	f.calls, f.bulk = false, false
	f.blocks, f.loops, f.targets = 0, 0, 0
	f.readLocals(r, params)
	f.openRegion(r)
	f.frames = append(f.frames, frame{op: opBlock})
	for len(f.frames) > 0 && r.err == nil {
		f.instruction(r)
	}
	if r.err == nil && r.left() > 0 {
		r.fail(ErrInvalid, "code after the end of a function")
	}
	if r.err != nil {
		return dst
	}
	if f.free {
		f.edits = slices.DeleteFunc(f.edits, func(e edit) bool { return e.kind <= editDeduct || e.kind >= editBulk })
		f.bulk = false
	} else {
		f.settle()
	}
	return f.emit(dst, r.b)
}

func (f *function) readLocals(r *reader, params int) {
	f.groups = r.count()
	f.groupsAt = r.i
	total := uint64(0)
	for n := f.groups; n > 0 && r.err == nil; n-- {
		total += uint64(r.u32())
		r.valueType()
		if total > maxLocals {
			r.fail(ErrUnsupported, "more than %d local variables", maxLocals)
		}
	}
	f.declared = uint32(total)
	f.locals = uint32(params) + f.declared
	f.bodyAt = r.i
}

func (f *function) openRegion(r *reader) {
	e := len(f.edits)
	f.edits = append(f.edits, edit{kind: editCharge, from: r.i, to: r.i, region: len(f.regions)})
	f.regions = append(f.regions, region{head: e, segment: e, loop: len(f.regions) > 0})
}

// busy marks the loop that is open: it is not tight.
func (f *function) busy() { f.regions[f.frames[len(f.frames)-1].region].busy = true }

// newSegment begins a straight piece of code: something else than the instruction before may lead here.
func (f *function) newSegment(r *reader) {
	id := f.frames[len(f.frames)-1].region
	g := &f.regions[id]
	if s := &f.edits[g.segment]; s.cost == 0 && g.segment != g.head && g.segment == len(f.edits)-1 {
		s.from, s.to = r.i, r.i
		return
	}
	g.segment = len(f.edits)
	f.edits = append(f.edits, edit{kind: editDeduct, from: r.i, to: r.i, region: id})
}

func (f *function) pay(cost int64) {
	g := &f.regions[f.frames[len(f.frames)-1].region]
	g.total += cost
	f.edits[g.segment].cost += cost
}

func (f *function) instruction(r *reader) {
	at := r.i
	op := r.u8()
	switch op {
	case opUnreachable, opNop, opReturn, opDrop:
	case opBlock, opLoop, opIf:
		f.openBlock(r, at, op)
		return
	case opElse:
		if f.frames[len(f.frames)-1].op != opIf {
			r.fail(ErrInvalid, "else without if")
			return
		}
		f.frames[len(f.frames)-1].op = opElse
		f.newSegment(r)
	case opEnd:
		f.frames = f.frames[:len(f.frames)-1]
		if len(f.frames) > 0 {
			f.newSegment(r)
		}
		return
	case opCall, opCallIndirect, opRefFunc:
		f.call(r, op)
		return
	case opMemorySize, opMemoryGrow:
		f.memory(r, at, op)
		return
	case opMisc:
		f.misc(r, at)
		return
	default:
		f.pay(1)
	}
	if op != opElse {
		f.immediate(r, op)
	}
}

func (f *function) openBlock(r *reader, at int, op byte) {
	if t := r.s33(); t >= int64(len(f.m.types)) {
		r.fail(ErrInvalid, "block type %d of %d", t, len(f.m.types))
	} else if t == -0x1c || t == -0x1d || t == -0x17 {
		r.fail(ErrUnsupported, "typed references and exceptions are not supported (block type)")
	}
	f.blocks++
	if op == opLoop {
		f.loops++
	}
	locals := uint64(f.locals) + 2 // ours
	if f.blocks > maxBlocks || f.blocks*locals > maxBlockLocals || f.loops*locals > maxLoopLocals {
		r.fail(ErrUnsupported, "a function with %d blocks, %d of them loops, and %d locals is too large to compile", f.blocks, f.loops, f.locals)
	}
	id := f.frames[len(f.frames)-1].region
	switch op {
	case opLoop:
		f.busy()
		id = len(f.regions)
		f.edits = append(f.edits, edit{kind: editLoad, from: at, to: at, region: id})
		f.openRegion(r)
		f.frames = append(f.frames, frame{op: op, region: id})
		f.pay(costLoop)
	case opIf:
		f.pay(1)
		f.frames = append(f.frames, frame{op: op, region: id})
		f.newSegment(r)
	default:
		f.frames = append(f.frames, frame{op: op, region: id})
	}
}

func (f *function) call(r *reader, op byte) {
	if op == opCallIndirect {
		f.pay(costIndirect)
		f.calls = true
		f.busy()
		f.m.typeIndex(r)
		r.u32()
		return
	}
	at := r.i
	idx := r.u32()
	if int(idx) >= len(f.m.funcs) {
		r.fail(ErrInvalid, "function %d of %d", idx, len(f.m.funcs))
		return
	}
	if op == opRefFunc {
		f.pay(1)
		if !f.m.isDeclared(idx) {
			r.fail(ErrInvalid, "ref.func %d: the function is not declared", idx)
		}
	} else {
		f.pay(costCall)
		f.calls = true
		f.busy()
	}
	f.edits = append(f.edits, edit{kind: editCall, from: at, to: r.i, arg: f.m.moved(idx)})
}

func (f *function) memory(r *reader, at int, op byte) {
	r.zero()
	if f.m.Memory == nil && f.m.importedMemories == 0 {
		r.fail(ErrInvalid, "no memory")
	}
	kind := editSize
	if op == opMemoryGrow {
		kind = editGrow
		f.pay(costGrow)
		f.busy()
	} else {
		f.pay(1)
	}
	if f.slots.virtual {
		f.edits = append(f.edits, edit{kind: kind, from: at, to: r.i})
	}
}

func (f *function) misc(r *reader, at int) {
	f.pay(1)
	sub := r.u32()
	perUnit := -1 // bulk instructions: one unit of fuel for 1<<perUnit bytes or entries
	switch sub {
	case 0, 1, 2, 3, 4, 5, 6, 7:
	case miscMemoryInit:
		perUnit = 3
		r.u32()
		r.zero()
	case miscMemoryCopy:
		perUnit = 2
		r.zero()
		r.zero()
	case miscMemoryFill:
		perUnit = 3
		r.zero()
	case miscTableInit, miscTableCopy:
		perUnit, f.tables = 0, true
		r.u32()
		r.u32()
	case miscTableGrow, miscTableFill:
		perUnit, f.tables = 0, true
		r.u32()
	case miscDataDrop, miscElemDrop:
		f.tables = true
		r.u32()
	case miscTableSize:
		r.u32()
	default:
		r.fail(ErrInvalid, "instruction 0xfc 0x%x", sub)
	}
	if perUnit >= 0 {
		f.bulk = true
		f.busy()
		f.edits = append(f.edits, edit{kind: editBulk, from: at, to: at, arg: uint32(perUnit)})
	}
}
