package sign

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// This file is the part of RFC 9421 that knows no keys: the signature base (2.5) and the fields that carry it (4.1, 4.2). What is parsed is
// the form in which the fields are written by every serializer of structured fields (RFC 8941), without parameters on components.

// paramsLine begins the last line of a base.
const paramsLine = `"@signature-params": `

// appendLine appends one component of a signature base.
func appendLine[T string | []byte](dst []byte, name string, value T) []byte {
	dst = append(append(append(dst, '"'), name...), `": `...)
	return append(append(dst, value...), '\n')
}

// input is one member of Signature-Input.
type input struct {
	label      string
	components []string
	params     []param
}

// param is name=value, the value as it is written: quoted, or a number.
type param struct{ name, value string }

func (in *input) param(name string) (string, bool) {
	for _, p := range in.params {
		if p.name == name {
			return p.value, true
		}
	}
	return "", false
}

// text is param without its quotes.
func (in *input) text(name string) (string, bool) {
	value, ok := in.param(name)
	return strings.Trim(value, `"`), ok
}

// base builds what was signed, out of the request as we have it.
func (in *input) base(r *Request) ([]byte, error) {
	var base []byte
	seen := map[string]bool{}
	for _, name := range in.components {
		if seen[name] {
			return nil, fmt.Errorf("%w: %s is covered twice", ErrMalformed, name)
		}
		seen[name] = true
		value, err := component(r, name)
		if err != nil {
			return nil, err
		}
		if strings.ContainsAny(value, "\r\n") {
			return nil, fmt.Errorf("%w: %s has a line break", ErrMalformed, name)
		}
		base = appendLine(base, name, value)
	}
	base = append(base, paramsLine...)
	base = append(append(append(base, '('), quoteAll(in.components)...), ')')
	for _, p := range in.params {
		base = append(append(append(append(base, ';'), p.name...), '='), p.value...)
	}
	return base, nil
}

func quoteAll(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return `"` + strings.Join(names, `" "`) + `"`
}

// component is the value of a derived component (2.2) or of a header.
func component(r *Request, name string) (string, error) {
	if !strings.HasPrefix(name, "@") {
		value := r.Header(name)
		if value == "" {
			return "", fmt.Errorf("%w: %s, which the signature covers", ErrMissingHeader, name)
		}
		return strings.TrimSpace(value), nil
	}
	if name == "@method" {
		return r.Method, nil
	}
	u, err := url.Parse(r.Target)
	if err != nil || u.Host == "" {
		return "", errors.New("the request's URL is not absolute")
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	switch name {
	case "@target-uri":
		return r.Target, nil
	case "@authority":
		host := strings.ToLower(u.Host)
		if port := ":" + u.Port(); u.Scheme == "https" && port == ":443" || u.Scheme == "http" && port == ":80" {
			host = strings.TrimSuffix(host, port)
		}
		return host, nil
	case "@scheme":
		return strings.ToLower(u.Scheme), nil
	case "@path":
		return path, nil
	case "@query":
		return "?" + u.RawQuery, nil
	case "@request-target":
		if u.RawQuery != "" {
			path += "?" + u.RawQuery
		}
		return path, nil
	}
	return "", fmt.Errorf("%w: %s cannot be covered in a request", ErrMalformed, name)
}

// maxFieldBytes bounds what is parsed of one field.
const maxFieldBytes = 16 << 10

// parseInputs reads Signature-Input: label=("name" "name" …);param=value;param="value", label=(…
func parseInputs(text string) ([]input, error) {
	p := fieldParser{rest: text}
	var all []input
	for {
		in := p.input()
		all = append(all, in)
		if p.done() {
			break
		}
	}
	if p.failed || len(text) > maxFieldBytes {
		return nil, fmt.Errorf("%w: %s is not a list of inputs", ErrMalformed, strings.ToLower(HeaderSignatureInput))
	}
	return all, nil
}

// fieldParser eats a field from the left. After its first failure it eats nothing more.
type fieldParser struct {
	rest   string
	failed bool
}

// done says whether the list ends here; otherwise it eats the comma.
func (p *fieldParser) done() bool {
	p.rest = strings.Trim(p.rest, " \t")
	if p.failed || p.rest == "" {
		return true
	}
	p.eat(",")
	p.rest = strings.TrimLeft(p.rest, " \t")
	return p.failed
}

func (p *fieldParser) eat(text string) {
	rest, ok := strings.CutPrefix(p.rest, text)
	p.rest, p.failed = rest, p.failed || !ok
}

// try eats text if it is there.
func (p *fieldParser) try(text string) bool {
	if p.failed || !strings.HasPrefix(p.rest, text) {
		return false
	}
	p.rest = p.rest[len(text):]
	return true
}

func (p *fieldParser) input() (in input) {
	in.label = p.key()
	p.eat("=(")
	for !p.failed {
		p.rest = strings.TrimLeft(p.rest, " ")
		if p.try(")") {
			break
		}
		in.components = append(in.components, strings.Trim(p.quoted(), `"`))
		if !strings.HasPrefix(p.rest, " ") && !strings.HasPrefix(p.rest, ")") {
			p.failed = true // a parameter of the component, which we cannot build
		}
	}
	for p.try(";") {
		p.rest = strings.TrimLeft(p.rest, " ")
		name := p.key()
		p.eat("=")
		in.params = append(in.params, param{name, p.value()})
	}
	return in
}

// key is lower-case letters, digits and _ - . *
func (p *fieldParser) key() string {
	return p.while(func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.' || c == '*'
	})
}

// value is a quoted text or a whole number.
func (p *fieldParser) value() string {
	if strings.HasPrefix(p.rest, `"`) {
		return p.quoted()
	}
	return p.while(func(c byte) bool { return c >= '0' && c <= '9' || c == '-' })
}

// quoted is a text with its quotes. Escapes are refused: no name of ours or of a key has them.
func (p *fieldParser) quoted() string {
	end := -1
	if strings.HasPrefix(p.rest, `"`) {
		end = strings.IndexByte(p.rest[1:], '"')
	}
	if end < 0 || strings.ContainsFunc(p.rest[1:end+1], func(r rune) bool { return r < ' ' || r > '~' || r == '\\' }) {
		p.failed = true
		return ""
	}
	text := p.rest[:end+2]
	p.rest = p.rest[end+2:]
	return text
}

func (p *fieldParser) while(is func(byte) bool) string {
	n := 0
	for n < len(p.rest) && is(p.rest[n]) {
		n++
	}
	text := p.rest[:n]
	p.rest = p.rest[n:]
	p.failed = p.failed || n == 0
	return text
}

// parseBytes reads a dictionary of byte sequences: name=:base64:, name=:base64:
func parseBytes(text string) (map[string][]byte, error) {
	bad := errors.New("a member is not of the form name=:base64: here")
	if len(text) > maxFieldBytes {
		return nil, bad
	}
	all := map[string][]byte{}
	for member := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.Trim(member, " \t"), "=")
		encoded, begins := strings.CutPrefix(value, ":")
		encoded, ends := strings.CutSuffix(encoded, ":")
		decoded, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if name == "" || !begins || !ends || err != nil || strings.ContainsAny(encoded, "\r\n") {
			return nil, bad
		}
		all[name] = decoded
	}
	return all, nil
}
