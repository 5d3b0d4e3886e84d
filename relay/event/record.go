// Package event holds what the whole relay talks about: an accepted Event, its ids, and the binary record in which the queue keeps it.
//
// It is a leaf: everybody may import it, it imports nothing of ours and starts no goroutines.
// Decoders never trust their input: a record comes from a disk that may lie.
package event

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Event is one accepted event. Its fields are views into a single buffer, usually a decoded record: whoever keeps an Event
// longer than that buffer must copy it (Clone).
type Event struct {
	ID      []byte // the producer's, or we_…; 1 to 255 bytes of [A-Za-z0-9_-]
	Type    []byte // 1 to 255 bytes
	Tenant  []byte // 1 to 255 bytes
	Program []byte // empty = none
	Trace   []byte // the producer's W3C traceparent, or empty
	Mark    Mark   // MarkNone for what a producer sent

	Accepted int64  // Unix microseconds, when the relay took it
	Time     []byte // RFC 3339, part of Envelope
	Data     []byte // raw JSON, part of Envelope

	// Envelope is the default outgoing body, ready to send: {"id":…,"type":…,"time":…,"data":…}, data byte for byte as received.
	Envelope []byte
}

// Clone copies e and everything that it points to into one new buffer.
func (e *Event) Clone() *Event {
	b := AppendRecord(nil, e, nil)
	c, _, _, err := DecodeRecord(b)
	if err != nil {
		panic("BUG: event does not survive its own record: " + err.Error())
	}
	return &c
}

// A record, little-endian:
//
//	 0        4   5   6      8          16         24       28      32       36  37  38  39   40
//	+--------+---+---+------+----------+----------+--------+-------+--------+---+---+---+---+
//	| length | v | m | n    | accepted | reserved | timeAt | dataAt| dataLen|id |typ|ten|pro|
//	+--------+---+---+------+----------+----------+--------+-------+--------+---+---+---+---+
//	+---+---+-------------------+----+------+--------+---------+-------+----------+
//	|tra|tim| n targets, 16 each| id | type | tenant | program | trace | envelope |
//	+---+---+-------------------+----+------+--------+---------+-------+----------+
//
// length counts the whole record; v is RecordVersion; m is the Mark; id…tim are one-byte lengths; timeAt, dataAt are offsets in the envelope.
const (
	RecordVersion = 1
	recordHeader  = 42
)

// ErrRecord is what DecodeRecord wraps when the bytes are not a record.
var ErrRecord = errors.New("damaged event record")

// ErrRecordVersion is what DecodeRecord wraps when the record is of a version that this program does not know.
var ErrRecordVersion = errors.New("event record of an unknown version")

// MaxTargets is the most webhooks that one event can go to.
const MaxTargets = 1<<16 - 1

// AppendRecord appends the record of e with the webhooks it goes to. The caller has checked the lengths (at most 255 each)
// and that Time and Data lie in Envelope.
func AppendRecord(dst []byte, e *Event, targets []WebhookID) []byte {
	start := len(dst)
	var h [recordHeader]byte
	h[4], h[5] = RecordVersion, byte(e.Mark)
	binary.LittleEndian.PutUint16(h[6:], uint16(len(targets)))
	binary.LittleEndian.PutUint64(h[8:], uint64(e.Accepted))
	binary.LittleEndian.PutUint32(h[24:], offsetIn(e.Envelope, e.Time))
	binary.LittleEndian.PutUint32(h[28:], offsetIn(e.Envelope, e.Data))
	binary.LittleEndian.PutUint32(h[32:], uint32(len(e.Data)))
	h[36], h[37], h[38] = byte(len(e.ID)), byte(len(e.Type)), byte(len(e.Tenant))
	h[39], h[40], h[41] = byte(len(e.Program)), byte(len(e.Trace)), byte(len(e.Time))
	dst = append(dst, h[:]...)
	for i := range targets {
		dst = append(dst, targets[i][:]...)
	}
	dst = append(dst, e.ID...)
	dst = append(dst, e.Type...)
	dst = append(dst, e.Tenant...)
	dst = append(dst, e.Program...)
	dst = append(dst, e.Trace...)
	dst = append(dst, e.Envelope...)
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(dst)-start))
	return dst
}

// offsetIn says where part begins in whole, by capacity: both are views of the same buffer.
func offsetIn(whole, part []byte) uint32 {
	if len(part) == 0 {
		return 0
	}
	return uint32(cap(whole) - cap(part))
}

// Targets is the raw list of webhook ids of a record, 16 bytes each.
type Targets []byte

// Len returns how many there are.
func (t Targets) Len() int { return len(t) / 16 }

// At returns the i-th.
func (t Targets) At(i int) WebhookID { return WebhookID(t[16*i : 16*i+16]) }

// DecodeRecord reads one record from the front of b. The event's fields are views into b; rest is what follows.
func DecodeRecord(b []byte) (e Event, targets Targets, rest []byte, err error) {
	if len(b) < recordHeader {
		return e, nil, nil, fmt.Errorf("%w: %d bytes left, a header has %d", ErrRecord, len(b), recordHeader)
	}
	if b[4] != RecordVersion {
		return e, nil, nil, fmt.Errorf("%w: found %d, this program reads %d", ErrRecordVersion, b[4], RecordVersion)
	}
	length := binary.LittleEndian.Uint32(b)
	n := int(binary.LittleEndian.Uint16(b[6:]))
	fixed := recordHeader + 16*n + int(b[36]) + int(b[37]) + int(b[38]) + int(b[39]) + int(b[40])
	if uint64(length) > uint64(len(b)) || uint64(fixed) > uint64(length) {
		return e, nil, nil, fmt.Errorf("%w: length %d, fields %d, bytes %d", ErrRecord, length, fixed, len(b))
	}
	rec, rest := b[:length:length], b[length:]
	p := recordHeader
	take := func(k int) []byte {
		v := rec[p : p+k : p+k]
		p += k
		return v
	}
	targets = Targets(take(16 * n))
	e.ID, e.Type, e.Tenant = take(int(b[36])), take(int(b[37])), take(int(b[38]))
	e.Program, e.Trace = take(int(b[39])), take(int(b[40]))
	e.Mark = Mark(b[5])
	e.Accepted = int64(binary.LittleEndian.Uint64(b[8:]))
	env := rec[p:]
	timeAt, dataAt := uint64(binary.LittleEndian.Uint32(b[24:])), uint64(binary.LittleEndian.Uint32(b[28:]))
	dataLen := uint64(binary.LittleEndian.Uint32(b[32:]))
	if timeAt+uint64(b[41]) > uint64(len(env)) || dataAt+dataLen > uint64(len(env)) {
		return e, nil, nil, fmt.Errorf("%w: time or data outside the envelope of %d bytes", ErrRecord, len(env))
	}
	e.Envelope = env
	e.Time = env[timeAt : timeAt+uint64(b[41])]
	e.Data = env[dataAt : dataAt+dataLen]
	return e, targets, rest, nil
}
