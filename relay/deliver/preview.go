package deliver

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"edgerelay/relay/event"
	"edgerelay/relay/history"
	"edgerelay/relay/queue"
	"edgerelay/transform"
)

// Trial is what came of a preview (Preview) or of a test (Test). It owns its memory and shows no credentials: the values of secret headers of
// an authorization are redacted; what a configuration holds besides, its owner must hide.
type Trial struct {
	Outcome  Outcome   // why nothing was, or would be, sent; of a test, what the attempt came to
	Steps    []StepRun // the transforms that ran
	Request  *Message  // nil = there is none, see Outcome
	Response *Answer   // of a test; nil = none came
	Compose  time.Duration
	Send     time.Duration // of a test
	Times    history.Timings
	Remote   string // the address that a test was sent to
}

// StepRun is what one transform did.
type StepRun struct {
	Module      string
	Action      string // send, drop, fail, retry; error = it was ended, see Error
	Reason      string // of a drop, fail or retry, in the transform's words
	Error       string // the kind, such as fuel
	Message     string
	Trace       []string // where it was ended
	Log         []transform.LogLine
	LogTrimmed  bool
	Fuel        int64
	Took        time.Duration
	Memory      int64 // bytes of linear memory at its end
	Output      int   // bytes that it wrote; 0 = what it was given went on
	SentAnyhow  bool  // it failed, and on_error is send_original
	fuelBefore  int64
	tookBefore  time.Duration
	linesBefore int
}

// Message is a request.
type Message struct {
	Method  string
	URL     string
	Headers []Field
	Body    []byte
}

// Answer is a receiver's answer.
type Answer struct {
	Status    int
	Headers   []Field
	Body      []byte
	Truncated bool // the body was longer than what is read of one
}

// Field is one header. Secret says that its value was replaced.
type Field struct {
	Name, Value string
	Secret      bool
}

// Redacted stands where a credential was.
const Redacted = "***"

// Preview makes the request that a delivery of e to t would be at now, by the code that deliveries go through, and sends nothing. It asks no
// token endpoint either. The target's transforms should be pools of their own: a failure counts against the pool, as always.
func (d *Deliverer) Preview(ctx context.Context, t *Target, e *event.Event, now time.Time) *Trial {
	c := newClient(t.Webhook, nil) // nobody dials
	defer c.close()
	tr, w := d.try(ctx, t, c, e, now)
	if tr.Outcome.Reason != queue.ReasonNone {
		return tr
	}
	if a := t.Webhook.Authorization; a != nil && a.OAuth2 != nil {
		w.request.Header.Set(fasthttp.HeaderAuthorization, "Bearer "+Redacted)
	}
	tr.Request = w.message(t)
	return tr
}

// TestHeader marks the requests of Test, so that receivers can tell them from deliveries.
const TestHeader = "webhook-test"

// Test really sends one request: e to t, by the code that deliveries go through, marked with the header webhook-test: true. The queue, the
// lane and its circuit, the counters and the history know nothing of it, and nothing is tried again. It ends with ctx's deadline, or with the
// webhook's timeout if that is earlier. t should be compiled for this purpose (relay's testWebhook does so and is what the API calls);
// its access tokens are shared with deliveries if t.Webhook.Authorization is theirs.
func (d *Deliverer) Test(ctx context.Context, t *Target, e *event.Event, now time.Time) *Trial {
	d.mu.Lock()
	owner := tokenOwner{t.Webhook.Authorization, d.networks.For(t.Webhook.Tenant)}
	kept := d.tokens[owner] != nil
	c := d.clientLocked(t.Webhook)
	if !kept {
		delete(d.tokens, owner) // of this test alone
	}
	d.mu.Unlock()
	defer c.close()
	if deadline, ok := ctx.Deadline(); ok {
		c.timeout = min(c.timeout, max(time.Until(deadline), time.Millisecond))
	}
	tr, w := d.try(ctx, t, c, e, now)
	if tr.Outcome.Reason != queue.ReasonNone {
		return tr
	}
	w.request.Header.Set(TestHeader, "true")
	tr.Request = w.message(t)
	begin := time.Now()
	tr.Outcome = w.sendAuthorized(c)
	tr.Send = time.Since(begin)
	tr.Response, tr.Times = w.answer(t), w.exchange.Times
	if addr := w.response.RemoteAddr(); addr != nil && tr.Response != nil {
		tr.Remote = addr.String()
	}
	return tr
}

