package bench

import (
	"fmt"
	"io"
	"strings"
)

// progress writes the live line on a terminal, and one line per finished run everywhere. nil output = nothing. The sampler and the session
// use it in turns, never at the same time: update is called while a run lasts, line and end between runs.
type progress struct {
	out   io.Writer
	live  bool
	width int // of the line that stands there
}

// update replaces the live line.
func (p *progress) update(res *Result, s Sample, now moment) {
	if p.out == nil || !p.live {
		return
	}
	text := fmt.Sprintf("%s: %s, %s %.0f s: accepted %s/s, delivered %s/s, %s in all", res.Scenario, res.Name, s.Phase, s.Seconds,
		thousands(s.Accepted), thousands(s.Delivered), thousands(float64(now.sink.Distinct)))
	if u, ok := now.usage["relay"]; ok {
		text += fmt.Sprintf("; relay %.2f cores, %d MB", s.CPU["relay"], u.Resident>>20)
	}
	p.clear()
	p.width = len(text)
	fmt.Fprint(p.out, text)
}

func (p *progress) clear() {
	if p.width > 0 {
		fmt.Fprint(p.out, "\r", strings.Repeat(" ", p.width), "\r")
		p.width = 0
	}
}

// line writes a line that stays.
func (p *progress) line(format string, args ...any) {
	if p.out == nil {
		return
	}
	p.clear()
	fmt.Fprintf(p.out, format+"\n", args...)
}

func (p *progress) end() {
	if p.out != nil {
		p.clear()
	}
}

// line is a finished run in one line.
func (r *Result) line() string {
	return fmt.Sprintf("%s: %s: %s events/s end to end, lost %d, duplicates %d", r.Scenario, r.Name, thousands(r.PerSecond.EndToEnd), r.Verdict.Lost, r.Verdict.Duplicates)
}

// thousands formats a number without decimals, with commas.
func thousands(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}
