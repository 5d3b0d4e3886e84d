package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"edgerelay/bench"
)

// screen is the demo's output: lines, and on a terminal one line at the end that is written again and again. One goroutine uses it.
type screen struct {
	palette
	out   io.Writer
	live  bool // a terminal: the last line may be rewritten
	width int
	open  bool // the cursor is in the line that is rewritten

	explained bool // an envelope was shown as a whole
}

const (
	pipeWidth = 120 // of lines that no terminal bounds
	leastLine = 60  // a narrower terminal breaks the lines by itself
	mostLine  = 140 // longer ones are hard to read
)

func newScreen(out io.Writer, quiet bool) *screen {
	s := &screen{out: out, width: pipeWidth}
	if quiet {
		s.out = io.Discard
		return s
	}
	s.palette = newPalette(out)
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return s
	}
	s.live = os.Getenv("TERM") != "dumb"
	if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
		s.width = min(max(w, leastLine), mostLine)
	}
	return s
}

// line prints text that may be coloured; the caller has cut what may be long.
func (s *screen) line(text string) {
	if s.open {
		fmt.Fprint(s.out, "\r\x1b[K")
		s.open = false
	}
	fmt.Fprintln(s.out, strings.TrimRight(text, " "))
}

func (s *screen) linef(format string, args ...any) { s.line(fmt.Sprintf(format, args...)) }

// title begins a section.
func (s *screen) title(text string) {
	s.line("")
	s.line(s.bold(text))
}

// progress shows text in the line that is rewritten; without a terminal it is a line like any other.
func (s *screen) progress(text string) {
	if !s.live {
		s.line(s.cut(text, 0))
		return
	}
	fmt.Fprint(s.out, "\r\x1b[K", s.cut(text, 1))
	s.open = true
}

// cut shortens plain text to what fits into a line that has taken columns already.
func (s *screen) cut(text string, taken int) string {
	runes := []rune(oneLine(text))
	room := s.width - taken
	if len(runes) <= room {
		return string(runes)
	}
	return string(runes[:max(room-1, 1)]) + "…"
}

// body prints what a request carried, below it. The first envelope is shown whole; of later ones the part that differs is enough.
func (s *screen) body(text string) {
	const indent = labelWidth + 2
	room := s.width - indent
	text = oneLine(text)
	if _, data, ok := strings.Cut(text, `"data":`); ok && len(text) > room {
		if s.explained {
			text = `{ … "data":` + data
		}
		s.explained = true
	}
	runes := []rune(text)
	for lines := 0; len(runes) > room && lines < 3; lines++ {
		s.line(strings.Repeat(" ", indent) + string(runes[:room]))
		runes = runes[room:]
	}
	s.line(strings.Repeat(" ", indent) + s.cut(string(runes), indent))
}

// labelWidth is that of the names at the start of the account's lines.
const labelWidth = 11

// row is a line of the account: a name, and what it did.
func (s *screen) row(label, text string) { s.linef("  %-*s%s", labelWidth, label, text) }

// accepted shows the relay's answer to an event.
func (s *screen) accepted(after time.Duration, note string) {
	s.row("relay", s.green("202")+fmt.Sprintf(" after %8s  ", shortTime(after))+s.dim(s.cut(note, labelWidth+23)))
}

// arrival shows a request as the receiver saw it, with its body if that is worth it.
func (s *screen) arrival(d bench.Delivery, after time.Duration, note string, body bool) {
	status := s.green(fmt.Sprint(d.Status))
	if d.Status > 299 {
		status = s.amber(fmt.Sprint(d.Status))
	}
	text := fmt.Sprintf("%s after %8s  signature %s  ", status, shortTime(after), s.green("ok")) + s.dim(s.cut(note, labelWidth+37))
	if d.BadSign != nil {
		text = status + "  " + s.red(s.cut("BAD SIGNATURE: "+d.BadSign.Error(), labelWidth+7))
	}
	s.row(d.Hook, text)
	if body {
		s.body(strings.TrimPrefix(string(d.Body), `<?xml version="1.0" encoding="UTF-8"?>`))
	}
}

// shortTime writes a duration with three digits or so: 0.42 ms, 3.5 ms, 250 ms, 1.25 s.
func shortTime(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case ms < 1:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

func (p percentiles) String() string {
	return fmt.Sprintf("%8s p50   %8s p99", millis(p.P50), millis(p.P99))
}

func millis(v float64) string { return shortTime(time.Duration(v * float64(time.Millisecond))) }

// summary prints the result as a table.
func (s *screen) summary(r demoResult) {
	good := func(n int64) string {
		if n == 0 {
			return s.green(fmt.Sprintf("%7d", n))
		}
		return s.red(fmt.Sprintf("%7d", n))
	}
	s.title(fmt.Sprintf("Summary of %.1f seconds", r.Seconds))
	s.linef("  events accepted      %7d   %s", r.Accepted, s.dim("each was flushed to the disk before its 202"))
	s.linef("  deliveries           %7d   %s", r.Deliveries, s.dim("to 5 webhooks"))
	s.linef("  retries              %7d   %s", r.Retries, s.dim("after the partner's receiver answered 503"))
	s.linef("  signatures verified  %7d   %s", r.Verified, s.dim("by the receiver, with code of its own"))
	s.linef("  signatures bad       %s", good(r.BadSignatures))
	s.linef("  lost                 %s   %s", good(r.Lost), s.dim("deliveries that did not arrive"))
	s.linef("  duplicates           %7d   %s", r.Duplicates, s.dim("a receiver would tell them by their id"))
	if r.Refused > 0 {
		s.linef("  events refused       %s   %s", good(r.Refused), s.dim("no 202: the producer still has them"))
	}
	if r.Foreign > 0 {
		s.linef("  from others          %7d   %s", r.Foreign, s.dim("deliveries of events that somebody else sent"))
	}
	s.linef("  time to the 202       %s", r.Accept)
	s.linef("  time to arrival       %s   %s", r.EndToEnd, s.dim("first attempts"))
}

// next says where to go from here.
func (s *screen) next() {
	s.title("Next")
	s.linef("  edgerelay config init               %s", s.dim("writes a commented edgerelay.yaml"))
	s.linef("  edgerelay run -c edgerelay.yaml     %s", s.dim("runs the relay"))
	s.linef("  edgerelay listen                    %s", s.dim("a receiver for trying webhooks out"))
	s.linef("  edgerelay send --type order.created %s", s.dim("sends an event"))
	s.linef("  README.md                           %s", s.dim("a config step by step, and what is promised"))
}
