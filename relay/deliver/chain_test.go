package deliver

import (
	"context"
	"testing"

	"edgerelay/plugins"
	"edgerelay/relay/metrics"
	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
	"edgerelay/transform"
)

// deciding is a module that does nothing but return n.
func deciding(n byte) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00"+"\x01\x05\x01\x60\x00\x01\x7f"+"\x03\x02\x01\x00"+"\x05\x03\x01\x00\x01"+"\x07\x16\x02\x09transform\x00\x00\x06memory\x02\x00"+"\x0a\x06\x01\x04\x00\x41"), n, 0x0b)
}

// TestChain: each transform gets what the one before wrote, one that writes nothing passes its input on, and what is not sent ends the chain.
func TestChain(t *testing.T) {
	ctx := context.Background()
	host, err := transform.NewHost(ctx, transform.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close(ctx) })
	handles := metrics.New()
	step := func(wasm []byte, config string, on OnError) Step {
		t.Helper()
		m, err := host.Compile(ctx, "m", wasm)
		if err != nil {
			t.Fatal(err)
		}
		p, err := host.NewPool(m, transform.PoolConfig{Config: []byte(config), Size: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close(ctx); m.Close(ctx) })
		return Step{Pool: p, OnError: on, Metrics: handles.Transform("m")}
	}
	plugin := func(name, config string) Step {
		p, ok := plugins.Get(name)
		if !ok {
			t.Fatal(name)
		}
		return step(p.Wasm, config, OnErrorRetry)
	}
	const envelope = `{"id":"e","type":"a.b","data":{"mail":"ada@example.com","n":1}}`
	pick := plugin("pick", `{"fields":["data.mail"]}`)
	csv := plugin("csv-line", `{"columns":["data.mail","type"]}`)
	masked := step(plugins.Mask, "", OnErrorRetry)
	silent, drop, fail := step(deciding(0), "", OnErrorRetry), step(deciding(1), "", OnErrorRetry), step(deciding(2), "", OnErrorRetry)
	broken := func(on OnError) Step { return step(deciding(9), "", on) }
	for _, c := range []struct {
		name        string
		steps       []Step
		body        string // "" = the event as it is
		contentType string
		header      string // the first one's value
		reason      queue.Reason
		final       bool
	}{
		{name: "none"},
		{name: "silent only", steps: []Step{silent, silent}},
		{name: "one", steps: []Step{pick}, body: `{"id":"e","type":"a.b","data":{"mail":"ada@example.com"}}`},
		{name: "two", steps: []Step{masked, pick}, body: `{"id":"e","type":"a.b","data":{"mail":"a***@example.com"}}`, header: "1"},
		{name: "silent first", steps: []Step{silent, pick}, body: `{"id":"e","type":"a.b","data":{"mail":"ada@example.com"}}`},
		{name: "silent between and last", steps: []Step{pick, silent, masked, silent}, body: `{"id":"e","type":"a.b","data":{"mail":"a***@example.com"}}`, header: "1"},
		{name: "content type", steps: []Step{masked, csv}, body: "a***@example.com,a.b\r\n", contentType: "text/csv; charset=utf-8; header=absent", header: "1"},
		{name: "dropped", steps: []Step{masked, drop, pick}, reason: queue.ReasonDropped},
		{name: "failed", steps: []Step{fail, pick}, reason: queue.ReasonTransform, final: true},
		{name: "broken", steps: []Step{masked, broken(OnErrorDrop)}, reason: queue.ReasonDropped, final: true},
		{name: "broken, but sent", steps: []Step{masked, broken(OnErrorSendOriginal), pick}},
	} {
		w := &worker{ctx: ctx}
		target := &Target{Webhook: &webhooks.Webhook{Name: "w"}, Steps: c.steps}
		for range 2 { // the second time with buffers that are used
			w.input.Reset()
			w.input.Envelope, w.input.Type = []byte(envelope), []byte("a.b")
			w.shaped.Reset()
			o := w.transform(target)
			if o.Reason != c.reason || o.Final != c.final {
				t.Errorf("%s: %+v", c.name, o)
			}
			if c.reason != queue.ReasonNone {
				continue
			}
			header := ""
			if len(w.shaped.Headers) > 0 {
				header = string(w.shaped.Headers[0].Value)
			}
			if string(w.input.Body) != c.body || w.shaped.ContentType != c.contentType || header != c.header {
				t.Errorf("%s: body %s, type %q, header %q", c.name, w.input.Body, w.shaped.ContentType, header)
			}
		}
	}
}

// TestSwappedTransform: an attempt whose transform was replaced by a reload goes through the new one, whatever on_error says.
func TestSwappedTransform(t *testing.T) {
	ctx := context.Background()
	host, err := transform.NewHost(ctx, transform.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close(ctx) })
	m, err := host.Compile(ctx, "m", deciding(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close(ctx) })
	handle := metrics.New().Transform("m")
	target := func(on OnError, closed bool) *Target {
		p, err := host.NewPool(m, transform.PoolConfig{Size: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close(ctx) })
		if closed {
			p.Close(ctx)
		}
		return &Target{Webhook: &webhooks.Webhook{Name: "w"}, Steps: []Step{{Pool: p, OnError: on, Metrics: handle}}}
	}
	for _, on := range []OnError{OnErrorRetry, OnErrorDead, OnErrorDrop, OnErrorSendOriginal} {
		w := &worker{ctx: ctx, lane: &lane{d: &Deliverer{}, target: target(on, false)}}
		old := target(on, true)
		if o := w.transform(old); !o.swapped || !o.Ours || o.Final || o.Reason != queue.ReasonTransform {
			t.Errorf("%v: %+v", on, o)
		}
		now, _ := w.lane.current()
		if o := w.transform(now); o.Reason != queue.ReasonDropped || o.swapped {
			t.Errorf("%v: %+v", on, o)
		}
	}
}
