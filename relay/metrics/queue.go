package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// QueueSnapshot is what a scrape wants to know of the queue; the relay fills it from the engine's Stats.
type QueueSnapshot struct {
	Pending, Retrying, Dead, Held int64
	Bytes, DiskFree               int64
	Lost, Damaged                 int64
	MaxBytes                      int64
	Full, DiskLow                 bool      // new events are refused
	Events                        int64     // since the data directory was made
	Oldest                        time.Time // when the oldest pending event was accepted; zero = nothing is pending
}

// queueCollector asks for a snapshot per scrape. One snapshot feeds all series, so that they agree with each other.
type queueCollector struct {
	snapshot atomic.Pointer[func() QueueSnapshot]
	now      func() time.Time

	pending, age, bytes, disk, lost, damaged, dead, maxBytes, refusing, events *prometheus.Desc
}

func newQueueCollector() *queueCollector {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	return &queueCollector{
		now:      time.Now,
		pending:  d("queue_pending", "Deliveries in the queue by state: pending (first attempt not settled), retrying, held (behind an earlier one of its key), dead.", "state"),
		age:      d("queue_oldest_age_seconds", "Age of the oldest event with a delivery whose first attempt is not settled; 0 = none."),
		bytes:    d("queue_bytes", "Bytes of undelivered events, as compared with queue.max_bytes."),
		disk:     d("disk_free_bytes", "Free bytes on the volume of the data directory."),
		lost:     d("queue_lost_events", "Acknowledged events that the last start could not find again."),
		damaged:  d("queue_damaged_records", "Stored records that could not be read; they are kept on disk."),
		maxBytes: d("queue_max_bytes", "The size above which new events are refused, as configured."),
		refusing: d("queue_refusing", "1 while new events are refused, by cause: full (queue_max_bytes) or disk (too little is free).", "cause"),
		events:   d("queue_events_total", "Events accepted since the data directory was made."),
		dead:     d("dead_deliveries", "Deliveries that were given up and wait for a person."),
	}
}

// WatchQueue makes fn the source of the queue's gauges; before that they are 0. fn is called per scrape, from any goroutine.
func (m *Metrics) WatchQueue(fn func() QueueSnapshot) { m.queue.snapshot.Store(&fn) }

// Describe implements prometheus.Collector.
func (c *queueCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.pending, c.age, c.bytes, c.disk, c.lost, c.damaged, c.dead, c.maxBytes, c.refusing, c.events} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *queueCollector) Collect(ch chan<- prometheus.Metric) {
	var s QueueSnapshot
	if fn := c.snapshot.Load(); fn != nil {
		s = (*fn)()
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(c.pending, float64(s.Pending), "pending")
	gauge(c.pending, float64(s.Retrying), "retrying")
	gauge(c.pending, float64(s.Held), "held")
	gauge(c.pending, float64(s.Dead), "dead")
	gauge(c.age, c.ageOf(s.Oldest))
	gauge(c.bytes, float64(s.Bytes))
	gauge(c.disk, float64(s.DiskFree))
	gauge(c.lost, float64(s.Lost))
	gauge(c.damaged, float64(s.Damaged))
	gauge(c.dead, float64(s.Dead))
	gauge(c.maxBytes, float64(s.MaxBytes))
	gauge(c.refusing, flag(s.Full), "full")
	gauge(c.refusing, flag(s.DiskLow), "disk")
	ch <- prometheus.MustNewConstMetric(c.events, prometheus.CounterValue, float64(s.Events))
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (c *queueCollector) ageOf(oldest time.Time) float64 {
	if oldest.IsZero() {
		return 0
	}
	return max(0, c.now().Sub(oldest).Seconds()) // a clock that was set back must not show a negative age
}
