package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"edgerelay/relay/event"
)

// What is stored is blocks: some hundred records whose describing parts lie together in one value (meta) and whose bodies in another. A record in
// a meta block, little-endian:
//
//	 0        4   5   6       8     16     24        40         56     60    64    68
//	+--------+---+---+-------+-----+------+---------+----------+------+-----+-----+-----+
//	| length | k | v | flags | seq | time | webhook | delivery | body | req | res | env |   kept bytes of request, answer, envelope
//	+--------+---+---+-------+-----+------+---------+----------+------+-----+-----+-----+
//	 72    76    80    84       86  87  88       90  92       112    120
//	+-----+-----+-----+--------+---+---+--------+---+--------+------+---------------------+
//	| req | res | env | status | s | m | number | 0 | 5 times| next | 16 texts             |   whole sizes; times in microseconds
//	+-----+-----+-----+--------+---+---+--------+---+--------+------+---------------------+
//
// k is the kind, v is recordVersion, body the offset of its bodies in the block's other value: request, answer, envelope, one behind the
// other. s is the Status, m the event.Mark. A text is its length as uvarint and its bytes; their order is that of the constants text….
const (
	recordVersion = 1
	recordHead    = 120

	kindEvent   = 1
	kindAttempt = 2
)

// Flags of a record.
const (
	flagSameBody  = 1 << iota // the request's body is the event's envelope, which is stored with the event
	flagRedacted              // values in it were replaced: it cannot be sent again
	flagBodyGone              // its bodies were removed: older than body_retention, or over max_body_bytes
	flagEnvelope              // it carries the event's envelope
	flagUnmatched             // the event had no webhook
)

// The texts of a record.
const (
	textID = iota
	textType
	textTenant
	textProgram
	textLayout
	textTrace
	textTargets
	textWebhookName
	textReason
	textDetail
	textMethod
	textURL
	textRemote
	textRequestHeaders
	textResponseHeaders
	textLog
	texts
)

var errDamaged = errors.New("damaged history record")

var le = binary.LittleEndian

