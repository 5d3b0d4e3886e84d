package plugins

import "encoding/json"

// Schema is the JSON Schema of a plugin's configuration, also of a plugin that does not come with the program.
type Schema struct{ plugin Plugin }

// CompileSchema refuses what is not a JSON Schema (2020-12), and schemas that refer to other documents.
func CompileSchema(schema json.RawMessage) (*Schema, error) {
	s := &Schema{Plugin{Schema: schema}}
	var err error
	s.plugin.schema, err = compile(schema)
	return s, err
}

// Validate checks a configuration, as JSON. The error is Mistakes. No configuration is an empty one.
func (s *Schema) Validate(config []byte) error { return s.plugin.Validate(config) }
