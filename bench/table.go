package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteText writes the report for a terminal: what is broken first, then a table per scenario.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, bad := range r.Broken {
		fmt.Fprintf(&b, "BROKEN: %s\n", bad)
	}
	e := r.Environment
	changed := ""
	if e.Modified {
		changed = " with changes"
	}
	memory := ""
	if strings.HasPrefix(e.Filesystem, "tmpfs") {
		memory = " (BEWARE: that is memory, a sync costs nothing there; give --dir)"
	}
	fmt.Fprintf(&b, "commit %s%s, %s, %s; %s, %d cores, kernel %s; data on %s%s\n", e.Commit, changed, e.Go, e.Platform, e.CPU, e.Cores, e.Kernel, e.Filesystem, memory)
	scenario := ""
	var rows []Row
	for _, row := range r.Rows() {
		if row.Scenario != scenario {
			writeTable(&b, rows)
			scenario, rows = row.Scenario, nil
		}
		rows = append(rows, row)
	}
	writeTable(&b, rows)
	_, err := io.WriteString(w, b.String())
	return err
}

// broken says what went wrong with a result.
func (r *Result) broken() string {
	v := r.Verdict
	var parts []string
	for _, p := range []struct {
		n    int64
		what string
	}{{v.Lost, "deliveries lost of " + thousands(float64(v.Promised))}, {v.BadSignatures, "bad signatures"}, {v.BadIDs, "wrong ids"}, {v.Unknown, "deliveries that nobody sent"}} {
		if p.n > 0 {
			parts = append(parts, thousands(float64(p.n))+" "+p.what)
		}
	}
	text := fmt.Sprintf("%s, %s: %s", r.Scenario, r.Name, strings.Join(parts, ", "))
	if v.LastError != "" {
		text += " (last error: " + v.LastError + ")"
	}
	if v.RelaySays != "" {
		text += "\n  the relay says: " + v.RelaySays
	}
	return text
}

// writeTable writes the rows of one scenario.
func writeTable(b *strings.Builder, rows []Row) {
	if len(rows) == 0 {
		return
	}
	sc, _ := FindScenario(rows[0].Scenario)
	fmt.Fprintf(b, "\n%s: %s\n\n", sc.Name, sc.Short)
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "\tper s\tspread\taccept p50\tp99\tp99.9 ms\tend to end p50\tp99\tp99.9 ms\tCPU µs/event\tpeak MiB\tbytes/event\tlost\tdup\tbad\t")
	for _, r := range rows {
		writeRow(tw, r)
	}
	tw.Flush()
	for _, r := range rows {
		if notes := r.Notes(); notes != "" {
			fmt.Fprintf(b, "  %s: %s\n", r.Name, notes)
		}
	}
}

func writeRow(w io.Writer, r Row) {
	spread := "-"
	if r.Rounds > 1 && r.PerSecond.EndToEnd > 0 {
		spread = fmt.Sprintf("%.0f..%.0f %%", 100*(r.Low/r.PerSecond.EndToEnd-1), 100*(r.High/r.PerSecond.EndToEnd-1))
	}
	rate := r.PerSecond.EndToEnd
	if rate == 0 {
		rate = r.PerSecond.Accepted
	}
	cpu, peak, written := "-", "-", "-"
	if use := r.Use(); use != nil {
		cpu, peak, written = fmt.Sprintf("%.1f", use.CPUPer1000*1000), fmt.Sprint(use.PeakResident>>20), thousands(use.WrittenPerEvent)
	}
	v := r.Verdict
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t\n", r.Name, thousands(rate), spread, r.Accept.columns(), r.EndToEnd.columns(),
		cpu, peak, written, v.Lost, v.Duplicates, r.BadDeliveries())
}

func (p Percentiles) columns() string {
	if p.Count == 0 {
		return "-\t-\t-"
	}
	return fmt.Sprintf("%.2f\t%.2f\t%.2f", p.P50, p.P99, p.P999)
}

// BadDeliveries is how many deliveries should not have been as they were.
func (r *Result) BadDeliveries() int64 {
	return r.Verdict.BadSignatures + r.Verdict.BadIDs + r.Verdict.Unknown
}

// Use is that of the process which a result is about: the relay, the target, the forwarder, or, of a limit without any, the sink. nil = not known.
func (r *Result) Use() *ProcessUse {
	for _, role := range []string{"relay", "target", "forwarder", "sink"} {
		if u, ok := r.Processes[role]; ok && (role != "sink" || r.Limit) {
			return &u
		}
	}
	return nil
}

// Notes is what does not fit into the table.
func (r Row) Notes() string {
	var notes []string
	for _, x := range r.Ratios {
		notes = append(notes, fmt.Sprintf("%s ÷ %s %.2f", x.What, x.To, x.Value))
	}
	for _, f := range r.Figures {
		notes = append(notes, strings.TrimSpace(fmt.Sprintf("%s %s %s", f.Name, decimal(f.Value), f.Unit)))
	}
	v := r.Verdict
	for _, c := range []struct {
		n    int64
		what string
	}{{v.OutOfOrder, "out of order"}, {v.Refused, "requests refused"}, {v.Unanswered, "requests without an answer"}, {v.Unpromised, "delivered without a 2xx"},
		{v.SinkRefused, "attempts refused by the sink"}} {
		if c.n > 0 {
			notes = append(notes, thousands(float64(c.n))+" "+c.what)
		}
	}
	if (v.Refused > 0 || v.Unanswered > 0) && v.LastError != "" {
		notes = append(notes, "last error: "+v.LastError)
	}
	if r.OtherCores > busyMachine && !strings.HasPrefix(r.Name, targetName) || r.StolenCores > busyMachine {
		notes = append(notes, fmt.Sprintf("BEWARE: meanwhile other programs and the kernel used %.1f cores, and the host took %.1f", r.OtherCores, r.StolenCores))
	}
	if !r.Limit {
		notes = append(notes, "checked: "+v.Verified)
	}
	return strings.Join(notes, "; ")
}

// busyMachine is from how many cores on, used by others, a result says so.
const busyMachine = 0.3

func decimal(v float64) string {
	switch {
	case v >= 1000 || v <= -1000:
		return thousands(v)
	case v >= 100 || v <= -100:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
