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
	for i := range f.edits {
		e := &f.edits[i]
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
	if f.bulk {
		dst = appendU32(dst, f.groups+1)
		dst = append(dst, body[f.groupsAt:f.bodyAt]...)
		dst = append(dst, 1, i32)
	} else {
		dst = append(dst, body[:f.bodyAt]...)
	}
	last := f.bodyAt
	for i := range f.edits {
		e := &f.edits[i]
		if e.kind <= editDeduct && e.cost == 0 {
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

func (f *function) emitEdit(dst []byte, e *edit) []byte {
	switch e.kind {
	case editCharge:
		return f.check(f.deduct(dst, e.cost))
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
