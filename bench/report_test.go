package bench

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// example is a report of two rounds in which one event was lost.
func example() *Report {
	r := &Report{Broken: []string{}, Started: time.Unix(1_767_225_600, 0).UTC(), Environment: Environment{Commit: "abc", Go: "go1.26", CPU: "Some CPU", Cores: 2}}
	for round, rate := range []float64{1000, 3000, 2000} {
		limit := &Result{Scenario: "throughput", Name: "two hops", Round: round + 1, Limit: true}
		limit.PerSecond.EndToEnd = 4000
		limit.Processes = map[string]ProcessUse{"forwarder": {CPUPer1000: 0.01}, "sink": {CPUPer1000: 1}}
		res := &Result{Scenario: "throughput", Name: "edgerelay <b>", Round: round + 1}
		res.PerSecond.EndToEnd = rate
		res.Processes = map[string]ProcessUse{"relay": {CPUPer1000: 0.02, PeakResident: 100 << 20, WrittenPerEvent: 1234}}
		res.Verdict = Verdict{Verified: "all", Promised: 100_000}
		res.EndToEnd = Percentiles{Count: 100, P50: 1, P99: 10, P999: 100, Curve: []CurvePoint{{0, 0.5}, {50, 1}, {99, 10}}}
		for i := range 5 {
			res.Samples = append(res.Samples, Sample{Seconds: float64(i), Delivered: rate, Phase: phaseLoad,
				CPU: map[string]float64{"relay": 1}, Resident: map[string]int64{"relay": int64(i) << 20}})
		}
		res.compare(limit)
		if round == 1 {
			res.Verdict.Lost = 3
		}
		r.add(limit)
		r.add(res)
	}
	return r
}

func TestRowsAreMedians(t *testing.T) {
	rows := example().Rows()
	if len(rows) != 2 || rows[0].Name != "two hops" || rows[1].PerSecond.EndToEnd != 2000 || rows[1].Low != 1000 || rows[1].High != 3000 || rows[1].Rounds != 3 {
		t.Fatalf("%+v", rows)
	}
	want := []Ratio{{"end to end", "two hops", 0.5}, {"CPU per event", "two hops", 2}}
	if !slices.Equal(rows[1].Ratios, want) {
		t.Errorf("ratios %v, want %v", rows[1].Ratios, want)
	}
	for _, tt := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{4, 1, 2}, 2}, {[]float64{4, 1, 2, 10}, 3}} {
		if got := median(tt.in); got != tt.want {
			t.Errorf("median of %v: %v, want %v", tt.in, got, tt.want)
		}
	}
}

func TestTextSaysFirstWhatIsBroken(t *testing.T) {
	var b strings.Builder
	if err := example().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	if lines[0] != "BROKEN: throughput, edgerelay <b>: 3 deliveries lost of 100,000" {
		t.Errorf("first line %q", lines[0])
	}
	if !slices.ContainsFunc(lines, func(l string) bool {
		return strings.Join(strings.Fields(l), " ") == "edgerelay <b> 2,000 -50..50 % - - - 1.00 10.00 100.00 20.0 100 1,234 0 0 0"
	}) {
		t.Errorf("no row of the relay in\n%s", b.String())
	}
	if !strings.Contains(b.String(), "end to end ÷ two hops 0.50; CPU per event ÷ two hops 2.00") {
		t.Errorf("no ratios in\n%s", b.String())
	}
}

func TestPageIsSelfContained(t *testing.T) {
	var b strings.Builder
	if err := example().WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, want := range []string{"BROKEN: throughput, edgerelay &lt;b&gt;: 3 deliveries lost", "Latency from sending to delivery", "<polyline", "Resident memory", "edgerelay &lt;b&gt;: relay"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	for _, no := range []string{"<b>", "src=", "href=", "http://", "https://", "NaN", "Inf", "ZgotmplZ"} {
		if strings.Contains(text, no) {
			t.Errorf("%q in the page", no)
		}
	}
}

func TestReportAsJSON(t *testing.T) {
	text, err := json.Marshal(example())
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Broken      []string
		Environment struct{ Commit string }
		Results     []struct {
			Verdict struct{ Lost int }
			Ratios  []Ratio
		}
	}
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Broken) != 1 || back.Environment.Commit != "abc" || back.Results[3].Verdict.Lost != 3 || len(back.Results[1].Ratios) != 2 {
		t.Errorf("%+v", back)
	}
}

