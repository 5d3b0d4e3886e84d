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
	Scheme string // of the signatures; none = not checked
	Secret string
	Sample int // check the signature of every n-th delivery of a stream; 0 or 1 = of all
}

// Behaviour is how a hook answers.
type Behaviour struct {
	Status     int           // 0 = 200
	Delay      time.Duration // before answering
	RetryAfter int           // seconds; 0 = no header
	Reset      bool          // no answer: the connection is reset
	Hang       bool          // no answer until the behaviour changes; then as it says
	Share      float64       // only to this share of the requests, spread evenly; the others get 200. 0 = to all
}

// SinkCounts sums up what arrived, over all hooks.
type SinkCounts struct {
	Requests       int64
	Delivered      int64 // accepted with 2xx
	Distinct       int64 // of these, different events (per hook)
	Duplicates     int64
	OutOfOrder     int64 // arrived after a later event of the same stream
	Refused        int64 // answered as the behaviour says, with something else than 2xx
	BadSignatures  int64
	BadIDs         int64 // webhook-id is missing or differs from the envelope's id
	Unknown        int64 // without a stamp: not from this generator
	Checked        int64 // signatures that were checked
	LastError      string
	First, Last    int64 // Unix microseconds of the first and the last delivery that was accepted for the first time
	LastDuplicates int64 // of the last duplicate
}

// Sink is the verifying receiver for loads: it finds each event's stamp, checks signature and id, and keeps a ledger per hook. Unlike Receiver
// it keeps nothing per event but a bit, so that tens of millions can be proven. It starts fasthttp's goroutines; Close waits for them.
type Sink struct {
	opts   SinkOptions
	addr   string
	verify *verifier
	hooks  []*sinkHook
	server *fasthttp.Server
	served chan error
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
	behaviour atomic.Pointer[behaviour]
	turns     atomic.Int64 // requests that were asked for their share
	streams   atomic.Pointer[[]*mark]
	grow      sync.Mutex // taken to replace streams
}

// behaviour is a Behaviour in force; over is closed when it is replaced.
type behaviour struct {
	Behaviour
	over chan struct{}
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
	s := &Sink{opts: o, served: make(chan error, 1)}
	var secrets []string
	if o.Secret != "" {
		secrets = []string{o.Secret}
	}
	var err error
	if s.verify, err = newVerifier(o.Scheme, secrets); err != nil {
		return nil, fmt.Errorf("start sink: %w", err)
	}
	for i := range s.shards {
		s.shards[i].latency = newLatencyHistogram()
	}
	for range max(o.Hooks, 1) {
		h := &sinkHook{}
		h.behaviour.Store(&behaviour{over: make(chan struct{})})
		h.streams.Store(&[]*mark{})
		s.hooks = append(s.hooks, h)
	}
	ln, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("start sink: %w", err)
	}
	s.addr = ln.Addr().String()
	s.server = &fasthttp.Server{Handler: s.handle, Name: "edgerelay-sink", MaxRequestBodySize: 64 << 20, ReadBufferSize: 16 << 10,
		NoDefaultDate: true, Logger: quiet{}, CloseOnShutdown: true}
	go func() { s.served <- s.server.Serve(ln) }()
	return s, nil
}

// Addr returns host:port with the real port.
func (s *Sink) Addr() string { return s.addr }

// Close releases what hangs, and waits for the connections at most until ctx ends.
func (s *Sink) Close(ctx context.Context) error {
	for i := range s.hooks {
		s.Behave(i, Behaviour{Status: fasthttp.StatusServiceUnavailable})
	}
	err := s.server.ShutdownWithContext(ctx)
	if err == nil {
		err = <-s.served
	}
	if err != nil {
		return fmt.Errorf("close sink: %w", err)
	}
	return nil
}

// Behave sets how a hook answers from now on. Requests that hang are answered.
func (s *Sink) Behave(hook int, b Behaviour) {
	old := s.hooks[hook].behaviour.Swap(&behaviour{b, make(chan struct{})})
	close(old.over)
}

// handle answers one request.
func (s *Sink) handle(ctx *fasthttp.RequestCtx) {
	h := s.hook(ctx.Path())
	for {
		b := h.behaviour.Load()
		if b.Behaviour == (Behaviour{}) || !h.turn(b.Share) {
			break
		}
		if b.Hang {
			<-b.over
			continue
		}
		if b.Delay > 0 {
			wait(b.Delay, b.over)
		}
		if b.Status == 0 && !b.Reset || b.Status >= 200 && b.Status <= 299 {
			break
		}
		s.refuse(ctx, b.Behaviour)
		return
	}
	if problem := s.accept(h, ctx); problem != "" {
		ctx.Error(problem, fasthttp.StatusUnauthorized)
	}
}

