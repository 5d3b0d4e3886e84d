package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
)

// What the machine can do at best, with the same generator and sink and in the same minute: figures of a system mean something only
// when they are divided by these.

// twoHops is the limit that everything is compared with: a process that hands each request on and stores nothing. Signed, it signs each
// one, and the sink checks it, as it does with what comes from a relay.
func (s *Session) twoHops(ctx context.Context, signed bool, adapt func(*run)) (res *Result, err error) {
	name := "two hops"
	if signed {
		name = "two hops, signed"
	}
	err = s.withForwarder(signed, func(url string) error {
		r := s.closed(name, Target{URL: url, Body: s.body()})
		r.limit = true
		if adapt != nil {
			adapt(&r)
		}
		res, err = s.measure(ctx, r)
		return err
	})
	return res, err
}

// oneHop is generator and sink alone.
func (s *Session) oneHop(ctx context.Context) (*Result, error) {
	if err := s.freshSink(SinkOptions{Scheme: "none"}); err != nil {
		return nil, err
	}
	r := s.closed("one hop", Target{URL: s.sink.URL("0"), Body: s.body()})
	r.limit = true
	return s.measure(ctx, r)
}

// disk is a log with one sync per group of writers: what durability costs at least.
func (s *Session) disk(ctx context.Context) (*Result, error) {
	perSecond, n, err := measureWAL(ctx, s.dir, s.Connections, s.Size, s.Duration/2)
	if err != nil {
		return nil, err
	}
	return s.alone("log with fdatasync", perSecond, n), nil
}

// QueueResult is what the hidden command prints that measures the relay's queue alone.
type QueueResult struct {
	Events  int64   `json:"events"`
	Seconds float64 `json:"seconds"`
}

// queueAlone is the relay's own queue without HTTP, matching and sending. It runs in a child, because this package may not import it.
func (s *Session) queueAlone(ctx context.Context) (*Result, error) {
	dir, err := s.newDir()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	args := []string{"bench", "queue", "--dir", dir, "--producers", strconv.Itoa(s.Connections), "--size", strconv.Itoa(s.Size), "--duration", (s.Duration / 2).String(),
		"--durability", s.Relay.Durability}
	out, err := command(ctx, s.Program, args).Output()
	if err != nil {
		if e, ok := err.(*exec.ExitError); ok {
			err = fmt.Errorf("%w: %s", err, e.Stderr)
		}
		return nil, fmt.Errorf("measure queue: %w", err)
	}
	var q QueueResult
	if err := json.Unmarshal(out, &q); err != nil || q.Seconds == 0 {
		return nil, fmt.Errorf("measure queue: unexpected answer %q", out)
	}
	return s.alone("queue alone", float64(q.Events)/q.Seconds, q.Events), nil
}

// alone reports a limit without deliveries.
func (s *Session) alone(name string, perSecond float64, n int64) *Result {
	res := &Result{Scenario: s.scenario, Name: name, Round: s.round, Limit: true, Accepted: n, Seconds: float64(n) / max(perSecond, 1),
		Config: map[string]any{"writers": s.Connections, "event_bytes": s.Size}}
	res.PerSecond.EndToEnd = perSecond
	res.Verdict.Verified = "nothing: no deliveries"
	s.Report.add(res)
	s.progress.line("%s: %s: %s records/s", s.scenario, name, thousands(perSecond))
	return res
}

// limits measures all of them.
func (s *Session) limits(ctx context.Context) (all []*Result, err error) {
	list := []func(context.Context) (*Result, error){
		s.oneHop,
		func(ctx context.Context) (*Result, error) { return s.twoHops(ctx, true, nil) },
	}
	if s.Target == nil { // what a target does with the disk is its own affair
		list = append(list, s.disk, s.queueAlone)
	}
	// Two hops comes last: next to what it is compared with.
	list = append(list, func(ctx context.Context) (*Result, error) { return s.twoHops(ctx, false, nil) })
	for _, measure := range list {
		res, err := measure(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, res)
	}
	return all, nil
}
