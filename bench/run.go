package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// run is one load from its start to the last delivery that follows from it.
type run struct {
	name        string
	limit       bool
	target      Target
	connections int
	rate        float64 // 0 = closed loop
	events      int64   // > 0: the load ends with so many, and there is no warming up
	duration    time.Duration
	warmup      time.Duration
	hooks       []int         // each event is expected at each of these
	noDrain     bool          // the deliveries are not waited for: the scenario does that itself
	patience    time.Duration // 0 = patience
	config      map[string]any
	during      func(ctx context.Context, g *Generator) error // beside the load, from the start of the measured time; nil = nothing
}

// patience is how long a drain waits without a single delivery before it says that the rest is lost.
const patience = 15 * time.Second

// measure makes a run and adds its Result to the report.
func (s *Session) measure(ctx context.Context, r run) (*Result, error) {
	res, g, err := s.load(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := s.judge(res, r.hooks, g); err != nil {
		return nil, err
	}
	s.Report.add(res)
	s.progress.line("%s", res.line())
	return res, nil
}

// load runs the load and, unless r.noDrain, waits for the deliveries.
func (s *Session) load(ctx context.Context, r run) (*Result, *Generator, error) {
	g, err := NewGenerator(Load{Target: r.target, Connections: r.connections, Rate: r.rate, Events: r.events})
	if err != nil {
		return nil, nil, err
	}
	res := &Result{Scenario: s.scenario, Name: r.name, Round: s.round, Limit: r.limit, Config: r.config}
	m := s.startSampler(res, g)
	defer m.stop()
	m.phase(phaseWarmup)
	g.Start()
	stop := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		g.Stop(ctx)
	}
	defer stop()
	if err := sleep(ctx, r.warmup); err != nil {
		return nil, nil, err
	}
	from, err := s.take(g)
	if err != nil {
		return nil, nil, err
	}
	m.phase(phaseLoad)
	if err := s.underLoad(ctx, r, g); err != nil {
		return nil, nil, err
	}
	till, err := s.take(g)
	if err != nil {
		return nil, nil, err
	}
	stop()
	if till.sent.Accepted == 0 {
		return nil, nil, errors.Join(errors.New("no event was accepted"), g.Err())
	}
	m.phase(phaseDrain)
	if !r.noDrain && !s.NoSink {
		if err := s.drain(ctx, g, r.hooks, r.patience); err != nil {
			return nil, nil, err
		}
	}
	end, err := s.take(g)
	if err != nil {
		return nil, nil, err
	}
	return res, g, s.fill(res, r, g, from, till, end)
}

