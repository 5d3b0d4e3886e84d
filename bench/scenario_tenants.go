package bench

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// tenants is how many there are in the scenario noisy-tenant: the last one floods.
const tenants = 20

// floodFactor is how much more the noisy tenant sends than each of the others.
const floodFactor = 10

// noisyTenant measures how long deliveries of nineteen tenants take while the twentieth sends as much as each of them, and then ten times as
// much. Each tenant has its own producer, webhook and hook of the sink; hook 0 has the run's own ledger, the others are looked at too.
func noisyTenant(ctx context.Context, s *Session) error {
	most, err := s.highest(ctx)
	if err != nil {
		return err
	}
	rate := most / 2 / (tenants - 1 + floodFactor) // half of what can be done, when it floods
	o := relayRun{sinkHooks: tenants, timed: tenants - 1, webhooks: func() (list []webhook) {
		for i := range tenants {
			h := s.plainHook(i)
			h.more = fmt.Sprintf(", tenant: t%d", i)
			list = append(list, h)
		}
		return list
	}}
	var b strings.Builder
	b.WriteString("tenants:\n")
	for i := range tenants {
		fmt.Fprintf(&b, "- { id: t%d }\n", i)
	}
	o.config = b.String()
	var calm *Result
	return s.withRelay(o, func(c *relayChild) error {
		for _, factor := range []float64{1, floodFactor} {
			res, err := s.tenantsRun(ctx, c, rate, factor)
			if err != nil {
				return err
			}
			if calm != nil && calm.EndToEnd.P99 > 0 {
				res.Ratios = append(res.Ratios, Ratio{"end to end p99 of the others", calm.Name, res.EndToEnd.P99 / calm.EndToEnd.P99})
			}
			calm = res
			s.Report.add(res)
			s.progress.line("%s", res.line())
		}
		return nil
	})
}

// tenantsRun is one load of all tenants, the last one factor times as much as the others.
func (s *Session) tenantsRun(ctx context.Context, c *relayChild, rate, factor float64) (*Result, error) {
	if err := s.freshSink(SinkOptions{Hooks: tenants, Timed: tenants - 1, Scheme: "standard"}); err != nil {
		return nil, err
	}
	target := func(i int) Target {
		t := c.target(s.body())
		t.Body = strings.Replace(t.Body, `{"type":`, fmt.Sprintf(`{"tenant":"t%d","type":`, i), 1)
		return t
	}
	var others []*Generator
	stop := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		for _, g := range others {
			g.Stop(ctx)
		}
	}
	defer stop()
	for i := 1; i < tenants; i++ {
		l := Load{Target: target(i), Connections: 4, Rate: rate}
		if i == tenants-1 {
			l.Rate, l.Connections = factor*rate, 32
		}
		g, err := NewGenerator(l)
		if err != nil {
			return nil, err
		}
		g.Start()
		others = append(others, g)
	}
	name := "all the same"
	if factor > 1 {
		name = fmt.Sprintf("one sends %.0f times as much", factor)
	}
	r := s.closed(name, target(0))
	r.rate, r.connections, r.noDrain = rate, 4, true
	r.config["rate_per_tenant"], r.config["tenants"] = rate, tenants
	res, g, err := s.load(ctx, r)
	if err != nil {
		return nil, err
	}
	stop()
	for i, other := range append([]*Generator{g}, others...) {
		if err := s.drainHook(ctx, other, i); err != nil {
			return nil, err
		}
	}
	return res, s.judge(res, r.hooks, g)
}

// drainHook waits until everything of g has arrived at hook.
func (s *Session) drainHook(ctx context.Context, g *Generator, hook int) error {
	for end := time.Now().Add(patience); ; {
		lost, err := s.lost(g.Ledger(), []int{hook})
		if err != nil || lost == 0 {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d events of tenant t%d have not arrived", lost, hook)
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}
