// Package ingress is step 1 of the walk: it takes events from producers over HTTP and answers 202 only once the queue has them durably.
//
// A request goes through check (what its header already decides: framing, route, credentials, media type), then through accept (parse the
// event, find its webhooks, append it to the queue, answer). Every error is application/problem+json with a stable type, see
// problem.go. The bytes of a request belong to fasthttp and are valid until the handler returns; the queue copies what it keeps.
//
// Serve runs in the caller's goroutine; fasthttp starts one more per connection, and a refused connection may keep one for a moment. Close
// waits for all of them. The package may import event, webhooks, metrics, queue, payload and catalogue, and it owns fasthttp on the receiving side.
package ingress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"edgerelay/relay/event"
	"edgerelay/relay/metrics"
	"edgerelay/relay/queue"
	"edgerelay/relay/trace"
	"edgerelay/relay/webhooks"
)

// Options are what a Server needs. The zero values of the numbers mean the defaults written beside them.
type Options struct {
	Listener net.Listener // closed by Close
	TLS      *tls.Config  // nil = plain HTTP
	Policy   Policy

	Queue      queue.Queue
	Table      *atomic.Pointer[webhooks.Table] // never empty while the server runs
	Durability string                          // what a 202 promises: "fsync" or "os"
	Metrics    *metrics.Metrics
	Log        *slog.Logger

	// Accepted, when it is not nil, is told about every event that was stored, and where it goes. It must not wait, nor keep what it is given.
	Accepted func(e *event.Event, targets []event.WebhookID)

	Tracer *trace.Tracer // nil = no spans
	Alive  func() error  // nil, or why the process is not worth keeping although the queue has not failed

	MaxBody        int           // bytes; 1 MiB
	MaxHeader      int           // bytes; 16 KiB
	MaxConnections int           // at the same time; 8192
	ReadTimeout    time.Duration // for a whole request, from its first byte; 10 s
	WriteTimeout   time.Duration // for an answer; 10 s
	IdleTimeout    time.Duration // between two requests of a connection; 60 s
	Linger         time.Duration // to let a refused producer read its answer; 500 ms
}

func (o *Options) setDefaults() {
	setDefault(&o.MaxBody, 1<<20)
	setDefault(&o.MaxHeader, 16<<10)
	setDefault(&o.MaxConnections, 8192)
	setDefault(&o.ReadTimeout, 10*time.Second)
	setDefault(&o.WriteTimeout, 10*time.Second)
	setDefault(&o.IdleTimeout, 60*time.Second)
	setDefault(&o.Linger, 500*time.Millisecond)
}

