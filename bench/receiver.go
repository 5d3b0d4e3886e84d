// Package bench measures the relay from outside, or any other webhook sender, and holds the receivers that check what arrives.
//
//   - Receiver is the other side of the relay in `edgerelay demo`, `edgerelay listen` and the end-to-end tests: it keeps what it needs to tell
//     a story about each delivery.
//   - Bench is `edgerelay bench`. Session starts the real program (relaychild.go) beside a Sink and a forwarder, each a process of its own, sends
//     load with a Generator, and proves with two ledgers that nothing was lost. The scenario_*.go files say what is measured, limits.go
//     with what it is compared, result.go what comes out. A run is, top to bottom: Session.measure in run.go.
//
// Both receivers verify signatures with code of their own (verify.go) and share none with the relay's signer: a mistake there cannot hide
// here.
//
// Start and StartSink start one goroutine that serves (and fasthttp's own, one per connection), Generator.Start one per connection; each
// one's Close or Stop waits for them. The package may import relay/event and relay/sign and nothing else of ours, so it knows
// the relay only as its users do.
package bench

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// HookPath is where a hook listens: HookPath + its name.
const HookPath = "/hook/"

// Options say what to listen on and what to expect.
type Options struct {
	Addr    string // "" = 127.0.0.1:0
	Hooks   []Hook // each is served at HookPath + its name
	Default *Hook  // takes every other path; nil = 404

	// MaxIDs bounds the memory for telling duplicates, per hook: above it the oldest ids are forgotten. 0 = remember all.
	MaxIDs int
	// MaxBody is the largest body that is read; 0 = 16 MiB.
	MaxBody int
	// Sent says when the event with this id was sent, for the latencies. nil, or false: the event's own time counts.
	Sent func(id []byte) (time.Time, bool)
	// OnDelivery is told of every request once its answer is known and before it is sent. It runs on many goroutines at a time
	// and may keep what it gets.
	OnDelivery func(Delivery)
	// Now is the clock; nil = time.Now.
	Now func() time.Time
}

// Hook is one expected webhook.
type Hook struct {
	Name    string
	Scheme  string   // as in the relay's configuration; "" = none
	Secrets []string // any of them may have signed; of the asymmetric schemes the public keys (whpk_…) will do

	Form      Form   // of the scheme hmac
	Algorithm string // of the scheme rfc9421: hmac-sha256, also when empty, or ed25519
}

// Delivery is one request as it was received.
type Delivery struct {
	Hook     string
	ID       string // webhook-id, or what stands for it
	At       time.Time
	Method   string
	URI      string // path and query as sent
	Headers  []Header
	Body     []byte
	BadSign  error // why the signature was refused; nil = fine, or not asked for
	Status   int   // what is answered; 0 = the connection is reset
	Repeated bool  // this id had been answered with 2xx before
}

// Header is one header of a request, in the order of arrival.
type Header struct{ Name, Value string }

// Receiver is a running HTTP server. Its methods may be called from any goroutine.
type Receiver struct {
	opts     Options
	addr     string
	hooks    map[string]*hook
	fallback *hook
	seed     maphash.Seed
	server   *fasthttp.Server

	closing chan struct{} // closed by Close: releases every held request
	served  chan error    // the result of Serve, sent once

	waitMu  sync.Mutex
	waiters map[chan struct{}]struct{} // guarded by waitMu; each has room for one signal
}

// Start listens and serves until Close.
func Start(o Options) (*Receiver, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.MaxBody == 0 {
		o.MaxBody = 16 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Receiver{opts: o, hooks: make(map[string]*hook, len(o.Hooks)), seed: maphash.MakeSeed(),
		closing: make(chan struct{}), served: make(chan error, 1), waiters: map[chan struct{}]struct{}{}}
	for _, h := range o.Hooks {
		if r.hooks[h.Name] != nil {
			return nil, fmt.Errorf("start receiver: hook %q is there twice", h.Name)
		}
		made, err := newHook(h, o.MaxIDs)
		if err != nil {
			return nil, fmt.Errorf("start receiver: %w", err)
		}
		r.hooks[h.Name] = made
	}
	if o.Default != nil {
		made, err := newHook(*o.Default, o.MaxIDs)
		if err != nil {
			return nil, fmt.Errorf("start receiver: %w", err)
		}
		r.fallback = made
	}
	ln, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("start receiver: %w", err)
	}
	r.addr = ln.Addr().String()
	r.server = &fasthttp.Server{
		Handler:                      r.handle,
		Name:                         "edgerelay-receiver",
		ReadBufferSize:               64 << 10,
		MaxRequestBodySize:           o.MaxBody,
		ReadTimeout:                  30 * time.Second,
		WriteTimeout:                 30 * time.Second,
		IdleTimeout:                  time.Minute,
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true,
		CloseOnShutdown:              true,
		Logger:                       quiet{},
	}
	go func() { r.served <- r.server.Serve(ln) }()
	return r, nil
}

// quiet drops fasthttp's own lines: a client that goes away is nothing that a receiver of test traffic needs to report.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// Addr returns host:port with the real port.
func (r *Receiver) Addr() string { return r.addr }

