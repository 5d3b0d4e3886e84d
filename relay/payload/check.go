package payload

import (
	"fmt"
	"unicode/utf8"
)

// Raw JSON is handled in two steps. check reads a text from outside once, strictly; everything else in this package walks over checked
// text with cursors and finds its way by the shape of the bytes alone.

// maxDepth is how deep objects and arrays may be nested.
const maxDepth = 128

// syntaxError says where a text stops being JSON.
type syntaxError struct {
	at  int
	msg string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.msg, e.at) }

// check returns the one JSON value in b without the space around it, or why there is none.
func check(b []byte) ([]byte, *syntaxError) {
	if !utf8.Valid(b) {
		return nil, &syntaxError{firstInvalid(b), "invalid UTF-8"}
	}
	start := skipSpace(b, 0)
	end, err := checkValue(b, start, 0)
	if err != nil {
		return nil, err
	}
	if i := skipSpace(b, end); i != len(b) {
		return nil, &syntaxError{i, "more text after the JSON value"}
	}
	return b[start:end:end], nil
}

func firstInvalid(b []byte) int {
	i := 0
	for i < len(b) {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		i += n
	}
	return i
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// checkValue checks the value that begins at i and returns where it ends.
func checkValue(b []byte, i, depth int) (int, *syntaxError) {
	if i >= len(b) {
		return i, &syntaxError{i, "unexpected end of JSON"}
	}
	switch c := b[i]; {
	case c == '{' || c == '[':
		if depth == maxDepth {
			return i, &syntaxError{i, fmt.Sprintf("nested deeper than %d levels", maxDepth)}
		}
		return checkContainer(b, i, depth)
	case c == '"':
		return checkString(b, i)
	case c == '-' || (c >= '0' && c <= '9'):
		return checkNumber(b, i)
	case c == 't':
		return checkWord(b, i, "true")
	case c == 'f':
		return checkWord(b, i, "false")
	case c == 'n':
		return checkWord(b, i, "null")
	}
	return i, &syntaxError{i, fmt.Sprintf("unexpected %q", b[i])}
}

func checkWord(b []byte, i int, word string) (int, *syntaxError) {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return i, &syntaxError{i, "neither true, false nor null"}
	}
	return i + len(word), nil
}

// checkContainer checks an object or an array; b[i] is its opening bracket.
func checkContainer(b []byte, i, depth int) (int, *syntaxError) {
	object := b[i] == '{'
	closing := b[i] + 2 // '{' and '}', '[' and ']' are two apart
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == closing {
		return i + 1, nil
	}
	var err *syntaxError
	for {
		if object {
			if i, err = checkKey(b, i); err != nil {
				return i, err
			}
		}
		if i, err = checkValue(b, i, depth+1); err != nil {
			return i, err
		}
		i = skipSpace(b, i)
		switch {
		case i >= len(b):
			return i, &syntaxError{i, "unexpected end of JSON"}
		case b[i] == closing:
			return i + 1, nil
		case b[i] != ',':
			return i, &syntaxError{i, fmt.Sprintf("expected ',' or %q, found %q", closing, b[i])}
		}
		i = skipSpace(b, i+1)
	}
}

// checkKey checks a key and its colon and returns where the value begins.
func checkKey(b []byte, i int) (int, *syntaxError) {
	if i >= len(b) || b[i] != '"' {
		return i, &syntaxError{i, "expected a key in quotes"}
	}
	i, err := checkString(b, i)
	if err != nil {
		return i, err
	}
	if i = skipSpace(b, i); i >= len(b) || b[i] != ':' {
		return i, &syntaxError{i, "expected ':' after a key"}
	}
	return skipSpace(b, i+1), nil
}

func checkString(b []byte, i int) (int, *syntaxError) {
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1, nil
		case c < ' ':
			return i, &syntaxError{i, "control character in a string"}
		case c == '\\':
			n := escapeLen(b[i:])
			if n == 0 {
				return i, &syntaxError{i, "invalid escape in a string"}
			}
			i += n - 1
		}
	}
	return i, &syntaxError{i, "string without an end"}
}

// escapeLen is the length of the escape at the front of b, or 0.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) >= 6 && hex4(b[2:6]) >= 0 {
			return 6
		}
	}
	return 0
}

// hex4 reads four hexadecimal digits, -1 if they are not.
func hex4(b []byte) rune {
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// checkNumber follows RFC 8259: no leading zero, digits on both sides of the point.
func checkNumber(b []byte, i int) (int, *syntaxError) {
	digits := func() bool {
		start := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		return i > start
	}
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if !digits() {
		return i, &syntaxError{i, "invalid number"}
	}
	if i < len(b) && b[i] == '.' {
		if i++; !digits() {
			return i, &syntaxError{i, "invalid number"}
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return i, &syntaxError{i, "invalid number"}
		}
	}
	return i, nil
}
