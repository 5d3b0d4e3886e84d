// Package event holds what the whole relay talks about: an accepted Event, its ids, and the binary record in which the queue keeps it.
//
// It is a leaf: everybody may import it, it imports nothing of ours and starts no goroutines.
// Decoders never trust their input: a record comes from a disk that may lie.
package event

import (
	"bytes"
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
//	 0        4   5   6      8          16       20       24        28  29  30  31  32  33
//	+--------+---+---+------+----------+--------+--------+---------+---+---+---+---+---+---+
//	| length | v | m | n    | accepted | timeAt | dataAt | dataLen |id |typ|ten|pro|tra|tim|
//	+--------+---+---+------+----------+--------+--------+---------+---+---+---+---+---+---+
//	+-------------------+----+------+--------+---------+-------+----------+
//	| n targets, 16 each| id | type | tenant | program | trace | envelope |
//	+-------------------+----+------+--------+---------+-------+----------+
//
// length counts the whole record; v is RecordVersion; m is the Mark; id…tim are one-byte lengths; timeAt, dataAt are offsets in the envelope. The
// bit inEnvelope of m says that id and type are not repeated: the envelope begins with them.
//
// Version 1 had eight bytes more behind accepted, and no bit inEnvelope; it is read for ever.
const (
	RecordVersion = 2
	recordHeader  = 34
	reservedV1    = 8
	inEnvelope    = 0x80
)

// What stands before, between and behind id and type in an envelope of ours.
const (
	beforeID   = `{"id":"`
	beforeType = `","type":"`
	behindType = `"`
)

// leads says whether the envelope begins with e's id and type, as every envelope that BuildEvent makes does.
func (e *Event) leads() bool {
	env, n := e.Envelope, len(beforeID)+len(e.ID)+len(beforeType)+len(e.Type)+len(behindType)
	if len(env) < n {
		return false
	}
	id, typ := len(beforeID), len(beforeID)+len(e.ID)+len(beforeType)
	return string(env[:id]) == beforeID && bytes.Equal(env[id:id+len(e.ID)], e.ID) && string(env[id+len(e.ID):typ]) == beforeType &&
		bytes.Equal(env[typ:typ+len(e.Type)], e.Type) && string(env[n-len(behindType):n]) == behindType
}

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
	leads := e.leads()
	if leads {
		h[5] |= inEnvelope
	}
	binary.LittleEndian.PutUint16(h[6:], uint16(len(targets)))
	binary.LittleEndian.PutUint64(h[8:], uint64(e.Accepted))
	binary.LittleEndian.PutUint32(h[16:], offsetIn(e.Envelope, e.Time))
	binary.LittleEndian.PutUint32(h[20:], offsetIn(e.Envelope, e.Data))
	binary.LittleEndian.PutUint32(h[24:], uint32(len(e.Data)))
	h[28], h[29], h[30] = byte(len(e.ID)), byte(len(e.Type)), byte(len(e.Tenant))
	h[31], h[32], h[33] = byte(len(e.Program)), byte(len(e.Trace)), byte(len(e.Time))
	dst = append(dst, h[:]...)
	for i := range targets {
		dst = append(dst, targets[i][:]...)
	}
	if !leads {
		dst = append(dst, e.ID...)
		dst = append(dst, e.Type...)
	}
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
	head := recordHeader
	switch b[4] {
	case RecordVersion:
	case 1:
		head += reservedV1
		if len(b) < head {
			return e, nil, nil, fmt.Errorf("%w: %d bytes left, a header has %d", ErrRecord, len(b), head)
		}
	default:
		return e, nil, nil, fmt.Errorf("%w: found %d, this program reads 1 to %d", ErrRecordVersion, b[4], RecordVersion)
	}
	h := b[head-recordHeader : head] // the offsets and lengths behind accepted, where version 2 has them
	leads := b[4] > 1 && b[5]&inEnvelope != 0
	length := binary.LittleEndian.Uint32(b)
	n := int(binary.LittleEndian.Uint16(b[6:]))
	idLen, typeLen := int(h[28]), int(h[29])
	fixed := head + 16*n + int(h[30]) + int(h[31]) + int(h[32])
	if !leads {
		fixed += idLen + typeLen
	}
	if uint64(length) > uint64(len(b)) || uint64(fixed) > uint64(length) {
		return e, nil, nil, fmt.Errorf("%w: length %d, fields %d, bytes %d", ErrRecord, length, fixed, len(b))
	}
	rec, rest := b[:length:length], b[length:]
	p := head
	take := func(k int) []byte {
		v := rec[p : p+k : p+k]
		p += k
		return v
	}
	targets = Targets(take(16 * n))
	if !leads {
		e.ID, e.Type = take(idLen), take(typeLen)
	}
	e.Tenant, e.Program, e.Trace = take(int(h[30])), take(int(h[31])), take(int(h[32]))
	e.Mark = Mark(b[5] &^ inEnvelope)
	e.Accepted = int64(binary.LittleEndian.Uint64(b[8:]))
	env := rec[p:]
	if leads {
		id := len(beforeID)
		typ := id + idLen + len(beforeType)
		if typ+typeLen > len(env) {
			return e, nil, nil, fmt.Errorf("%w: id or type outside the envelope of %d bytes", ErrRecord, len(env))
		}
		e.ID, e.Type = env[id:id+idLen:id+idLen], env[typ:typ+typeLen:typ+typeLen]
	}
	timeAt, dataAt := uint64(binary.LittleEndian.Uint32(h[16:])), uint64(binary.LittleEndian.Uint32(h[20:]))
	dataLen, timeLen := uint64(binary.LittleEndian.Uint32(h[24:])), uint64(h[33])
	if timeAt+timeLen > uint64(len(env)) || dataAt+dataLen > uint64(len(env)) {
		return e, nil, nil, fmt.Errorf("%w: time or data outside the envelope of %d bytes", ErrRecord, len(env))
	}
	e.Envelope = env
	e.Time = env[timeAt : timeAt+timeLen]
	e.Data = env[dataAt : dataAt+dataLen]
	return e, targets, rest, nil
}
