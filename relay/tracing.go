package relay

import "edgerelay/relay/trace"

// openTracing starts what exports spans, if there is somebody to export them to.
func (r *Relay) openTracing() {
	c := &r.cfg.Tracing
	if c.Endpoint == "" {
		return
	}
	headers := map[string]string{}
	for _, h := range c.Headers {
		headers[h.Name] = h.Value.Reveal()
	}
	r.tracer = trace.Open(trace.Options{Endpoint: c.Endpoint, Headers: headers, Ratio: c.SampleRatio, Service: c.ServiceName, Version: r.version,
		Count: r.metrics.Spans, Log: r.log})
	r.stopLast("spans", r.tracer.Close)
}
