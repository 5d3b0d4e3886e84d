package bench

import "bytes"

// A stamp is what the generator writes into every event in the place of {{id}}, and what the sink looks for in every delivery. It has a fixed
// width, so that a prepared request only needs its bytes replaced, and only letters, digits and _, so that it survives JSON, XML, forms, and
// may be an event's id:
//
//	b1_ ssss _ nnnnnnnn _ tttttttttttttt
//	    │      │          └ when it was to be sent, Unix microseconds
//	    │      └ number within the stream, from 0
//	    └ stream: the generator's connection
//
// All three are hexadecimal.
type stamp struct {
	stream uint16
	number uint32
	micros int64
}

const (
	stampPrefix = "b1_"
	stampSize   = len(stampPrefix) + 4 + 1 + 8 + 1 + 14
	maxStreams  = 1 << 16
)

const hexDigits = "0123456789abcdef"

// put writes s over the first stampSize bytes of dst.
func (s stamp) put(dst []byte) {
	copy(dst, stampPrefix)
	putHex(dst[3:7], uint64(s.stream))
	dst[7] = '_'
	putHex(dst[8:16], uint64(s.number))
	dst[16] = '_'
	putHex(dst[17:31], uint64(s.micros))
}

func putHex(dst []byte, v uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = hexDigits[v&15]
		v >>= 4
	}
}

// findStamp returns the first stamp in body.
func findStamp(body []byte) (s stamp, ok bool) {
	for {
		at := bytes.Index(body, []byte(stampPrefix))
		if at < 0 || len(body)-at < stampSize {
			return stamp{}, false
		}
		if s, ok = parseStamp(body[at : at+stampSize]); ok {
			return s, true
		}
		body = body[at+len(stampPrefix):]
	}
}

func parseStamp(b []byte) (stamp, bool) {
	stream, ok1 := parseHex(b[3:7])
	number, ok2 := parseHex(b[8:16])
	micros, ok3 := parseHex(b[17:31])
	ok := ok1 && ok2 && ok3 && b[7] == '_' && b[16] == '_'
	return stamp{stream: uint16(stream), number: uint32(number), micros: int64(micros)}, ok
}

func parseHex(b []byte) (v uint64, ok bool) {
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			return 0, false
		}
		v = v<<4 | uint64(c)
	}
	return v, true
}
