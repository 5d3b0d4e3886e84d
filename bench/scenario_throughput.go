package bench

import (
	"context"
	"fmt"
	"strings"
)

// throughput is the first number that people ask for: a closed loop, one webhook.
func throughput(ctx context.Context, s *Session) error {
	var limits []*Result
	if s.Limits {
		var err error
		if limits, err = s.limits(ctx); err != nil {
			return err
		}
	}
	res, err := s.whole(ctx, func(*run) {})
	if err != nil {
		return err
	}
	for i := len(limits) - 1; i >= 0; i-- { // the most important one first
		res.compare(limits[i])
	}
	return nil
}

// fanout compares deliveries per second to five webhooks with those to one.
func fanout(ctx context.Context, s *Session) error {
	var one *Result
	for _, n := range []int{1, 5} {
		err := s.withRelay(s.plain(n), func(c *relayChild) error {
			r := s.closed(fmt.Sprintf("1 to %d", n), c.target(s.body()))
			r.hooks = r.hooks[:0]
			for i := range n {
				r.hooks = append(r.hooks, i)
			}
			res, err := s.measureRelay(ctx, c, r)
			if err != nil {
				return err
			}
			if one == nil {
				one = res
			} else {
				res.compare(one)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// bigEvent is the size in the scenario big.
const bigEvent = 64 << 10

func big(ctx context.Context, s *Session) error {
	size := s.Size
	s.Size = bigEvent
	defer func() { s.Size = size }()
	var two *Result
	if s.Limits {
		var err error
		if two, err = s.twoHops(ctx, false, nil); err != nil {
			return err
		}
	}
	res, err := s.whole(ctx, func(r *run) { r.name = "edgerelay, 64 KiB" })
	if err != nil {
		return err
	}
	res.figure("payload", res.PerSecond.EndToEnd*bigEvent/1e6, "MB/s")
	if two != nil {
		res.compare(two)
	}
	return nil
}

// manyWebhooks adds webhooks that do not match.
func manyWebhooks(ctx context.Context, s *Session) error {
	counts := []int{10, 100, 10000}
	if s.Quick {
		counts = counts[:2]
	}
	var few *Result
	for _, n := range counts {
		o := s.plain(1)
		o.webhooks = func() []webhook {
			list := []webhook{s.plainHook(0)}
			for i := 1; i < n; i++ {
				h := s.plainHook(0)
				h.events = fmt.Sprintf("bench.other%d.*", i)
				list = append(list, h)
			}
			return list
		}
		err := s.withRelay(o, func(c *relayChild) error {
			res, err := s.measureRelay(ctx, c, s.closed(thousands(float64(n))+" webhooks", c.target(s.body())))
			if err != nil {
				return err
			}
			res.figure("start to ready", float64(c.Ready.Milliseconds()), "ms")
			if few == nil {
				few = res
			} else {
				res.compare(few)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// percent names a share for people.
func percent(share float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", share*100), ".0") + " %"
}
