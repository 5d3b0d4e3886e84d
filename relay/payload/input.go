package payload

import (
	"bytes"
	"fmt"
	"strconv"
	"unsafe"
)

// Input is one event on its way to one webhook: what the variables of expressions mean. The caller fills the exported fields, which must
// stay unchanged while the Input is in use, and calls Reset before the next event. One goroutine at a time.
//
// Checking, decoding and looking up are done when an expression first asks, and kept until Reset; setting Body (after a transform) makes
// the Input forget by itself. Webhook and Attempt are never kept, so one Input can serve several webhooks.
type Input struct {
	ID, Type, Time  []byte
	Tenant, Program []byte // Program may be empty: none
	Data            []byte // raw JSON; empty is null
	Envelope        []byte // the default body
	Body            []byte // what a transform has made of it; nil = there was none
	Webhook         string
	Attempt         int

	derived
	members []member // of data when it is an object and has been looked into, in the order of the text; kept as a buffer
	machine *machine // made when the first expression runs
	built   []byte   // buffer: a filled-in definition, before it is encoded
	text    []byte   // buffer: one string
}

// derived is what an Input has found out about its fields.
type derived struct {
	ready bool
	body0 []byte // Body as it was then
	err   error

	id, typ, time []byte // from Body where it has them
	data          []byte // checked
	indexed       bool   // members is about data
	bodyJSON      []byte // Body, checked; nil when it is not JSON
	bodyText      string // Body as text, when it is not JSON
}

// Reset empties the Input for the next event. The buffers stay.
func (in *Input) Reset() {
	if in.machine != nil {
		in.machine.forget()
	}
	clear(in.members)
	*in = Input{members: in.members[:0], machine: in.machine, built: in.built[:0], text: in.text[:0]}
}

// output is what is sent when no body is defined.
func (in *Input) output() []byte {
	if in.Body != nil {
		return in.Body
	}
	return in.Envelope
}

// prepare checks the JSON once and applies the rule that a transform's output replaces id, type, time and data where it has them.
func (in *Input) prepare() error {
	if in.ready && len(in.Body) == len(in.body0) && unsafe.SliceData(in.Body) == unsafe.SliceData(in.body0) {
		return in.err
	}
	if in.machine != nil {
		in.machine.forget()
	}
	in.derived = derived{ready: true, body0: in.Body, id: in.ID, typ: in.Type, time: in.Time, data: jsonNull}
	if len(in.Data) > 0 {
		data, err := check(in.Data)
		if err != nil {
			in.err = fmt.Errorf("event data is not valid JSON: %w", err)
			return in.err
		}
		in.data = data
	}
	if in.Body == nil {
		in.bodyJSON = jsonNull
		return nil
	}
	body, err := check(in.Body)
	if err != nil {
		in.bodyText = string(bytes.ToValidUTF8(in.Body, []byte("\uFFFD")))
		return nil
	}
	in.bodyJSON = body
	in.takeOver(body)
	return nil
}

var jsonNull = []byte("null")

// takeOver reads id, type, time and data from a transform's output. null counts as absent.
func (in *Input) takeOver(body []byte) {
	if body[0] != '{' {
		return
	}
	for c := walk(body); ; {
		key, value, ok := c.member()
		if !ok {
			return
		}
		if string(value) == "null" {
			continue
		}
		switch {
		case keyIs(key, "data"):
			in.data = value
		case keyIs(key, "id"):
			in.id = appendRawText(nil, value, nil)
		case keyIs(key, "type"):
			in.typ = appendRawText(nil, value, nil)
		case keyIs(key, "time"):
			in.time = appendRawText(nil, value, nil)
		}
	}
}

// ref is a variable, or a path into one: what a lone {{ data.giver.name }} consists of.
type ref struct {
	name string // unique; the key among the variables of an expression
	root variable
	path []segment
}

// variable is one of the names that expressions know.
type variable int

const (
	varID variable = iota
	varType
	varTime
	varTenant
	varProgram
	varData
	varWebhook
	varAttempt
	varBody
)

// variables of definitions and templates; those of filters are fewer, because a filter is asked before a webhook is chosen.
var (
	templateVars = map[string]variable{"id": varID, "type": varType, "time": varTime, "tenant": varTenant, "program": varProgram,
		"data": varData, "webhook": varWebhook, "attempt": varAttempt, "body": varBody}
	filterVars = map[string]variable{"id": varID, "type": varType, "time": varTime, "tenant": varTenant, "program": varProgram,
		"data": varData}
)

