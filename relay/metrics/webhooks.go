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
)

// MaxWebhookSeries bounds the series per scrape. With more webhooks than that, only those whose circuit is not closed are shown:
// they are what an alert is about.
const MaxWebhookSeries = 1000

// Webhook is what a scrape shows of one webhook.
type Webhook struct {
	ID, Name, Tenant string
	Circuit          CircuitState
}

// webhookCollector asks for the webhooks per scrape, so removed ones vanish by themselves.
type webhookCollector struct {
	list    atomic.Pointer[func() []Webhook]
	circuit *prometheus.Desc
}

func newWebhookCollector() *webhookCollector {
	return &webhookCollector{circuit: prometheus.NewDesc(namespace+"_webhook_circuit_state",
		"Circuit breaker of a webhook: 0 closed (sending), 1 half open (trying), 2 open (waiting).", []string{"webhook", "name", "tenant"}, nil)}
}

// WatchWebhooks makes fn the source of the webhooks' series. fn is called per scrape, from any goroutine; ids must differ.
func (m *Metrics) WatchWebhooks(fn func() []Webhook) { m.webhooks.list.Store(&fn) }

// Describe implements prometheus.Collector.
func (c *webhookCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.circuit }

// Collect implements prometheus.Collector.
func (c *webhookCollector) Collect(ch chan<- prometheus.Metric) {
	fn := c.list.Load()
	if fn == nil {
		return
	}
	all := (*fn)()
	sent := 0
	for _, w := range all {
		if len(all) > MaxWebhookSeries && w.Circuit == CircuitClosed {
			continue
		}
		if sent++; sent > MaxWebhookSeries {
			return
		}
		ch <- prometheus.MustNewConstMetric(c.circuit, prometheus.GaugeValue, float64(w.Circuit), w.ID, w.Name, w.Tenant)
	}
}
