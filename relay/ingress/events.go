package ingress

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"time"

	"github.com/valyala/fasthttp"

	"edgerelay/relay/event"
	"edgerelay/relay/payload"
	"edgerelay/relay/queue"
	"edgerelay/relay/trace"
)

// scratch is what one request needs while it is handled. It comes from a pool, so that an event costs no allocation of ours.
type scratch struct {
	text     []byte // decoded members of the event
	id       [32]byte
	key      []byte
	envelope []byte
	event    event.Event
	targets  []event.WebhookID
	input    payload.Input
	dedup    queue.Dedup
	hash     hash.Hash
	sum      [sha256.Size]byte
	answer   []byte // also what hash128 puts together
	trace    [trace.Size]byte
	span     trace.Span // of this event, when it is sampled
}

func newScratch() *scratch {
	return &scratch{text: make([]byte, 0, event.ScratchSize), key: make([]byte, 0, maxKey), hash: sha256.New()}
}

// keptEnvelope bounds what a pooled scratch holds on to after a large event.
const keptEnvelope = 64 << 10

// answerEvent handles POST /v1/events.
func (s *Server) answerEvent(ctx *fasthttp.RequestCtx, who *producer) {
	sc := s.scratch.Get().(*scratch)
	receipt, p := s.accept(sc, who, &ctx.Request, ctx.Time())
	if p.kind != nil {
		p.producer = who.name
		s.answer(ctx, p)
	} else {
		s.logAccepted(ctx, sc, who, &receipt)
		s.answerAccepted(ctx, sc, receipt)
	}
	// The scratch of a request that panicked is not put back: nobody knows what state it is in.
	if cap(sc.envelope) > keptEnvelope {
		sc.envelope = nil
	}
	sc.event = event.Event{} // its views end with the request
	sc.input.Reset()
	s.scratch.Put(sc)
}

// accept is the way of one event from its bytes into the queue. The webhooks are chosen before the event is stored, and stored with it: a
// later change of the configuration decides about later events only.
func (s *Server) accept(sc *scratch, who *producer, req *fasthttp.Request, now time.Time) (queue.Receipt, problem) {
	body := req.Body()
	f, err := event.Parse(body, sc.text)
	if err != nil {
		return queue.Receipt{}, problem{kind: kindMalformed, detail: err.Error()}
	}
	policy := s.policy.Load()
	tenant, program, p := policy.place(who, &f)
	if p.kind != nil {
		return queue.Receipt{}, p
	}
	if p := policy.admits(tenant, now); p.kind != nil {
		return queue.Receipt{}, p
	}
	if p := policy.fits(tenant, &f); p.kind != nil {
		return queue.Receipt{}, p
	}
	key, ok := idempotencyKey(sc.key[:0], req.Header.Peek("Idempotency-Key"))
	if !ok {
		return queue.Receipt{}, problem{kind: kindKey, detail: keyRule}
	}
	id := event.AppendTypeID(sc.id[:0], event.PrefixEvent, event.NewUUID(now))
	sc.event, sc.envelope = event.BuildEvent(sc.envelope[:0], &f, id, now)
	sc.event.Tenant, sc.event.Program = tenant, program
	sc.event.Trace = traceparent(req.Header.Peek("Traceparent"))
	sampled := s.opts.Tracer != nil && s.begin(sc)
	sc.targets = s.opts.Table.Load().Match(sc.targets[:0], &sc.event, &sc.input)
	receipt, err := s.opts.Queue.Append(s.waiting, &sc.event, sc.targets, sc.dedupOf(&f, key, body))
	if sampled {
		s.end(sc, now, len(body), err)
	}
	if err != nil {
		return queue.Receipt{}, s.appendProblem(err)
	}
	if s.opts.Accepted != nil && !receipt.Replayed {
		s.opts.Accepted(&sc.event, sc.targets)
	}
	return receipt, problem{}
}

// dedupOf makes an event that names itself idempotent. An event's own id is stronger than the Idempotency-Key of the request that carries it.
func (sc *scratch) dedupOf(f *event.Fields, key, body []byte) *queue.Dedup {
	switch {
	case f.ID != nil:
		sc.dedup.Key = sc.hash128(sc.event.Tenant, "id", f.ID)
	case key != nil:
		sc.dedup.Key = sc.hash128(sc.event.Tenant, "key", key)
	default:
		return nil
	}
	sc.dedup.Fingerprint = sc.hash128(sc.event.Program, "body", body) // with the program: for another one it is another event
	return &sc.dedup
}

// hash128 hashes scope, kind and value apart from each other: neither tenants, programs nor kinds contain a NUL.
func (sc *scratch) hash128(scope []byte, kind string, value []byte) [16]byte {
	sc.answer = append(sc.answer[:0], scope...) // not sc.text: the event's members may live there
	sc.answer = append(append(append(sc.answer, 0), kind...), 0)
	sc.hash.Reset()
	sc.hash.Write(sc.answer)
	sc.hash.Write(value)
	sc.hash.Sum(sc.sum[:0])
	return [16]byte(sc.sum[:16])
}

// appendProblem turns the queue's refusals into answers. Where it is not known whether the event was stored, the answer says so.
func (s *Server) appendProblem(err error) problem {
	switch {
	case errors.Is(err, queue.ErrMismatch):
		return problem{kind: kindMismatch}
	case errors.Is(err, queue.ErrTooLarge):
		return s.tooLarge()
	case errors.Is(err, queue.ErrFull):
		return problem{kind: kindQueueFull}
	case errors.Is(err, queue.ErrQuota):
		return problem{kind: kindQuota}
	case errors.Is(err, queue.ErrDiskLow):
		return problem{kind: kindDiskLow}
	case errors.Is(err, queue.ErrClosed):
		return problem{kind: kindDraining}
	case errors.Is(err, queue.ErrFailed):
		return problem{kind: kindQueueFailed, detail: "whether the event was stored is not known: send it again with the same id or Idempotency-Key"}
	case errors.Is(err, context.Canceled):
		return problem{kind: kindInterrupted, detail: "send it again with the same id or Idempotency-Key"}
	}
	s.opts.Log.Error("cannot store an event", "error", err)
	return problem{kind: kindInternal}
}

// answerAccepted sends the 202: the event is durable now.
func (s *Server) answerAccepted(ctx *fasthttp.RequestCtx, sc *scratch, receipt queue.Receipt) {
	sc.answer = append(sc.answer[:0], `{"id":"`...)
	sc.answer = append(sc.answer, receipt.ID...) // only letters, digits, _ and -
	sc.answer = append(sc.answer, "\"}\n"...)
	r := &ctx.Response
	r.SetStatusCode(fasthttp.StatusAccepted)
	r.Header.SetContentType("application/json")
	r.Header.Set("X-Durability", s.opts.Durability)
	if receipt.Replayed {
		r.Header.Set("Idempotent-Replayed", "true")
	}
	r.SetBody(sc.answer)
}
