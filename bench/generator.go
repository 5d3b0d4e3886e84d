package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Load describes what a Generator does.
type Load struct {
	Target      Target
	Connections int
	// Rate > 0 is an open loop: so many events per second, whatever the answers do; an event's latency counts from the moment at which it was to
	// be sent, so that a target that stalls cannot hide it by slowing the generator down. 0 is a closed loop: each connection sends its next
	// event once the last one is answered.
	Rate float64
	// Events ends the load after so many events that were answered with 2xx; 0 = only Stop ends it.
	Events int64
}

// Sent is what a Generator has counted.
type Sent struct {
	Attempts int64 // requests written
	Accepted int64 // answered with 2xx
	Refused  int64 // answered with something else
	Failed   int64 // no answer: whether the event was taken is not known
}

// Generator sends load over its own connections, from Start until Stop. It owns one goroutine per connection, and one more that keeps the
// time in an open loop. Its other methods may be called from any goroutine.
type Generator struct {
	load    Load
	streams []*stream
	clock   clock
	budget  atomic.Int64 // events that may still be begun; only with Load.Events

	stop    chan struct{} // closed by Stop
	stopped sync.Once
	running sync.WaitGroup
	done    chan struct{} // closed when every goroutine has ended

	errMu   sync.Mutex
	lastErr error // guarded by errMu
}

// stream is one connection. Only its goroutine touches message, wire and number.
type stream struct {
	id      uint16
	message *message
	wire    *wire
	number  uint32

	attempts, accepted, refused, failed atomic.Int64

	mu      sync.Mutex // guards what follows; nearly always free
	acked   Bitmap
	latency *hdrhistogram.Histogram // microseconds
	_       [64]byte                // streams are hot: not two on one cache line
}

// clock is the time as the open loop sees it; tests replace it.
type clock struct {
	now        func() time.Time
	sleepUntil func(t time.Time, stop <-chan struct{}) // may return early once stop is closed
}

// The generator's own histograms: 1 µs to 10 min, three digits.
func newLatencyHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(10*time.Minute/time.Microsecond), 3)
}

func record(h *hdrhistogram.Histogram, d time.Duration) {
	if err := h.RecordValue(min(max(d.Microseconds(), 1), h.HighestTrackableValue())); err != nil {
		panic("BUG: clamped latency outside the histogram: " + err.Error())
	}
}

// NewGenerator checks the load. Nothing is sent before Start.
func NewGenerator(l Load) (*Generator, error) {
	if l.Connections < 1 || l.Connections > maxStreams {
		return nil, fmt.Errorf("connections: want 1 to %d", maxStreams)
	}
	m, err := l.Target.message()
	if err != nil {
		return nil, err
	}
	g := &Generator{load: l, stop: make(chan struct{}), done: make(chan struct{}), clock: clock{time.Now, sleepUntil}}
	g.budget.Store(l.Events)
	for i := range l.Connections {
		g.streams = append(g.streams, &stream{id: uint16(i), message: m.clone(), latency: newLatencyHistogram()})
	}
	return g, nil
}

// Start begins to send.
func (g *Generator) Start() {
	if g.load.Rate > 0 {
		g.startOpen()
	} else {
		for _, s := range g.streams {
			g.running.Go(func() { g.closedLoop(s) })
		}
	}
	go func() {
		g.running.Wait()
		close(g.done)
	}()
}

// Done is closed when the load has ended: by Stop, or because Load.Events were accepted.
func (g *Generator) Done() <-chan struct{} { return g.done }

// Stop ends the load after the requests that are under way, and waits for them. ctx ends the waiting by closing the connections.
func (g *Generator) Stop(ctx context.Context) {
	g.stopped.Do(func() { close(g.stop) })
	select {
	case <-g.done:
	case <-ctx.Done():
		g.cut()
		<-g.done
	}
}

// cut makes every read fail.
func (g *Generator) cut() {
	for _, s := range g.streams {
		s.mu.Lock()
		if s.wire != nil {
			s.wire.SetDeadline(time.Now())
		}
		s.mu.Unlock()
	}
}

func (g *Generator) stopping() bool {
	select {
	case <-g.stop:
		return true
	default:
		return false
	}
}

