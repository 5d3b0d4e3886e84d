package transform

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// extismMemory is the memory of the host that an Extism plug-in works in. Blocks are laid one behind the other and live until the event is
// over; only the last one can be freed before. It is as tolerant as Extism's own: what lies outside reads as zero, and writing behind the
// end of a block is allowed (the AssemblyScript PDK 1.0.0 makes blocks for text too short), it only may not go over the limit.
type extismMemory struct {
	bytes  []byte
	blocks []extismExtent // in order of their position
}

type extismExtent struct{ at, length uint64 }

const (
	extismAlign = 8
	extismFirst = 16 // 0 is "none"; nothing begins near it

	extismBytesPerFuel = 2 // memory that is made: fetched from the system, cleared, and copied when it moves
)

func (m *extismMemory) clear() {
	if cap(m.bytes) > maxKept {
		m.bytes = nil
	}
	if cap(m.blocks) > maxKept/16 {
		m.blocks = nil
	}
	m.bytes, m.blocks = m.bytes[:0], m.blocks[:0]
	m.grow(extismFirst)
}

// grow makes the memory end at end, with zeros.
func (m *extismMemory) grow(end uint64) {
	if n := uint64(len(m.bytes)); end > n {
		if c := uint64(cap(m.bytes)); end > c { // doubled: what is copied again and again is what costs
			m.bytes = append(make([]byte, 0, max(end, 2*c)), m.bytes...)
		}
		m.bytes = m.bytes[:end]
		clear(m.bytes[n:])
	}
}

// length is how long the block that begins there is, 0 when none does.
func (m *extismMemory) length(at uint64) uint64 {
	i, ok := slices.BinarySearchFunc(m.blocks, at, func(b extismExtent, at uint64) int {
		switch {
		case b.at < at:
			return -1
		case b.at > at:
			return 1
		}
		return 0
	})
	if !ok {
		return 0
	}
	return m.blocks[i].length
}

// block is the content of a block; nothing when there is none.
func (m *extismMemory) block(at uint64) []byte {
	b, _ := m.read(at, m.length(at))
	return b
}

// read is a view of n bytes; false when they are not all there.
func (m *extismMemory) read(at, n uint64) ([]byte, bool) {
	if n == 0 {
		return nil, true
	}
	if at > uint64(len(m.bytes)) || n > uint64(len(m.bytes))-at {
		return nil, false
	}
	return m.bytes[at : at+n], true
}

// free gives the last block back; others stay until the event is over.
func (m *extismMemory) free(at uint64) {
	if n := len(m.blocks); n > 0 && m.blocks[n-1].at == at {
		m.blocks = m.blocks[:n-1]
		m.bytes = m.bytes[:at]
	}
}

// add makes a block of n bytes and returns where it begins.
func (m *extismMemory) add(n uint64) uint64 {
	at := m.next()
	m.blocks = append(m.blocks, extismExtent{at, n})
	m.grow((at + max(n, 1) + extismAlign - 1) &^ (extismAlign - 1)) // every block has a place of its own
	return at
}

func (m *extismMemory) next() uint64 {
	return (uint64(len(m.bytes)) + extismAlign - 1) &^ (extismAlign - 1)
}

// extismAlloc makes a block of n bytes and returns where it begins, or 0 when there is no room.
func (in *instance) extismAlloc(n uint64) uint64 {
	x := in.extism
	if n > uint64(in.pool.limits.Memory) || x.next()+n > in.extismRoom() {
		in.spend(2 * hostCallFuel)
		in.refused = true
		return 0
	}
	in.spend(hostCallFuel + int64(n)/extismBytesPerFuel)
	return x.add(n)
}

// extismRoom is where this memory must end: both memories together have the limit of one.
func (in *instance) extismRoom() uint64 {
	room := uint64(in.pool.limits.Memory)
	if in.memory != nil {
		room -= min(room, in.pages.Get()<<16)
	}
	return room
}

// extismBlock makes a block with that content.
func (in *instance) extismBlock(content []byte) uint64 {
	at := in.extismAlloc(uint64(len(content)))
	if at == 0 {
		in.abort(KindMemory, fmt.Sprintf("no room for %d bytes in a memory of %d", len(content), in.pool.limits.Memory))
	}
	copy(in.extism.bytes[at:], content)
	return at
}

// extismLoad reads one byte or eight.
func (in *instance) extismLoad(at, width uint64) uint64 {
	in.spend(hostCallFuel)
	b, ok := in.extism.read(at, width)
	switch {
	case !ok:
		return 0
	case width == 1:
		return uint64(b[0])
	}
	return binary.LittleEndian.Uint64(b)
}

// extismInput reads one byte or eight of the input.
func (in *instance) extismInput(offset, width uint64) uint64 {
	x := in.extism
	if offset > x.inputLen || width > x.inputLen-offset {
		in.spend(hostCallFuel)
		return 0
	}
	return in.extismLoad(x.input+offset, width)
}

// extismStore writes one byte or eight.
func (in *instance) extismStore(at, value, width uint64) {
	in.spend(hostCallFuel)
	x := in.extism
	if at+width > uint64(len(x.bytes)) || at+width < at {
		if at > uint64(in.pool.limits.Memory) || at+width > in.extismRoom() {
			in.abort(KindPointer, fmt.Sprintf("writing to %d, outside the plug-in's memory of %d bytes", at, len(x.bytes)))
		}
		in.spend(int64(at+width-uint64(len(x.bytes))) / extismBytesPerFuel)
		x.grow(at + width)
	}
	if width == 1 {
		x.bytes[at] = byte(value)
		return
	}
	binary.LittleEndian.PutUint64(x.bytes[at:], value)
}
