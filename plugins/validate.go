package plugins

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// Mistake is one thing that is wrong with a configuration. Its message never holds a value, which may be a secret.
type Mistake struct {
	Path    string // such as fields[2].name; "" = the configuration as a whole
	Message string
	Unknown string   // the name of a key that does not exist
	Known   []string // the keys that do, beside Unknown
}

// Mistakes is why a configuration is refused.
type Mistakes []Mistake

func (ms Mistakes) Error() string {
	lines := make([]string, len(ms))
	for i, m := range ms {
		lines[i] = m.Message
		if m.Path != "" {
			lines[i] = m.Path + ": " + m.Message
		}
	}
	return strings.Join(lines, "\n")
}

// Validate checks a configuration, as JSON, against the plugin's schema. The error is Mistakes. No configuration is an empty one.
func (p Plugin) Validate(config []byte) error {
	if len(config) == 0 {
		config = []byte("{}")
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(config))
	if err != nil {
		return Mistakes{{Message: "is not JSON"}}
	}
	var wrong *jsonschema.ValidationError
	if err := p.schema.Validate(value); !errors.As(err, &wrong) {
		return err // nil
	}
	var all Mistakes
	for _, leaf := range leaves(wrong, nil) {
		all = append(all, p.mistakes(leaf, value)...)
	}
	slices.SortStableFunc(all, func(a, b Mistake) int { return strings.Compare(a.Path, b.Path) })
	return all
}

const schemaName = "plugin.json"

// compile refuses every reference that leaves the schema: nothing is ever loaded.
func compile(schema []byte) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(jsonschema.SchemeURLLoader{}) // knows no scheme
	c.AssertFormat()
	if err := c.AddResource(schemaName, doc); err != nil {
		return nil, err
	}
	return c.Compile(schemaName)
}

// leaves are the errors that have no causes: those say what is wrong, the others only where it was found. A name that is not allowed is
// one too, because its causes do not know where it stands.
func leaves(e *jsonschema.ValidationError, all []*jsonschema.ValidationError) []*jsonschema.ValidationError {
	if _, name := e.ErrorKind.(*kind.PropertyNames); name || len(e.Causes) == 0 {
		return append(all, e)
	}
	for _, cause := range e.Causes {
		all = leaves(cause, all)
	}
	return all
}

// mistakes puts an error of the checker into words.
func (p Plugin) mistakes(e *jsonschema.ValidationError, config any) Mistakes {
	at := location(e.InstanceLocation, config)
	one := func(format string, args ...any) Mistakes {
		return Mistakes{{Path: at, Message: fmt.Sprintf(format, args...)}}
	}
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		var all Mistakes
		for _, name := range k.Properties {
			known := p.known(e.SchemaURL)
			all = append(all, Mistake{Path: join(at, name), Unknown: name, Known: known,
				Message: fmt.Sprintf("unknown key %q: known are %s", name, strings.Join(known, ", "))})
		}
		return all
	case *kind.Required:
		var all Mistakes
		for _, name := range k.Missing {
			all = append(all, Mistake{Path: join(at, name), Message: "is missing"})
		}
		return all
	case *kind.PropertyNames:
		return Mistakes{{Path: join(at, k.Property), Message: "is not a name that is allowed here"}}
	case *kind.Type:
		return one("want %s, found %s", words(k.Want), words([]string{k.Got}))
	case *kind.Enum:
		want := make([]string, len(k.Want))
		for i, v := range k.Want {
			want[i] = fmt.Sprint(v)
		}
		return one("is none of %s", strings.Join(want, ", "))
	case *kind.Pattern:
		return one("does not have the form %s", k.Want)
	case *kind.Format:
		return one("is not a %s", k.Want)
	case *kind.FalseSchema:
		return one("does not go together with the other keys: it is replaced by one of them")
	case *kind.MinLength:
		if k.Got == 0 {
			return one("is empty")
		}
		return one("is shorter than %d characters", k.Want)
	case *kind.MaxLength:
		return one("is longer than %d characters", k.Want)
	case *kind.MinItems:
		return one("is empty")
	case *kind.MaxItems:
		return one("has more than %d entries", k.Want)
	case *kind.MaxProperties:
		return one("has more than %d entries", k.Want)
	case *kind.UniqueItems:
		return one("has an entry twice")
	case *kind.Minimum:
		return one("is less than %s", k.Want.RatString())
	case *kind.Maximum:
		return one("is more than %s", k.Want.RatString())
	}
	return one("is not allowed (%s)", strings.Join(e.ErrorKind.KeywordPath(), "/"))
}

// words names JSON types as people do.
func words(types []string) string {
	names := map[string]string{"object": "keys with values", "array": "a list", "string": "a text", "boolean": "true or false",
		"number": "a number", "integer": "a whole number", "null": "nothing"}
	out := make([]string, len(types))
	for i, t := range types {
		out[i] = names[t]
	}
	return strings.Join(out, " or ")
}

// location writes a place as config does: fields[2].name.
func location(tokens []string, value any) string {
	at := ""
	for _, token := range tokens {
		switch v := value.(type) {
		case []any:
			at += "[" + token + "]"
			if i, err := strconv.Atoi(token); err == nil && i < len(v) {
				value = v[i]
			}
		case map[string]any:
			at = join(at, token)
			value = v[token]
		}
	}
	return at
}

func join(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}

// known are the keys that the schema at that address has.
func (p Plugin) known(url string) []string {
	_, pointer, _ := strings.Cut(url, "#")
	var at any
	if err := json.Unmarshal(p.Schema, &at); err != nil {
		return nil
	}
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if token == "" {
			continue
		}
		object, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(token)]
	}
	object, _ := at.(map[string]any)
	properties, _ := object["properties"].(map[string]any)
	var names []string
	for name := range properties {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
