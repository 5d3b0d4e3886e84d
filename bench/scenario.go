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
		{"throughput", "as many events as go through, one webhook, against the limits of this machine", true, throughput},
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

// eventType is what the generator sends, unless a scenario says otherwise.
const eventType = "bench.event"

func (s *Session) body() string { return eventBody(eventType, s.Size, s.Seed) }

// plainHook is a webhook for hook n of the sink that takes every event as it is.
func (s *Session) plainHook(n int) webhook {
	return webhook{events: eventType, url: s.sink.URL(strconv.Itoa(n))}
}

func (s *Session) oneHook() []webhook { return []webhook{s.plainHook(0)} }

// closed is a closed-loop run at the session's settings.
func (s *Session) closed(name string, t Target) run {
	return run{name: name, target: t, connections: s.Connections, duration: s.Duration, warmup: s.Warmup, hooks: []int{0}, delivers: "relay",
		config: s.describe()}
}

func (s *Session) describe() map[string]any {
	m := map[string]any{"connections": s.Connections, "event_bytes": s.Size, "duration": s.Duration.String(), "warmup": s.Warmup.String()}
	if s.Target == nil {
		m["durability"], m["concurrency"] = s.Relay.Durability, s.Relay.Concurrency
	}
	return m
}

// twoHops measures the limit that everything is compared with.
func (s *Session) twoHops(ctx context.Context, signed bool) (res *Result, err error) {
	name := "two hops"
	if signed {
		name = "two hops, signed"
	}
	err = s.withForwarder(signed, func(url string) error {
		r := s.closed(name, Target{URL: url, Body: s.body()})
		r.limit, r.delivers = true, "forwarder"
		res, err = s.measure(ctx, r)
		return err
	})
	return res, err
}

// oneHop measures generator and sink alone.
func (s *Session) oneHop(ctx context.Context) (*Result, error) {
	if err := s.freshSink(1, "none"); err != nil {
		return nil, err
	}
	r := s.closed("one hop", Target{URL: s.sink.URL("0"), Body: s.body()})
	r.limit, r.delivers = true, "sink"
	return s.measure(ctx, r)
}

// compare adds the ratios of res to another result.
func compare(res, to *Result) {
	if to == nil || to.PerSecond.EndToEnd == 0 {
		return
	}
	res.Ratios = append(res.Ratios, Ratio{"end to end", to.Name, res.PerSecond.EndToEnd / to.PerSecond.EndToEnd})
	mine, theirs := res.Processes["relay"].CPUPer1000, to.Processes["forwarder"].CPUPer1000
	if to.Processes["relay"].CPUPer1000 > 0 {
		theirs = to.Processes["relay"].CPUPer1000
	}
	if mine > 0 && theirs > 0 {
		res.Ratios = append(res.Ratios, Ratio{"CPU per event", to.Name, mine / theirs})
	}
}

// throughput is the first number that people ask for.
func throughput(ctx context.Context, s *Session) error {
	var limits []*Result
	if s.Limits {
		one, err := s.oneHop(ctx)
		if err != nil {
			return err
		}
		two, err := s.twoHops(ctx, false)
		if err != nil {
			return err
		}
		signed, err := s.twoHops(ctx, true)
		if err != nil {
			return err
		}
		limits = append(limits, two, signed, one)
	}
	res, err := s.whole(ctx, "edgerelay")
	if err != nil {
		return err
	}
	for _, l := range limits {
		compare(res, l)
	}
	return nil
}

// whole measures the relay, or the target, with one webhook.
func (s *Session) whole(ctx context.Context, name string) (res *Result, err error) {
	err = s.withRelay(1, s.oneHook, func(r *relayChild) error {
		res, err = s.measure(ctx, s.closed(name, r.target(s.body())))
		return err
	})
	return res, err
}
