package history

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"edgerelay/relay/event"
)

// redactor replaces values before they are stored: those at configured paths of an event, and the same values wherever they show up in what
// was sent and answered.
type redactor struct {
	paths   [][]string
	scratch sync.Pool
}

// newRedactor reads the paths; nil without any.
func newRedactor(paths []string) (*redactor, error) {
	if len(paths) == 0 {
		return nil, nil
	}
	r := &redactor{scratch: sync.Pool{New: func() any { return new(redaction) }}}
	for _, p := range paths {
		if err := CheckRedactPath(p); err != nil {
			return nil, err
		}
		r.paths = append(r.paths, strings.Split(p, "."))
	}
	return r, nil
}

// CheckRedactPath reports why path cannot be a rule, or nil. A path begins with data and goes through members; arrays are gone through whole, and
// a * stands for every member.
func CheckRedactPath(path string) error {
	parts := strings.Split(path, ".")
	if parts[0] != "data" {
		return fmt.Errorf("%q does not begin with data: write a path such as data.card.number", path)
	}
	for _, p := range parts {
		if p == "" {
			return fmt.Errorf("%q has an empty part: write a path such as data.card.number", path)
		}
	}
	return nil
}

// mark is what stands in place of a value.
const mark = `"***"`

// shortest is the length from which on a redacted value is looked for elsewhere: what is shorter would be found everywhere.
const shortest = 4

// redaction is one use of the rules, with its memory.
type redaction struct {
	spans    []span // of the envelope, in order
	values   [][]byte
	short    bool // a value was too short to be looked for
	envelope []byte
	request  []byte
	response []byte
	url      []byte
	log      []byte
	event    event.Event
}

type span struct{ from, to int }

// find collects the spans of the values at the paths.
func (r *redactor) find(x *redaction, text []byte) {
	x.spans, x.values, x.short = x.spans[:0], x.values[:0], false
	w := walker{b: text, out: &x.spans}
	w.value(r.paths)
	for _, s := range x.spans {
		v := text[s.from:s.to]
		if len(v) >= 2 && v[0] == '"' {
			v = v[1 : len(v)-1]
		}
		switch {
		case len(v) == 0 || string(v) == "null" || string(v) == "true" || string(v) == "false":
		case v[0] == '{' || v[0] == '[':
			x.short = true // a whole structure: where its pieces went nobody knows
		case len(v) < shortest:
			x.short = true
		default:
			x.values = append(x.values, v)
		}
	}
}

// apply appends text with the spans replaced.
func (x *redaction) apply(dst, text []byte) []byte {
	at := 0
	for _, s := range x.spans {
		if s.from < at {
			continue // inside of one that is replaced already
		}
		dst = append(append(dst, text[at:s.from]...), mark...)
		at = s.to
	}
	return append(dst, text[at:]...)
}

// scrub appends text with the redacted values replaced.
func (x *redaction) scrub(dst, text []byte) []byte {
	dst = append(dst, text...)
	for _, v := range x.values {
		for at := 0; ; {
			i := bytes.Index(dst[at:], v)
			if i < 0 {
				break
			}
			i += at
			dst = append(dst[:i], append([]byte("***"), dst[i+len(v):]...)...)
			at = i + 3
		}
	}
	return dst
}

// attempt puts redacted copies into a. The returned redaction owns them; give it back when a is not needed any more. nil = there was nothing to do.
func (r *redactor) attempt(a *Attempt) *redaction {
	if a.Event == nil {
		return nil
	}
	x := r.scratch.Get().(*redaction)
	r.find(x, a.Event.Envelope)
	if len(x.spans) == 0 {
		r.scratch.Put(x)
		return nil
	}
	x.envelope = x.apply(x.envelope[:0], a.Event.Envelope)
	x.event = *a.Event
	x.event.Envelope, x.event.Data, x.event.Time = x.envelope, nil, nil
	switch {
	case a.SameAsEvent:
		a.RequestBody = x.envelope[:min(len(x.envelope), len(a.RequestBody))]
	case x.short:
		a.RequestBody = nil // a value may be anywhere in it
	default:
		x.request = x.scrub(x.request[:0], a.RequestBody)
		a.RequestBody = x.request
	}
	if x.short {
		a.ResponseBody, a.TransformLog = nil, a.TransformLog[:0]
	} else {
		x.response, x.log = x.scrub(x.response[:0], a.ResponseBody), x.scrub(x.log[:0], a.TransformLog)
		a.ResponseBody = x.response
		a.TransformLog = append(a.TransformLog[:0], x.log...)
	}
	x.url = x.scrub(x.url[:0], a.URL)
	a.URL = x.url
	for _, hs := range [][]Header{a.RequestHeaders, a.ResponseHeaders} {
		for i := range hs {
			for _, v := range x.values {
				if bytes.Contains(hs[i].Value, v) {
					hs[i].Value = []byte("***")
				}
			}
		}
	}
	a.Detail = string(x.scrub(nil, []byte(a.Detail)))
	a.Event = &x.event
	return x
}

