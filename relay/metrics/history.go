package metrics

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// HistorySnapshot is what a scrape wants to know of the history.
type HistorySnapshot struct {
	Stored, Dropped int64 // records since the start
	Bytes           int64
}

// historyCollector asks for a snapshot per scrape. Without a history there are no series.
type historyCollector struct {
	snapshot atomic.Pointer[func() HistorySnapshot]

	stored, dropped, bytes *prometheus.Desc
}

func newHistoryCollector() *historyCollector {
	d := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, nil, nil)
	}
	return &historyCollector{
		stored:  d("history_records_total", "Events and attempts that the history has stored."),
		dropped: d("history_dropped_total", "Events and attempts that the history left out: it was behind, the disk low, or a write failed."),
		bytes:   d("history_bytes", "What the history takes on the disk, as last measured."),
	}
}

// WatchHistory makes fn the source of the history's series. fn is called per scrape, from any goroutine.
func (m *Metrics) WatchHistory(fn func() HistorySnapshot) { m.history.snapshot.Store(&fn) }

// Describe implements prometheus.Collector.
func (c *historyCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.stored
	ch <- c.dropped
	ch <- c.bytes
}

// Collect implements prometheus.Collector.
func (c *historyCollector) Collect(ch chan<- prometheus.Metric) {
	fn := c.snapshot.Load()
	if fn == nil {
		return
	}
	s := (*fn)()
	ch <- prometheus.MustNewConstMetric(c.stored, prometheus.CounterValue, float64(s.Stored))
	ch <- prometheus.MustNewConstMetric(c.dropped, prometheus.CounterValue, float64(s.Dropped))
	ch <- prometheus.MustNewConstMetric(c.bytes, prometheus.GaugeValue, float64(s.Bytes))
}
