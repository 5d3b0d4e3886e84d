package transform

import "time"

// Meta is what a transform may ask about the event, besides its body. Empty means absent.
type Meta struct {
	ID, Type, Time, Tenant, Program, Webhook []byte // Time in RFC 3339
	Attempt                                  int
	ContentType                              []byte // of the input
}

// Action is the decision of a transform; the values are those of the ABI.
type Action uint8

const (
	Send  Action = iota // send what was written
	Drop                // do not send: a decision, not a failure
	Fail                // failed for good
	Retry               // failed, try later
	numActions
)

func (a Action) String() string { return [...]string{"send", "drop", "fail", "retry"}[a] }

// Field is a header or a query parameter that the transform set.
type Field struct {
	Name  string
	Value []byte // valid until the Result is reset
}

// Level of a log line.
type Level uint8

const (
	LevelDebug Level = iota
	LevelInfo
	LevelWarn
	LevelError
)

// LogLine is what a guest wrote to its log, or to standard output (info) or standard error (warn).
type LogLine struct {
	Level Level
	Text  []byte // valid until the Result is reset
	open  bool   // written without a newline at its end: more may follow
}

// Result is what one run, or a chain of runs, decided. It is owned by a worker and reused: Run does not reset it, so that the results of
// a chain add up; the owner does, before the first run.
type Result struct {
	Action       Action
	Body         []byte // what the transform wrote; empty when it wrote nothing
	ContentType  string // "" = not set
	Method       string // "" = not set
	Path         string // "" = not set; begins with a slash
	Headers      []Field
	Query        []Field
	Reason       string // why it was dropped or failed, in the transform's words
	Log          []LogLine
	LogTruncated bool

	Fuel     int64         // used, all runs together
	Duration time.Duration // all runs together
	Memory   int64         // bytes of linear memory that the guest had at the end; of a chain, the largest

	fieldBytes int // of names and values, for Limits.MaxHeaders
	logBytes   int
	arena      []byte // holds the values of fields
	logText    []byte // holds the text of the log
	names      map[string]string
}

// Reset makes r ready for another event. Buffers are kept, up to a size.
func (r *Result) Reset() {
	names := r.names
	if len(names) == maxNames {
		names = nil // full of what is perhaps not used any more
	}
	*r = Result{Body: keep(r.Body), Headers: r.Headers[:0], Query: r.Query[:0], Log: r.Log[:0],
		arena: keep(r.arena), logText: keep(r.logText), names: names}
}

// BodyOnly says that nothing of the request was set but its body and content type.
func (r *Result) BodyOnly() bool {
	return r.Method == "" && r.Path == "" && len(r.Headers) == 0 && len(r.Query) == 0
}

const (
	maxKept  = 1 << 20 // larger buffers are left to the garbage collector
	maxNames = 256
)

func keep(b []byte) []byte {
	if cap(b) > maxKept {
		return nil
	}
	return b[:0]
}

// intern returns b as a string, the same one for the same bytes: names hardly ever change from event to event.
func (r *Result) intern(b []byte) string {
	if s, ok := r.names[string(b)]; ok {
		return s
	}
	s := string(b)
	if r.names == nil {
		r.names = make(map[string]string)
	}
	if len(r.names) < maxNames {
		r.names[s] = s
	}
	return s
}

func (r *Result) store(b []byte) []byte {
	at := len(r.arena)
	r.arena = append(r.arena, b...)
	return r.arena[at:len(r.arena):len(r.arena)]
}

func (l LogLine) String() string { return l.Level.String() + ": " + string(l.Text) }

func (l Level) String() string { return [...]string{"debug", "info", "warn", "error"}[l] }
