package cli

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// introduce says what runs where.
func (d *demo) introduce() {
	s := d.screen
	token, _ := d.relay.AdminToken()
	admin := "http://" + d.relay.AdminAddr().String()
	s.line(s.bold("edgerelay demo") + "  a relay, a receiver and events, in one process; no file stays")
	s.line("")
	s.linef("  producers send events to  %s/v1/events", d.producer.base)
	s.linef("  the dashboard is at       %s/ui/", admin)
	s.linef("  the management API is at  %s", admin)
	s.linef("  with the token            %s", token)
	s.line(s.dim("  While this runs, try from another terminal:"))
	s.line(s.dim("    curl -H 'Authorization: Bearer " + token + "' " + admin + "/api/v1/webhooks"))
	s.title("Five webhooks, all to a receiver that checks every signature")
	for _, w := range d.webhooks {
		s.linef("  %-11s%-22s%s", w.Name, strings.Join(w.Events, " "), s.dim(w.Description))
	}
}

// story is an event that is explained: what it shows, and a note for each arrival.
type story struct {
	title    string
	event    sample
	accepted string            // what the 202 means
	notes    map[string]string // by hook
}

func demoStories() []story {
	return []story{
		{title: "1. An order: three webhooks want it, and one receiver is down", event: orderSample(0),
			accepted: "flushed to the disk: now the relay has it", notes: map[string]string{
				"warehouse": "the event as it came", "accounting": "as XML", "partner": "the receiver is back: delivered"}},
		{title: "2. A new user: a WASM transform masks the e-mail address", event: userSample(0), notes: map[string]string{"newsletter": "masked"}},
		{title: "3. A recognition worth 80 points passes the filter", event: recognitionSample(1, 80), notes: map[string]string{
			"intranet": "signed as GitHub does it"}},
		{title: "4. One worth 10 points does not", event: recognitionSample(2, 10), accepted: "stored, but no webhook wants it"},
	}
}

// stories sends the first events one at a time and shows what becomes of each.
func (d *demo) stories(ctx context.Context) {
	d.fail(2)
	for i, st := range demoStories() {
		if i > 0 && d.screen.live && !pause(ctx, 700*time.Millisecond) || ctx.Err() != nil {
			return // a person needs a moment to read; a pipe does not
		}
		d.tell(ctx, st)
	}
	if d.screen.live {
		pause(ctx, 700*time.Millisecond)
	}
}

func (d *demo) tell(ctx context.Context, st story) {
	s := d.screen
	s.title(st.title)
	id, sent := newEventID(), time.Now()
	arrivals := d.ledger.watch(id)
	s.row("sent", st.event.kind)
	s.body(string(st.event.data))
	took, err := d.send(id, st.event)
	if err != nil {
		s.row("refused", s.red(s.cut(err.Error(), labelWidth+2)))
		return
	}
	s.accepted(took, st.accepted)
	failed := 0
	for missing := st.event.to; missing != 0; {
		select {
		case <-ctx.Done():
			return
		case a := <-arrivals:
			note := st.notes[a.Hook]
			if a.Status > 299 {
				failed++
				note = fmt.Sprintf("attempt %d failed, it is kept", failed)
			} else {
				missing &^= hookBit(a.Hook)
			}
			s.arrival(a, a.At.Sub(sent), note, a.Status <= 299 && a.Hook != flaky && a.BadSign == nil)
		}
	}
}

// pause waits, and says whether ctx let it.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
