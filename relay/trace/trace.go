// Package trace makes spans of what happens to an event and hands them to a collector, as OTLP over HTTP in its JSON form.
//
// The ingress asks a Tracer when an event comes in (Receive) and says when it is stored; the sending side makes one span per attempt
// (Attempt). An event that is not sampled has no spans, but its producer's traceparent goes on to the receiver all the same; without
// a Tracer nothing here runs. Span puts a finished span into a bounded list and returns: a collector that is slow or down costs spans, never an event.
//
// Goroutines: one of a Tracer, from Open to Close. The package is a leaf: it imports nothing of ours.
package trace

import (
	"encoding/hex"
	"math"
	"math/rand/v2"
	"time"
)

// Context is a position in a trace: a W3C traceparent, taken apart.
type Context struct {
	Trace   [16]byte
	Span    [8]byte
	Sampled bool
}

// Size is the length of a traceparent.
const Size = len("00-tttttttttttttttttttttttttttttttt-pppppppppppppppp-ff")

// Parse reads a traceparent of version 00.
func Parse(text []byte) (c Context, ok bool) {
	if len(text) != Size || string(text[:3]) != "00-" || text[35] != '-' || text[52] != '-' {
		return c, false
	}
	var flags [1]byte
	for _, part := range []struct{ to, from []byte }{{c.Trace[:], text[3:35]}, {c.Span[:], text[36:52]}, {flags[:], text[53:]}} {
		if _, err := hex.Decode(part.to, part.from); err != nil {
			return Context{}, false
		}
	}
	c.Sampled = flags[0]&1 != 0
	return c, c.Trace != [16]byte{} && c.Span != [8]byte{}
}

// Append appends c as a traceparent.
func (c *Context) Append(dst []byte) []byte {
	dst = append(dst, "00-"...)
	dst = hex.AppendEncode(dst, c.Trace[:])
	dst = append(dst, '-')
	dst = hex.AppendEncode(dst, c.Span[:])
	if c.Sampled {
		return append(dst, "-01"...)
	}
	return append(dst, "-00"...)
}

// Kind of a span, with the numbers of OTLP.
type Kind uint8

// The kinds that there are here.
const (
	Server Kind = 2 // the ingress, as its producers see it
	Client Kind = 3 // an attempt, as its receiver sees it
)

// Attr is one attribute: a text, or a number when Text is empty.
type Attr struct {
	Key    string
	Text   string
	Number int64
}

// Span is a finished span. It owns its memory.
type Span struct {
	Context    Context
	Parent     [8]byte // zero = the first of its trace
	Link       [8]byte // another span of the same trace, from before the queue; zero = none
	Kind       Kind
	Name       string
	Start, End time.Time
	Attrs      []Attr
	Error      string // empty = it went well
}

// Receive decides about an event that comes in with this traceparent (nil = none): whether it gets spans, and the context of its first one.
// The producer's decision holds; of the events without one, the configured share is sampled.
func (t *Tracer) Receive(traceparent []byte) (span Context, parent [8]byte, sampled bool) {
	if t == nil {
		return span, parent, false
	}
	if from, ok := Parse(traceparent); ok {
		if !from.Sampled {
			return span, parent, false
		}
		span, parent = from, from.Span
		span.Span = newSpan()
		return span, parent, true
	}
	if len(traceparent) > 0 || t.share == 0 || t.share != math.MaxUint64 && rand.Uint64() >= t.share {
		return span, parent, false
	}
	for span.Trace == [16]byte{} {
		a, b := rand.Uint64(), rand.Uint64()
		for i := range 8 {
			span.Trace[i], span.Trace[8+i] = byte(a>>(8*i)), byte(b>>(8*i))
		}
	}
	span.Span, span.Sampled = newSpan(), true
	return span, parent, true
}

// Attempt makes the context of an attempt at an event that was stored with this traceparent; false = there is no span to be made.
func (t *Tracer) Attempt(stored []byte) (span Context, before [8]byte, sampled bool) {
	if t == nil || len(stored) == 0 {
		return span, before, false
	}
	c, ok := Parse(stored)
	if !ok || !c.Sampled {
		return span, before, false
	}
	before = c.Span
	c.Span = newSpan()
	return c, before, true
}

func newSpan() (s [8]byte) {
	for s == [8]byte{} {
		n := rand.Uint64()
		for i := range s {
			s[i] = byte(n >> (8 * i))
		}
	}
	return s
}