// try composes the request with a worker of its own.
func (d *Deliverer) try(ctx context.Context, t *Target, c *client, e *event.Event, now time.Time) (*Trial, *worker) {
	w := newWorker(d)
	w.ctx, w.trial = ctx, &Trial{}
	w.delivery = queue.Delivery{Webhook: t.Webhook.ID, Event: *e}
	begin := time.Now()
	w.trial.Outcome = w.compose(&w.delivery, t, c, now)
	w.trial.Compose = time.Since(begin)
	return w.trial, w
}

// note keeps what a transform did. r adds up over a chain, so the step's own part is what is new.
func (t *Trial) note(s *Step, r *transform.Result, err error) {
	n := StepRun{Module: s.Pool.Name(), Action: r.Action.String(), Reason: r.Reason, Fuel: r.Fuel, Took: r.Duration, Memory: r.Memory,
		LogTrimmed: r.LogTruncated, Output: len(r.Body)}
	n.fuelBefore, n.tookBefore, n.linesBefore = r.Fuel, r.Duration, len(r.Log)
	if len(t.Steps) > 0 {
		last := &t.Steps[len(t.Steps)-1]
		n.Fuel -= last.fuelBefore
		n.Took -= last.tookBefore
		for _, l := range r.Log[last.linesBefore:] {
			n.Log = append(n.Log, transform.LogLine{Level: l.Level, Text: bytes.Clone(l.Text)})
		}
	} else {
		for _, l := range r.Log {
			n.Log = append(n.Log, transform.LogLine{Level: l.Level, Text: bytes.Clone(l.Text)})
		}
	}
	var failed *transform.Error
	if errors.As(err, &failed) {
		n.Action, n.Error, n.Message, n.Trace, n.Output = "error", failed.Kind.String(), failed.Msg, failed.Trace, 0
		n.SentAnyhow = s.OnError == OnErrorSendOriginal
	}
	t.Steps = append(t.Steps, n)
}

// message copies the request as it goes over the wire, without its credentials. The signature is no credential: whoever has the request has it.
func (w *worker) message(t *Target) *Message {
	uri := w.request.URI()
	uri.DisablePathNormalizing = true // as the client does
	m := &Message{Method: string(w.request.Header.Method()), Body: bytes.Clone(w.request.Body())}
	m.URL = string(w.redactURL(uri.Scheme(), uri.Host(), uri.RequestURI(), t.Webhook.TLS))
	m.Headers = append(m.Headers, Field{Name: fasthttp.HeaderHost, Value: string(uri.Host())})
	for name, value := range w.request.Header.All() {
		if strings.EqualFold(string(name), fasthttp.HeaderHost) {
			continue
		}
		if !w.isSignature(string(name)) {
			value = w.visible(t, name, value)
		}
		m.Headers = append(m.Headers, Field{string(name), string(value), string(value) == Redacted})
	}
	return m
}

func (w *worker) isSignature(name string) bool {
	for i := range w.headers {
		if strings.EqualFold(w.headers[i].Name, name) {
			return true
		}
	}
	return false
}

// answer copies what the receiver answered, nil if nothing usable came.
func (w *worker) answer(t *Target) *Answer {
	if w.trial.Outcome.Status == 0 {
		return nil
	}
	body := w.response.Body()
	a := &Answer{Status: w.response.StatusCode(), Body: bytes.Clone(body), Truncated: w.exchange.Truncated}
	for name, value := range w.response.Header.All() {
		value = w.visible(t, name, value)
		a.Headers = append(a.Headers, Field{string(name), string(value), string(value) == Redacted})
	}
	return a
}