// begin takes one event from the budget; end gives it back when it was not accepted.
func (g *Generator) begin() bool {
	if g.load.Events == 0 {
		return true
	}
	if g.budget.Add(-1) >= 0 {
		return true
	}
	g.budget.Add(1)
	return false
}

func (g *Generator) giveBack() {
	if g.load.Events > 0 {
		g.budget.Add(1)
	}
}

// closedLoop is one connection's life. One that finds the budget empty ends, even if another connection's event may still fail and come back:
// that one's own connection sends it again.
func (g *Generator) closedLoop(s *stream) {
	defer s.close()
	for !g.stopping() && g.begin() {
		if !g.exchange(s, time.Now()) && !g.pause() {
			return
		}
	}
}

// exchange sends one event and waits for its answer; intended is when it was to be sent. False = not accepted.
func (g *Generator) exchange(s *stream, intended time.Time) bool {
	if err := g.write(s, intended); err != nil {
		g.fail(s, err)
		return false
	}
	return g.settle(s, intended)
}

// write sends the stream's next event.
func (g *Generator) write(s *stream, intended time.Time) error {
	if s.wire == nil {
		w, err := dial(s.message)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.wire = w
		s.mu.Unlock()
	}
	s.message.stamp(stamp{stream: s.id, number: s.number, micros: intended.UnixMicro()})
	s.attempts.Add(1)
	_, err := s.wire.Write(s.message.bytes)
	return err
}

// settle reads the answer to the stream's last event and books it.
func (g *Generator) settle(s *stream, intended time.Time) bool {
	status, err := s.wire.answer()
	if err != nil {
		g.fail(s, err)
		return false
	}
	number := s.number
	s.number++
	if s.wire.last {
		s.close()
	}
	if status < 200 || status > 299 {
		s.refused.Add(1)
		g.note(fmt.Errorf("answered with status %d", status))
		g.giveBack()
		return false
	}
	s.accepted.Add(1)
	took := time.Since(intended)
	s.mu.Lock()
	s.acked.add(number)
	record(s.latency, took)
	s.mu.Unlock()
	return true
}

// fail books an event whose fate is not known: its number is not used again.
func (g *Generator) fail(s *stream, err error) {
	if s.wire != nil {
		s.number++
		s.failed.Add(1)
	}
	s.close()
	g.giveBack()
	if !errors.Is(err, net.ErrClosed) {
		g.note(err)
	}
}

// pause keeps a target that refuses from being flooded with the same again; false = stopping.
func (g *Generator) pause() bool {
	t := time.NewTimer(10 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-g.stop:
		return false
	}
}

func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wire != nil {
		s.wire.Close()
		s.wire = nil
	}
}

func (g *Generator) note(err error) {
	g.errMu.Lock()
	g.lastErr = err
	g.errMu.Unlock()
}

// Err is the last thing that went wrong, for people.
func (g *Generator) Err() error {
	g.errMu.Lock()
	defer g.errMu.Unlock()
	return g.lastErr
}

// Sent returns the counts so far.
func (g *Generator) Sent() (c Sent) {
	for _, s := range g.streams {
		c.Attempts += s.attempts.Load()
		c.Accepted += s.accepted.Load()
		c.Refused += s.refused.Load()
		c.Failed += s.failed.Load()
	}
	return c
}

// ResetLatency forgets the latencies so far: the measured time begins.
func (g *Generator) ResetLatency() {
	for _, s := range g.streams {
		s.mu.Lock()
		s.latency.Reset()
		s.mu.Unlock()
	}
}

// Latency merges the latencies of all accepted events since the last reset.
func (g *Generator) Latency() *hdrhistogram.Histogram {
	all := newLatencyHistogram()
	for _, s := range g.streams {
		s.mu.Lock()
		all.Merge(s.latency)
		s.mu.Unlock()
	}
	return all
}

// Ledger returns every event that was answered with 2xx. The generator must have stopped, or the copy is of one moment.
func (g *Generator) Ledger() Ledger {
	l := make(Ledger, len(g.streams))
	for i, s := range g.streams {
		s.mu.Lock()
		l[i] = append(Bitmap(nil), s.acked...)
		s.mu.Unlock()
	}
	return l
}