// underLoad waits for the end of the measured time, and runs what the scenario does meanwhile.
func (s *Session) underLoad(ctx context.Context, r run, g *Generator) error {
	g.ResetLatency()
	if err := s.sink.ResetLatency(); err != nil {
		return err
	}
	if r.during != nil {
		if err := r.during(ctx, g); err != nil {
			return err
		}
	}
	if r.events > 0 {
		select {
		case <-g.Done():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if r.during != nil {
		return nil
	}
	return sleep(ctx, r.duration)
}

// moment is every counter at one time.
type moment struct {
	at      time.Time
	sent    Sent
	sink    SinkCounts
	usage   map[string]Usage
	machine machine
}

// delivered is the number of first deliveries to these hooks.
func (m moment) delivered(hooks []int) (n int64) {
	for _, h := range hooks {
		if h < len(m.sink.Hooks) {
			n += m.sink.Hooks[h]
		}
	}
	return n
}

func (s *Session) take(g *Generator) (m moment, err error) {
	m.sink, err = s.sink.Counts()
	m.at, m.sent, m.usage, m.machine = time.Now(), g.Sent(), s.usage(), machineUse()
	return m, err
}

// drain waits until every event that was answered with 2xx has arrived at every hook, or nothing has arrived for a while.
func (s *Session) drain(ctx context.Context, g *Generator, hooks []int, most time.Duration) error {
	if most == 0 {
		most = patience
	}
	ledger := g.Ledger()
	want := ledger.Count() * int64(len(hooks))
	var last int64 = -1
	since, compared := time.Now(), time.Time{}
	for {
		c, err := s.sink.Counts()
		if err != nil {
			return err
		}
		if c.Distinct != last {
			last, since = c.Distinct, time.Now()
		}
		if c.Distinct >= want && time.Since(compared) > 500*time.Millisecond {
			lost, err := s.lost(ledger, hooks)
			if err != nil || lost == 0 {
				return err
			}
			compared = time.Now()
		}
		if time.Since(since) > most {
			return nil
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// lost counts the promised deliveries that the sink has not accepted.
func (s *Session) lost(promised Ledger, hooks []int) (n int64, err error) {
	for _, h := range hooks {
		got, err := s.sink.Ledger(h)
		if err != nil {
			return 0, err
		}
		n += promised.Without(got)
	}
	return n, nil
}

// fill computes the figures of a run.
func (s *Session) fill(res *Result, r run, g *Generator, from, till, end moment) error {
	res.Seconds = till.at.Sub(from.at).Seconds()
	res.Accepted = till.sent.Accepted - from.sent.Accepted
	res.Delivered = end.delivered(r.hooks) - from.delivered(r.hooks)
	res.PerSecond.Accepted = float64(res.Accepted) / res.Seconds
	res.PerSecond.Delivered = float64(till.delivered(r.hooks)-from.delivered(r.hooks)) / res.Seconds
	res.PerSecond.EndToEnd = res.PerSecond.Accepted
	switch {
	case s.NoSink:
	case r.noDrain:
		res.PerSecond.EndToEnd = res.PerSecond.Delivered
	default:
		last := time.UnixMicro(end.sink.Last)
		if r.events == 0 && last.Before(till.at) {
			last = till.at
		}
		res.DrainSeconds = max(0, last.Sub(till.at).Seconds())
		res.PerSecond.EndToEnd = float64(res.Delivered) / max(last.Sub(from.at).Seconds(), 1e-6)
	}
	res.Accept = percentiles(g.Latency())
	h, err := s.sink.Latency()
	if err != nil {
		return err
	}
	res.EndToEnd = percentiles(h)
	events := float64(max(res.Delivered/int64(max(len(r.hooks), 1)), 1))
	if s.NoSink || r.noDrain {
		events = float64(max(res.Accepted, 1))
	}
	s.fillUse(res, events, from, end)
	return nil
}

// fillUse computes what the processes have used, per event.
func (s *Session) fillUse(res *Result, events float64, from, end moment) {
	res.Processes = map[string]ProcessUse{}
	s.mu.Lock()
	defer s.mu.Unlock()
	var ours time.Duration
	for role, after := range end.usage {
		before, ok := from.usage[role]
		if !ok || before.PID != after.PID {
			continue // it was replaced meanwhile: what the first one used is not known
		}
		u := ProcessUse{CPUSeconds: (after.CPU - before.CPU).Seconds(), Written: after.Written - before.Written,
			PeakResident: s.peaks[role].Resident, PeakPrivate: s.peaks[role].Private}
		u.CPUPer1000, u.WrittenPerEvent = u.CPUSeconds*1000/events, float64(u.Written)/events
		res.Processes[role] = u
		ours += after.CPU - before.CPU
	}
	if seconds := end.at.Sub(from.at).Seconds(); end.machine.known {
		res.OtherCores = max(0, (end.machine.busy-from.machine.busy-ours).Seconds()/seconds)
		res.StolenCores = (end.machine.stolen - from.machine.stolen).Seconds() / seconds
	}
}

// judge compares the ledgers.
func (s *Session) judge(res *Result, hooks []int, g *Generator) error {
	sent := g.Sent()
	c, err := s.sink.Counts()
	if err != nil {
		return err
	}
	ledger := g.Ledger()
	v := Verdict{Promised: ledger.Count() * int64(len(hooks)), Duplicates: c.Duplicates, OutOfOrder: c.OutOfOrder, BadSignatures: c.BadSignatures,
		BadIDs: c.BadIDs, Unknown: c.Unknown, Refused: sent.Refused, Unanswered: sent.Failed, SinkRefused: c.Refused, LastError: c.LastError}
	if err := g.Err(); err != nil && v.LastError == "" {
		v.LastError = err.Error()
	}
	v.Verified = s.verified(c)
	if s.NoSink {
		v.Promised = 0
		res.Verdict = v
		return nil
	}
	for _, h := range hooks {
		got, err := s.sink.Ledger(h)
		if err != nil {
			return err
		}
		v.Lost += ledger.Without(got)
		v.Unpromised += got.Without(ledger)
	}
	if v.Lost > 0 && s.relay != nil {
		v.RelaySays = s.relay.says()
	}
	res.Verdict = v
	return nil
}

// verified says in words what was checked.
func (s *Session) verified(c SinkCounts) string {
	switch {
	case s.NoSink:
		return "nothing: the target does not deliver to this bench"
	case c.Checked == 0:
		return "each event by its number; no signatures"
	case c.Checked < c.Requests-c.Refused:
		return fmt.Sprintf("each event by its number; signatures of every %d. delivery", s.Sample)
	}
	return "each event by its number, signature and id of every delivery"
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
