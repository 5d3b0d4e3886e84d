package transform

import "bytes"

// lineOverhead is what an empty line counts, so that a guest cannot fill memory with nothing.
const lineOverhead = 32

// logLine adds one line, as much of it as the limit leaves room for.
func (r *Result) logLine(level Level, text []byte, limit int) {
	if room := limit - r.logBytes - lineOverhead; room < len(text) {
		r.LogTruncated = true
		if room < 0 {
			return
		}
		text = text[:room]
	}
	r.logBytes += len(text) + lineOverhead
	at := len(r.logText)
	r.logText = append(r.logText, text...)
	r.Log = append(r.Log, LogLine{Level: level, Text: r.logText[at:len(r.logText):len(r.logText)]})
}

// logStream adds what a guest wrote to a stream: lines end at a newline, and a write may continue the line before.
func (r *Result) logStream(level Level, text []byte, limit int) {
	for len(text) > 0 {
		line, rest, ended := bytes.Cut(text, []byte("\n"))
		n := len(r.Log)
		if n > 0 && r.Log[n-1].open && r.Log[n-1].Level == level {
			r.continueLine(line, limit)
		} else {
			r.logLine(level, line, limit)
		}
		if n = len(r.Log); n > 0 {
			r.Log[n-1].open = !ended
		}
		text = rest
	}
}

// continueLine grows the last line; its text is the end of logText.
func (r *Result) continueLine(text []byte, limit int) {
	if room := limit - r.logBytes; room < len(text) {
		r.LogTruncated = true
		text = text[:max(room, 0)]
	}
	r.logBytes += len(text)
	last := &r.Log[len(r.Log)-1]
	at := len(r.logText) - len(last.Text)
	r.logText = append(r.logText, text...)
	last.Text = r.logText[at:len(r.logText):len(r.logText)]
}

// lastWords are the end of what the guest wrote to standard error: what a runtime says before it ends itself.
func (in *instance) lastWords() string {
	for i := len(in.out.Log) - 1; i >= 0; i-- {
		if l := in.out.Log[i]; l.Level == LevelWarn && len(l.Text) > 0 && bytes.HasPrefix(l.Text, []byte("panic:")) {
			return ": " + string(l.Text[:min(len(l.Text), 200)])
		}
	}
	return ""
}

// lastLine is the last thing the guest wrote to standard error, for ABIs in which that is where a program says why it ends.
func (in *instance) lastLine() string {
	if words := in.lastWords(); words != "" {
		return words
	}
	for i := len(in.out.Log) - 1; i >= 0; i-- {
		if l := in.out.Log[i]; l.Level == LevelWarn && len(bytes.TrimSpace(l.Text)) > 0 {
			return ": " + string(clipped(bytes.ToValidUTF8(l.Text, []byte("\uFFFD")), 200))
		}
	}
	return ""
}