func (r *redactor) release(x *redaction) {
	x.event, x.values = event.Event{}, x.values[:0]
	r.scratch.Put(x)
}

// events redacts the envelopes of a chunk's events. Those that attempts carry are redacted already.
func (r *redactor) events(c *chunk) error {
	x := r.scratch.Get().(*redaction)
	defer r.scratch.Put(x)
	old := c.body
	var body []byte
	err := eachRecord(c.meta, func(m rec) error {
		at, n := int(le.Uint32(m[56:])), m.bodySize()
		if at+n > len(old) {
			return errDamaged
		}
		part := old[at : at+n]
		le.PutUint32(m[56:], uint32(len(body)))
		if m.kind() == kindEvent {
			if r.find(x, part); len(x.spans) > 0 {
				m.setFlags(m.flags() | flagRedacted)
				before := len(body)
				body = x.apply(body, part)
				le.PutUint32(m[68:], uint32(len(body)-before))
				return nil
			}
		}
		body = append(body, part...)
		return nil
	})
	c.body = body
	return err
}

// walker goes through a JSON text that is known to be valid, or cut off: then it ends early, and what it cannot see the end of is taken whole.
type walker struct {
	b   []byte
	at  int
	out *[]span
}

func (w *walker) space() {
	for w.at < len(w.b) && (w.b[w.at] == ' ' || w.b[w.at] == '\n' || w.b[w.at] == '\t' || w.b[w.at] == '\r') {
		w.at++
	}
}

// value passes one value; paths are those that lead on from here. An empty one means: this value.
func (w *walker) value(paths [][]string) {
	w.space()
	begin := w.at
	here := false
	for _, p := range paths {
		here = here || len(p) == 0
	}
	if here {
		paths = nil
	}
	if w.at >= len(w.b) {
		return
	}
	switch w.b[w.at] {
	case '{':
		w.at++
		w.members(paths)
	case '[':
		w.at++
		for w.space(); w.at < len(w.b) && w.b[w.at] != ']'; w.space() {
			if w.b[w.at] == ',' {
				w.at++
				continue
			}
			before := w.at
			if w.value(paths); w.at == before {
				return
			}
		}
		w.at = min(w.at+1, len(w.b))
	case '"':
		w.text()
	default:
		for w.at < len(w.b) && !bytes.ContainsRune([]byte(",]} \n\t\r"), rune(w.b[w.at])) {
			w.at++
		}
	}
	if here {
		*w.out = append(*w.out, span{begin, w.at})
	}
}

func (w *walker) members(paths [][]string) {
	var on [][]string
	for w.space(); w.at < len(w.b) && w.b[w.at] != '}'; w.space() {
		if w.b[w.at] == ',' {
			w.at++
			continue
		}
		if w.b[w.at] != '"' {
			return
		}
		name := w.text()
		w.space()
		if w.at < len(w.b) && w.b[w.at] == ':' {
			w.at++
		}
		on = on[:0]
		for _, p := range paths {
			if p[0] == "*" || p[0] == name {
				on = append(on, p[1:])
			}
		}
		w.value(on)
	}
	w.at = min(w.at+1, len(w.b))
}

// text passes a string and returns what is between its quotes, unescaped if that changes it.
func (w *walker) text() string {
	begin := w.at + 1
	for w.at = begin; w.at < len(w.b) && w.b[w.at] != '"'; w.at++ {
		if w.b[w.at] == '\\' {
			w.at++
		}
	}
	end := min(w.at, len(w.b))
	w.at = min(w.at+1, len(w.b))
	return unescape(w.b[begin:max(begin, end)])
}

// unescape reads a JSON string's content. Members may be written with escapes to get past a rule.
func unescape(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b)
	}
	var s string
	if err := json.Unmarshal(append(append([]byte{'"'}, b...), '"'), &s); err != nil {
		return string(b)
	}
	return s
}
