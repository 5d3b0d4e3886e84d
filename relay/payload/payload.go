// Package payload decides what a webhook's receiver gets to read: it fills in the {{ }} definitions, encodes JSON, XML, plain text, forms
// and raw bytes, and evaluates the filters that choose events. docs/payloads.md is its manual.
//
// Definitions, templates and filters are compiled once, when a webhook is loaded, and may then be used from any goroutine. What belongs to
// one event — its variables, decoded values, buffers — lives in an Input, which one worker owns and uses again. An event passes through
// here as raw JSON wherever possible: a {{ data.x }} copies bytes, so numbers keep their digits and objects keep the order of their keys.
//
// It is used by the webhooks table (filters), by the sending side (everything), and by the validation of the configuration. It starts no
// goroutines, imports nothing of ours, and is the only package that knows expr-lang.
package payload

import (
	"bytes"
	"fmt"
	"strings"
)

// The payload types.
const (
	JSON  = "json"
	XML   = "xml"
	Plain = "plain"
	Form  = "form"
	Raw   = "raw"
)

var contentTypes = map[string]string{
	JSON:  "application/json",
	XML:   "application/xml; charset=utf-8",
	Plain: "text/plain; charset=utf-8",
	Form:  "application/x-www-form-urlencoded",
	Raw:   "application/octet-stream",
}

// Spec is the payload section of a webhook.
type Spec struct {
	Type string // one of the payload types; "" is json
	Body []byte // the definition as JSON text; nil: send the envelope, or the output of the transform
	Root string // the name of the root element, for xml only; "" is event
}

// Definition is a compiled Spec.
type Definition struct {
	kind  string
	root  string
	parts []part // nil: no body was defined
}

// part is a piece of a definition: literal bytes, or an expression whose value goes there.
type part struct {
	lit  []byte
	prog *program // nil: lit
	mode mode
	path string // of the string that it stands in, for errors
}

// mode says how a value is written.
type mode int

const (
	asJSON    mode = iota // any JSON value
	asEscaped             // text inside a JSON string
	asText                // text as it is
)

// Compile checks and prepares s. The error is an Errors, in the order of the text, with paths relative to the payload.
func Compile(s Spec) (*Definition, error) {
	d := &Definition{kind: s.Type, root: s.Root}
	if d.kind == "" {
		d.kind = JSON
	}
	var errs Errors
	if _, ok := contentTypes[d.kind]; !ok {
		return nil, append(errs, &Error{Path: "type", Msg: fmt.Sprintf("unknown payload type %q: known are json, xml, plain, form, raw", s.Type)})
	}
	switch {
	case d.kind != XML && s.Root != "":
		errs = append(errs, &Error{Path: "root", Msg: "only a payload of type xml has a root element"})
	case s.Root == "":
		d.root = "event"
	case !validName(s.Root):
		errs = append(errs, &Error{Path: "root", Msg: fmt.Sprintf("%q is not a usable XML element name", s.Root)})
	}
	if s.Body != nil {
		var bodyErrs Errors
		d.parts, bodyErrs = compileBody(d.kind, s.Body)
		errs = append(errs, bodyErrs...)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return d, nil
}

// ContentType is what the payload is sent as.
func (d *Definition) ContentType() string { return contentTypes[d.kind] }

// PassThrough says that the envelope, or the transform's output, is to be sent byte for byte.
func (d *Definition) PassThrough() bool { return d.kind == JSON && d.parts == nil }

// Append appends the body for in to dst. Whatever the type, except raw, what it writes is valid UTF-8; the exception is a transform's
// own output that nothing was asked of (PassThrough). After an error dst is as it was.
func (d *Definition) Append(dst []byte, in *Input) ([]byte, error) {
	if d.kind == JSON || d.kind == Plain || d.kind == Raw {
		return d.appendPlainly(dst, in)
	}
	source := in.output()
	if d.parts != nil {
		built, err := d.fill(in.built[:0], in)
		if in.built = built; err != nil {
			return dst, err
		}
		source = built
	}
	if d.kind == Form {
		return AppendForm(dst, source)
	}
	v, err := check(source)
	if err != nil {
		if d.parts != nil { // a definition and what it takes from the data are each within the limit, but not both together
			return dst, &Error{Path: "body", Msg: err.Error()}
		}
		v = appendQuoted(nil, view(source)) // a transform may give any text: it becomes the text of the root element
	}
	return appendXML(dst, d.root, v)
}

// AppendQuery appends the payload for in as the query of a GET, by the rules of a form whatever the type. A payload that is defined as a text
// is none.
func (d *Definition) AppendQuery(dst []byte, in *Input) ([]byte, error) {
	source := in.output()
	if d.parts != nil {
		if d.kind == Plain || d.kind == Raw {
			return dst, errFormObject
		}
		built, err := d.fill(in.built[:0], in)
		if in.built = built; err != nil {
			return dst, err
		}
		source = built
	}
	return AppendForm(dst, source)
}

// appendPlainly handles the types whose encoding is the filled-in definition itself.
func (d *Definition) appendPlainly(dst []byte, in *Input) ([]byte, error) {
	start := len(dst)
	if d.parts == nil {
		dst = append(dst, in.output()...)
	} else {
		var err error
		if dst, err = d.fill(dst, in); err != nil {
			return dst[:start], err
		}
	}
	if d.kind == Plain {
		dst = validUTF8(dst, start)
	}
	return dst, nil
}

// maxOutput is the longest body that is made; what is passed on unchanged may be longer.
const maxOutput = 16 << 20

var errTooLarge = fmt.Errorf("the body would be larger than %d MiB", maxOutput>>20)

// fill writes the parts one after the other.
func (d *Definition) fill(dst []byte, in *Input) ([]byte, error) {
	var err error
	start := len(dst)
	for i := range d.parts {
		p := &d.parts[i]
		switch {
		case len(dst)-start > maxOutput:
			err = errTooLarge
		case p.prog == nil:
			dst = append(dst, p.lit...)
		case p.mode == asJSON:
			dst, err = p.prog.appendJSON(dst, in)
		case p.mode == asEscaped:
			dst, err = p.prog.appendEscaped(dst, in)
		default:
			dst, err = p.prog.appendText(dst, in, nil)
		}
		if err != nil {
			return dst, withPath(err, p.path)
		}
	}
	return dst, nil
}

// validUTF8 replaces what is not UTF-8 in b[start:] by U+FFFD. Nearly always it only looks.
func validUTF8(b []byte, start int) []byte {
	if fixed := bytes.ToValidUTF8(b[start:], []byte("\uFFFD")); len(fixed) != len(b)-start || !bytes.Equal(fixed, b[start:]) {
		return append(b[:start], fixed...)
	}
	return b
}

// joinPath names a member of the object at path.
func joinPath(path, key string) string {
	if key == "" || strings.ContainsAny(key, `.[]"\ `) || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' }) {
		return path + "[" + string(appendQuoted(nil, key)) + "]"
	}
	return path + "." + key
}
