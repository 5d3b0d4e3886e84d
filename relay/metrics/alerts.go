package metrics

import "github.com/prometheus/client_golang/prometheus"

// Results of e-mails and of the relay's own events. "other" takes what is not known.
var (
	mailResults  = [...]string{"sent", "failed", "rejected", "other"}
	spanResults  = [...]string{"exported", "failed", "omitted", "other"}
	eventResults = [...]string{"made", "failed", "omitted", "other"}
)

type alertCounters struct {
	mails  [len(mailResults)]prometheus.Counter
	events [len(eventResults)]prometheus.Counter
}

func (m *Metrics) addAlerts() {
	mails := m.counterVec("alert_emails_total", "Alert e-mails by result: sent, failed (tried again), rejected (given up).", "result")
	for i, r := range mailResults {
		m.alerts.mails[i] = mails.WithLabelValues(r)
	}
	spans := m.counterVec("trace_spans_total", "Spans by result: exported, failed (dropped after some tries), omitted (too many at once).", "result")
	for i, r := range spanResults {
		m.spans[i] = spans.WithLabelValues(r)
	}
	events := m.counterVec("operational_events_total", "Events of the relay itself by result: made, failed (could not be stored), omitted (too many at once).", "result")
	for i, r := range eventResults {
		m.alerts.events[i] = events.WithLabelValues(r)
	}
}

// Spans counts spans by result.
func (m *Metrics) Spans(result string, n int) {
	m.spans[indexOr(spanResults[:], result)].Add(float64(n))
}

// Mail counts an alert e-mail.
func (m *Metrics) Mail(result string) { m.alerts.mails[indexOr(mailResults[:], result)].Inc() }

// Event counts an event of the relay itself.
func (m *Metrics) Event(result string) { m.alerts.events[indexOr(eventResults[:], result)].Inc() }

// indexOr finds text in list, or the last entry.
func indexOr(list []string, text string) int {
	for i, s := range list {
		if s == text {
			return i
		}
	}
	return len(list) - 1
}
