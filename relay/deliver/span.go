package deliver

import (
	"time"

	"edgerelay/relay/queue"
	"edgerelay/relay/trace"
)

// makeSpan makes the span of an attempt that was just settled. It belongs to the trace of the event, below the span with which the event was accepted,
// and links to that one too: between the two lies the queue, and perhaps days.
func (w *worker) makeSpan(del *queue.Delivery, t *Target, start, end time.Time, o Outcome, r *result) {
	e := &del.Event
	before, ok := trace.Parse(e.Trace)
	if !ok {
		return
	}
	s := trace.Span{Context: w.span, Parent: before.Span, Link: before.Span, Kind: trace.Client, Name: "deliver " + string(e.Type), Start: start, End: end,
		Attrs: []trace.Attr{{Key: "messaging.system", Text: "edgerelay"}, {Key: "messaging.operation.type", Text: "process"},
			{Key: "messaging.message.id", Text: string(e.ID)}, {Key: "edgerelay.event.type", Text: string(e.Type)}, {Key: "edgerelay.tenant", Text: string(e.Tenant)},
			{Key: "edgerelay.delivery.id", Text: del.ID().String()}, {Key: "edgerelay.webhook.id", Text: del.Webhook.String()},
			{Key: "edgerelay.attempt", Number: int64(del.Attempts + 1)}, {Key: "edgerelay.verdict", Text: r.verdict.Action.String()}}}
	if len(e.Program) > 0 {
		s.Attrs = append(s.Attrs, trace.Attr{Key: "edgerelay.program", Text: string(e.Program)})
	}
	if t != nil {
		s.Attrs = append(s.Attrs, trace.Attr{Key: "edgerelay.webhook.name", Text: t.Webhook.Name}, trace.Attr{Key: "server.address", Text: t.Webhook.Host},
			trace.Attr{Key: "http.request.method", Text: t.Webhook.Method})
	}
	if o.Status != 0 {
		s.Attrs = append(s.Attrs, trace.Attr{Key: "http.response.status_code", Number: int64(o.Status)})
	}
	if !r.delivered && o.Reason != queue.ReasonDropped {
		s.Error = o.Reason.String()
		s.Attrs = append(s.Attrs, trace.Attr{Key: "error.type", Text: s.Error})
	}
	w.d.opt.Tracer.Span(s)
}