// URL returns the address of a hook.
func (r *Receiver) URL(name string) string { return "http://" + r.addr + HookPath + name }

// Close releases held requests, stops listening and waits for the connections, at most until ctx ends. Call it once.
func (r *Receiver) Close(ctx context.Context) error {
	close(r.closing)
	err := r.server.ShutdownWithContext(ctx)
	if err == nil {
		err = <-r.served
	}
	if err != nil {
		return fmt.Errorf("close receiver: %w", err)
	}
	return nil
}

// handle answers one request: find the hook, verify, take the next scripted answer, wait if it says so, settle.
func (r *Receiver) handle(ctx *fasthttp.RequestCtx) {
	at := r.opts.Now()
	h := r.find(string(ctx.Path()))
	if h == nil {
		ctx.Error("no such hook", fasthttp.StatusNotFound)
		return
	}
	body := ctx.Request.Body()
	bad := h.verifier.check(&received{header: ctx.Request.Header.Peek, body: body, method: string(ctx.Method()), target: target(ctx)}, at)
	answer := Answer{Status: fasthttp.StatusUnauthorized, Body: "bad signature"}
	if bad == nil {
		answer = h.nextAnswer()
	}
	if !r.wait(answer) {
		answer = Answer{Status: fasthttp.StatusServiceUnavailable, Body: "receiver is closing"}
	}
	id := deliveryID(ctx, body)
	repeated := h.settle(r.receipt(id, at, body), answer, bad)
	if r.opts.OnDelivery != nil {
		d := copyRequest(ctx, at)
		d.Hook, d.ID, d.BadSign, d.Status, d.Repeated = h.name, string(id), bad, answer.Status, repeated
		r.opts.OnDelivery(d)
	}
	answer.write(ctx)
	r.signal()
}

// target is the URL as the sender wrote it: the receiver is reached directly.
func target(ctx *fasthttp.RequestCtx) string {
	return "http://" + string(ctx.Host()) + string(ctx.Request.Header.RequestURI())
}

func (r *Receiver) find(path string) *hook {
	if name, ok := strings.CutPrefix(path, HookPath); ok {
		if h := r.hooks[name]; h != nil {
			return h
		}
	}
	return r.fallback
}

// receipt computes what settle needs before it takes the hook's lock.
func (r *Receiver) receipt(id []byte, at time.Time, body []byte) receipt {
	rc := receipt{key: maphash.Bytes(r.seed, id), hasID: len(id) > 0}
	var sent time.Time
	if r.opts.Sent != nil {
		sent, rc.timed = r.opts.Sent(id)
	}
	if !rc.timed {
		sent, rc.timed = envelopeTime(body)
	}
	rc.latency = at.Sub(sent)
	return rc
}

// deliveryID finds the id by which a receiver tells repeats: the header, GitHub's header, or the envelope's own.
func deliveryID(ctx *fasthttp.RequestCtx, body []byte) []byte {
	for _, name := range []string{"webhook-id", "X-GitHub-Delivery"} {
		if v := ctx.Request.Header.Peek(name); len(v) > 0 {
			return v
		}
	}
	id, _, _ := envelopeHead(body)
	return id
}

func copyRequest(ctx *fasthttp.RequestCtx, at time.Time) Delivery {
	d := Delivery{At: at, Method: string(ctx.Method()), URI: string(ctx.RequestURI()), Body: append([]byte(nil), ctx.Request.Body()...)}
	for k, v := range ctx.Request.Header.All() {
		d.Headers = append(d.Headers, Header{string(k), string(v)})
	}
	return d
}

// Received says whether an event with this id was verified and answered with 2xx by the hook (and not forgotten, see MaxIDs).
func (r *Receiver) Received(name, id string) bool {
	h := r.byName(name)
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ids.has(maphash.String(r.seed, id))
}

func (r *Receiver) byName(name string) *hook {
	if h := r.hooks[name]; h != nil {
		return h
	}
	if r.fallback != nil && r.fallback.name == name {
		return r.fallback
	}
	return nil
}

// ErrNoHook is what calls wrap that name a hook which does not exist.
var ErrNoHook = errors.New("no such hook")

// Wait returns when cond holds for the counts of a hook ("" = all together), or ctx ends. cond is asked after each request.
func (r *Receiver) Wait(ctx context.Context, name string, cond func(Counts) bool) error {
	if name != "" && r.byName(name) == nil {
		return fmt.Errorf("wait for %q: %w", name, ErrNoHook)
	}
	news := make(chan struct{}, 1)
	r.waitMu.Lock()
	r.waiters[news] = struct{}{}
	r.waitMu.Unlock()
	defer func() {
		r.waitMu.Lock()
		delete(r.waiters, news)
		r.waitMu.Unlock()
	}()
	for {
		c := r.counts(name)
		if cond(c) {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("wait for %q, last seen %+v: %w", name, c, ctx.Err())
		}
	}
}

func (r *Receiver) signal() {
	r.waitMu.Lock()
	for w := range r.waiters {
		select {
		case w <- struct{}{}:
		default: // it has not looked since the last signal
		}
	}
	r.waitMu.Unlock()
}
