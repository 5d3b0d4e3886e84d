package kit

import (
	"errors"
	"fmt"
	"time"

	"edgerelay/relay/event"
	"edgerelay/transform"
)

// What an event gets that has no id or time of its own: always the same, so that a run can be repeated.
const sampleID = "evt_sample"

var sampleTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// sampleTenant is the tenant of an event that names none, as in a relay without tenants.
const sampleTenant = "default"

// Event is what a guest is given.
type Event struct {
	Name     string // of its file, for messages
	Meta     transform.Meta
	Envelope []byte
}

// ParseEvent reads an event as a producer sends it to the relay: id, type, time, data, tenant and program.
func ParseEvent(name string, body []byte) (Event, error) {
	f, err := event.Parse(body, nil)
	var bad *event.ParseError
	if errors.As(err, &bad) {
		line, col := position(body, bad.Offset)
		return Event{}, fmt.Errorf("%s:%d:%d: %s", name, line, col, bad.Msg)
	}
	if err != nil {
		return Event{}, fmt.Errorf("read event %q: %w", name, err)
	}
	e, _ := event.BuildEvent(nil, &f, []byte(sampleID), sampleTime)
	if f.Tenant == nil {
		f.Tenant = []byte(sampleTenant)
	}
	return Event{Name: name, Envelope: e.Envelope, Meta: transform.Meta{ID: e.ID, Type: e.Type, Time: e.Time, Tenant: f.Tenant,
		Program: f.Program, Webhook: []byte("sample"), Attempt: 1, ContentType: []byte("application/json")}}, nil
}

// position turns an offset into a line and a column, both from 1.
func position(text []byte, offset int) (line, col int) {
	line, col = 1, 1
	for _, c := range text[:min(offset, len(text))] {
		col++
		if c == '\n' {
			line, col = line+1, 1
		}
	}
	return line, col
}