func TestTicks(t *testing.T) {
	for _, tt := range []struct {
		low, high float64
		want      string
	}{{0, 10, "0 2 4 6 8 10"}, {0, 45000, "0 10k 20k 30k 40k"}, {0, 1, "0 0.2 0.4 0.6 0.8 1"}, {3, 7, "3 4 5 6 7"}} {
		var got []string
		for _, k := range ticks(tt.low, tt.high) {
			got = append(got, k.text)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%v to %v: %v, want %s", tt.low, tt.high, got, tt.want)
		}
	}
}

func TestCurveStopsWhereOnlyTheMaximumIsLeft(t *testing.T) {
	h := newLatencyHistogram()
	for i := range 1000 {
		record(h, time.Duration(i+1)*time.Millisecond)
	}
	p := percentiles(h)
	if last := p.Curve[len(p.Curve)-1]; last.Percentile != 99.9 || p.Count != 1000 || p.P50 < 499 || p.P50 > 502 || p.Max < 999 {
		t.Errorf("last point %+v, %+v", last, p)
	}
}

func TestFilesystemOf(t *testing.T) {
	const mounts = `21 1 254:0 / / rw - ext4 /dev/root rw
30 21 0:25 / /tmp rw shared:1 - tmpfs tmpfs rw
31 21 254:1 / /tmp/data rw - xfs /dev/vdb rw
`
	for dir, want := range map[string]string{"/var/x": "ext4 on /dev/root", "/tmp": "tmpfs on tmpfs", "/tmp/a": "tmpfs on tmpfs", "/tmp/data/q": "xfs on /dev/vdb",
		"/tmpfoo": "ext4 on /dev/root"} {
		if got := filesystemOf(mounts, dir); got != want {
			t.Errorf("%s: %s, want %s", dir, got, want)
		}
	}
	if got := filesystemOf("", "/"); got != "unknown" {
		t.Error(got)
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	if !usageOf(os.Getpid()).Known {
		t.Skip("this system does not tell")
	}
	for begin := time.Now(); time.Since(begin) < 30*time.Millisecond; { // two ticks of the kernel's clock
	}
	u := usageOf(os.Getpid())
	if u.CPU <= 0 || u.Resident < 1<<20 || u.Private > u.Resident || u.PID != os.Getpid() {
		t.Errorf("%+v", u)
	}
	if m := machineUse(); !m.known || m.busy < u.CPU {
		t.Errorf("machine %+v", m)
	}
	if usageOf(1 << 30).Known {
		t.Error("a process that does not exist is known")
	}
}

func TestResidentByQuarter(t *testing.T) {
	s := example().Results[1].Samples
	s = append([]Sample{{Phase: phaseWarmup, Resident: map[string]int64{"relay": 1 << 40}}}, s...)
	if q := residentByQuarter(s, "relay"); q != [4]int64{1 << 20, 2 << 20, 3 << 20, 4 << 20} {
		t.Errorf("%v", q)
	}
	if q := residentByQuarter(nil, "relay"); q != [4]int64{} {
		t.Errorf("%v", q)
	}
}

func TestEventBody(t *testing.T) {
	for _, size := range []int{256, 1024, 64 << 10} {
		body := EventBody(size)
		if n := len(body) - len(Placeholder) + stampSize; n != size {
			t.Errorf("%d bytes, want %d", n, size)
		}
		if !json.Valid([]byte(body)) || strings.Count(body, Placeholder) != 1 {
			t.Errorf("%.100s", body)
		}
	}
	if !strings.Contains(EventBody(1024), "@example.com") {
		t.Error("no address for the transforms to find")
	}
}

func TestThousands(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999.4: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234"} {
		if got := thousands(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

func TestWALLimit(t *testing.T) {
	dir := t.TempDir()
	perSecond, n, err := measureWAL(t.Context(), dir, 8, 1024, 50*time.Millisecond)
	if err != nil || n == 0 || perSecond <= 0 {
		t.Errorf("%v per s, %d, %v", perSecond, n, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestScenariosAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range Scenarios() {
		if s.Short == "" || strings.HasSuffix(s.Short, ".") || !strings.Contains(string(text), "`"+s.Name+"`") {
			t.Errorf("scenario %s: %q, or not in docs/benchmarks.md", s.Name, s.Short)
		}
	}
}
