package bench

import (
	"context"
	"fmt"
)

// highest measures the highest rate shortly, for the scenarios that want a share of it.
func (s *Session) highest(ctx context.Context) (float64, error) {
	res, err := s.whole(ctx, func(r *run) { r.name, r.duration = "highest rate", s.Duration/2 })
	if err != nil {
		return 0, err
	}
	if res.PerSecond.EndToEnd < 10 {
		return 0, fmt.Errorf("only %.1f events/s got through: %s", res.PerSecond.EndToEnd, res.Verdict.LastError)
	}
	return res.PerSecond.EndToEnd, nil
}

// latency sends at fixed rates, to the system and to the limit.
func latency(ctx context.Context, s *Session) error {
	most, err := s.highest(ctx)
	if err != nil {
		return err
	}
	type point struct {
		name string
		rate float64
	}
	var points []point
	for _, share := range []float64{0.1, 0.5, 0.8} {
		points = append(points, point{percent(share), share * most})
	}
	points = append(points, point{"1,000/s", 1000})
	if s.Quick {
		points = points[1:2]
	}
	for _, p := range points {
		open := func(r *run) {
			r.name += ", " + p.name
			r.rate = p.rate
			r.config["rate"] = p.rate
		}
		var two *Result
		if s.Limits {
			if two, err = s.twoHops(ctx, false, open); err != nil {
				return err
			}
		}
		res, err := s.whole(ctx, open)
		if err != nil {
			return err
		}
		if two != nil {
			res.figure("end to end p50 above two hops", res.EndToEnd.P50-two.EndToEnd.P50, "ms")
			res.figure("end to end p99 above two hops", res.EndToEnd.P99-two.EndToEnd.P99, "ms")
		}
	}
	return nil
}

// soak sends at half the highest rate and looks at the memory over time.
func soak(ctx context.Context, s *Session) error {
	most, err := s.highest(ctx)
	if err != nil {
		return err
	}
	res, err := s.whole(ctx, func(r *run) {
		r.name += ", 50 %"
		r.rate = most / 2
		r.config["rate"] = r.rate
	})
	if err != nil {
		return err
	}
	quarters := residentByQuarter(res.Samples, "relay")
	for i, b := range quarters {
		res.figure(fmt.Sprintf("resident, quarter %d", i+1), float64(b)/(1<<20), "MiB")
	}
	return nil
}

// residentByQuarter returns the highest memory in each quarter of the time under load.
func residentByQuarter(samples []Sample, role string) (q [4]int64) {
	var load []Sample
	for _, s := range samples {
		if s.Phase == phaseLoad {
			load = append(load, s)
		}
	}
	for i, s := range load {
		n := i * 4 / len(load)
		q[n] = max(q[n], s.Resident[role])
	}
	return q
}
