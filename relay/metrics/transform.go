package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The reasons for which a run of a transform fails: the kinds of transform.Error, then what the guest itself may answer. "other" takes
// what is not in the list; a test keeps every kind out of it.
var transformReasons = [...]string{"refused", "compile", "init", "trap", "exit", "stack", "fuel", "memory", "timeout", "bad_pointer",
	"output_too_large", "input_too_large", "bad_result", "busy", "quarantined", "closed", "failed", "retry", "other"}

type transformVecs struct {
	duration *prometheus.HistogramVec
	failures *prometheus.CounterVec
}

// Transform holds the handles of one module. It is made when a configuration is loaded and used for every run.
type Transform struct {
	Duration prometheus.Observer // seconds of one run
	failures [len(transformReasons)]prometheus.Counter
}

// Transform returns the handles of a module, named as the configuration names it. The same name gives the same series.
func (m *Metrics) Transform(module string) *Transform {
	t := &Transform{Duration: m.transform.duration.WithLabelValues(module)}
	for i, r := range transformReasons {
		t.failures[i] = m.transform.failures.WithLabelValues(module, r)
	}
	return t
}

// ForgetTransform removes the series of a module that the configuration does not use any more.
func (m *Metrics) ForgetTransform(module string) {
	m.transform.duration.DeleteLabelValues(module)
	m.transform.failures.DeletePartialMatch(prometheus.Labels{"module": module})
}

// Ran notes how long one run took. Without handles, as in a preview, nothing is counted.
func (t *Transform) Ran(took time.Duration) {
	if t != nil {
		t.Duration.Observe(took.Seconds())
	}
}

// Failed counts one failed run: the kind of the transform.Error as text, or "failed" or "retry" when the guest decided so.
func (t *Transform) Failed(reason string) {
	if t == nil {
		return
	}
	for i, r := range transformReasons {
		if r == reason {
			t.failures[i].Inc()
			return
		}
	}
	t.failures[len(transformReasons)-1].Inc()
}
