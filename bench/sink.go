package bench

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/valyala/fasthttp"
)

// SinkOptions say what a Sink listens on and what it checks.
type SinkOptions struct {
	Addr   string // "" = 127.0.0.1:0
	Hooks  int    // served at HookPath + 0, 1, …; every other path counts as hook 0
	Timed  int    // only the first so many hooks are timed; 0 = all
	Scheme string // of the signatures; none = not checked
	Secret string
	Sample int // check the signature of every n-th delivery of a stream; 0 or 1 = of all
}

// Sink is the verifying receiver for loads: it finds each event's stamp, checks signature and id, and keeps a ledger per hook. Unlike Receiver
// it keeps nothing per event but a bit, so that tens of millions can be proven. It starts fasthttp's goroutines; Close waits for them.
type Sink struct {
	addr   string
	server *fasthttp.Server
	served chan error
	state  atomic.Pointer[sinkState] // replaced by Reset; never nil
}

// sinkState is everything between two resets.
type sinkState struct {
	opts   SinkOptions
	verify *verifier
	hooks  []*sinkHook
	shards [sinkShards]sinkShard
}

// sinkShards spreads the counting over several locks. A stream always has the same shard.
const sinkShards = 16

type sinkShard struct {
	mu      sync.Mutex // guards counts, latency, and the marks of this shard's streams in every hook
	counts  SinkCounts
	latency *hdrhistogram.Histogram
	_       [64]byte
}

type sinkHook struct {
	timed     bool
	distinct  atomic.Int64
	behaviour atomic.Pointer[behaviour]
	turns     atomic.Int64 // requests that were asked for their share
	streams   atomic.Pointer[[]*mark]
	grow      sync.Mutex // taken to replace streams
}

// mark is what a hook knows of one stream; guarded by the stream's shard.
type mark struct {
	seen    Bitmap
	highest int64 // number of the latest event, -1 = none
}

// StartSink listens and serves until Close.
func StartSink(o SinkOptions) (*Sink, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	state, err := newSinkState(o)
	if err != nil {
		return nil, fmt.Errorf("start sink: %w", err)
	}
	ln, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("start sink: %w", err)
	}
	s := &Sink{addr: ln.Addr().String(), served: make(chan error, 1)}
	s.state.Store(state)
	s.server = &fasthttp.Server{Handler: s.handle, Name: "edgerelay-sink", MaxRequestBodySize: 64 << 20, ReadBufferSize: 16 << 10,
		NoDefaultDate: true, Logger: quiet{}, CloseOnShutdown: true}
	go func() { s.served <- s.server.Serve(ln) }()
	return s, nil
}

func newSinkState(o SinkOptions) (*sinkState, error) {
	s := &sinkState{opts: o}
	var secrets []string
	if o.Secret != "" {
		secrets = []string{o.Secret}
	}
	var err error
	if s.verify, err = newVerifier(Hook{Scheme: o.Scheme, Secrets: secrets}); err != nil {
		return nil, err
	}
	for i := range s.shards {
		s.shards[i].latency = newLatencyHistogram()
	}
	for i := range max(o.Hooks, 1) {
		h := &sinkHook{timed: o.Timed == 0 || i < o.Timed}
		h.behaviour.Store(&behaviour{over: make(chan struct{})})
		h.streams.Store(&[]*mark{})
		s.hooks = append(s.hooks, h)
	}
	return s, nil
}

// Reset forgets everything and begins again with other options; the address stays.
func (s *Sink) Reset(o SinkOptions) error {
	state, err := newSinkState(o)
	if err != nil {
		return fmt.Errorf("reset sink: %w", err)
	}
	s.state.Swap(state).release()
	return nil
}

// release answers everything that hangs.
func (s *sinkState) release() {
	for i := range s.hooks {
		s.behave(i, Behaviour{Status: fasthttp.StatusServiceUnavailable})
	}
}

// Addr returns host:port with the real port.
func (s *Sink) Addr() string { return s.addr }

// Close releases what hangs, and waits for the connections at most until ctx ends.
func (s *Sink) Close(ctx context.Context) error {
	s.state.Load().release()
	err := s.server.ShutdownWithContext(ctx)
	if err == nil {
		err = <-s.served
	}
	if err != nil {
		return fmt.Errorf("close sink: %w", err)
	}
	return nil
}

// handle answers one request.
func (s *Sink) handle(ctx *fasthttp.RequestCtx) { s.state.Load().handle(ctx) }

