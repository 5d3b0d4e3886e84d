package metrics

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// CircuitState is where a webhook's circuit breaker stands; its number is the metric's value.
type CircuitState uint8

// The states.
const (
	CircuitClosed   CircuitState = 0 // sending
	CircuitHalfOpen CircuitState = 1 // trying one
	CircuitOpen     CircuitState = 2 // waiting
	CircuitDisabled CircuitState = 3 // until somebody enables it
)

// MaxWebhookSeries bounds the webhooks per scrape. With more than that, only those are shown whose circuit is not closed, or whose receiver takes
// less than is allowed: they are what an alert is about.
const MaxWebhookSeries = 1000

// Webhook is what a scrape shows of one webhook. The counts are since the start of the process.
type Webhook struct {
	ID, Name, Tenant string
	Circuit          CircuitState
	InFlight         int
	Delivered        int64
	Failed           int64 // attempts
	Dead             int64
	Limit            int // requests at a time that its receiver seems to take,
	Concurrency      int // of those that are allowed
}

// webhookCollector asks for the webhooks per scrape, so removed ones vanish by themselves.
type webhookCollector struct {
	list atomic.Pointer[func() []Webhook]

	circuit, limit, attempts, dead, inFlight, shown, count *prometheus.Desc
}

func newWebhookCollector() *webhookCollector {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
	}
	return &webhookCollector{
		circuit:  d("webhook_circuit_state", "Circuit breaker of a webhook: 0 closed (sending), 1 half open (trying), 2 open (waiting), 3 disabled.", "webhook", "name", "tenant"),
		limit:    d("webhook_concurrency_limit", "Requests at a time that a webhook's receiver seems to take.", "webhook", "name", "tenant"),
		attempts: d("webhook_attempts_total", "Attempts of a webhook by result: delivered or failed.", "webhook", "name", "tenant", "result"),
		dead:     d("webhook_dead_total", "Deliveries of a webhook that were given up.", "webhook", "name", "tenant"),
		inFlight: d("delivery_in_flight", "Attempts that are under way, all webhooks together."),
		count:    d("webhooks", "Webhooks by state of their circuit.", "circuit"),
		shown:    d("webhook_series_shown", "Webhooks that have series of their own in this scrape; fewer than there are when there are more than a thousand."),
	}
}

// WatchWebhooks makes fn the source of the webhooks' series. fn is called per scrape, from any goroutine; ids must differ.
func (m *Metrics) WatchWebhooks(fn func() []Webhook) { m.webhooks.list.Store(&fn) }

// Describe implements prometheus.Collector.
func (c *webhookCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.circuit, c.limit, c.attempts, c.dead, c.inFlight, c.count, c.shown} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *webhookCollector) Collect(ch chan<- prometheus.Metric) {
	fn := c.list.Load()
	if fn == nil {
		return
	}
	all := (*fn)()
	sent, inFlight := 0, 0
	var states [4]int
	for i := range all {
		w := &all[i]
		inFlight += w.InFlight
		states[w.Circuit]++
		if len(all) > MaxWebhookSeries && w.Circuit == CircuitClosed && w.Limit >= w.Concurrency || sent >= MaxWebhookSeries {
			continue
		}
		sent++
		ch <- prometheus.MustNewConstMetric(c.circuit, prometheus.GaugeValue, float64(w.Circuit), w.ID, w.Name, w.Tenant)
		ch <- prometheus.MustNewConstMetric(c.limit, prometheus.GaugeValue, float64(w.Limit), w.ID, w.Name, w.Tenant)
		ch <- prometheus.MustNewConstMetric(c.attempts, prometheus.CounterValue, float64(w.Delivered), w.ID, w.Name, w.Tenant, "delivered")
		ch <- prometheus.MustNewConstMetric(c.attempts, prometheus.CounterValue, float64(w.Failed), w.ID, w.Name, w.Tenant, "failed")
		ch <- prometheus.MustNewConstMetric(c.dead, prometheus.CounterValue, float64(w.Dead), w.ID, w.Name, w.Tenant)
	}
	ch <- prometheus.MustNewConstMetric(c.inFlight, prometheus.GaugeValue, float64(inFlight))
	ch <- prometheus.MustNewConstMetric(c.shown, prometheus.GaugeValue, float64(sent))
	for i, name := range []string{"closed", "half_open", "open", "disabled"} {
		ch <- prometheus.MustNewConstMetric(c.count, prometheus.GaugeValue, float64(states[i]), name)
	}
}
