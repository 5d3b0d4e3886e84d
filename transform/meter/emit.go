package meter

// settle decides what every piece of code pays and where.
func (f *function) settle() {
	for i := range f.edits {
		if e := &f.edits[i]; e.kind <= editDeduct && e.cost > longStraight {
			more := (e.cost - longStraight) * (coldCode - 1)
			e.cost += more
			f.regions[e.region].total += more
		}
	}
	entry := &f.regions[0]
	switch {
	case !f.calls && entry.total <= freeLeaf && f.declared <= freeLeaf:
		entry.total = 0
		for i := range f.edits {
			if f.edits[i].region == 0 {
				f.edits[i].cost = 0
			}
		}
	default: // room for locals is made at every call
		f.edits[entry.head].cost += 1 + int64(f.declared)>>2
		entry.total += 1 + int64(f.declared)>>2
	}
	f.tight = false
	for i := range f.edits {
		e := &f.edits[i]
		if e.kind == editLoad {
			f.tight = f.tight || f.regions[e.region].tight()
		}
		if e.kind > editDeduct {
			continue
		}
		if g := &f.regions[e.region]; g.total <= wholeBody {
			e.cost = 0
			if i == g.head {
				e.cost = g.total
			}
		} else if i == g.head {
			e.cost = max(e.cost, 1) // the check at the head must be there, even when the first piece of code is free
		}
	}
}

// emit appends the size of the new body and the new body.
func (f *function) emit(dst, body []byte) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0) // the size, padded to five bytes
	dst = f.emitLocals(dst, body)
	last := f.bodyAt
	for i := range f.edits {
		e := &f.edits[i]
		if e.kind <= editDeduct && e.cost == 0 || e.kind == editLoad && !f.regions[e.region].tight() {
			continue
		}
		dst = append(dst, body[last:e.from]...)
		dst = f.emitEdit(dst, e)
		last = e.to
	}
	dst = append(dst, body[last:]...)
	n := uint32(len(dst) - at - 5)
	for i := range 5 {
		dst[at+i] = byte(n>>(7*i))&0x7f | 0x80
	}
	dst[at+4] &= 0x7f
	return dst
}

// emitLocals appends the declarations of the locals: those that there were, and ours behind them.
func (f *function) emitLocals(dst, body []byte) []byte {
	groups := f.groups
	if f.bulk {
		groups++
	}
	if f.tight {
		groups++
	}
	dst = appendU32(dst, groups)
	dst = append(dst, body[f.groupsAt:f.bodyAt]...)
	if f.bulk { // the length of a bulk instruction: local number f.locals
		dst = append(dst, 1, i32)
	}
	if f.tight {
		dst = append(dst, 1, i64)
	}
	return dst
}

// left is the local that holds the fuel in tight loops.
func (f *function) left() uint32 {
	if f.bulk {
		return f.locals + 1
	}
	return f.locals
}

func (f *function) emitEdit(dst []byte, e *edit) []byte {
	switch e.kind {
	case editCharge:
		if f.regions[e.region].tight() {
			return f.chargeTight(dst, e.cost)
		}
		return f.check(f.deduct(dst, e.cost))
	case editLoad:
		return f.load(dst)
	case editDeduct:
		return f.deduct(dst, e.cost)
	case editCall:
		return appendU32(dst, e.arg)
	case editSize:
		return appendU32(append(dst, opGlobalGet), f.slots.pages)
	case editGrow:
		return appendU32(append(dst, opCall), f.slots.grow)
	case editBulk:
		return f.chargeBulk(dst, e.arg)
	}
	panic("BUG: unknown edit")
}

// deduct: fuel -= cost
func (f *function) deduct(dst []byte, cost int64) []byte {
	dst = appendU32(append(dst, opGlobalGet), f.slots.fuel)
	dst = appendS64(append(dst, opI64Const), cost)
	return appendU32(append(dst, opI64Sub, opGlobalSet), f.slots.fuel)
}

// check: if fuel < 0 { refill() }
func (f *function) check(dst []byte) []byte {
	dst = appendU32(append(dst, opGlobalGet), f.slots.fuel)
	dst = append(dst, opI64Const, 0, opI64LtS, opIf, blockVoid, opCall)
	return append(appendU32(dst, f.slots.refill), opEnd)
}

// chargeBulk: the length is on the stack and stays there; fuel -= length >> shift
func (f *function) chargeBulk(dst []byte, shift uint32) []byte {
	dst = appendU32(append(dst, opLocalTee), f.locals)
	dst = appendU32(append(dst, opGlobalGet), f.slots.fuel)
	dst = appendU32(append(dst, opLocalGet), f.locals)
	dst = append(dst, opExtendI32U, opI64Const, byte(shift), opI64ShrU, opI64Sub)
	return f.check(appendU32(append(dst, opGlobalSet), f.slots.fuel))
}

// load: left = fuel
func (f *function) load(dst []byte) []byte {
	dst = appendU32(append(dst, opGlobalGet), f.slots.fuel)
	return appendU32(append(dst, opLocalSet), f.left())
}

// chargeTight: left -= cost; fuel = left; if left < 0 { refill(); left = fuel }
func (f *function) chargeTight(dst []byte, cost int64) []byte {
	dst = appendU32(append(dst, opLocalGet), f.left())
	dst = append(appendS64(append(dst, opI64Const), cost), opI64Sub)
	dst = appendU32(append(dst, opLocalTee), f.left())
	dst = appendU32(append(dst, opGlobalSet), f.slots.fuel)
	dst = appendU32(append(dst, opLocalGet), f.left())
	dst = append(dst, opI64Const, 0, opI64LtS, opIf, blockVoid, opCall)
	return append(f.load(appendU32(dst, f.slots.refill)), opEnd)
}
