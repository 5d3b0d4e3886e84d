package relay

import (
	"context"
	"slices"
	"time"

	"edgerelay/relay/admin"
	"edgerelay/relay/series"
)

// sampleEvery is how often the counters are looked at. A reader looks too, so this only decides how sharp the steps' borders are.
const sampleEvery = 10 * time.Second

// sample keeps the series going until ctx ends.
func (r *Relay) sample(ctx context.Context) {
	t := time.NewTicker(sampleEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			r.sampleAt(now)
		}
	}
}

func (r *Relay) sampleAt(now time.Time) {
	table := r.table.Load()
	lanes := r.deliver.Lanes()
	counts := make([]series.Counts, 0, len(lanes))
	for _, l := range lanes {
		if w := table.Get(l.Webhook); w != nil {
			counts = append(counts, series.Counts{Webhook: w.ID.String(), Tenant: w.Tenant, Delivered: l.Delivered, Failed: l.Failed, Spent: l.Spent})
		}
	}
	r.series.Sample(now, counts)
}

// readSeries is the management API's look at it.
func (r *Relay) readSeries(tenants []string, webhook string, hours int) admin.Series {
	now := time.Now()
	r.sampleAt(now)
	p := r.series.Read(now, hours > 1, func(id, tenant string) bool {
		return (webhook == "" || id == webhook) && (tenants == nil || slices.Contains(tenants, tenant))
	})
	s := admin.Series{Start: p.Start, Step: int(p.Step.Seconds()), Delivered: p.Delivered, Failed: p.Failed, Mean: make([]float64, len(p.Mean))}
	for i, m := range p.Mean {
		s.Mean[i] = float64(m.Microseconds())
	}
	return s
}
