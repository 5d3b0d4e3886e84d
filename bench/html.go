package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"sort"
)

//go:embed report.html
var reportPage string

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"thousands": thousands, "decimal": decimal,
	"micros": func(per1000 float64) string { return fmt.Sprintf("%.1f", per1000*1000) },
	"mib":    func(b int64) int64 { return b >> 20 },
}).Parse(reportPage))

// page is what report.html shows.
type page struct {
	*Report
	Sections []section
}

type section struct {
	Scenario
	Rows   []Row
	Charts []template.HTML
}

// WriteHTML writes the report as one page that needs nothing else.
func (r *Report) WriteHTML(w io.Writer) error {
	p := page{Report: r}
	for _, row := range r.Rows() {
		if n := len(p.Sections); n == 0 || p.Sections[n-1].Name != row.Scenario {
			sc, _ := FindScenario(row.Scenario)
			p.Sections = append(p.Sections, section{Scenario: sc})
		}
		s := &p.Sections[len(p.Sections)-1]
		s.Rows = append(s.Rows, row)
	}
	for i := range p.Sections {
		s := &p.Sections[i]
		for _, c := range charts(s.Rows) {
			if svg := c.svg(); svg != "" {
				s.Charts = append(s.Charts, template.HTML(svg)) // names are escaped where they are written into it
			}
		}
	}
	if err := reportTemplate.Execute(w, p); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// charts draws the latencies and the time lines of a scenario.
func charts(rows []Row) []chart {
	endToEnd := chart{title: "Latency from sending to delivery", xName: "percentile", yName: "ms", logY: true, xTicks: percentileTicks}
	accept := chart{title: "Latency from sending to the 2xx", xName: "percentile", yName: "ms", logY: true, xTicks: percentileTicks}
	rate := chart{title: "Delivered per second", xName: "s", yName: "per s"}
	cpu := chart{title: "CPU", xName: "s", yName: "cores"}
	memory := chart{title: "Resident memory", xName: "s", yName: "MiB"}
	for _, r := range rows {
		endToEnd.lines = append(endToEnd.lines, curve(r.Name, r.EndToEnd))
		accept.lines = append(accept.lines, curve(r.Name, r.Accept))
		rate.lines = append(rate.lines, over(r.Name, r.Samples, func(s Sample) (float64, bool) { return s.Delivered, true }))
		for _, role := range roles(r.Samples) {
			if role != "relay" && role != "target" && role != "forwarder" && len(rows) > 1 {
				continue // of several runs only what they are about: the rest would be a tangle
			}
			cpu.lines = append(cpu.lines, over(r.Name+": "+role, r.Samples, func(s Sample) (float64, bool) { v, ok := s.CPU[role]; return v, ok }))
			memory.lines = append(memory.lines, over(r.Name+": "+role, r.Samples, func(s Sample) (float64, bool) {
				v, ok := s.Resident[role]
				return float64(v) / (1 << 20), ok
			}))
		}
	}
	list := []chart{rate, endToEnd, accept, cpu, memory}
	for i := range list {
		list[i].lines = slices.DeleteFunc(list[i].lines, func(l line) bool { return len(l.points) < 2 })
	}
	return list
}

// Percentiles are drawn by how many values lie above them, so that each nine takes the same width.
func nines(p float64) float64 { return -math.Log10(1 - p/100) }

var percentileTicks = []tick{{0, "0"}, {nines(50), "50"}, {1, "90"}, {2, "99"}, {3, "99.9"}, {4, "99.99"}}

func curve(name string, p Percentiles) line {
	l := line{name: name}
	for _, c := range p.Curve {
		l.points = append(l.points, [2]float64{nines(c.Percentile), c.Value})
	}
	return l
}

func over(name string, samples []Sample, value func(Sample) (float64, bool)) line {
	l := line{name: name}
	for _, s := range samples {
		if v, ok := value(s); ok {
			l.points = append(l.points, [2]float64{s.Seconds, v})
		}
	}
	return l
}

func roles(samples []Sample) (list []string) {
	seen := map[string]bool{}
	for _, s := range samples {
		for role := range s.Resident {
			seen[role] = true
		}
	}
	for role := range seen {
		list = append(list, role)
	}
	sort.Strings(list)
	return list
}