// appendText appends one text.
func appendText(b, text []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func appendTextString(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func appendHeaders(b []byte, hs []Header) []byte {
	n := 0
	for i := range hs {
		n += uvarintLen(len(hs[i].Name)) + len(hs[i].Name) + uvarintLen(len(hs[i].Value)) + len(hs[i].Value)
	}
	b = binary.AppendUvarint(b, uint64(n))
	for i := range hs {
		b = appendText(appendText(b, hs[i].Name), hs[i].Value)
	}
	return b
}

func uvarintLen(n int) int {
	l := 1
	for ; n >= 0x80; n >>= 7 {
		l++
	}
	return l
}

// appendEvent appends an accepted event to a block.
func (c *chunk) appendEvent(seq uint64, e *event.Event, targets []event.WebhookID, most int) {
	start := c.begin(kindEvent, seq, e.Accepted)
	h := c.meta[start:]
	flags := uint16(flagEnvelope)
	if len(targets) == 0 {
		flags |= flagUnmatched
	}
	le.PutUint16(h[6:], flags)
	h[87] = byte(e.Mark)
	c.putEnvelope(h, e, most)
	b := appendText(appendText(appendText(appendText(c.meta, e.ID), e.Type), e.Tenant), e.Program)
	b = appendText(appendLayout(b, e, most), e.Trace)
	b = binary.AppendUvarint(b, uint64(16*len(targets)))
	for i := range targets {
		b = append(b, targets[i][:]...)
	}
	b = append(b, make([]byte, texts-textWebhookName)...) // the rest are empty
	c.end(start, b)
}

// putEnvelope keeps the event's envelope, or its beginning.
func (c *chunk) putEnvelope(h []byte, e *event.Event, most int) {
	kept := e.Envelope[:min(len(e.Envelope), most)]
	le.PutUint32(h[68:], uint32(len(kept)))
	le.PutUint32(h[80:], uint32(len(e.Envelope)))
	c.body = append(c.body, kept...)
}

// appendLayout says where time and data lie in the envelope, if that is kept whole.
func appendLayout(b []byte, e *event.Event, most int) []byte {
	if len(e.Envelope) > most || len(e.Data) == 0 {
		return append(b, 0)
	}
	b = append(b, 13)
	b = le.AppendUint32(b, offsetIn(e.Envelope, e.Time))
	b = append(b, byte(len(e.Time)))
	b = le.AppendUint32(b, offsetIn(e.Envelope, e.Data))
	return le.AppendUint32(b, uint32(len(e.Data)))
}

// offsetIn says where part begins in whole, by capacity: both are views of the same buffer.
func offsetIn(whole, part []byte) uint32 {
	if len(part) == 0 {
		return 0
	}
	return uint32(cap(whole) - cap(part))
}

// carries says whether an attempt is stored with its event: the first failure, and the last, so that what failed can be sent again even if
// its event was not kept, or is forgotten earlier.
func carries(a *Attempt) bool {
	return a.Event != nil && (a.Status == StatusDead || a.Status == StatusRetrying && a.Number == 1)
}

// appendAttempt appends an attempt to a block.
func (c *chunk) appendAttempt(seq uint64, a *Attempt, redacted bool, most int) {
	start := c.begin(kindAttempt, seq, a.Start.UnixMicro())
	h := c.meta[start:]
	var flags uint16
	if redacted {
		flags |= flagRedacted
	}
	copy(h[24:], a.Webhook[:])
	copy(h[40:], a.Delivery[:])
	if a.SameAsEvent {
		flags |= flagSameBody
	} else {
		le.PutUint32(h[60:], uint32(len(a.RequestBody)))
		c.body = append(c.body, a.RequestBody...)
	}
	le.PutUint32(h[64:], uint32(len(a.ResponseBody)))
	c.body = append(c.body, a.ResponseBody...)
	le.PutUint32(h[72:], uint32(a.RequestSize))
	le.PutUint32(h[76:], uint32(a.ResponseSize))
	le.PutUint16(h[84:], uint16(a.HTTPStatus))
	h[86], h[87] = byte(a.Status), byte(a.Mark)
	le.PutUint16(h[88:], uint16(min(a.Number, 1<<16-1)))
	t := &a.Timings
	for i, d := range [...]time.Duration{t.DNS, t.Connect, t.TLS, t.FirstByte, t.Total} {
		le.PutUint32(h[92+4*i:], uint32(min(d.Microseconds(), 1<<32-1)))
	}
	if !a.Next.IsZero() {
		le.PutUint64(h[112:], uint64(a.Next.UnixMilli()))
	}
	carry := carries(a)
	if carry {
		flags |= flagEnvelope
		c.putEnvelope(h, a.Event, most)
	}
	le.PutUint16(h[6:], flags)
	b := appendText(appendText(appendText(appendText(c.meta, a.EventID), a.Type), a.Tenant), a.Program)
	if carry && !redacted {
		b = appendText(appendLayout(b, a.Event, most), a.Event.Trace)
	} else {
		b = append(b, 0, 0)
	}
	b = append(b, 0) // no targets
	b = appendTextString(appendTextString(appendTextString(b, a.WebhookName), a.Reason), a.Detail)
	b = appendText(appendText(appendText(b, a.Method), a.URL), a.Remote)
	b = appendText(appendHeaders(appendHeaders(b, a.RequestHeaders), a.ResponseHeaders), a.TransformLog)
	c.end(start, b)
}

var emptyHead [recordHead]byte

// begin appends the head of a record.
func (c *chunk) begin(kind byte, seq uint64, micros int64) (start int) {
	start = len(c.meta)
	c.meta = append(c.meta, emptyHead[:]...)
	h := c.meta[start:]
	h[4], h[5] = kind, recordVersion
	le.PutUint64(h[8:], seq)
	le.PutUint64(h[16:], uint64(micros))
	le.PutUint32(h[56:], uint32(len(c.body)))
	if c.count == 0 {
		c.first, c.minTime, c.maxTime = seq, micros, micros
	}
	c.last = seq
	c.count++
	c.minTime, c.maxTime = min(c.minTime, micros), max(c.maxTime, micros)
	return start
}

func (c *chunk) end(start int, meta []byte) {
	c.meta = meta
	le.PutUint32(meta[start:], uint32(len(meta)-start))
}

// rec is a view of one record in a meta block.
type rec []byte

// next takes the record at the front of b.
func next(b []byte) (r rec, rest []byte, err error) {
	if len(b) < recordHead+texts {
		return nil, nil, fmt.Errorf("%w: %d bytes left", errDamaged, len(b))
	}
	n := le.Uint32(b)
	if n < recordHead+texts || uint64(n) > uint64(len(b)) {
		return nil, nil, fmt.Errorf("%w: length %d of %d bytes", errDamaged, n, len(b))
	}
	if b[5] != recordVersion || b[4] != kindEvent && b[4] != kindAttempt {
		return nil, nil, fmt.Errorf("%w: kind %d, version %d, this program reads %d", errDamaged, b[4], b[5], recordVersion)
	}
	return rec(b[:n:n]), b[n:], nil
}

func (r rec) kind() byte                 { return r[4] }
func (r rec) flags() uint16              { return le.Uint16(r[6:]) }
func (r rec) setFlags(f uint16)          { le.PutUint16(r[6:], f) }
func (r rec) seq() uint64                { return le.Uint64(r[8:]) }
func (r rec) time() int64                { return int64(le.Uint64(r[16:])) }
func (r rec) webhook() event.WebhookID   { return event.WebhookID(r[24:40]) }
func (r rec) delivery() event.DeliveryID { return event.DeliveryID(r[40:56]) }
func (r rec) status() Status             { return Status(r[86]) }
func (r rec) httpStatus() int            { return int(le.Uint16(r[84:])) }
func (r rec) bodySize() int {
	return int(le.Uint32(r[60:])) + int(le.Uint32(r[64:])) + int(le.Uint32(r[68:]))
}

// text returns the i-th text; the first four are the cheapest.
func (r rec) text(i int) []byte {
	b := []byte(r[recordHead:])
	for ; ; i-- {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return nil
		}
		if i == 0 {
			return b[used : used+int(n) : used+int(n)]
		}
		b = b[used+int(n):]
	}
}

// allTexts reads them in one go.
func (r rec) allTexts(out *[texts][]byte) error {
	b := []byte(r[recordHead:])
	for i := range out {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return fmt.Errorf("%w: text %d", errDamaged, i)
		}
		out[i] = b[used : used+int(n) : used+int(n)]
		b = b[used+int(n):]
	}
	return nil
}

// bodies returns the request, the answer and the envelope out of the block's bodies; nothing when they are gone.
func (r rec) bodies(block []byte) (request, response, envelope []byte, err error) {
	at, n := uint64(le.Uint32(r[56:])), uint64(r.bodySize())
	if n == 0 {
		return nil, nil, nil, nil
	}
	if at+n > uint64(len(block)) {
		return nil, nil, nil, fmt.Errorf("%w: bodies at %d, %d bytes of %d", errDamaged, at, n, len(block))
	}
	b := block[at : at+n]
	q, s := le.Uint32(r[60:]), le.Uint32(r[64:])
	return b[:q:q], b[q : q+s : q+s], b[q+s:], nil
}

// dropBodies makes r one whose bodies are gone.
func (r rec) dropBodies() {
	if r.bodySize() > 0 {
		r.setFlags(r.flags() | flagBodyGone)
	}
	clear(r[56:72])
}