// turn reports whether a request is among the share that the behaviour is for. Every k-th one is, without luck.
func (h *sinkHook) turn(share float64) bool {
	if share == 0 {
		return true
	}
	n := float64(h.turns.Add(1))
	return int64(n*share) != int64((n-1)*share)
}

func wait(d time.Duration, over <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-over:
	}
}

func (s *Sink) refuse(ctx *fasthttp.RequestCtx, b Behaviour) {
	a := Answer{Status: b.Status, Reset: b.Reset}
	if b.RetryAfter > 0 {
		a.RetryAfter = strconv.Itoa(b.RetryAfter)
	}
	sh := &s.shards[0]
	sh.mu.Lock()
	sh.counts.Requests++
	sh.counts.Refused++
	sh.mu.Unlock()
	a.write(ctx)
}

func (s *Sink) hook(path []byte) *sinkHook {
	if name, ok := bytes.CutPrefix(path, []byte(HookPath)); ok {
		if n, err := strconv.Atoi(string(name)); err == nil && n >= 0 && n < len(s.hooks) {
			return s.hooks[n]
		}
	}
	return s.hooks[0]
}

// accept checks a delivery and books it. It returns what is wrong with it, or nothing.
func (s *Sink) accept(h *sinkHook, ctx *fasthttp.RequestCtx) (problem string) {
	now := time.Now()
	body := ctx.Request.Body()
	st, found := findStamp(body)
	var badSign, badID error
	check := s.verify.scheme != "none" && (s.opts.Sample < 2 || st.number%uint32(s.opts.Sample) == 0)
	if check {
		badSign = s.verify.check(ctx.Request.Header.Peek, body, now)
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
	sh.book(h.mark(st.stream), st, now)
	return ""
}

func (sh *sinkShard) book(m *mark, st stamp, now time.Time) {
	c := &sh.counts
	if !m.seen.add(st.number) {
		c.Duplicates++
		c.LastDuplicates = now.UnixMicro()
		return
	}
	c.Distinct++
	if int64(st.number) < m.highest {
		c.OutOfOrder++
	}
	m.highest = max(m.highest, int64(st.number))
	c.Last = now.UnixMicro()
	if c.First == 0 {
		c.First = c.Last
	}
	record(sh.latency, time.Duration(c.Last-st.micros)*time.Microsecond)
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

// Counts returns the sums so far.
func (s *Sink) Counts() (sum SinkCounts) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		sum.add(&sh.counts)
		sh.mu.Unlock()
	}
	return sum
}

func (c *SinkCounts) add(o *SinkCounts) {
	c.Requests += o.Requests
	c.Delivered += o.Delivered
	c.Distinct += o.Distinct
	c.Duplicates += o.Duplicates
	c.OutOfOrder += o.OutOfOrder
	c.Refused += o.Refused
	c.BadSignatures += o.BadSignatures
	c.BadIDs += o.BadIDs
	c.Unknown += o.Unknown
	c.Checked += o.Checked
	if o.LastError != "" {
		c.LastError = o.LastError
	}
	if o.First != 0 && (c.First == 0 || o.First < c.First) {
		c.First = o.First
	}
	c.Last = max(c.Last, o.Last)
	c.LastDuplicates = max(c.LastDuplicates, o.LastDuplicates)
}

// ResetLatency forgets the latencies so far.
func (s *Sink) ResetLatency() {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		sh.latency.Reset()
		sh.mu.Unlock()
	}
}

// Latency merges the latencies, from the stamp to the arrival, of all first deliveries since the last reset.
func (s *Sink) Latency() *hdrhistogram.Histogram {
	all := newLatencyHistogram()
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		all.Merge(sh.latency)
		sh.mu.Unlock()
	}
	return all
}

// Ledger returns the events that a hook has accepted.
func (s *Sink) Ledger(hook int) Ledger {
	streams := *s.hooks[hook].streams.Load()
	l := make(Ledger, len(streams))
	for i, m := range streams {
		sh := &s.shards[i%sinkShards]
		sh.mu.Lock()
		l[i] = append(Bitmap(nil), m.seen...)
		sh.mu.Unlock()
	}
	return l
}
