package deliver

import (
	"context"
	"errors"
	"time"

	"github.com/valyala/fasthttp"

	"edgerelay/relay/event"
	"edgerelay/relay/history"
	"edgerelay/relay/payload"
	"edgerelay/relay/queue"
	"edgerelay/relay/sign"
	"edgerelay/relay/trace"
	"edgerelay/relay/webhooks"
	"edgerelay/transform"
)

// worker makes one attempt at a time. Everything that an attempt needs memory for belongs to it and is used again.
type worker struct {
	d        *Deliverer
	delivery queue.Delivery
	input    payload.Input
	meta     transform.Meta
	shaped   transform.Result
	spare    []byte // the other body buffer of a chain of transforms
	body     []byte // what the payload definition made
	text     []byte // the URL
	headers  []sign.Header
	scratch  sign.Scratch
	request  fasthttp.Request
	response fasthttp.Response
	exchange exchange        // of request and response
	ctx      context.Context // of its transforms: never ends, but for a preview
	lane     *lane           // whose delivery it is, nil = nobody's
	token    []byte          // the access token in request, as a header value; nil = none
	prepared *client         // whose constant parts request holds, nil = nobody's
	trial    *Trial          // what a preview or test notes down; nil = this is a delivery

	// Only for webhooks that keep an order by a key:
	ordering queue.Ordering
	ordered  *webhooks.Webhook

	// Only with a history:
	attempt     history.Attempt
	secretNames map[string]bool
	sent        bool // the attempt got as far as to a request

	// Only with a tracer:
	span        trace.Context // of the attempt
	sampled     bool
	traceparent [trace.Size]byte

	wake      chan bool // while it waits: true = there is work, false = end
	idleSince time.Time
}

func newWorker(d *Deliverer) *worker {
	return &worker{d: d, ctx: context.Background(), wake: make(chan bool, 1)}
}

// settle is one attempt at one delivery, steps 4 to 8 of its walk. t is the webhook's current definition and c its client; t is nil when
// the webhook has gone.
func (w *worker) settle(del *queue.Delivery, t *Target, c *client) result {
	start := w.d.opt.Now()
	w.sent = false
	if w.d.opt.Tracer != nil {
		w.span, _, w.sampled = w.d.opt.Tracer.Attempt(del.Event.Trace)
	}
	if t == nil {
		return w.finish(del, t, start, Outcome{Reason: queue.ReasonNoWebhook, Detail: "the webhook is not configured any more"})
	}
	o := w.compose(del, t, c, start) // 4, 5, 6
	for range maxSwaps {
		if !o.swapped || w.lane == nil {
			break
		}
		if t, c = w.lane.current(); t == nil {
			return w.finish(del, t, start, Outcome{Reason: queue.ReasonNoWebhook, Detail: "the webhook is not configured any more"})
		}
		o = w.compose(del, t, c, start)
	}
	if o.Reason != queue.ReasonNone {
		return w.finish(del, t, start, o)
	}
	return w.finish(del, t, start, w.sendAuthorized(c)) // 7, 8
}

// maxSwaps is how often an attempt begins anew because a reload has replaced its transforms.
const maxSwaps = 3

// compose makes the request of an attempt, to the last byte of its signature: steps 4 to 6. Previews and tests (preview.go) go through it
// as deliveries do, so what they show is what is sent.
func (w *worker) compose(del *queue.Delivery, t *Target, c *client, start time.Time) Outcome {
	w.fill(del, t)
	if o := w.transform(t); o.Reason != queue.ReasonNone { // 4
		return o
	}
	body, contentType, err := w.encode(t) // 5
	if err == nil {
		err = w.prepare(t, c, body, contentType)
	}
	if err != nil {
		return Outcome{Reason: queue.ReasonPayload, Detail: err.Error(), Final: true}
	}
	if o := w.authorize(c); o.Reason != queue.ReasonNone {
		return o
	}
	w.sign(t, del.Event.ID, start.Unix()) // 6
	return Outcome{}
}

// fill sets what expressions and transforms can see of the event.
func (w *worker) fill(del *queue.Delivery, t *Target) {
	e := &del.Event
	w.setEvent(e)
	w.input.Webhook, w.input.Attempt = t.Webhook.Name, del.Attempts+1
	w.shaped.Reset()
}

// transform runs the webhook's modules, each on what the one before wrote. Headers and the like add up in w.shaped.
func (w *worker) transform(t *Target) Outcome {
	if len(t.Steps) == 0 {
		return Outcome{}
	}
	in := &w.input
	w.meta = transform.Meta{ID: in.ID, Type: in.Type, Time: in.Time, Tenant: in.Tenant, Program: in.Program,
		Webhook: append(w.meta.Webhook[:0], t.Webhook.Name...), Attempt: in.Attempt, ContentType: jsonType}
	current := in.Envelope
	for i := range t.Steps {
		s := &t.Steps[i]
		w.shaped.Body, w.spare = w.spare[:0], w.shaped.Body // current may lie in what is spare now
		before := w.shaped.Duration
		err := s.Pool.Run(w.ctx, &w.meta, current, &w.shaped)
		if w.trial != nil {
			w.trial.note(s, &w.shaped, err)
		}
		s.Metrics.Ran(w.shaped.Duration - before)
		if err != nil {
			if failureLabel(err) == closedLabel { // a reload has replaced it since the attempt began: on_error is not for that
				return Outcome{Reason: queue.ReasonTransform, Detail: err.Error(), Ours: true, swapped: true}
			}
			if s.OnError == OnErrorSendOriginal {
				s.Metrics.Failed(failureLabel(err))
				w.shaped.Reset()
				in.Body = nil
				return Outcome{}
			}
			return s.failed(err)
		}
		switch w.shaped.Action {
		case transform.Drop:
			return Outcome{Reason: queue.ReasonDropped, Detail: w.shaped.Reason}
		case transform.Fail:
			s.Metrics.Failed("failed")
			return Outcome{Reason: queue.ReasonTransform, Detail: reasonOr(w.shaped.Reason, "the transform failed this event"), Final: true}
		case transform.Retry:
			s.Metrics.Failed("retry")
			return Outcome{Reason: queue.ReasonTransform, Detail: reasonOr(w.shaped.Reason, "the transform asks to be tried again")}
		}
		if len(w.shaped.Body) == 0 {
			w.shaped.Body, w.spare = w.spare, w.shaped.Body // it wrote nothing: its input goes on
			continue
		}
		current = w.shaped.Body
		in.Body = current
		if w.shaped.ContentType != "" {
			w.meta.ContentType = append(w.meta.ContentType[:0:0], w.shaped.ContentType...)
		}
	}
	return Outcome{}
}

