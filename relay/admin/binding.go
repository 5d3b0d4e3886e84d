package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// maxParam is the longest value of a parameter.
const maxParam = 1024

// binding is how a request becomes an input. The fields of the struct say where they come from:
//
//	ID     string  `path:"id" doc:"Id of the delivery."`
//	Limit  int     `query:"limit" minimum:"1" maximum:"500" default:"50"`
//	Status string  `query:"status" enum:"retrying,dead"`      absent = ""
//	Search *string `query:"search" empty:"true"`              a pointer tells absent from empty, where empty is allowed
//	Match  string  `header:"If-Match"`
//	pageInput                                                 embedded: its fields count as if they stood here
//	Body   struct or json.RawMessage `schema:"Name"`          the body; the tag names a schema of the document for a raw one
//
// A field is a string, int, bool, time.Time or a pointer to one. A flag without a value (?verbose) is true. A Body that is a pointer may be absent.
type binding struct {
	params []param
	body   *bodyField
	query  []string // names of the query parameters
}

type param struct {
	in, name string
	index    []int
	field    reflect.StructField
	schema   *huma.Schema
	empty    bool // the empty text is a value
	needed   bool
}

type bodyField struct {
	index    []int
	field    reflect.StructField
	schema   *huma.Schema // nil for raw bodies
	registry huma.Registry
	optional bool
}

func bindingOf(t reflect.Type) *binding {
	b := &binding{}
	registry := newRegistry()
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous {
			continue
		}
		if f.Name == "Body" {
			b.body = &bodyField{index: f.Index, field: f, registry: registry, optional: f.Type.Kind() == reflect.Pointer}
			if f.Type != rawType {
				b.body.schema = registry.Schema(f.Type, true, "Request")
			}
			continue
		}
		for _, in := range []string{"path", "query", "header"} {
			name, ok := f.Tag.Lookup(in)
			if !ok {
				continue
			}
			p := param{in: in, name: name, index: f.Index, field: f, schema: huma.SchemaFromField(registry, f, "")}
			p.empty, p.needed = f.Tag.Get("empty") == "true", f.Tag.Get("required") == "true" || in == "path"
			p.schema.Nullable = false
			b.params = append(b.params, p)
			if in == "query" {
				b.query = append(b.query, name)
			}
		}
	}
	return b
}

var (
	rawType  = reflect.TypeFor[json.RawMessage]()
	timeType = reflect.TypeFor[time.Time]()
)

// read fills the input v from r, or says what is wrong with r.
func (b *binding) read(r *http.Request, v reflect.Value) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return problemParameter("the query string is malformed")
	}
	for name, values := range query {
		switch {
		case !slices.Contains(b.query, name):
			return problemParameter(fmt.Sprintf("unknown parameter %q%s", name, among(b.query)))
		case len(values) > 1:
			return problemParameter(name + ": given more than once")
		}
	}
	for i := range b.params {
		if err := b.params[i].read(r, query, v); err != nil {
			return err
		}
	}
	return b.readBody(r, v)
}

func among(known []string) string {
	if len(known) == 0 {
		return ": this route takes none"
	}
	return ": this route knows " + strings.Join(known, ", ")
}

func (p *param) read(r *http.Request, query url.Values, v reflect.Value) error {
	var text string
	given := true
	switch p.in {
	case "path":
		text = r.PathValue(p.name)
	case "query":
		given, text = query.Has(p.name), query.Get(p.name)
	case "header":
		values := r.Header.Values(p.name)
		if given = len(values) > 0; given {
			text = values[0]
		}
		if len(values) > 1 {
			return problemParameter(p.name + ": given more than once")
		}
	}
	target := v.FieldByIndex(p.index)
	if !given {
		text = p.field.Tag.Get("default")
		if text == "" {
			if p.needed {
				return problemParameter(p.name + ": is missing")
			}
			return nil
		}
	}
	if target.Kind() == reflect.Pointer {
		target.Set(reflect.New(target.Type().Elem()))
		target = target.Elem()
	}
	if len(text) > maxParam {
		return problemParameter(p.name + ": too long")
	}
	if text == "" && target.Kind() != reflect.Bool {
		if p.empty {
			return nil
		}
		return problemParameter(p.name + ": is empty")
	}
	if err := setParam(target, text); err != nil {
		return problemParameter(p.name + ": " + err.Error())
	}
	if given {
		if message := violation(nil, p.schema, target.Interface()); message != "" {
			return problemParameter(p.name + ": " + message)
		}
	}
	return nil
}

