package event

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// MaxDepth is how deep JSON may be nested, the event itself included. Everything that reads an event later may recurse that far.
const MaxDepth = 128

// Limits of an event's own members; a record keeps their lengths in one byte each.
const (
	maxMember = 255 // id, type, tenant, program
	maxTime   = 64

	// ScratchSize is the capacity of a scratch with which Parse never allocates: every member decoded, each written with escapes.
	ScratchSize = int(memberData) * (maxMember + utf8.UTFMax)
)

// Fields are the top-level members of an event. They are views of the body, or of the scratch where the producer used escapes.
type Fields struct {
	ID      []byte // nil = the producer gave none
	Type    []byte
	Time    []byte // nil = the producer gave none
	Tenant  []byte // nil = the producer gave none
	Program []byte // nil = the producer gave none
	Data    []byte // raw JSON, never empty: without the member it is null
}

// ParseError says what is wrong with a body and at which byte.
type ParseError struct {
	Offset int
	Msg    string
}

func (e *ParseError) Error() string { return fmt.Sprintf("%s (at byte %d)", e.Msg, e.Offset) }

// member numbers the members that an event may have.
type member uint8

const (
	memberID member = iota
	memberType
	memberTime
	memberTenant
	memberProgram
	memberData
	memberCount
)

var memberNames = [memberCount]string{"id", "type", "time", "tenant", "program", "data"}

// Parse reads body as one event. It checks all of body in a single pass (RFC 8259 to the letter, UTF-8, depth) and allocates nothing
// when scratch has a capacity of ScratchSize. Unknown and repeated members are errors: the first are typing mistakes that
// would silently lose data, the second mean different things to different readers. Every error is a *ParseError.
func Parse(body, scratch []byte) (Fields, error) {
	var f Fields
	s := scanner{b: body}
	scratch = scratch[:0]
	s.space()
	if s.i >= len(body) || body[s.i] != '{' {
		return f, s.fail("an event is a JSON object")
	}
	s.i++
	s.space()
	seen := [memberCount]bool{}
	if s.at('}') {
		s.i++
	} else {
		for more := true; more; {
			m, err := s.member(&seen)
			if err == nil {
				scratch, err = s.field(&f, m, scratch)
			}
			if err == nil {
				more, err = s.more('}')
			}
			if err != nil {
				return Fields{}, err
			}
		}
	}
	if err := s.end(); err != nil {
		return Fields{}, err
	}
	if !seen[memberType] {
		return Fields{}, s.fail(`member "type" is missing`)
	}
	if f.Data == nil {
		f.Data = null
	}
	return f, nil
}

var null = []byte("null")

// member reads one member's name and the colon, and says which it is.
func (s *scanner) member(seen *[memberCount]bool) (member, error) {
	s.space()
	start := s.i
	raw, escaped, err := s.str()
	if err != nil {
		return 0, err
	}
	name := raw
	if escaped {
		var buf [16 + utf8.UTFMax]byte // longer than every known name: what does not fit is unknown
		if n, ok := unescape(buf[:0], raw, 16); ok {
			name = n
		}
	}
	for m, known := range memberNames {
		if string(name) != known {
			continue
		}
		if seen[m] {
			return 0, &ParseError{start, fmt.Sprintf("member %q appears twice", known)}
		}
		seen[m] = true
		return member(m), s.colon()
	}
	return 0, &ParseError{start, fmt.Sprintf("unknown member %q: an event has id, type, time, tenant, program and data", clip(raw))}
}

// field reads the value of member m into f.
func (s *scanner) field(f *Fields, m member, scratch []byte) ([]byte, error) {
	s.space()
	start := s.i
	if m == memberData {
		if err := s.value(1); err != nil {
			return scratch, err
		}
		f.Data = s.b[start:s.i:s.i]
		return scratch, nil
	}
	if !s.at('"') {
		return scratch, &ParseError{start, fmt.Sprintf("member %q must be a string", memberNames[m])}
	}
	v, escaped, err := s.str()
	if err != nil {
		return scratch, err
	}
	if escaped {
		from := len(scratch)
		full, ok := unescape(scratch, v, maxMember)
		if !ok {
			return scratch, &ParseError{start, fmt.Sprintf("member %q is longer than %d bytes or has half of a surrogate pair", memberNames[m], maxMember)}
		}
		scratch, v = full, full[from:]
	}
	if msg := f.set(m, v); msg != "" {
		return scratch, &ParseError{start, fmt.Sprintf("member %q %s", memberNames[m], msg)}
	}
	return scratch, nil
}

// set checks v and makes it the value of m; it returns what is wrong with v, or nothing.
func (f *Fields) set(m member, v []byte) string {
	switch m {
	case memberID:
		f.ID = v
		if !ValidID(v) {
			return "must be 1 to 255 of the characters A-Z a-z 0-9 _ -"
		}
	case memberType:
		f.Type = v
		if !ValidType(v) {
			return "must be 1 to 255 of the characters A-Z a-z 0-9 _ . : / -"
		}
	case memberTime:
		f.Time = v
		if !validTime(v) {
			return "must be a time of RFC 3339, for example 2024-12-14T15:29:18.700Z"
		}
	case memberTenant, memberProgram:
		if m == memberTenant {
			f.Tenant = v
		} else {
			f.Program = v
		}
		if !validName(v) {
			return "must have 1 to 255 bytes and no control characters"
		}
	}
	return ""
}

// Valid reports whether b is one JSON value, by the same rules as Parse. Its error is a *ParseError.
func Valid(b []byte) error {
	s := scanner{b: b}
	if err := s.value(0); err != nil {
		return err
	}
	return s.end()
}

// AppendEnvelope appends {"id":…,"type":…,"time":…,"data":…}, the default outgoing body. An event without an id gets id, and one without
// a time gets the moment of its acceptance, in UTC with milliseconds. timeAt and dataAt say where in dst the two texts begin.
func AppendEnvelope(dst []byte, f *Fields, id []byte, accepted time.Time) (out []byte, timeAt, dataAt int) {
	if f.ID != nil {
		id = f.ID
	}
	dst = append(dst, beforeID...)
	dst = append(dst, id...)
	dst = append(dst, beforeType...)
	dst = append(dst, f.Type...)
	dst = append(dst, `","time":"`...)
	timeAt = len(dst)
	if f.Time != nil {
		dst = append(dst, f.Time...)
	} else {
		dst = accepted.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	}
	dst = append(dst, `","data":`...)
	dataAt = len(dst)
	dst = append(dst, f.Data...)
	return append(dst, '}'), timeAt, dataAt
}

// BuildEvent makes the event of f; its envelope is appended to dst, which is returned too, so that the caller can reuse it. Tenant, Program
// and Trace are left to the caller. id is for an event that has none of its own.
func BuildEvent(dst []byte, f *Fields, id []byte, accepted time.Time) (Event, []byte) {
	start := len(dst)
	dst, timeAt, dataAt := AppendEnvelope(dst, f, id, accepted)
	end := len(dst) - 1 // the closing brace
	e := Event{
		ID:       id,
		Type:     f.Type,
		Accepted: accepted.UnixMicro(),
		// No capacity limits here: AppendRecord finds the offsets of Time and Data by comparing capacities.
		Envelope: dst[start:],
		Time:     dst[timeAt : dataAt-len(`","data":`)],
		Data:     dst[dataAt:end],
	}
	if f.ID != nil {
		e.ID = f.ID
	}
	return e, dst
}

func clip(b []byte) []byte {
	if len(b) > 64 {
		return append(append([]byte(nil), b[:61]...), "..."...)
	}
	return b
}
