package payload

import (
	"errors"
	"fmt"
)

// errFormObject is what a form made of anything but an object gives.
var errFormObject = errors.New("a form is made of a JSON object")

// AppendForm appends the object in rawJSON as application/x-www-form-urlencoded (WHATWG), which is also how a GET's query is written:
// {"a":{"b":1},"c":[2,3],"d":null} gives a[b]=1&c[]=2&c[]=3&d=, with the brackets percent-encoded. The order is that of the JSON, empty
// objects and arrays leave no trace.
func AppendForm(dst []byte, rawJSON []byte) ([]byte, error) {
	v, err := check(rawJSON)
	if err != nil {
		return dst, fmt.Errorf("%w: %w", errFormObject, err)
	}
	if v[0] != '{' {
		return dst, errFormObject
	}
	var name [128]byte
	f := form{dst: dst, start: len(dst), name: name[:0]}
	f.object(v, true)
	if len(f.dst)-f.start > maxOutput {
		return dst, errTooLarge
	}
	return f.dst, nil
}

// form is one encoding. name is the encoded name of the value at hand; it grows and shrinks with the depth.
type form struct {
	dst   []byte
	start int
	name  []byte
}

func (f *form) object(v []byte, outermost bool) {
	for c := walk(v); ; {
		key, value, ok := c.member()
		if !ok {
			return
		}
		outer := len(f.name)
		if outermost {
			f.name = appendFormText(f.name, unquoted(key))
		} else {
			f.name = append(f.name, "%5B"...)
			f.name = append(appendFormText(f.name, unquoted(key)), "%5D"...)
		}
		f.value(value)
		f.name = f.name[:outer]
	}
}

func (f *form) value(v []byte) {
	switch v[0] {
	case '{':
		f.object(v, false)
	case '[':
		outer := len(f.name)
		f.name = append(f.name, "%5B%5D"...)
		for c := walk(v); ; {
			element, ok := c.element()
			if !ok {
				break
			}
			f.value(element)
		}
		f.name = f.name[:outer]
	default:
		if len(f.dst)-f.start > maxOutput { // AppendForm makes an error of it
			return
		}
		if len(f.dst) > f.start {
			f.dst = append(f.dst, '&')
		}
		f.dst = append(append(f.dst, f.name...), '=')
		f.dst = appendRawText(f.dst, v, appendFormText)
	}
}

// appendFormText percent-encodes all but ASCII letters, digits and * - . _ ; a space becomes +.
func appendFormText(dst []byte, s string) []byte {
	const upperHex = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '*', c == '-', c == '.', c == '_':
			dst = append(dst, c)
		case c == ' ':
			dst = append(dst, '+')
		default:
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}
