package payload

import (
	"fmt"
	"slices"
)

// compileBody turns the JSON text of a definition into parts. All mistakes are found, not only the first.
func compileBody(kind string, text []byte) ([]part, Errors) {
	v, err := check(text)
	if err != nil {
		at := positionOf(string(text), err.at)
		return nil, Errors{{Path: "body", Line: at.line, Column: at.column, Msg: "not valid JSON: " + err.msg}}
	}
	b := bodyCompiler{parts: []part{}}
	switch {
	case kind != Plain && kind != Raw:
		if kind == Form && v[0] != '{' && v[0] != '"' {
			b.fail("body", "a form is made of an object")
			break
		}
		b.value(v, "body")
		b.flush()
		if kind == Form && v[0] == '"' && !(len(b.parts) == 1 && b.parts[0].prog != nil) {
			b.fail("body", "a form is made of an object, or of one lone {{ }} that gives an object")
		}
	case v[0] != '"':
		b.fail("body", fmt.Sprintf("the body of a payload of type %s is one string", kind))
	default:
		b.text(unquoted(v), "body")
	}
	return b.parts, b.errs
}

// bodyCompiler collects parts; literal bytes are joined as far as possible.
type bodyCompiler struct {
	parts []part
	lit   []byte
	errs  Errors
}

func (b *bodyCompiler) fail(path, msg string) {
	b.errs = append(b.errs, &Error{Path: path, Msg: msg})
}

// flush makes a part of the literal bytes so far.
func (b *bodyCompiler) flush() {
	if len(b.lit) > 0 {
		b.parts = append(b.parts, part{lit: b.lit})
		b.lit = nil
	}
}

// value compiles one JSON value.
func (b *bodyCompiler) value(v []byte, path string) {
	switch v[0] {
	case '{':
		b.object(v, path)
	case '[':
		b.lit = append(b.lit, '[')
		c := walk(v)
		for i := 0; ; i++ {
			element, ok := c.element()
			if !ok {
				break
			}
			if i > 0 {
				b.lit = append(b.lit, ',')
			}
			b.value(element, fmt.Sprintf("%s[%d]", path, i))
		}
		b.lit = append(b.lit, ']')
	case '"':
		b.string(unquoted(v), path)
	default:
		b.lit = append(b.lit, v...)
	}
}

func (b *bodyCompiler) object(v []byte, path string) {
	var keys []string
	b.lit = append(b.lit, '{')
	for c := walk(v); ; {
		quoted, value, ok := c.member()
		if !ok {
			break
		}
		key := string(appendUnquoted(nil, quoted))
		if slices.Contains(keys, key) {
			b.fail(joinPath(path, key), "this key is there twice")
		}
		if len(keys) > 0 {
			b.lit = append(b.lit, ',')
		}
		keys = append(keys, key)
		b.lit = append(appendQuoted(b.lit, key), ':')
		b.value(value, joinPath(path, key))
	}
	b.lit = append(b.lit, '}')
}

// string compiles a string of a JSON value: one lone {{ }} gives a value of any type, everything else a string.
func (b *bodyCompiler) string(text, path string) {
	parts, err := parseTemplate(text, templateVars)
	if err != nil {
		b.errs = append(b.errs, withPath(err, path).(*Error))
		return
	}
	if len(parts) == 1 && parts[0].prog != nil {
		b.flush()
		b.parts = append(b.parts, part{prog: parts[0].prog, mode: asJSON, path: path})
		return
	}
	b.lit = append(b.lit, '"')
	for _, p := range parts {
		if p.prog == nil {
			b.lit = appendEscaped(b.lit, string(p.lit))
			continue
		}
		b.flush()
		b.parts = append(b.parts, part{prog: p.prog, mode: asEscaped, path: path})
	}
	b.lit = append(b.lit, '"')
}

// text compiles the one string of a plain or raw body.
func (b *bodyCompiler) text(text, path string) {
	parts, err := parseTemplate(text, templateVars)
	if err != nil {
		b.errs = append(b.errs, withPath(err, path).(*Error))
		return
	}
	for _, p := range parts {
		p.path = path
		b.parts = append(b.parts, p)
	}
}
