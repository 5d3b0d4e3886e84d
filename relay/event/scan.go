package event

import (
	"fmt"
	"unicode/utf8"
)

// scanner walks once over JSON text. It keeps no tree: it only knows where it is.
type scanner struct {
	b []byte
	i int // the next byte
}

func (s *scanner) fail(msg string) error { return &ParseError{s.i, msg} }

// unexpected is the error for a byte (or the end) that the grammar does not allow here.
func (s *scanner) unexpected(want string) error {
	if s.i >= len(s.b) {
		return s.fail("unexpected end, want " + want)
	}
	if c := s.b[s.i]; c < 0x20 || c >= 0x7f {
		return s.fail(fmt.Sprintf("unexpected byte 0x%02x, want %s", c, want))
	}
	return s.fail(fmt.Sprintf("unexpected %q, want %s", s.b[s.i], want))
}

func (s *scanner) at(c byte) bool { return s.i < len(s.b) && s.b[s.i] == c }

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// end accepts white space until the end of the text.
func (s *scanner) end() error {
	s.space()
	if s.i < len(s.b) {
		return s.unexpected("nothing after the value")
	}
	return nil
}

func (s *scanner) colon() error {
	s.space()
	if !s.at(':') {
		return s.unexpected("':' after a member's name")
	}
	s.i++
	return nil
}

// more reads what stands after an element: a comma, or the closing bracket.
func (s *scanner) more(closing byte) (bool, error) {
	s.space()
	switch {
	case s.at(','):
		s.i++
		return true, nil
	case s.at(closing):
		s.i++
		return false, nil
	case closing == '}':
		return false, s.unexpected("',' or '}'")
	default:
		return false, s.unexpected("',' or ']'")
	}
}

// name reads a member's name and the colon.
func (s *scanner) name() error {
	s.space()
	if _, _, err := s.str(); err != nil {
		return err
	}
	return s.colon()
}

// value reads one value that stands inside depth containers. It loops instead of recursing: which kind of container is open
// at each level is one bit, so hostile nesting costs nothing.
func (s *scanner) value(depth int) error {
	var objects [(MaxDepth + 63) / 64]uint64
	base := depth
	for {
		s.space()
		opened, err := s.begin(&objects, &depth)
		if err != nil {
			return err
		}
		if opened {
			continue // at the first element of a container
		}
		for { // a value has ended: find the next element, or close containers until there is one
			if depth == base {
				return nil
			}
			object := objects[(depth-1)/64]&(1<<((depth-1)%64)) != 0
			closing := byte(']')
			if object {
				closing = '}'
			}
			more, err := s.more(closing)
			if err != nil {
				return err
			}
			if !more {
				depth--
				continue
			}
			if object {
				if err := s.name(); err != nil {
					return err
				}
			}
			break
		}
	}
}

// begin reads a scalar, an empty container, or the opening of a container up to its first element (then opened is true).
func (s *scanner) begin(objects *[(MaxDepth + 63) / 64]uint64, depth *int) (opened bool, err error) {
	if s.i >= len(s.b) {
		return false, s.unexpected("a value")
	}
	c := s.b[s.i]
	if c != '{' && c != '[' {
		return false, s.scalar(c)
	}
	if *depth == MaxDepth {
		return false, s.fail(fmt.Sprintf("nested deeper than %d levels", MaxDepth))
	}
	bit, word := uint64(1)<<(*depth%64), *depth/64
	s.i++
	s.space()
	if c == '{' {
		if s.at('}') {
			s.i++
			return false, nil
		}
		objects[word] |= bit
		*depth++
		return true, s.name()
	}
	if s.at(']') {
		s.i++
		return false, nil
	}
	objects[word] &^= bit
	*depth++
	return true, nil
}

func (s *scanner) scalar(c byte) error {
	switch {
	case c == '"':
		_, _, err := s.str()
		return err
	case c == '-' || c-'0' <= 9:
		return s.number()
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	}
	return s.unexpected("a value")
}

func (s *scanner) literal(want string) error {
	for i := range len(want) {
		if !s.at(want[i]) {
			return s.unexpected(want)
		}
		s.i++
	}
	return nil
}

func (s *scanner) number() error {
	if s.at('-') {
		s.i++
	}
	if s.at('0') {
		s.i++
	} else if err := s.digits(); err != nil {
		return err
	}
	if s.at('.') {
		s.i++
		if err := s.digits(); err != nil {
			return err
		}
	}
	if s.at('e') || s.at('E') {
		s.i++
		if s.at('+') || s.at('-') {
			s.i++
		}
		return s.digits()
	}
	return nil
}

func (s *scanner) digits() error {
	start := s.i
	for s.i < len(s.b) && s.b[s.i]-'0' <= 9 {
		s.i++
	}
	if s.i == start {
		return s.unexpected("a digit")
	}
	return nil
}

// plain marks the bytes that stand for themselves in a string: ASCII without controls, quote and backslash.
var plain = func() (t [256]bool) {
	for c := 0x20; c < 0x80; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// str reads a string and returns what stands between its quotes, and whether that contains escapes.
func (s *scanner) str() (raw []byte, escaped bool, err error) {
	if !s.at('"') {
		return nil, false, s.unexpected("a string")
	}
	b, i := s.b, s.i+1
	start := i
	for {
		for i < len(b) && plain[b[i]] {
			i++
		}
		s.i = i
		switch {
		case i >= len(b):
			return nil, false, s.unexpected(`the closing quote of a string`)
		case b[i] == '"':
			s.i++
			return b[start:i:i], escaped, nil
		case b[i] == '\\':
			if err := s.escape(); err != nil {
				return nil, false, err
			}
			escaped, i = true, s.i
		case b[i] < 0x20:
			return nil, false, s.fail(fmt.Sprintf("control character 0x%02x in a string must be escaped", b[i]))
		default:
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n == 1 {
				return nil, false, s.fail("invalid UTF-8 in a string")
			}
			i += n
		}
	}
}

// escape reads one escape sequence.
func (s *scanner) escape() error {
	s.i++
	if s.i >= len(s.b) {
		return s.unexpected("an escape sequence")
	}
	switch s.b[s.i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i++
		return nil
	case 'u':
		s.i++
		for range 4 {
			if s.i >= len(s.b) || hexValue(s.b[s.i]) < 0 {
				return s.unexpected("four hexadecimal digits")
			}
			s.i++
		}
		return nil
	}
	return s.unexpected("an escape sequence")
}
