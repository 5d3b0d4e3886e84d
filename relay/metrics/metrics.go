// Package metrics is the one place where the relay's Prometheus metrics are named, described and created.
//
// Every part of the relay gets the same *Metrics and uses its fields: handles are made once, at start, so counting on the hot path is
// an array index and an atomic add, never a look-up by name. Series of closed sets exist from the start, because an alert on
// a rate needs the zero before the first failure. What the queue and the webhooks know about themselves is read when somebody
// scrapes (WatchQueue, WatchWebhooks), so it costs nothing in between.
//
// The package is a leaf: it imports nothing of ours, owns the dependency on client_golang, and starts no goroutines.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const namespace = "edgerelay"

// Outcomes are the values of the label "outcome", in the order of queue.Reason: index 0, no failure, is a delivery.
// A test keeps the two lists equal.
var Outcomes = [...]string{"delivered", "status", "gone", "timeout", "connect", "dns", "tls", "blocked", "reset", "protocol",
	"transform", "payload", "no_webhook", "dropped", "auth"}

// Metrics holds every handle. Its methods and fields may be used from any goroutine.
type Metrics struct {
	IngressDuration prometheus.Observer // seconds from the parsed request to its answer
	CommitDuration  prometheus.Observer // seconds of one durable commit
	CommitEvents    prometheus.Observer // events that shared one commit

	// DeliveryAttempts is indexed by queue.Reason; 0 counts deliveries.
	DeliveryAttempts [len(Outcomes)]prometheus.Counter
	DeliveryResends  prometheus.Counter  // requests sent again because their kept connection was dead
	DeliveryDuration prometheus.Observer // seconds of one attempt, from the first byte written to the verdict
	DeliveryEndToEnd prometheus.Observer // seconds from the acceptance of an event to its delivery

	alerts    alertCounters
	spans     [len(spanResults)]prometheus.Counter
	ingress   [routeCount][len(statuses)]prometheus.Counter
	transform transformVecs
	queue     *queueCollector
	history   *historyCollector
	webhooks  *webhookCollector

	reloadOK   prometheus.Gauge
	reloadTime prometheus.Gauge

	registry *prometheus.Registry
}

// Buckets. Latencies of our own steps lie between 50 µs and some seconds; those of receivers between 1 ms and the longest timeout;
// the way from acceptance to delivery includes retries, so it reaches hours.
var (
	stepBuckets     = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5}
	receiverBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	endToEndBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 15, 60, 300, 1800, 7200, 28800, 86400}
	batchBuckets    = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}
)

// New makes a Metrics with a registry of its own, so that two relays in one process (tests) do not share counts.
func New() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}

	requests := m.counterVec("ingress_requests_total", "Requests answered by the ingress, by route and status code.", "route", "code")
	m.IngressDuration = m.histogram("ingress_request_duration_seconds", "Time from a parsed request to its answer, the durable write included.", stepBuckets)
	m.CommitDuration = m.histogram("queue_commit_duration_seconds", "Time of one durable commit of the queue.", stepBuckets)
	m.CommitEvents = m.histogram("queue_commit_batch_events", "Events that shared one commit of the queue.", batchBuckets)
	attempts := m.counterVec("delivery_attempts_total", "Ended attempts by outcome: delivered, or the reason why not.", "outcome")
	m.DeliveryResends = m.counterVec("delivery_resends_total", "Requests sent again over a new connection, because the kept one was dead.").WithLabelValues()
	m.DeliveryDuration = m.histogram("delivery_duration_seconds", "Time of one attempt, from sending to the verdict.", receiverBuckets)
	m.DeliveryEndToEnd = m.histogram("delivery_end_to_end_seconds", "Time from the acceptance of an event to its delivery, retries included.", endToEndBuckets)
	m.transform = transformVecs{
		duration: m.histogramVec("transform_duration_seconds", "Time of one run of a transform module.", stepBuckets, "module"),
		failures: m.counterVec("transform_failures_total", "Failed runs of a transform module by reason.", "module", "reason"),
	}
	m.reloadOK = m.gauge("config_last_reload_successful", "1 if the last load of the configuration succeeded, else 0.")
	m.reloadTime = m.gauge("config_last_reload_timestamp_seconds", "When a configuration was last loaded successfully.")
	info := m.gaugeVec("build_info", "Always 1; the labels say what is running.", "version", "revision", "goversion")

	m.addAlerts()
	for i, o := range Outcomes {
		m.DeliveryAttempts[i] = attempts.WithLabelValues(o)
	}
	for r := range routeCount {
		for i, s := range statuses {
			m.ingress[r][i] = requests.WithLabelValues(r.String(), s.label)
		}
	}
	version, revision, goVersion := build()
	info.WithLabelValues(version, revision, goVersion).Set(1)

	m.queue, m.webhooks, m.history = newQueueCollector(), newWebhookCollector(), newHistoryCollector()
	m.registry.MustRegister(m.queue, m.webhooks, m.history,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Reloaded records the outcome of a load of the configuration at now; the first load counts too.
func (m *Metrics) Reloaded(ok bool, now time.Time) {
	if !ok {
		m.reloadOK.Set(0)
		return
	}
	m.reloadOK.Set(1)
	m.reloadTime.Set(float64(now.UnixMilli()) / 1000)
}

// Handler serves the metrics in the text or OpenMetrics format. A collector that fails costs its own series, not the scrape.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, Registry: m.registry})
}

// Gatherer gives tests and summaries the values without HTTP.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

func (m *Metrics) counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
	m.registry.MustRegister(g)
	return g
}

func (m *Metrics) gaugeVec(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets})
	m.registry.MustRegister(h)
	return h
}

func (m *Metrics) histogramVec(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(v)
	return v
}