func setParam(v reflect.Value, text string) error {
	switch {
	case v.Type() == timeType:
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return errors.New("want a time such as 2026-01-02T15:04:05Z")
		}
		v.Set(reflect.ValueOf(t))
	case v.Kind() == reflect.String:
		v.SetString(text)
	case v.Kind() == reflect.Bool:
		on, err := strconv.ParseBool(text)
		if err != nil && text != "" {
			return errors.New("want true or false")
		}
		v.SetBool(on || text == "")
	case v.CanInt():
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || v.OverflowInt(n) {
			return errors.New("want a whole number")
		}
		v.SetInt(n)
	default:
		panic("BUG: no parameter can be a " + v.Type().String())
	}
	return nil
}

// violation checks v against s and returns the first thing that is wrong, with its place.
func violation(registry huma.Registry, s *huma.Schema, v any) string {
	if t, ok := v.(time.Time); ok {
		v = t.Format(time.RFC3339)
	}
	res := &huma.ValidateResult{}
	huma.Validate(registry, s, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, v, res)
	if len(res.Errors) == 0 {
		return ""
	}
	var detail *huma.ErrorDetail
	if errors.As(res.Errors[0], &detail) {
		if detail.Location != "" {
			return detail.Location + ": " + detail.Message
		}
		return detail.Message
	}
	return res.Errors[0].Error()
}

func (b *binding) readBody(r *http.Request, v reflect.Value) error {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return bodyError(err)
	}
	if b.body == nil {
		if len(text) > 0 {
			return &problem{Status: http.StatusBadRequest, Type: "unexpected-body", Title: "Unexpected body", Detail: "this request takes no body"}
		}
		return nil
	}
	return b.body.read(r, text, v.FieldByIndex(b.body.index))
}

func bodyError(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return &problem{Status: http.StatusRequestEntityTooLarge, Type: "too-large", Title: "Too large", Detail: fmt.Sprintf("the body has more than %d bytes", large.Limit)}
	}
	return &problem{Status: http.StatusBadRequest, Type: "malformed-body", Title: "Malformed body", Detail: "the body could not be read"}
}

// maxJSONDepth bounds bodies before anything recursive sees them.
const maxJSONDepth = 64

func (f *bodyField) read(r *http.Request, text []byte, target reflect.Value) error {
	malformed := func(detail string) error {
		return &problem{Status: http.StatusBadRequest, Type: "malformed-body", Title: "Malformed body", Detail: detail}
	}
	if len(bytes.TrimSpace(text)) == 0 {
		if f.optional {
			return nil
		}
		return malformed("the body is missing")
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json") {
		return &problem{Status: http.StatusUnsupportedMediaType, Type: "unsupported-media-type", Title: "Unsupported media type", Detail: "send Content-Type: application/json"}
	}
	if depthOf(text) > maxJSONDepth {
		return malformed(fmt.Sprintf("the body is nested deeper than %d levels", maxJSONDepth))
	}
	var any any
	if err := json.Unmarshal(text, &any); err != nil {
		return malformed("the body is not JSON: " + err.Error())
	}
	if f.schema == nil {
		target.SetBytes(text)
		return nil
	}
	if message := violation(f.registry, f.schema, any); message != "" {
		return &problem{Status: http.StatusUnprocessableEntity, Type: "invalid", Title: "Invalid", Detail: message}
	}
	if target.Kind() == reflect.Pointer {
		target.Set(reflect.New(target.Type().Elem()))
		target = target.Elem()
	}
	if err := json.Unmarshal(text, target.Addr().Interface()); err != nil {
		return &problem{Status: http.StatusUnprocessableEntity, Type: "invalid", Title: "Invalid", Detail: err.Error()}
	}
	return nil
}

// depthOf counts how deep brackets are nested, without building anything.
func depthOf(text []byte) (most int) {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
			most = max(most, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return most
}
