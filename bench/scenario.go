package bench

import (
	"context"
	"strconv"
)

// Scenario is one thing to measure.
type Scenario struct {
	Name      string
	Short     string // one line
	AnyTarget bool   // also makes sense with a target that is not a relay of our own
	run       func(context.Context, *Session) error
}

// Scenarios lists every scenario in the order in which a run of all takes them.
func Scenarios() []Scenario {
	return []Scenario{
		{"throughput", "as many events as go through to one webhook, against the limits of the machine", true, throughput},
		{"history", "the highest rate without a history, with one of failed attempts, and with one of everything", false, remembering},
		{"fanout", "one event to five webhooks, against one event to one", false, fanout},
		{"big", "events of 64 KiB", false, big},
		{"transform", "a payload template and WASM transforms, against events that pass as they are", false, transforms},
		{"many-webhooks", "10, 100 and 10,000 webhooks, of which one matches", false, manyWebhooks},
		{"latency", "how long events take at 10, 50 and 80 % of the highest rate, and at 1,000/s", true, latency},
		{"backlog", "the receiver is down while events come in; kill -9, restart, then it is up again", false, backlog},
		{"slow-neighbour", "what a receiver notices of another one that hangs or is slow", false, slowNeighbour},
		{"noisy-tenant", "what nineteen tenants notice of a twentieth that sends ten times as much", false, noisyTenant},
		{"retry-storm", "every second attempt fails and is tried again", false, retryStorm},
		{"restart", "kill -9 under load, several times", false, restart},
		{"soak", "half the highest rate for as long as --duration says: does memory grow?", true, soak},
	}
}

// FindScenario returns the scenario of a name.
func FindScenario(name string) (Scenario, bool) {
	for _, s := range Scenarios() {
		if s.Name == name {
			return s, true
		}
	}
	return Scenario{}, false
}

// eventType is what the generator sends.
const eventType = "bench.event"

func (s *Session) body() string { return EventBody(s.Size) }

// plainHook is a webhook for hook n of the sink that takes every event as it is.
func (s *Session) plainHook(n int) webhook {
	return webhook{events: eventType, url: s.sink.URL(strconv.Itoa(n))}
}

// plain is a relay with n such webhooks.
func (s *Session) plain(n int) relayRun {
	return relayRun{sinkHooks: n, webhooks: func() (list []webhook) {
		for i := range n {
			list = append(list, s.plainHook(i))
		}
		return list
	}}
}

// closed is a closed-loop run at the session's settings, to hook 0.
func (s *Session) closed(name string, t Target) run {
	return run{name: name, target: t, connections: s.Connections, duration: s.Duration, warmup: s.Warmup, hooks: []int{0}, config: s.describe()}
}

// describe is the part of a result's config that is the same for all.
func (s *Session) describe() map[string]any {
	m := map[string]any{"connections": s.Connections, "event_bytes": s.Size, "duration": s.Duration.String(), "warmup": s.Warmup.String()}
	if s.Target == nil {
		m["durability"], m["concurrency"] = s.Relay.Durability, s.Relay.Concurrency
	}
	return m
}

// measureRelay is measure with a look at the relay's own metrics.
func (s *Session) measureRelay(ctx context.Context, child *relayChild, r run) (*Result, error) {
	before, err := child.metrics()
	if err != nil {
		return nil, err
	}
	res, err := s.measure(ctx, r)
	if err != nil {
		return nil, err
	}
	after, err := child.metrics()
	if err != nil {
		return nil, err
	}
	diff := func(name string) float64 { return after["edgerelay_"+name] - before["edgerelay_"+name] }
	if commits := diff("queue_commit_duration_seconds_count"); commits > 0 {
		res.figure("events per commit", diff("queue_commit_batch_events_sum")/commits, "")
		res.figure("mean commit", diff("queue_commit_duration_seconds_sum")/commits*1000, "ms")
	}
	const mallocs = "go_memstats_mallocs_total"
	if events := diff("queue_commit_batch_events_sum"); events > 0 {
		res.figure("allocations per event", (after[mallocs]-before[mallocs])/events, "")
	}
	return res, nil
}

// targetName is the name of results of a target; the scenarios may add to it.
const targetName = "target"

// whole measures the relay with one webhook, or the target.
func (s *Session) whole(ctx context.Context, adapt func(*run)) (res *Result, err error) {
	if s.Target != nil {
		o := SinkOptions{Scheme: "none"}
		if s.Secret != "" {
			o.Scheme, o.Secret = "standard", s.Secret
		}
		if err := s.freshSink(o); err != nil {
			return nil, err
		}
		s.watch("target", s.TargetPIDs...)
		defer s.watch("target") // or it would be taken for what the limits are about
		r := s.closed(targetName, *s.Target)
		adapt(&r)
		return s.measure(ctx, r)
	}
	err = s.withRelay(s.plain(1), func(c *relayChild) error {
		r := s.closed("edgerelay", c.target(s.body()))
		adapt(&r)
		res, err = s.measureRelay(ctx, c, r)
		return err
	})
	return res, err
}

func (r *Result) figure(name string, value float64, unit string) {
	r.Figures = append(r.Figures, Figure{name, value, unit})
}

// compare adds the ratios of res to another result.
func (r *Result) compare(to *Result) {
	if to.PerSecond.EndToEnd > 0 {
		r.Ratios = append(r.Ratios, Ratio{"end to end", to.Name, r.PerSecond.EndToEnd / to.PerSecond.EndToEnd})
	}
	mine, theirs := max(r.Processes["relay"].CPUPer1000, r.Processes["target"].CPUPer1000), max(to.Processes["relay"].CPUPer1000, to.Processes["forwarder"].CPUPer1000)
	if mine > 0 && theirs > 0 {
		r.Ratios = append(r.Ratios, Ratio{"CPU per event", to.Name, mine / theirs})
	}
}
