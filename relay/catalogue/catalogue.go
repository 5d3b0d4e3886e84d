// Package catalogue checks the data of events against the JSON Schemas of their types.
//
// The wiring compiles a Schema for every event type that has one, when a configuration is loaded and when the API is given one; the ingress
// calls Check where validation is asked for, in its own goroutine. Nothing that a schema names is ever loaded: a reference that leaves the
// schema is a mistake. Schemas and events may both be hostile: a check has a budget that grows with the size of the data, numbers have a
// size, nesting has a depth, and regular expressions are Go's, which take linear time.
//
// It is a leaf, starts no goroutines, and owns the checker of event schemas; plugins have their own for configurations.
package catalogue

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// MaxSchema is how large the text of a schema may be.
const MaxSchema = 256 << 10

const (
	maxViolations = 10  // more than that nobody reads
	maxMessage    = 300 // bytes of one
	maxWords      = 200 // bytes of a place

	schemaBase = "edgerelay://catalogue/"
	schemaURL  = schemaBase + "schema" // what the schema is called inside the checker
	refuseURL  = schemaBase + "refuse" // is fulfilled by what schemaURL refuses
)

// Violation is one way in which data does not fit. Both places are JSON pointers: into the schema (#/properties/points/minimum) and into
// the event (/data/points).
type Violation struct {
	Schema   string `json:"schema"`
	Instance string `json:"instance"`
	Message  string `json:"message"`
}

func (v Violation) String() string {
	at := v.Instance
	if at == "" {
		at = "/"
	}
	if v.Schema == "" {
		return at + ": " + v.Message
	}
	return at + ": " + v.Message + " (" + v.Schema + ")"
}

// Schema is a compiled JSON Schema. Any number of goroutines may use it.
type Schema struct {
	text []byte
	free chan *checker // at most one for every processor; a nil is one that is not made yet
}

// Compile reads a schema: JSON text, 2020-12 unless its $schema says another draft. Formats are checked, too.
func Compile(text []byte) (*Schema, error) {
	if len(text) > MaxSchema {
		return nil, fmt.Errorf("is %d bytes long, a schema may have %d", len(text), MaxSchema)
	}
	c, err := newChecker(text)
	if err != nil {
		return nil, err
	}
	s := &Schema{text: bytes.Clone(text), free: make(chan *checker, runtime.GOMAXPROCS(0))}
	s.free <- c
	for range cap(s.free) - 1 {
		s.free <- nil
	}
	return s, nil
}

// Text is the schema as it was given.
func (s *Schema) Text() []byte { return s.text }

// Check returns the ways in which data, which is one JSON value, does not fit; nil = it does. At most ten are reported.
func (s *Schema) Check(data []byte) []Violation {
	value, bad := decode(data)
	if bad != nil {
		return []Violation{*bad}
	}
	c := <-s.free
	defer func() { s.free <- c }()
	if c == nil {
		var err error
		if c, err = newChecker(s.text); err != nil {
			panic("BUG: a schema compiles only once: " + err.Error())
		}
	}
	return c.check(value, len(data))
}

// checker is a compiled schema for one check at a time.
type checker struct {
	schema *jsonschema.Schema
	refuse *jsonschema.Schema
	left   int // of the budget
}

var errBudget = errors.New("budget used up")

// newChecker compiles text.
func newChecker(text []byte) (_ *checker, err error) {
	doc, bad := decode(text)
	if bad != nil {
		return nil, fmt.Errorf("%s: %s", bad.Instance, bad.Message)
	}
	switch doc.(type) {
	case map[string]any, bool:
	default:
		return nil, errors.New("a JSON Schema is an object, or true or false")
	}
	defer func() { // the compiler is not ours, and the schema may come from anybody
		if v := recover(); v != nil {
			err = errors.New("cannot be compiled")
		}
	}()
	c := jsonschema.NewCompiler()
	c.UseLoader(jsonschema.SchemeURLLoader{}) // knows no scheme: nothing is ever loaded
	c.AssertFormat()
	if err := c.AddResource(schemaURL, doc); err != nil {
		return nil, words(err)
	}
	if err := c.AddResource(refuseURL, map[string]any{"not": map[string]any{"$ref": schemaURL}}); err != nil {
		return nil, words(err)
	}
	k := &checker{left: 1 << 20}
	if k.schema, err = c.Compile(schemaURL); err == nil {
		k.refuse, err = c.Compile(refuseURL)
	}
	if err != nil {
		return nil, words(err)
	}
	seen := map[*jsonschema.Schema]bool{}
	k.meter(k.schema, seen)
	k.meter(k.refuse, seen)
	return k, nil
}

