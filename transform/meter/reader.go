package meter

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// The two ways to say no. ErrInvalid: these bytes are not a module. ErrUnsupported: perhaps one, but it asks for something we do not run.
var (
	ErrInvalid     = errors.New("invalid WebAssembly module")
	ErrUnsupported = errors.New("unsupported WebAssembly module")
)

// errCount marks a count that is larger than the bytes that are left could hold.
var errCount = errors.New("count is larger than the section")

// reader walks a part of a module. The first mistake sticks: everything read after it is zero, and loops end because counts are zero.
type reader struct {
	b    []byte
	i    int
	base int // offset of b in the module, for messages
	err  error
}

func (r *reader) fail(kind error, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: offset %d: %w", kind, r.base+r.i, fmt.Errorf(format, args...))
	}
	r.i = len(r.b)
}

func (r *reader) left() int { return len(r.b) - r.i }

func (r *reader) u8() byte {
	if r.i >= len(r.b) {
		r.fail(ErrInvalid, "unexpected end")
		return 0
	}
	v := r.b[r.i]
	r.i++
	return v
}

// zero reads a byte that the format reserves.
func (r *reader) zero() {
	if r.u8() != 0 {
		r.fail(ErrInvalid, "reserved byte is not zero")
	}
}

func (r *reader) u32() uint32 {
	var v uint32
	for shift := uint(0); shift < 35; shift += 7 {
		c := r.u8()
		if shift == 28 && c > 0x0f {
			break
		}
		v |= uint32(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	r.fail(ErrInvalid, "integer too large")
	return 0
}

// count reads the length of a vector whose items take at least one byte each.
func (r *reader) count() uint32 {
	n := r.u32()
	if uint64(n) > uint64(r.left()) {
		r.fail(ErrInvalid, "%w: %d", errCount, n)
		return 0
	}
	return n
}

func (r *reader) bytes(n uint32) []byte {
	if uint64(n) > uint64(r.left()) {
		r.fail(ErrInvalid, "%w: %d", errCount, n)
		return nil
	}
	v := r.b[r.i : r.i+int(n) : r.i+int(n)]
	r.i += int(n)
	return v
}

func (r *reader) name() string {
	b := r.bytes(r.u32())
	if !utf8.Valid(b) {
		r.fail(ErrInvalid, "name is not UTF-8")
	}
	return string(b)
}

// signed skips a signed integer of at most max bytes. Its bits are the engine's business.
func (r *reader) signed(max int) {
	for ; max > 0; max-- {
		if r.u8() < 0x80 {
			return
		}
	}
	r.fail(ErrInvalid, "integer too large")
}

// s33 reads the signed 33-bit integer that a block type is.
func (r *reader) s33() int64 {
	var v int64
	for shift := uint(0); shift < 35; shift += 7 {
		c := r.u8()
		v |= int64(c&0x7f) << shift
		if c < 0x80 {
			if shift < 28 && c&0x40 != 0 {
				v |= -1 << (shift + 7)
			}
			return v << 31 >> 31 // keep 33 bits
		}
	}
	r.fail(ErrInvalid, "integer too large")
	return 0
}

func (r *reader) valueType() byte {
	t := r.u8()
	switch t {
	case i32, i64, f32, f64, v128, funcref, externref:
		return t
	case 0x63, 0x64, 0x69:
		r.fail(ErrUnsupported, "typed references and exceptions are not supported (value type 0x%x)", t)
	default:
		if r.err == nil {
			r.fail(ErrInvalid, "value type 0x%x", t)
		}
	}
	return 0
}

// Limits of a table or a memory.
type Limits struct {
	Min, Max uint32
	HasMax   bool
}

func (r *reader) limits() (l Limits) {
	switch f := r.u8(); {
	case r.err != nil:
	case f == 0:
		l.Min = r.u32()
	case f == 1:
		l.Min, l.Max, l.HasMax = r.u32(), r.u32(), true
	case f == 2 || f == 3:
		r.fail(ErrUnsupported, "threads: shared memory is not supported")
	case f >= 4 && f <= 7:
		r.fail(ErrUnsupported, "64-bit memory is not supported")
	default:
		r.fail(ErrInvalid, "limits flag 0x%x", f)
	}
	return l
}

func appendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendS64(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && c&0x40 == 0) || (v == -1 && c&0x40 != 0) {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func appendName(b []byte, s string) []byte { return append(appendU32(b, uint32(len(s))), s...) }
