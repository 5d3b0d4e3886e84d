package kit

import (
	"strings"
	"testing"
	"time"

	"edgerelay/plugins"
)

func TestBench(t *testing.T) {
	p, err := Load(onDisk(t, plugins.Mask, "", map[string]string{"events/a.json": signup, "events/b.json": `{"type":"x"}`}))
	if err != nil {
		t.Fatal(err)
	}
	b, err := RunBench(t.Context(), p, BenchOptions{For: time.Millisecond, Workers: 3, Baseline: counter})
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, r := range b.Rows {
		rows = append(rows, r.Module+" "+r.Isolation+" "+string(rune('0'+r.Workers)))
		if r.P50 <= 0 || r.P99 < r.P50 || r.PerSecond <= 0 {
			t.Errorf("%+v", r)
		}
	}
	if got, want := strings.Join(rows, ", "), "plugin event 1, plugin shared 1, plugin fresh 1, unmetered shared 1, baseline event 1, plugin event 2, plugin event 3"; got != want {
		t.Errorf("rows %s, want %s", got, want)
	}
	if len(b.Events) != 2 || b.Events[0].Event != "a" || b.Events[0].Fuel == 0 || b.Events[0].Memory == 0 || b.InstantiateMicros <= 0 {
		t.Errorf("%+v", b)
	}
	if len(b.Regressions) != 2 || !strings.HasPrefix(b.Regressions[0], `event "a" takes `) {
		t.Errorf("mask does more than counting: %v", b.Regressions)
	}
	for name, o := range map[string]BenchOptions{
		"the same module": {For: time.Millisecond, Workers: 1, Baseline: plugins.Mask},
		"within bounds":   {For: time.Millisecond, Workers: 1, Baseline: counter, Allow: 1e6},
	} {
		if b, err := RunBench(t.Context(), p, o); err != nil || len(b.Regressions) > 0 {
			t.Errorf("%s: %v %v", name, b.Regressions, err)
		}
	}
}

func TestBenchNeedsEvents(t *testing.T) {
	p, err := Load(onDisk(t, counter, "", nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := RunBench(t.Context(), p, BenchOptions{}); err == nil || !strings.Contains(err.Error(), "no sample events") {
		t.Errorf("got %v", err)
	}
}
