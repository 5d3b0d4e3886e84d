package bench

import "math/bits"

// Bitmap is a set of an events' numbers within one stream: bit n of the whole. Ten million events take 1.25 MB.
type Bitmap []uint64

// add reports whether n is new.
func (b *Bitmap) add(n uint32) bool {
	word, bit := int(n>>6), uint64(1)<<(n&63)
	if word >= len(*b) {
		*b = append(*b, make([]uint64, word+1-len(*b))...)
	}
	if (*b)[word]&bit != 0 {
		return false
	}
	(*b)[word] |= bit
	return true
}

// has reports whether n is in the set.
func (b Bitmap) has(n uint32) bool {
	word := int(n >> 6)
	return word < len(b) && b[word]&(1<<(n&63)) != 0
}

// count is the size of the set.
func (b Bitmap) count() (n int64) {
	for _, w := range b {
		n += int64(bits.OnesCount64(w))
	}
	return n
}

// without counts what is in b and not in other.
func (b Bitmap) without(other Bitmap) (n int64) {
	for i, w := range b {
		if i < len(other) {
			w &^= other[i]
		}
		n += int64(bits.OnesCount64(w))
	}
	return n
}

// Ledger is a set of events: one Bitmap per stream. The generator keeps one of every event that was answered with 2xx, the sink one per hook of
// every event that it has accepted; the difference of the two is what was lost.
type Ledger []Bitmap

// Count is the number of events in l.
func (l Ledger) Count() (n int64) {
	for _, b := range l {
		n += b.count()
	}
	return n
}

// Without counts the events of l that are not in other.
func (l Ledger) Without(other Ledger) (n int64) {
	for i, b := range l {
		var o Bitmap
		if i < len(other) {
			o = other[i]
		}
		n += b.without(o)
	}
	return n
}

// First returns up to most events of l that are not in other, as stream and number, for the report of a loss.
func (l Ledger) First(other Ledger, most int) (missing [][2]uint32) {
	for i, b := range l {
		var o Bitmap
		if i < len(other) {
			o = other[i]
		}
		for n := uint32(0); int(n) < len(b)*64; n++ {
			if b.has(n) && !o.has(n) {
				if missing = append(missing, [2]uint32{uint32(i), n}); len(missing) == most {
					return missing
				}
			}
		}
	}
	return missing
}