// isJSON says that v is looked into; the others are texts and one number.
func (v variable) isJSON() bool { return v == varData || v == varBody }

// raw is what r stands for as checked JSON, nil when there is nothing, or, for the variables that are texts, its text.
func (in *Input) raw(r *ref) (json, text []byte) {
	switch r.root {
	case varID:
		return nil, in.id
	case varType:
		return nil, in.typ
	case varTime:
		return nil, in.time
	case varTenant:
		return nil, in.Tenant
	case varProgram:
		return nil, in.Program
	case varWebhook:
		return nil, unsafe.Slice(unsafe.StringData(in.Webhook), len(in.Webhook))
	case varAttempt:
		in.text = strconv.AppendInt(in.text[:0], int64(in.Attempt), 10)
		return in.text, nil
	case varBody:
		if in.bodyJSON == nil {
			if len(r.path) > 0 {
				return nil, nil
			}
			return nil, unsafe.Slice(unsafe.StringData(in.bodyText), len(in.bodyText))
		}
		return lookup(in.bodyJSON, r.path), nil
	}
	return in.lookupData(r.path), nil
}

// member is one member of the event's data: the key in its quotes, and the value.
type member struct{ key, value []byte }

// lookupData is lookup in data. A definition asks for many members of one object, so their places are found once.
func (in *Input) lookupData(path []segment) []byte {
	if len(path) == 0 || path[0].index >= 0 || in.data[0] != '{' {
		return lookup(in.data, path)
	}
	if !in.indexed {
		in.indexed, in.members = true, in.members[:0]
		for c := walk(in.data); ; {
			key, value, ok := c.member()
			if !ok {
				break
			}
			in.members = append(in.members, member{key, value})
		}
	}
	for i := len(in.members) - 1; i >= 0; i-- { // the last of a name counts
		if m := &in.members[i]; keyIs(m.key, path[0].key) {
			return lookup(m.value, path[1:])
		}
	}
	return nil
}

// isText says whether r is one of the texts of this Input.
func (in *Input) isText(r *ref) bool {
	return !(r.root.isJSON() || r.root == varAttempt) || r.root == varBody && in.bodyJSON == nil && len(r.path) == 0
}

// appendRefJSON appends what r stands for as JSON.
func (in *Input) appendRefJSON(dst []byte, r *ref) []byte {
	json, text := in.raw(r)
	switch {
	case in.isText(r):
		return appendQuoted(dst, view(text))
	case json == nil:
		return append(dst, "null"...)
	}
	return appendCompact(dst, json)
}

// appendRefEscaped appends what r stands for as the inside of a JSON string. The inside of another one is copied.
func (in *Input) appendRefEscaped(dst []byte, r *ref) []byte {
	json, _ := in.raw(r)
	if len(json) > 0 && json[0] == '"' {
		return append(dst, json[1:len(json)-1]...)
	}
	return in.appendRefText(dst, r, appendEscaped)
}

// appendRefText appends what r stands for as text, through escape unless it is nil.
func (in *Input) appendRefText(dst []byte, r *ref, escape func([]byte, string) []byte) []byte {
	json, text := in.raw(r)
	switch {
	case !in.isText(r):
		return appendRawText(dst, json, escape)
	case escape != nil:
		return escape(dst, view(text))
	}
	return append(dst, text...)
}

// appendRawText appends the checked value v as text: a string without its quotes, null as nothing, all else as compact JSON.
func appendRawText(dst, v []byte, escape func([]byte, string) []byte) []byte {
	switch {
	case len(v) == 0 || string(v) == "null":
		return dst
	case escape == nil && v[0] == '"':
		return appendUnquoted(dst, v)
	case escape == nil:
		return appendCompact(dst, v)
	case v[0] == '"':
		return escape(dst, unquoted(v))
	case v[0] == '{' || v[0] == '[':
		return escape(dst, view(appendCompact(nil, v)))
	}
	return escape(dst, view(v))
}

// value is what r stands for inside an expression.
func (in *Input) value(r *ref) any {
	json, text := in.raw(r)
	switch {
	case r.root == varAttempt:
		return in.Attempt
	case in.isText(r):
		return string(text)
	case json == nil:
		return nil
	}
	return in.machine.decode(json)
}
