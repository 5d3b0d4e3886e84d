package bench

import (
	"context"
	"fmt"
	"net"
	"time"
)

// impatient is a retry schedule for a bench: soon, and often enough to outlive any run.
const impatient = `, retry: { initial: 100ms, max_interval: 500ms, max_retries: 100 }`

// circuitPatience is how long a relay may leave a receiver alone that was down, and then some.
const circuitPatience = 75 * time.Second

// troubled is a relay with n webhooks that retry soon.
func (s *Session) troubled(n int) relayRun {
	o := s.plain(n)
	plain := o.webhooks
	o.webhooks = func() []webhook {
		list := plain()
		for i := range list {
			list[i].more = impatient
		}
		return list
	}
	return o
}

// backlog fills the queue while the receiver is down, kills the relay, starts it again, and drains.
func backlog(ctx context.Context, s *Session) error {
	up, err := s.whole(ctx, func(r *run) { r.name = "receiver up" })
	if err != nil {
		return err
	}
	return s.withRelay(s.troubled(1), func(c *relayChild) error {
		if err := s.sink.Behave(0, Behaviour{Status: 503}); err != nil {
			return err
		}
		r := s.closed("receiver down", c.target(s.body()))
		r.events, r.warmup, r.noDrain = s.Pending, 0, true
		res, g, err := s.load(ctx, r)
		if err != nil {
			return err
		}
		res.PerSecond.EndToEnd, res.Verdict.Verified = 0, "see the drain" // nothing was delivered, and nothing should have been
		if up.PerSecond.Accepted > 0 {
			res.Ratios = append(res.Ratios, Ratio{"accepted", up.Name, res.PerSecond.Accepted / up.PerSecond.Accepted})
		}
		if u := usageOf(c.PID()); u.Known {
			res.figure("resident with the backlog", float64(u.Resident)/(1<<20), "MiB")
			res.figure("private with the backlog", float64(u.Private)/(1<<20), "MiB")
		}
		s.Report.add(res)
		s.progress.line("%s: %s: %s events/s accepted", s.scenario, res.Name, thousands(res.PerSecond.Accepted))
		if err := s.restartRelay(c); err != nil {
			return err
		}
		return s.drainBacklog(ctx, c, r, g, up)
	})
}

// restartRelay kills a relay and starts it again on the same files.
func (s *Session) restartRelay(c *relayChild) error {
	c.Kill()
	next, err := s.startRelay(c.file)
	if err != nil {
		return err
	}
	*c = *next
	return nil
}

func (s *Session) drainBacklog(ctx context.Context, c *relayChild, r run, g *Generator, up *Result) error {
	res := &Result{Scenario: s.scenario, Name: "drain", Round: s.round, Config: r.config}
	res.figure("kill -9 to ready again", float64(c.Ready.Milliseconds()), "ms")
	m := s.startSampler(res, g)
	m.phase(phaseDrain)
	from, err := s.take(g)
	if err == nil {
		err = s.sink.Behave(0, Behaviour{})
	}
	if err == nil {
		err = s.drain(ctx, g, r.hooks, circuitPatience)
	}
	m.stop()
	if err != nil {
		return err
	}
	end, err := s.take(g)
	if err != nil {
		return err
	}
	begin := time.UnixMicro(end.sink.First)
	res.Seconds = time.UnixMicro(end.sink.Last).Sub(begin).Seconds()
	res.Delivered = end.delivered(r.hooks)
	res.PerSecond.EndToEnd = float64(res.Delivered) / max(res.Seconds, 1e-6)
	res.figure("first delivery after", begin.Sub(from.at).Seconds()*1000, "ms")
	s.fillUse(res, float64(max(res.Delivered, 1)), from, end)
	res.compare(up)
	if err := s.judge(res, r.hooks, g); err != nil {
		return err
	}
	s.Report.add(res)
	s.progress.line("%s", res.line())
	return nil
}

// slowNeighbour measures what hook 0 gets while hook 1 behaves badly.
func slowNeighbour(ctx context.Context, s *Session) error {
	var healthy *Result
	for _, v := range []struct {
		name      string
		behaviour Behaviour
	}{
		{"both healthy", Behaviour{}},
		{"the other hangs", Behaviour{Hang: true}},
		{"the other takes 1 s", Behaviour{Delay: time.Second}},
	} {
		o := s.troubled(2)
		o.timed = 1
		err := s.withRelay(o, func(c *relayChild) error {
			if err := s.sink.Behave(1, v.behaviour); err != nil {
				return err
			}
			res, g, err := s.load(ctx, s.closed(v.name, c.target(s.body())))
			if err != nil {
				return err
			}
			// What the other one has missed is owed to it still.
			if err := s.sink.Behave(1, Behaviour{}); err != nil {
				return err
			}
			if err := s.drain(ctx, g, []int{0, 1}, circuitPatience); err != nil {
				return err
			}
			if err := s.judge(res, []int{0, 1}, g); err != nil {
				return err
			}
			s.Report.add(res)
			s.progress.line("%s", res.line())
			if healthy == nil {
				healthy = res
			} else {
				res.compare(healthy)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// retryStorm lets every second attempt fail.
func retryStorm(ctx context.Context, s *Session) error {
	calm, err := s.whole(ctx, func(r *run) { r.name = "no failures" })
	if err != nil {
		return err
	}
	return s.withRelay(s.troubled(1), func(c *relayChild) error {
		if err := s.sink.Behave(0, Behaviour{Status: 500, Share: 0.5}); err != nil {
			return err
		}
		r := s.closed("every second attempt fails", c.target(s.body()))
		r.patience = circuitPatience
		res, err := s.measureRelay(ctx, c, r)
		if err != nil {
			return err
		}
		res.compare(calm)
		return nil
	})
}

// restarts is how often the scenario restart kills the relay.
const restarts = 3

// restart kills the relay under load. The generator goes on, on the same address.
func restart(ctx context.Context, s *Session) error {
	o := s.troubled(1)
	var err error
	if o.ingress, err = freeAddress(); err != nil {
		return err
	}
	return s.withRelay(o, func(c *relayChild) error {
		r := s.closed("kill -9 under load", c.target(s.body()))
		var ready []time.Duration
		r.during = func(ctx context.Context, _ *Generator) error {
			for range restarts {
				if err := sleep(ctx, s.Duration/(restarts+1)); err != nil {
					return err
				}
				if err := s.restartRelay(c); err != nil {
					return err
				}
				ready = append(ready, c.Ready)
			}
			return sleep(ctx, s.Duration/(restarts+1))
		}
		r.patience = circuitPatience
		res, err := s.measure(ctx, r)
		if err != nil {
			return err
		}
		for i, d := range ready {
			res.figure(fmt.Sprintf("kill %d: ready again after", i+1), float64(d.Milliseconds()), "ms")
		}
		return nil
	})
}

// freeAddress finds a port that nobody uses at the moment. Another process could take it before the relay does; then the relay says so.
func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", anyPort)
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return ln.Addr().String(), ln.Close()
}