func (s *sinkState) handle(ctx *fasthttp.RequestCtx) {
	h := s.hook(ctx.Path())
	b := h.behaviour.Load()
	if b.Behaviour != (Behaviour{}) && h.turn(b.Share) {
		if b.Delay > 0 {
			wait(b.Delay, b.over)
		}
		if b.Hang {
			<-b.over
			s.refuse(ctx, Behaviour{Status: fasthttp.StatusServiceUnavailable}) // the sender has long given up, most likely
			return
		}
		if b.refuses() {
			s.refuse(ctx, b.Behaviour)
			return
		}
	}
	if problem := s.accept(h, ctx); problem != "" {
		ctx.Error(problem, fasthttp.StatusUnauthorized)
	}
}

func (s *sinkState) hook(path []byte) *sinkHook {
	if name, ok := bytes.CutPrefix(path, []byte(HookPath)); ok {
		if n, err := strconv.Atoi(string(name)); err == nil && n >= 0 && n < len(s.hooks) {
			return s.hooks[n]
		}
	}
	return s.hooks[0]
}

// accept checks a delivery and books it. It returns what is wrong with it, or nothing.
func (s *sinkState) accept(h *sinkHook, ctx *fasthttp.RequestCtx) (problem string) {
	now := time.Now()
	body := ctx.Request.Body()
	st, found := findStamp(body)
	var badSign, badID error
	check := s.verify.scheme != "none" && (s.opts.Sample < 2 || st.number%uint32(s.opts.Sample) == 0)
	if check {
		badSign = s.verify.check(&received{header: ctx.Request.Header.Peek, body: body}, now)
	}
	if s.verify.scheme == "standard" {
		badID = checkID(ctx.Request.Header.Peek("webhook-id"), body)
	}
	sh := &s.shards[st.stream%sinkShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c := &sh.counts
	c.Requests++
	if check {
		c.Checked++
	}
	switch {
	case badSign != nil:
		c.BadSignatures++
		c.LastError = badSign.Error()
		return c.LastError
	case badID != nil:
		c.BadIDs++
		c.LastError = badID.Error()
		return c.LastError
	case !found:
		c.Unknown++
		c.LastError = "a delivery without a stamp of this generator"
		return ""
	}
	c.Delivered++
	sh.book(h, st, now)
	return ""
}

func (sh *sinkShard) book(h *sinkHook, st stamp, now time.Time) {
	c, m := &sh.counts, h.mark(st.stream)
	if !m.seen.add(st.number) {
		c.Duplicates++
		return
	}
	c.Distinct++
	h.distinct.Add(1)
	if int64(st.number) < m.highest {
		c.OutOfOrder++
	}
	m.highest = max(m.highest, int64(st.number))
	c.Last = now.UnixMicro()
	if c.First == 0 {
		c.First = c.Last
	}
	if h.timed {
		record(sh.latency, time.Duration(c.Last-st.micros)*time.Microsecond)
	}
}

// mark returns what the hook knows of a stream.
func (h *sinkHook) mark(stream uint16) *mark {
	if all := *h.streams.Load(); int(stream) < len(all) {
		return all[stream]
	}
	h.grow.Lock()
	defer h.grow.Unlock()
	all := *h.streams.Load()
	grown := append([]*mark(nil), all...)
	for len(grown) <= int(stream) {
		grown = append(grown, &mark{highest: -1})
	}
	h.streams.Store(&grown)
	return grown[stream]
}

// checkID says what is wrong with a delivery's id. The envelope's own id is compared when the body is an envelope.
func checkID(header, body []byte) error {
	if len(header) == 0 {
		return fmt.Errorf("no webhook-id")
	}
	if id, _, ok := envelopeHead(body); ok && !bytes.Equal(id, header) {
		return fmt.Errorf("webhook-id %.40q, but the envelope's id is %.40q", header, id)
	}
	return nil
}

// ResetLatency forgets the latencies so far.
func (s *Sink) ResetLatency() {
	st := s.state.Load()
	for i := range st.shards {
		sh := &st.shards[i]
		sh.mu.Lock()
		sh.latency.Reset()
		sh.mu.Unlock()
	}
}

// Latency merges the latencies, from the stamp to the arrival, of all first deliveries since the last reset.
func (s *Sink) Latency() *hdrhistogram.Histogram {
	all, st := newLatencyHistogram(), s.state.Load()
	for i := range st.shards {
		sh := &st.shards[i]
		sh.mu.Lock()
		all.Merge(sh.latency)
		sh.mu.Unlock()
	}
	return all
}

// Ledger returns the events that a hook has accepted.
func (s *Sink) Ledger(hook int) Ledger {
	st := s.state.Load()
	streams := *st.hooks[hook].streams.Load()
	l := make(Ledger, len(streams))
	for i, m := range streams {
		sh := &st.shards[i%sinkShards]
		sh.mu.Lock()
		l[i] = append(Bitmap(nil), m.seen...)
		sh.mu.Unlock()
	}
	return l
}