// meter makes every part of the schema that is reached from s pay before it is applied. A schema's own format is the only thing of it that is called
// on every value, whatever the value's type, so the toll is taken there.
func (k *checker) meter(s *jsonschema.Schema, seen map[*jsonschema.Schema]bool) {
	if s == nil || seen[s] {
		return
	}
	seen[s] = true
	own := s.Format
	toll := &jsonschema.Format{Name: "toll", Validate: func(v any) error {
		if k.left--; k.left < 0 {
			panic(errBudget)
		}
		if own != nil {
			return own.Validate(v)
		}
		return nil
	}}
	if own != nil {
		toll.Name = own.Name
	}
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() {
			k.meterIn(v.Field(i), seen)
		}
	}
	s.Format = toll
}

// meterIn looks for schemas in a field: as it is, in lists, in maps, behind interfaces, and behind a dynamic reference.
func (k *checker) meterIn(v reflect.Value, seen map[*jsonschema.Schema]bool) {
	switch v.Kind() {
	case reflect.Interface:
		k.meterIn(v.Elem(), seen)
	case reflect.Pointer:
		switch p := v.Interface().(type) {
		case *jsonschema.Schema:
			k.meter(p, seen)
		case *jsonschema.DynamicRef:
			if p != nil {
				k.meter(p.Ref, seen)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			k.meterIn(v.Index(i), seen)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			k.meterIn(v.MapIndex(key), seen)
		}
	}
}

// The budgets, in values that a part of the schema is applied to. Every part that reports is remembered with its place, so a check that explains itself may
// go on for a while only; what needs longer is asked for yes or no, and may go on for as long as an honest schema needs for that much data.
const (
	explainBudget = 50_000
	plainBudget   = 20_000
	plainPerByte  = 4
)

func (k *checker) check(value any, size int) []Violation {
	err, done := k.apply(k.schema, value, explainBudget)
	if done {
		var wrong *jsonschema.ValidationError
		if !errors.As(err, &wrong) {
			return nil
		}
		return violations(wrong)
	}
	switch err, done = k.apply(k.refuse, value, plainBudget+plainPerByte*size); {
	case !done:
		return []Violation{{Schema: "#", Instance: "/data", Message: "the check takes too much work: the schema tries too many ways for this data"}}
	case err == nil:
		return []Violation{{Schema: "#", Instance: "/data", Message: "does not fit; it is too large to say where"}}
	}
	return nil
}

// apply validates within a budget; done is false when that was not enough.
func (k *checker) apply(s *jsonschema.Schema, value any, budget int) (err error, done bool) {
	k.left = budget
	defer func() {
		if v := recover(); v != nil {
			if v != errBudget {
				panic(v)
			}
			err, done = nil, false
		}
	}()
	return s.Validate(value), true
}

var english = message.NewPrinter(language.English)

// violations lists the ends of the tree of errors: those say what is wrong, the others only where it was found.
func violations(e *jsonschema.ValidationError) (all []Violation) {
	var walk func(e *jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if len(all) == maxViolations {
			return
		}
		if _, name := e.ErrorKind.(*kind.PropertyNames); name || len(e.Causes) == 0 {
			all = append(all, Violation{Schema: schemaPath(e), Instance: clip("/data"+pointer(e.InstanceLocation), maxWords),
				Message: clip(e.ErrorKind.LocalizedString(english), maxMessage)})
			return
		}
		for _, cause := range e.Causes {
			walk(cause)
		}
	}
	walk(e)
	return all
}

// schemaPath is where in the schema the keyword stands.
func schemaPath(e *jsonschema.ValidationError) string {
	_, at, _ := strings.Cut(e.SchemaURL, "#")
	return clip("#"+at+pointer(e.ErrorKind.KeywordPath()), maxWords)
}

var escapes = strings.NewReplacer("~", "~0", "/", "~1")

func pointer(tokens []string) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteByte('/')
		escapes.WriteString(&b, t)
	}
	return b.String()
}

// clip shortens s to about n bytes.
func clip(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}

// words puts the compiler's errors into ours: the names by which the checker knows the schema say nothing to anybody.
func words(err error) error {
	var load *jsonschema.LoadURLError
	var invalid *jsonschema.SchemaValidationError
	var wrong *jsonschema.ValidationError
	if errors.As(err, &invalid) {
		err = invalid.Err
	}
	switch {
	case errors.As(err, &load):
		return fmt.Errorf("refers to %q, which lies outside: nothing is ever loaded, so put the definition into the schema, under $defs", clip(strings.TrimPrefix(load.URL, schemaBase), maxWords))
	case errors.As(err, &wrong):
		v := violations(wrong)[0]
		return fmt.Errorf("is not a JSON Schema: at #%s: %s", strings.TrimPrefix(v.Instance, "/data"), v.Message)
	}
	return errors.New("is not a JSON Schema: " + clip(strings.ReplaceAll(err.Error(), schemaURL, "schema"), maxMessage))
}
