package config

import (
	"encoding/json"
	"reflect"

	"github.com/invopop/jsonschema"
)

// Patterns of the scalars with their own syntax. Wherever a value may come from ${…} the schema lets that text through.
const (
	expansionPattern = `\$\{`
	sizePattern      = `^[0-9]+(\.[0-9]+)?\s*([KMGT]iB|[kKMGT]?B)?$|` + expansionPattern
	durationPattern  = `^([0-9]+(\.[0-9]+)?(d|h|m|s|ms|us|µs|ns))+$|^0$|` + expansionPattern
	ratePattern      = `^\s*[0-9]+\s*/\s*[smh]\s*$|` + expansionPattern
	networkPattern   = `^[0-9a-fA-F.:]+/[0-9]+$|` + expansionPattern
)

// Schema returns the JSON Schema (2020-12) of the config, made from the structs and their tags, for editors and other checkers.
// Load checks more than a schema can say; what it accepts, the schema accepts, apart from keys without a value and from texts
// written without quotes that look like something else.
func Schema() []byte {
	r := &jsonschema.Reflector{
		Anonymous: true, ExpandedStruct: true, DoNotReference: true,
		FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true, Mapper: schemaOf,
	}
	s := r.Reflect(&Config{})
	s.Title = "edgerelay config"
	complete(s, reflect.ValueOf(Default()).Elem())
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic("BUG: schema is not JSON: " + err.Error())
	}
	return append(text, '\n')
}

// JSONSchemaExtend says that a transform is one of the two.
func (Transform) JSONSchemaExtend(s *jsonschema.Schema) {
	s.OneOf = []*jsonschema.Schema{{Required: []string{"wasm"}}, {Required: []string{"plugin"}}}
}

// schemaOf gives the schema of the types whose YAML is not what their Go kind suggests.
func schemaOf(t reflect.Type) *jsonschema.Schema {
	text := func(pattern string) *jsonschema.Schema { return &jsonschema.Schema{Type: "string", Pattern: pattern} }
	switch t {
	case reflect.TypeFor[Size]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{text(sizePattern), {Type: "integer", Minimum: "0"}}}
	case reflect.TypeFor[Duration]():
		return text(durationPattern)
	case reflect.TypeFor[Rate]():
		return text(ratePattern)
	case prefixType:
		return text(networkPattern)
	case reflect.TypeFor[Path](), reflect.TypeFor[Secret]():
		return text("")
	case reflect.TypeFor[Secrets]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{text(""), {Type: "array", Items: text("")}}}
	case reflect.TypeFor[Headers]():
		return &jsonschema.Schema{Type: "object", AdditionalProperties: text("")}
	case reflect.TypeFor[EventSchema]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{text(""), {Type: "object"}, {Type: "boolean"}}}
	case reflect.TypeFor[JSON]():
		return &jsonschema.Schema{}
	}
	return nil
}

// complete adds to the schema of the struct v what the generator does not know: the defaults, which are v's values, and that
// numbers, booleans and enums may come from ${…}.
func complete(s *jsonschema.Schema, v reflect.Value) {
	fields := fieldsOf(v.Type())
	for _, key := range fields.keys {
		field := fields.byKey[key]
		property, ok := s.Properties.Get(key)
		if !ok {
			panic("BUG: schema lacks " + key)
		}
		value := v.FieldByIndex(field.Index)
		switch kind := value.Kind(); {
		case property.Type == "array" && property.Items.Properties != nil:
			element := reflect.New(value.Type().Elem())
			if x, ok := element.Interface().(defaulter); ok {
				x.setDefaults()
			}
			complete(property.Items, element.Elem())
		case property.Properties != nil:
			complete(property, value)
		case kind == reflect.String || kind == reflect.Slice && property.Type == "array" && !value.IsZero():
			setDefault(property, value)
		case kind == reflect.Bool, kind == reflect.Int, kind == reflect.Int64, kind == reflect.Float64:
			setDefault(property, value)
		}
		if property.Enum != nil || property.Type == "integer" || property.Type == "number" || property.Type == "boolean" {
			allowExpansion(property)
		}
	}
}

// setDefault takes the value as the default; a zero has no meaning for most keys and says nothing.
func setDefault(s *jsonschema.Schema, v reflect.Value) {
	if v.Kind() == reflect.Bool || !v.IsZero() {
		s.Default = v.Interface()
	}
}

func allowExpansion(s *jsonschema.Schema) {
	own := &jsonschema.Schema{Type: s.Type, Enum: s.Enum, Minimum: s.Minimum, Maximum: s.Maximum}
	s.Type, s.Enum, s.Minimum, s.Maximum = "", nil, "", ""
	s.AnyOf = []*jsonschema.Schema{own, {Type: "string", Pattern: expansionPattern}}
}