func setDefault[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Server is the ingress.
type Server struct {
	opts     Options
	policy   atomic.Pointer[policy]
	draining atomic.Bool
	boot     string // see log.go
	refusals refusals
	scratch  sync.Pool // of *scratch

	gate *gate
	http fasthttp.Server

	waiting context.Context // for Append: ends when Close runs out of time
	giveUp  context.CancelFunc
}

// New makes a Server; nothing is accepted before Serve.
func New(o Options) (*Server, error) {
	o.setDefaults()
	if o.Listener == nil || o.Queue == nil || o.Table == nil || o.Table.Load() == nil || o.Metrics == nil || o.Log == nil {
		return nil, errors.New("make ingress: listener, queue, table, metrics and log are required")
	}
	if o.Durability != "fsync" && o.Durability != "os" {
		return nil, fmt.Errorf("make ingress: durability %q, want fsync or os", o.Durability)
	}
	s := &Server{opts: o}
	if err := s.SetPolicy(o.Policy); err != nil {
		return nil, fmt.Errorf("make ingress: %w", err)
	}
	s.boot = newBoot()
	s.scratch.New = func() any { return newScratch() }
	s.waiting, s.giveUp = context.WithCancel(context.Background())
	s.gate = newGate(o.Listener, o, func() { o.Metrics.IngressRequest(metrics.RouteOther, kindBusy.status) })
	s.http = fasthttp.Server{
		Handler:        s.serve,
		ErrorHandler:   s.refuse,
		HeaderReceived: s.bodyLimit,
		Logger:         quiet{},

		// The gate counts connections. fasthttp's own limit stays out of the way: its answer is not ours, and over TLS it would
		// shake hands in the accept loop.
		Concurrency:        2*o.MaxConnections + 64,
		ReadBufferSize:     o.MaxHeader,
		ReadTimeout:        o.ReadTimeout,
		WriteTimeout:       o.WriteTimeout,
		IdleTimeout:        o.IdleTimeout,
		MaxRequestBodySize: o.MaxBody,

		DisablePreParseMultipartForm: true, // else a stranger's multipart body is taken apart before anybody asks who sent it
		NoDefaultServerHeader:        true,
		SecureErrorLogMessage:        true,
		CloseOnShutdown:              true,
	}
	return s, nil
}

// SetPolicy replaces tokens, tenants and event types at once; requests that have begun keep the old ones.
func (s *Server) SetPolicy(p Policy) error {
	c, err := p.compile(s.policy.Load())
	if err != nil {
		return err
	}
	s.policy.Store(c)
	return nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.opts.Listener.Addr() }

// Serve accepts connections until Close; then it returns nil.
func (s *Server) Serve() error {
	var ln net.Listener = s.gate
	if s.opts.TLS != nil {
		ln = tls.NewListener(s.gate, s.opts.TLS)
	}
	if err := s.http.Serve(ln); err != nil {
		return fmt.Errorf("serve ingress on %s: %w", s.Addr(), err)
	}
	return nil
}

// Drain makes /readyz and every new event answer 503, so that load balancers go elsewhere while the rest is finished.
func (s *Server) Drain() { s.draining.Store(true) }

// Close drains, stops accepting and waits until every request has its answer. When ctx ends first it cuts the connections that are left and
// returns ctx's error: a producer that got no answer must send again.
func (s *Server) Close(ctx context.Context) error {
	s.Drain()
	closeErr := s.gate.Close()
	err := s.http.ShutdownWithContext(ctx)
	if err == nil {
		err = s.gate.wait(ctx)
	}
	s.giveUp()
	if err != nil {
		s.gate.cut()
		rest, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if s.gate.wait(rest) != nil {
			return fmt.Errorf("close ingress: requests did not end although their connections were cut: %w", err)
		}
		return fmt.Errorf("close ingress: requests cut off: %w", err)
	}
	if closeErr != nil {
		return fmt.Errorf("close ingress listener: %w", closeErr)
	}
	return nil
}

// serve answers one request that has arrived completely.
func (s *Server) serve(ctx *fasthttp.RequestCtx) {
	route := metrics.RouteOther
	defer func() {
		if v := recover(); v != nil {
			s.panicked(ctx, v)
		}
		s.opts.Metrics.IngressRequest(route, ctx.Response.StatusCode())
		if route == metrics.RouteEvents {
			s.opts.Metrics.IngressDuration.Observe(time.Since(ctx.Time()).Seconds())
		}
	}()
	h := &ctx.Request.Header
	if wantsClose(h) {
		ctx.SetConnectionClose()
	}
	r := s.check(h)
	route = r.route
	switch {
	case r.problem.kind != nil:
		s.answer(ctx, r.problem)
	case route == metrics.RouteEvents:
		s.answerEvent(ctx, r.producer)
	case route == metrics.RouteHealth:
		s.answerHealth(ctx)
	case route == metrics.RouteReady:
		s.answerReady(ctx)
	}
}

// panicked answers for a handler that has a bug. What it logs says where, never what: a panic's text may quote the event.
func (s *Server) panicked(ctx *fasthttp.RequestCtx, v any) {
	what := fmt.Sprintf("%T", v)
	if err, ok := v.(interface {
		error
		RuntimeError()
	}); ok {
		what = err.Error()
	}
	s.opts.Log.Error("panic while answering a request", "panic", what, "stack", string(debug.Stack()))
	ctx.Response.Reset()
	s.answer(ctx, problem{kind: kindInternal})
}

// quiet drops fasthttp's own log lines: each of them is about a request that refuse has counted and answered, and some quote its headers.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
