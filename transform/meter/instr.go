package meter

// Opcodes that the rewriting has to tell apart.
const (
	opUnreachable  = 0x00
	opNop          = 0x01
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opDrop         = 0x1a
	opSelect       = 0x1b
	opSelectT      = 0x1c
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableGet     = 0x25
	opTableSet     = 0x26
	opLoad         = 0x28 // the first memory instruction
	opStoreLast    = 0x3e
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opNumeric      = 0x45 // the first instruction without an immediate
	opNumericLast  = 0xc4
	opI64LtS       = 0x53
	opI64Sub       = 0x7d
	opI64ShrU      = 0x88
	opExtendI32U   = 0xad
	opRefNull      = 0xd0
	opRefIsNull    = 0xd1
	opRefFunc      = 0xd2
	opMisc         = 0xfc
	opVector       = 0xfd
	opAtomic       = 0xfe

	blockVoid = 0x40
	vecConst  = 0x0c
)

// Of opMisc.
const (
	miscMemoryInit = 8 + iota
	miscDataDrop
	miscMemoryCopy
	miscMemoryFill
	miscTableInit
	miscElemDrop
	miscTableCopy
	miscTableGrow
	miscTableSize
	miscTableFill
)

// immediate skips what follows an opcode that the rewriting leaves alone.
func (f *function) immediate(r *reader, op byte) {
	switch {
	case op >= opNumeric && op <= opNumericLast, op == opUnreachable, op == opNop, op == opReturn, op == opDrop, op == opSelect, op == opRefIsNull:
	case op >= opLoad && op <= opStoreLast:
		r.u32()
		r.u32()
	case op == opLocalGet || op == opLocalSet || op == opLocalTee:
		if l := r.u32(); uint64(l) >= uint64(f.locals) {
			r.fail(ErrInvalid, "local %d of %d", l, f.locals)
		}
	case op == opGlobalGet || op == opGlobalSet:
		if g := r.u32(); int(g) >= len(f.m.globals) {
			r.fail(ErrInvalid, "global %d of %d", g, len(f.m.globals))
		}
	case op == opBr || op == opBrIf || op == opTableGet:
		r.u32()
	case op == opTableSet:
		r.u32()
		f.tables = true
	case op == opBrTable:
		n := r.count()
		if f.targets += uint64(n); f.targets > maxTargets {
			r.fail(ErrUnsupported, "a function whose br_tables have more than %d entries", maxTargets)
		}
		for ; n > 0 && r.err == nil; n-- {
			r.u32()
		}
		r.u32()
	case op == opSelectT:
		for n := r.count(); n > 0 && r.err == nil; n-- {
			r.valueType()
		}
	case op == opI32Const:
		r.signed(5)
	case op == opI64Const:
		r.signed(10)
	case op == opF32Const:
		r.bytes(4)
	case op == opF64Const:
		r.bytes(8)
	case op == opRefNull:
		r.heapType()
	case op == opVector:
		vectorImmediate(r)
	default:
		refuse(r, op)
	}
}

// vectorImmediate reads the sub-opcode as one byte, as the engine does: of the two-byte ones the second is then a nop.
func vectorImmediate(r *reader) {
	switch sub := r.u8(); {
	case sub <= 11, sub == 92, sub == 93:
		r.u32()
		r.u32()
	case sub == vecConst, sub == 13:
		r.bytes(16)
	case sub >= 21 && sub <= 34:
		r.u8()
	case sub >= 84 && sub <= 91:
		r.u32()
		r.u32()
		r.u8()
	}
}

func refuse(r *reader, op byte) {
	switch op {
	case 0x06, 0x07, 0x08, 0x09, 0x0a, 0x18, 0x19, 0x1f:
		r.fail(ErrUnsupported, "exception handling is not supported (instruction 0x%x)", op)
	case 0x12, 0x13:
		r.fail(ErrUnsupported, "tail calls are not supported (instruction 0x%x)", op)
	case 0x14, 0x15, 0xd3, 0xd4, 0xd5, 0xd6:
		r.fail(ErrUnsupported, "typed references are not supported (instruction 0x%x)", op)
	case 0xfb:
		r.fail(ErrUnsupported, "garbage-collected types are not supported (instruction 0x%x)", op)
	case opAtomic:
		r.fail(ErrUnsupported, "threads are not supported (instruction 0x%x)", op)
	default:
		r.fail(ErrInvalid, "instruction 0x%x", op)
	}
}
