package bench

import (
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// Behaviour is how a hook answers.
type Behaviour struct {
	Status     int           // 0 = 200
	Delay      time.Duration // before answering
	RetryAfter int           // seconds; 0 = no header
	Reset      bool          // no answer: the connection is reset
	Hang       bool          // no answer until the behaviour changes; then 503
	Share      float64       // only to this share of the requests, spread evenly; the others get 200. 0 = to all
}

// behaviour is a Behaviour in force; over is closed when it is replaced.
type behaviour struct {
	Behaviour
	over chan struct{}
}

// Behave sets how a hook answers from now on. Requests that hang are answered.
func (s *Sink) Behave(hook int, b Behaviour) { s.state.Load().behave(hook, b) }

func (s *sinkState) behave(hook int, b Behaviour) {
	old := s.hooks[hook].behaviour.Swap(&behaviour{b, make(chan struct{})})
	close(old.over)
}

func (b Behaviour) refuses() bool {
	return b.Reset || b.Status != 0 && (b.Status < 200 || b.Status > 299)
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

func (s *sinkState) refuse(ctx *fasthttp.RequestCtx, b Behaviour) {
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