var jsonType = []byte("application/json")

// failed decides by the step's on_error what a module's own failure means.
func (s *Step) failed(err error) Outcome {
	s.Metrics.Failed(failureLabel(err))
	o := Outcome{Reason: queue.ReasonTransform, Detail: err.Error()}
	var te *transform.Error
	o.Final = errors.As(err, &te) && te.Kind.Permanent()
	switch s.OnError {
	case OnErrorDead:
		o.Final = true
	case OnErrorDrop:
		o.Reason = queue.ReasonDropped
	}
	return o
}

var closedLabel = transform.KindClosed.String()

func failureLabel(err error) string {
	var te *transform.Error
	if errors.As(err, &te) {
		return te.Kind.String()
	}
	return "other"
}

func reasonOr(reason, otherwise string) string {
	if reason != "" {
		return reason
	}
	return otherwise
}

// encode makes the body as the payload definition wants it. Nothing asked means nothing done: the event's bytes go out as they came in.
// Of a GET it is the query, and of a DELETE that has no body, nothing.
func (w *worker) encode(t *Target) (body []byte, contentType string, err error) {
	p := t.Webhook.Payload
	contentType = p.ContentType()
	switch method := reasonOr(w.shaped.Method, t.Webhook.Method); {
	case method == fasthttp.MethodGet:
		w.body, err = p.AppendQuery(w.body[:0], &w.input)
		return w.body, "", err
	case method == fasthttp.MethodDelete && !t.Webhook.SendBody:
		return nil, "", nil
	}
	if p.PassThrough() {
		if w.input.Body == nil {
			return w.input.Envelope, contentType, nil
		}
		return w.input.Body, reasonOr(w.shaped.ContentType, contentType), nil
	}
	w.body, err = p.Append(w.body[:0], &w.input)
	if p.ContentType() == payloadRaw && w.shaped.ContentType != "" {
		contentType = w.shaped.ContentType
	}
	return w.body, contentType, err
}

// payloadRaw is the content type that says nothing, so that a transform's own wins.
const payloadRaw = "application/octet-stream"

// finish is the only place that settles: it judges, acknowledges, retries or buries, counts, logs one line, and tells the history.
func (w *worker) finish(del *queue.Delivery, t *Target, start time.Time, o Outcome) result {
	now := w.d.opt.Now()
	r := result{reason: o.Reason, began: start, sent: o.Status != 0 || o.Reason >= queue.ReasonTimeout && o.Reason <= queue.ReasonProtocol,
		delivered: o.Reason == queue.ReasonNone, took: now.Sub(start)}
	policy := noPolicy
	if t != nil {
		r.webhook, policy = t.Webhook, t.Webhook.Retry
	}
	r.verdict = Judge(o, del.Attempts, policy, now, w.d.opt.Rand())
	m := w.d.opt.Metrics
	m.DeliveryAttempts[o.Reason].Inc()
	if r.sent || r.delivered {
		m.DeliveryDuration.Observe(now.Sub(start).Seconds())
	}
	if r.delivered && del.Event.Mark == event.MarkNone { // a replay is as old as people like
		m.DeliveryEndToEnd.Observe(now.Sub(time.UnixMicro(del.Event.Accepted)).Seconds())
	}
	w.log(del, t, r, o, now.Sub(start))
	f := queue.Failure{Reason: o.Reason, Status: o.Status, Detail: o.Detail, At: start.UnixMilli(), Counted: r.verdict.Counted}
	switch r.verdict.Action {
	case Ack:
		w.d.opt.Queue.Ack(del)
	case Retry:
		w.d.opt.Queue.Retry(del, r.verdict.Due, f)
	case Bury:
		w.d.noticeDead(del, r.webhook, o, f)
		w.d.opt.Queue.Bury(del, f)
	}
	if w.sampled {
		w.makeSpan(del, t, start, now, o, &r)
	}
	if w.d.opt.History != nil {
		w.record(del, t, start, o, &r, now.Sub(start))
	}
	w.shrink()
	return r
}

// shrink lets go of buffers that an unusually large event has left behind.
func (w *worker) shrink() {
	const most = 256 << 10
	for _, b := range []*[]byte{&w.delivery.Buf, &w.body, &w.spare} {
		if cap(*b) > most {
			*b = nil
		}
	}
}
