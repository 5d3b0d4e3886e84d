package bench

import (
	"sort"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result is one measured run of one thing: a limit, or a system under a load.
type Result struct {
	Scenario string `json:"scenario"`
	Name     string `json:"name"` // of what was measured within the scenario, for example "two hops"
	Round    int    `json:"round"`
	Limit    bool   `json:"limit,omitempty"` // not the system, but what it is compared with

	Config map[string]any `json:"config,omitempty"`

	Seconds      float64 `json:"seconds"`       // of the measured time with load; warming up comes before it
	DrainSeconds float64 `json:"drain_seconds"` // from the end of the load to the last delivery
	Accepted     int64   `json:"accepted"`      // answered with 2xx in the measured time
	Delivered    int64   `json:"delivered"`     // first deliveries since the measured time began
	PerSecond    struct {
		Accepted  float64 `json:"accepted"`   // while the load lasted
		Delivered float64 `json:"delivered"`  // while the load lasted
		EndToEnd  float64 `json:"end_to_end"` // first deliveries ÷ the time until the last of them: nothing is left behind unseen
	} `json:"per_second"`

	Verdict Verdict `json:"verdict"`

	Accept   Percentiles `json:"accept_latency"`     // from sending an event (open loop: from when it was due) to its 2xx
	EndToEnd Percentiles `json:"end_to_end_latency"` // from the same moment to its first delivery

	Processes   map[string]ProcessUse `json:"processes,omitempty"`
	OtherCores  float64               `json:"other_cores"`  // how many cores everything else on the machine kept busy meanwhile (the kernel's threads too)
	StolenCores float64               `json:"stolen_cores"` // what the host of a virtual machine took away

	Figures []Figure `json:"figures,omitempty"`
	Ratios  []Ratio  `json:"ratios,omitempty"`
	Samples []Sample `json:"samples,omitempty"`
}

// Verdict is what the ledgers and the sink's checks have shown, over the whole run with its warming up.
type Verdict struct {
	Verified      string `json:"verified"` // what was checked, in words
	Promised      int64  `json:"promised"` // deliveries that follow from the 2xx answers
	Lost          int64  `json:"lost"`
	Duplicates    int64  `json:"duplicates"`
	OutOfOrder    int64  `json:"out_of_order"`
	BadSignatures int64  `json:"bad_signatures"`
	BadIDs        int64  `json:"bad_ids"`
	Unknown       int64  `json:"unknown"`      // deliveries that the generator did not cause
	Refused       int64  `json:"refused"`      // requests that were not answered with 2xx
	Unanswered    int64  `json:"unanswered"`   // requests without an answer: the event may have been taken
	Unpromised    int64  `json:"unpromised"`   // delivered, though the 2xx never came: allowed
	SinkRefused   int64  `json:"sink_refused"` // attempts that the sink refused on purpose
	LastError     string `json:"last_error,omitempty"`
	RelaySays     string `json:"relay_says,omitempty"` // when something was lost
}

// Bad reports whether a promise was broken.
func (v Verdict) Bad() bool {
	return v.Lost > 0 || v.BadSignatures > 0 || v.BadIDs > 0 || v.Unknown > 0
}

// Percentiles of latencies in milliseconds.
type Percentiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`

	Curve []CurvePoint `json:"curve,omitempty"` // for charts
}

// CurvePoint is one point of a distribution.
type CurvePoint struct {
	Percentile float64 `json:"p"`
	Value      float64 `json:"ms"`
}

var curveAt = []float64{0, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.9, 99.95, 99.99, 99.999}

func percentiles(h *hdrhistogram.Histogram) Percentiles {
	if h.TotalCount() == 0 {
		return Percentiles{}
	}
	at := func(q float64) float64 { return float64(h.ValueAtPercentile(q)) / 1000 }
	p := Percentiles{Count: h.TotalCount(), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: float64(h.Max()) / 1000}
	for _, q := range curveAt {
		if q < 100-100/float64(h.TotalCount()+1) { // beyond that it is only the maximum again
			p.Curve = append(p.Curve, CurvePoint{q, at(q)})
		}
	}
	return p
}

// ProcessUse is what one process has used during the measured time and the drain.
type ProcessUse struct {
	CPUSeconds      float64 `json:"cpu_seconds"`
	CPUPer1000      float64 `json:"cpu_seconds_per_1000_events"`
	PeakResident    int64   `json:"peak_resident_bytes"`
	PeakPrivate     int64   `json:"peak_private_bytes"` // without the file pages that the kernel can drop
	Written         int64   `json:"written_bytes"`
	WrittenPerEvent float64 `json:"written_bytes_per_event"`
}

// Figure is one more number of a scenario.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
}

// Ratio compares a result with another one of the same round.
type Ratio struct {
	What  string  `json:"what"`
	To    string  `json:"to"`
	Value float64 `json:"value"`
}

// Sample is one moment of a run.
type Sample struct {
	Seconds   float64            `json:"t"`
	Accepted  float64            `json:"accepted_per_second"`
	Delivered float64            `json:"delivered_per_second"`
	CPU       map[string]float64 `json:"cpu_cores,omitempty"`
	Resident  map[string]int64   `json:"resident_bytes,omitempty"`
	Phase     string             `json:"phase"` // warm up, load, drain, …
}

// Report is everything that one call of the bench has measured.
type Report struct {
	Broken      []string    `json:"broken"` // every run with a lost event or a bad delivery, in words
	Environment Environment `json:"environment"`
	Started     time.Time   `json:"started"`
	Results     []*Result   `json:"results"`
}

// add takes a result into the report.
func (r *Report) add(x *Result) {
	r.Results = append(r.Results, x)
	if x.Verdict.Bad() {
		r.Broken = append(r.Broken, x.broken())
	}
}

// Row is a Result for people: of several rounds the one in the middle, and how far the others are from it.
type Row struct {
	*Result
	Rounds    int
	Low, High float64 // end to end per second
	Ratios    []Ratio // medians over the rounds
}

// Rows groups the results by scenario and name, in the order in which they were first measured.
func (r *Report) Rows() (rows []Row) {
	type key struct{ scenario, name string }
	var order []key
	groups := map[key][]*Result{}
	for _, x := range r.Results {
		k := key{x.Scenario, x.Name}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], x)
	}
	for _, k := range order {
		g := groups[k]
		sort.SliceStable(g, func(i, j int) bool { return g[i].PerSecond.EndToEnd < g[j].PerSecond.EndToEnd })
		rows = append(rows, Row{Result: g[(len(g)-1)/2], Rounds: len(g), Low: g[0].PerSecond.EndToEnd, High: g[len(g)-1].PerSecond.EndToEnd,
			Ratios: medianRatios(g)})
	}
	return rows
}

func medianRatios(g []*Result) (medians []Ratio) {
	type key struct{ what, to string }
	var order []key
	values := map[key][]float64{}
	for _, x := range g {
		for _, r := range x.Ratios {
			k := key{r.What, r.To}
			if values[k] == nil {
				order = append(order, k)
			}
			values[k] = append(values[k], r.Value)
		}
	}
	for _, k := range order {
		medians = append(medians, Ratio{k.what, k.to, median(values[k])})
	}
	return medians
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	sort.Float64s(v)
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}
