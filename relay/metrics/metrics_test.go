package metrics_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"edgerelay/relay/metrics"
	"edgerelay/relay/queue"
	"edgerelay/transform"
)

// scrape returns what Prometheus would read.
func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("status %d: %s", rec.Code, rec.Body)
	}
	body, err := io.ReadAll(rec.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	have := strings.Split(text, "\n")
	for _, l := range lines {
		if !slices.Contains(have, l) {
			t.Errorf("missing line %q", l)
		}
	}
}

// used returns a Metrics in which every family has at least one series.
func used() *metrics.Metrics {
	m := metrics.New()
	m.Transform("mask.wasm")
	m.WatchWebhooks(func() []metrics.Webhook {
		return []metrics.Webhook{{ID: "wh_1", Name: "feed", Tenant: "acme", Circuit: metrics.CircuitOpen}}
	})
	return m
}

func TestPromlint(t *testing.T) {
	problems, err := promlint.New(strings.NewReader(scrape(t, used()))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestEveryMetricOfTheContractExistsFromTheStart(t *testing.T) {
	text := scrape(t, used())
	for _, name := range []string{"ingress_requests_total", "ingress_request_duration_seconds", "queue_commit_duration_seconds",
		"queue_commit_batch_events", "queue_pending", "queue_oldest_age_seconds", "queue_bytes", "disk_free_bytes", "queue_lost_events",
		"queue_damaged_records", "transform_duration_seconds", "transform_failures_total", "delivery_attempts_total",
		"delivery_duration_seconds", "delivery_end_to_end_seconds", "webhook_circuit_state", "dead_deliveries", "alert_emails_total", "operational_events_total",
		"webhook_attempts_total", "webhook_dead_total", "delivery_in_flight", "webhooks", "queue_max_bytes", "queue_refusing", "queue_events_total",
		"config_last_reload_successful", "config_last_reload_timestamp_seconds", "build_info"} {
		if !strings.Contains(text, "# TYPE edgerelay_"+name+" ") {
			t.Errorf("no metric edgerelay_%s", name)
		}
	}
	wantLines(t, text,
		`edgerelay_ingress_requests_total{code="202",route="/v1/events"} 0`,
		`edgerelay_delivery_attempts_total{outcome="delivered"} 0`,
		`edgerelay_delivery_attempts_total{outcome="dropped"} 0`,
		`edgerelay_transform_failures_total{module="mask.wasm",reason="timeout"} 0`,
		`edgerelay_queue_pending{state="dead"} 0`)
	for _, other := range []string{"go_goroutines", "process_resident_memory_bytes"} {
		if !strings.Contains(text, "# TYPE "+other+" ") {
			t.Errorf("no metric %s", other)
		}
	}
}

// The array is indexed with a queue.Reason, so both lists must name the same things in the same order.
func TestOutcomesAreTheQueuesReasons(t *testing.T) {
	if got, want := metrics.Outcomes[1:], queue.Reasons(); !slices.Equal(got, want) {
		t.Errorf("outcomes %v, reasons of the queue %v", got, want)
	}
	m := metrics.New()
	m.DeliveryAttempts[queue.ReasonTimeout].Inc()
	m.DeliveryAttempts[queue.ReasonNone].Add(2)
	wantLines(t, scrape(t, m), `edgerelay_delivery_attempts_total{outcome="timeout"} 1`, `edgerelay_delivery_attempts_total{outcome="delivered"} 2`)
}

func TestIngressRequest(t *testing.T) {
	m := metrics.New()
	for _, c := range []int{202, 202, 503, 418, -1, 1000} {
		m.IngressRequest(metrics.RouteEvents, c)
	}
	m.IngressRequest(metrics.Route(200), 404)
	wantLines(t, scrape(t, m),
		`edgerelay_ingress_requests_total{code="202",route="/v1/events"} 2`,
		`edgerelay_ingress_requests_total{code="503",route="/v1/events"} 1`,
		`edgerelay_ingress_requests_total{code="other",route="/v1/events"} 3`,
		`edgerelay_ingress_requests_total{code="404",route="other"} 1`)
}

func TestQueueGaugesComeFromOneSnapshotPerScrape(t *testing.T) {
	m := metrics.New()
	calls := 0
	m.WatchQueue(func() metrics.QueueSnapshot {
		calls++
		return metrics.QueueSnapshot{Pending: 1, Retrying: 2, Dead: 3, Bytes: 4, DiskFree: 5, Lost: 6, Damaged: 7}
	})
	wantLines(t, scrape(t, m),
		`edgerelay_queue_pending{state="pending"} 1`, `edgerelay_queue_pending{state="retrying"} 2`, `edgerelay_queue_pending{state="dead"} 3`,
		`edgerelay_queue_bytes 4`, `edgerelay_disk_free_bytes 5`, `edgerelay_queue_lost_events 6`, `edgerelay_queue_damaged_records 7`,
		`edgerelay_queue_refusing{cause="full"} 0`, `edgerelay_dead_deliveries 3`, `edgerelay_queue_oldest_age_seconds 0`)
	if calls != 1 {
		t.Errorf("%d snapshots for one scrape", calls)
	}
}

func TestTransformSeriesFollowTheConfiguration(t *testing.T) {
	m := metrics.New()
	a, b := m.Transform("a.wasm"), m.Transform("b.wasm")
	a.Failed("fuel")
	a.Failed("never heard of it")
	b.Failed("trap")
	b.Duration.Observe(0.001)
	text := scrape(t, m)
	wantLines(t, text,
		`edgerelay_transform_failures_total{module="a.wasm",reason="fuel"} 1`,
		`edgerelay_transform_failures_total{module="a.wasm",reason="other"} 1`,
		`edgerelay_transform_failures_total{module="b.wasm",reason="trap"} 1`,
		`edgerelay_transform_duration_seconds_count{module="b.wasm"} 1`)
	m.ForgetTransform("b.wasm")
	if text = scrape(t, m); strings.Contains(text, "b.wasm") || !strings.Contains(text, "a.wasm") {
		t.Error("forgetting one module must remove its series and no others")
	}
}

func TestEveryKindOfTransformErrorIsAReason(t *testing.T) {
	m := metrics.New()
	handles := m.Transform("a.wasm")
	for k := transform.KindRefused; k <= transform.KindClosed; k++ {
		handles.Failed(k.String())
	}
	wantLines(t, scrape(t, m), `edgerelay_transform_failures_total{module="a.wasm",reason="other"} 0`,
		`edgerelay_transform_failures_total{module="a.wasm",reason="closed"} 1`)
}

func TestWebhookSeriesAreBounded(t *testing.T) {
	m := metrics.New()
	list := make([]metrics.Webhook, metrics.MaxWebhookSeries+1)
	for i := range list {
		list[i] = metrics.Webhook{ID: "wh_" + strings.Repeat("x", i), Name: "n", Tenant: "t"}
	}
	list[7].Circuit = metrics.CircuitOpen
	m.WatchWebhooks(func() []metrics.Webhook { return list })
	text := scrape(t, m)
	wantLines(t, text, `edgerelay_webhook_circuit_state{name="n",tenant="t",webhook="wh_xxxxxxx"} 2`)
	if n := strings.Count(text, "edgerelay_webhook_circuit_state{"); n != 1 {
		t.Errorf("%d series above the limit, want only the open one", n)
	}
	list = list[:3]
	if n := strings.Count(scrape(t, m), "edgerelay_webhook_circuit_state{"); n != 3 {
		t.Errorf("%d series, want 3", n)
	}
	list = make([]metrics.Webhook, metrics.MaxWebhookSeries+5)
	for i := range list {
		list[i] = metrics.Webhook{ID: "wh_" + strings.Repeat("x", i), Circuit: metrics.CircuitHalfOpen}
	}
	if n := strings.Count(scrape(t, m), "edgerelay_webhook_circuit_state{"); n != metrics.MaxWebhookSeries {
		t.Errorf("%d series, want the maximum of %d", n, metrics.MaxWebhookSeries)
	}
}

func TestReloaded(t *testing.T) {
	m := metrics.New()
	m.Reloaded(true, time.UnixMilli(1_700_000_000_500))
	wantLines(t, scrape(t, m), "edgerelay_config_last_reload_successful 1", "edgerelay_config_last_reload_timestamp_seconds 1.7000000005e+09")
	m.Reloaded(false, time.UnixMilli(1_800_000_000_000))
	wantLines(t, scrape(t, m), "edgerelay_config_last_reload_successful 0", "edgerelay_config_last_reload_timestamp_seconds 1.7000000005e+09")
}

func TestHotPathAllocatesNothing(t *testing.T) {
	m := metrics.New()
	n := testing.AllocsPerRun(100, func() {
		m.IngressRequest(metrics.RouteEvents, 202)
		m.IngressDuration.Observe(0.001)
		m.CommitDuration.Observe(0.001)
		m.CommitEvents.Observe(17)
		m.DeliveryAttempts[queue.ReasonNone].Inc()
		m.DeliveryDuration.Observe(0.001)
		m.DeliveryEndToEnd.Observe(0.001)
	})
	if n != 0 {
		t.Errorf("%v allocations per event, want 0", n)
	}
}

func BenchmarkPerEvent(b *testing.B) {
	m := metrics.New()
	for b.Loop() {
		m.IngressRequest(metrics.RouteEvents, 202)
		m.IngressDuration.Observe(0.001)
		m.DeliveryAttempts[queue.ReasonNone].Inc()
		m.DeliveryDuration.Observe(0.001)
		m.DeliveryEndToEnd.Observe(0.001)
	}
}
