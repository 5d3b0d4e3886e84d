package ingress

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"edgerelay/relay/queue"
)

// Every request leaves one line at most: an accepted event at debug, a refused one at warn. Refusals of one kind that repeat are mentioned once
// in a while only, with their number: a producer that is misconfigured sends thousands. Neither line holds anything of the event's data, of
// headers or of tokens.

// requestID is where a refusal's answer says by which name the log knows it. An accepted event's name is its id.
const requestID = "X-Request-Id"

// newBoot makes the part of request ids that tells one run of the program from another.
func newBoot() string {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// logAccepted writes the line of an event that was stored.
func (s *Server) logAccepted(ctx *fasthttp.RequestCtx, sc *scratch, who *producer, receipt *queue.Receipt) {
	if !s.opts.Log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{slog.String("event", string(receipt.ID)), slog.String("type", string(sc.event.Type)), slog.String("tenant", string(sc.event.Tenant)),
		slog.Int("webhooks", len(sc.targets)), slog.Bool("replayed", receipt.Replayed), slog.String("producer", who.name),
		slog.Duration("took", time.Since(ctx.Time()).Round(time.Microsecond))}
	if len(sc.event.Trace) > 0 {
		attrs = append(attrs, slog.String("trace", string(sc.event.Trace[3:35])))
	}
	s.opts.Log.LogAttrs(context.Background(), slog.LevelDebug, "event accepted", attrs...)
}

// logRefused names the request to the producer, and writes its line unless one like it was written just now.
func (s *Server) logRefused(ctx *fasthttp.RequestCtx, p problem) {
	id := s.boot + "-" + strconv.FormatUint(s.refusals.count.Add(1), 36) // fasthttp's own number is 0 for requests that were not read to their end
	ctx.Response.Header.Set(requestID, id)
	if p.kind == kindNotReady {
		return // an answer to a probe, not a refusal
	}
	skipped, ok := s.refusals.allow(p.kind, ctx.Time())
	if !ok {
		return
	}
	attrs := []slog.Attr{slog.String("request", id), slog.String("problem", p.kind.name), slog.Int("status", p.kind.status),
		slog.String("remote", ctx.RemoteIP().String())}
	if p.producer != "" {
		attrs = append(attrs, slog.String("producer", p.producer))
	}
	if skipped > 0 {
		attrs = append(attrs, slog.Int("like_this_not_logged", skipped))
	}
	s.opts.Log.LogAttrs(context.Background(), slog.LevelWarn, "request refused", attrs...)
}

// refusalEvery is how often refusals of one kind are mentioned.
const refusalEvery = 10 * time.Second

// refusals throttles the lines about refused requests. Its zero value is ready; it holds at most one entry per kind.
type refusals struct {
	count atomic.Uint64 // all of them
	mu    sync.Mutex
	last  map[*kind]*refused
}

type refused struct {
	at      time.Time
	skipped int
}

// allow says whether to write a line, and how many like it were left out before.
func (r *refusals) allow(k *kind, now time.Time) (skipped int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.last[k]
	switch {
	case last == nil:
		if r.last == nil {
			r.last = map[*kind]*refused{}
		}
		r.last[k] = &refused{at: now}
		return 0, true
	case now.Sub(last.at) < refusalEvery:
		last.skipped++
		return 0, false
	}
	skipped = last.skipped
	*last = refused{at: now}
	return skipped, true
}
