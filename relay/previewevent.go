package relay

import (
	"errors"
	"fmt"
	"time"

	"edgerelay/config"
	"edgerelay/relay/admin"
	"edgerelay/relay/event"
	"edgerelay/relay/webhooks"
)

// trialEvent is an event for a trial. It owns its memory.
type trialEvent struct {
	event.Event
	source string
}

// Where the event of a trial comes from.
const (
	sourceGiven   = "given"
	sourceExample = "example"
	sourceStored  = "stored"
)

func (e *trialEvent) describe() admin.TrialEvent {
	return admin.TrialEvent{ID: string(e.ID), Type: string(e.Type), Time: string(e.Time), Tenant: string(e.Tenant), Program: string(e.Program), Source: e.source}
}

// maxTrialEvent bounds an event that people hand in.
const maxTrialEvent = 1 << 20

// givenEvent reads an event as the ingress does. It is one of w's tenant, whatever it says, and of w's program if it says none.
func givenEvent(text []byte, w *config.Webhook, now time.Time) (*trialEvent, error) {
	if len(text) > maxTrialEvent {
		return nil, fmt.Errorf("the event has %d bytes, at most %d are taken", len(text), maxTrialEvent)
	}
	f, err := event.Parse(text, nil)
	if err != nil {
		return nil, fmt.Errorf("the event is malformed: %w", err)
	}
	f.Tenant = []byte(w.Tenant)
	if f.Program == nil && w.Program != "" {
		f.Program = []byte(w.Program)
	}
	return newTrialEvent(&f, sourceGiven, now), nil
}

func newTrialEvent(f *event.Fields, source string, now time.Time) *trialEvent {
	id := event.AppendTypeID(nil, event.PrefixEvent, event.NewUUID(now))
	e := &trialEvent{source: source}
	e.Event, _ = event.BuildEvent(nil, f, id, now)
	e.Tenant, e.Program = f.Tenant, f.Program
	return e
}

// exampleEvent makes an event of the catalogue's example. With no type it is that of the first type that w subscribes to and that has one.
func exampleEvent(c *config.Config, typ string, w *config.Webhook, now time.Time) (*trialEvent, error) {
	known := false
	for i := range c.EventTypes {
		t := &c.EventTypes[i]
		if t.Tenant != "" && t.Tenant != w.Tenant || typ != "" && t.Name != typ || typ == "" && !subscribes(w, t.Name) {
			continue
		}
		known = true
		if len(t.Example) == 0 {
			continue
		}
		f := event.Fields{Type: []byte(t.Name), Data: t.Example, Tenant: []byte(w.Tenant)}
		if w.Program != "" {
			f.Program = []byte(w.Program)
		}
		return newTrialEvent(&f, sourceExample, now), nil
	}
	switch {
	case typ != "" && known:
		return nil, fmt.Errorf("event type %q has no example: add one, or give an event", typ)
	case typ != "":
		return nil, fmt.Errorf("there is no event type %q in the catalogue: give an event", typ)
	case known:
		return nil, errors.New("none of the event types that the webhook subscribes to has an example: give an event")
	}
	return nil, errors.New("the catalogue has none of the event types that the webhook subscribes to: give an event")
}

func subscribes(w *config.Webhook, typ string) bool {
	for _, p := range w.Events {
		if webhooks.MatchPattern(p, typ) {
			return true
		}
	}
	return false
}

// storedEvent copies an event that the relay has had. With fresh it gets a new id, so that a receiver that remembers ids takes the test for a new one.
func storedEvent(e *event.Event, fresh bool, now time.Time) (*trialEvent, error) {
	f, err := event.Parse(e.Envelope, nil)
	if err != nil {
		return nil, fmt.Errorf("read stored event: %w", err)
	}
	if fresh {
		f.ID = nil
	}
	f.Tenant, f.Program = append([]byte(nil), e.Tenant...), append([]byte(nil), e.Program...)
	return newTrialEvent(&f, sourceStored, now), nil
}
