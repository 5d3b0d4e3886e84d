package payload

import "bytes"

// cursor walks over the members or elements of one checked object or array.
type cursor struct {
	b []byte
	i int
}

// walk stands a cursor before the first member of v, which begins with '{' or '['.
func walk(v []byte) cursor { return cursor{b: v, i: 1} }

// element returns the next value of an array.
func (c *cursor) element() (value []byte, ok bool) {
	c.i = skipSpace(c.b, c.i)
	if c.i < len(c.b) && c.b[c.i] == ',' {
		c.i = skipSpace(c.b, c.i+1)
	}
	if c.i >= len(c.b) || c.b[c.i] == ']' || c.b[c.i] == '}' {
		return nil, false
	}
	start := c.i
	c.i = valueEnd(c.b, start)
	return c.b[start:c.i:c.i], true
}

// member returns the next key, still in its quotes, and value of an object.
func (c *cursor) member() (key, value []byte, ok bool) {
	if key, ok = c.element(); !ok {
		return nil, nil, false
	}
	c.i = skipSpace(c.b, c.i)
	if c.i < len(c.b) && c.b[c.i] == ':' {
		c.i++
	}
	value, ok = c.element()
	return key, value, ok
}

// valueEnd is where the value that begins at i ends. Always more than i, so that a cursor moves on.
func valueEnd(b []byte, i int) int {
	switch b[i] {
	case '"':
		return stringEnd(b, i)
	case '{', '[':
		depth := 0
		for i < len(b) {
			switch b[i] {
			case '"':
				i = stringEnd(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return i
	}
	for i++; i < len(b); i++ {
		switch b[i] {
		case ',', ']', '}', ' ', '\n', '\t', '\r', ':':
			return i
		}
	}
	return i
}

// stringEnd is where the string that begins at i ends. Most strings have no escape, so the next quote is the end.
func stringEnd(b []byte, i int) int {
	i++
	for {
		n := bytes.IndexByte(b[min(i, len(b)):], '"')
		if n < 0 {
			return len(b)
		}
		escape := bytes.IndexByte(b[i:i+n], '\\')
		if escape < 0 {
			return i + n + 1
		}
		i += escape + 2
	}
}

// segment is one step of a path: a member's name, or an element's index.
type segment struct {
	key   string
	index int // -1: key
}

// lookup follows path through the checked value v; nil means that there is nothing. Of several members with one name the last counts,
// as everywhere in this package.
func lookup(v []byte, path []segment) []byte {
	for _, s := range path {
		if v = step(v, s); v == nil {
			return nil
		}
	}
	return v
}

func step(v []byte, s segment) (found []byte) {
	switch {
	case len(v) == 0:
	case v[0] == '{' && s.index < 0:
		for c := walk(v); ; {
			key, value, ok := c.member()
			if !ok {
				return found
			}
			if keyIs(key, s.key) {
				found = value
			}
		}
	case v[0] == '[' && s.index >= 0:
		c := walk(v)
		for range s.index {
			if _, ok := c.element(); !ok {
				return nil
			}
		}
		found, _ = c.element()
	}
	return found
}
