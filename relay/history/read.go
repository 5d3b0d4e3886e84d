package history

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"edgerelay/relay/event"
)

// Event is an accepted event that was read back. It owns its memory.
type Event struct {
	Seq      uint64
	ID       string
	Type     string
	Tenant   string
	Program  string
	Trace    string
	Mark     event.Mark
	Accepted time.Time
	Webhooks []event.WebhookID // where it was to go; empty = no webhook wanted it
	Size     int               // of the whole envelope
	Envelope []byte            // empty when it is gone
	Cut      bool              // only the envelope's beginning was kept
	Redacted bool              // values in it were replaced
	BodyGone bool              // it was kept for a while only
	FromTry  bool              // the event itself was not kept; this is what a failed attempt knows of it

	layout []byte
}

// Whole returns the event as it was accepted, or nil and why that is not possible any more.
func (e *Event) Whole() (*event.Event, error) {
	switch {
	case e.BodyGone || len(e.Envelope) == 0:
		return nil, fmt.Errorf("the body of event %s is not kept any more", e.ID)
	case e.Redacted:
		return nil, fmt.Errorf("values of event %s were redacted before it was stored, so it cannot be sent as it was", e.ID)
	case e.Cut:
		return nil, fmt.Errorf("event %s has %d bytes, of which the first %d were kept (history.capture_body)", e.ID, e.Size, len(e.Envelope))
	case len(e.layout) != 13:
		return nil, fmt.Errorf("event %s: %w: no layout", e.ID, errDamaged)
	}
	l := e.layout
	timeAt, timeLen, dataAt, dataLen := uint64(le.Uint32(l)), uint64(l[4]), uint64(le.Uint32(l[5:])), uint64(le.Uint32(l[9:]))
	if n := uint64(len(e.Envelope)); timeAt+timeLen > n || dataAt+dataLen > n {
		return nil, fmt.Errorf("event %s: %w: layout", e.ID, errDamaged)
	}
	env := bytes.Clone(e.Envelope)
	return &event.Event{ID: []byte(e.ID), Type: []byte(e.Type), Tenant: []byte(e.Tenant), Program: []byte(e.Program), Trace: []byte(e.Trace),
		Accepted: e.Accepted.UnixMicro(), Time: env[timeAt : timeAt+timeLen], Data: env[dataAt : dataAt+dataLen], Envelope: env}, nil
}

// decodeEvent makes an Event of a record with its bodies; an attempt gives what it carries of its event.
func decodeEvent(r rec, block []byte) (*Event, error) {
	var t [texts][]byte
	if err := r.allTexts(&t); err != nil {
		return nil, err
	}
	_, _, envelope, err := r.bodies(block)
	if err != nil {
		return nil, err
	}
	e := &Event{Seq: r.seq(), ID: string(t[textID]), Type: string(t[textType]), Tenant: string(t[textTenant]), Program: string(t[textProgram]), Trace: string(t[textTrace]),
		Mark: event.Mark(r[87]), Accepted: time.UnixMicro(r.time()).UTC(), Size: int(le.Uint32(r[80:])), Envelope: bytes.Clone(envelope),
		Redacted: r.flags()&flagRedacted != 0, BodyGone: r.flags()&flagBodyGone != 0, layout: bytes.Clone(t[textLayout])}
	e.Cut = !e.BodyGone && len(e.Envelope) < e.Size
	for w := t[textTargets]; len(w) >= 16; w = w[16:] {
		e.Webhooks = append(e.Webhooks, event.WebhookID(w[:16]))
	}
	if r.kind() == kindAttempt {
		e.FromTry, e.Webhooks = true, []event.WebhookID{r.webhook()}
	}
	return e, nil
}

// decodeAttempt makes an Attempt of a record with its bodies.
func decodeAttempt(r rec, block []byte) (*Attempt, error) {
	var t [texts][]byte
	if err := r.allTexts(&t); err != nil {
		return nil, err
	}
	request, response, _, err := r.bodies(block)
	if err != nil {
		return nil, err
	}
	clone := func(i int) []byte { return bytes.Clone(t[i]) }
	micros := func(i int) time.Duration { return time.Duration(le.Uint32(r[92+4*i:])) * time.Microsecond }
	a := &Attempt{Seq: r.seq(), Delivery: r.delivery(), Webhook: r.webhook(), WebhookName: string(t[textWebhookName]), EventID: clone(textID), Type: clone(textType),
		Tenant: clone(textTenant), Program: clone(textProgram), Mark: event.Mark(r[87]), Number: int(le.Uint16(r[88:])), Start: time.UnixMicro(r.time()).UTC(),
		Status: r.status(), Reason: string(t[textReason]), HTTPStatus: r.httpStatus(), Detail: string(t[textDetail]), Method: clone(textMethod), URL: clone(textURL),
		Remote: clone(textRemote), RequestBody: bytes.Clone(request), RequestSize: int(le.Uint32(r[72:])), SameAsEvent: r.flags()&flagSameBody != 0,
		ResponseBody: bytes.Clone(response), ResponseSize: int(le.Uint32(r[76:])), TransformLog: clone(textLog), Keep: true,
		Timings:  Timings{DNS: micros(0), Connect: micros(1), TLS: micros(2), FirstByte: micros(3), Total: micros(4)},
		Redacted: r.flags()&flagRedacted != 0, BodyGone: r.flags()&flagBodyGone != 0}
	a.ID = attemptID(a.Start, a.Seq)
	if next := int64(le.Uint64(r[112:])); next != 0 {
		a.Next = time.UnixMilli(next).UTC()
	}
	if a.RequestHeaders, err = decodeHeaders(t[textRequestHeaders]); err == nil {
		a.ResponseHeaders, err = decodeHeaders(t[textResponseHeaders])
	}
	return a, err
}

func decodeHeaders(b []byte) (hs []Header, err error) {
	for len(b) > 0 {
		var h Header
		for _, text := range []*[]byte{&h.Name, &h.Value} {
			n, used := binary.Uvarint(b)
			if used <= 0 || n > uint64(len(b)-used) {
				return nil, fmt.Errorf("%w: headers", errDamaged)
			}
			*text = bytes.Clone(b[used : used+int(n)])
			b = b[used+int(n):]
		}
		hs = append(hs, h)
	}
	return hs, nil
}
