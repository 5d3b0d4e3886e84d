package ingress

import (
	"time"

	"edgerelay/relay/trace"
)

// begin gives the event its place in a trace, if it is sampled: what is stored with it is the context of the ingress' own span.
func (s *Server) begin(sc *scratch) bool {
	span, parent, sampled := s.opts.Tracer.Receive(sc.event.Trace)
	if !sampled {
		return false
	}
	sc.span.Context, sc.span.Parent = span, parent
	sc.event.Trace = span.Append(sc.trace[:0])
	return true
}

// end makes the span of an event that was stored, or could not be.
func (s *Server) end(sc *scratch, start time.Time, size int, err error) {
	e := &sc.event
	span := trace.Span{Context: sc.span.Context, Parent: sc.span.Parent, Kind: trace.Server, Name: "accept " + string(e.Type), Start: start, End: time.Now(),
		Attrs: []trace.Attr{{Key: "messaging.system", Text: "edgerelay"}, {Key: "messaging.operation.type", Text: "send"},
			{Key: "messaging.message.id", Text: string(e.ID)}, {Key: "messaging.message.body.size", Number: int64(size)},
			{Key: "edgerelay.event.type", Text: string(e.Type)}, {Key: "edgerelay.tenant", Text: string(e.Tenant)},
			{Key: "edgerelay.webhooks", Number: int64(len(sc.targets))}}}
	if len(e.Program) > 0 {
		span.Attrs = append(span.Attrs, trace.Attr{Key: "edgerelay.program", Text: string(e.Program)})
	}
	if err != nil {
		span.Error = "the event could not be stored"
	}
	s.opts.Tracer.Span(span)
}
