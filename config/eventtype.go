package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// EventType is an entry of the catalogue.
type EventType struct {
	Name        string      `yaml:"name" jsonschema:"required" jsonschema_description:"The type, as in the events."`
	Tenant      string      `yaml:"tenant,omitempty" jsonschema_description:"The tenant whose events have this type. Absent = every tenant's."`
	Description string      `yaml:"description,omitempty" jsonschema_description:"What it means, for people."`
	Scope       string      `yaml:"scope" jsonschema:"enum=any,enum=global" jsonschema_description:"global: only webhooks without a program may subscribe to it."`
	Schema      EventSchema `yaml:"schema,omitempty" jsonschema_description:"JSON Schema of the event's data: the schema itself, or the name of its file, JSON or YAML. It may refer to nothing outside of itself."`
	Validate    *bool       `yaml:"validate,omitempty" jsonschema_description:"Refuse events of this type whose data does not fit the schema. Absent = as in validate_events."`
	Example     JSON        `yaml:"example,omitempty" jsonschema_description:"Example of the event's data, used for test deliveries. It must fit the schema."`
}

// Validated says whether events of type e are checked against its schema when they come in.
func (c *Config) Validated(e *EventType) bool {
	if e.Validate != nil {
		return *e.Validate
	}
	return c.ValidateEvents && len(e.Schema.JSON) > 0
}

// EventSchema is a JSON Schema as JSON text, and the file that it was read from, if any.
type EventSchema struct {
	File Path
	JSON JSON
}

// IsZero says whether there is a schema, for printing.
func (s EventSchema) IsZero() bool { return len(s.JSON) == 0 && s.File == "" }

// MarshalYAML prints the file's name, or the schema itself.
func (s EventSchema) MarshalYAML() (any, error) {
	if s.File != "" {
		return s.File, nil
	}
	return s.JSON.MarshalYAML()
}

// MarshalJSON returns the schema itself.
func (s EventSchema) MarshalJSON() ([]byte, error) { return s.JSON.MarshalJSON() }

// maxSchemaFile bounds a schema; the checker has the same limit.
const maxSchemaFile = 256 << 10

func (s *EventSchema) decodeNode(d *decoder, path string, n *yaml.Node) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!bool" {
		s.JSON.decodeNode(d, path, n)
		return
	}
	if d.literal { // whoever wrote this must not read the files of who loads it
		d.fault(path, n, "want the schema itself: the name of a file is for config files")
		return
	}
	var name string
	if d.value(path, n, &name); name == "" {
		return
	}
	s.File = Path(absolute(name, d.file.dir))
	text, err := readSchema(string(s.File))
	if err == nil {
		s.JSON, err = schemaJSON(string(s.File), text)
	}
	if err != nil {
		d.fault(path, n, "%v", err)
	}
}

func readSchema(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSchemaFile+1))
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	if len(text) > maxSchemaFile {
		return nil, fmt.Errorf("read schema %s: larger than %s", name, Size(maxSchemaFile))
	}
	return text, nil
}

// schemaJSON returns the content of a schema's file as JSON.
func schemaJSON(name string, text []byte) (JSON, error) {
	if strings.EqualFold(filepath.Ext(name), ".json") {
		var syntax *json.SyntaxError
		var raw json.RawMessage
		err := json.Unmarshal(text, &raw)
		if asSyntax(err, &syntax) {
			line := 1 + bytes.Count(text[:min(int(syntax.Offset), len(text))], []byte("\n"))
			return nil, fmt.Errorf("%s:%d: is not JSON: %v", name, line, err)
		}
		return JSON(raw), err
	}
	root, problem := parse(name, text)
	if problem != nil {
		return nil, fmt.Errorf("%s", problem)
	}
	if root == nil {
		return nil, fmt.Errorf("schema %s is empty", name)
	}
	own := &decoder{file: &file{name: name, dir: filepath.Dir(name)}, index: &index{places: map[string]place{}}, report: &report{}, literal: true}
	var b bytes.Buffer
	own.json(&b, "", target(root))
	if err := own.report.err(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func asSyntax(err error, into **json.SyntaxError) bool {
	s, ok := err.(*json.SyntaxError)
	*into = s
	return ok
}

func (c *Config) checkEventTypes() {
	if c.StrictEventTypes && len(c.EventTypes) == 0 {
		c.fault("strict_event_types", "would refuse every event, because event_types is empty: declare the types, or remove this")
	}
	all := unique{config: c, what: "event type"} // of every tenant
	for i := range c.EventTypes {
		t := &c.EventTypes[i]
		path := fmt.Sprintf("event_types[%d]", i)
		if t.Name != "" && (len(t.Name) > maxName || !eventTypeForm.MatchString(t.Name)) {
			c.fault(path+".name", "%q is not an event type: use up to %d letters, digits and _ . : / -", clip(t.Name), maxName)
		}
		if strings.HasPrefix(t.Name, operationalPrefix) {
			c.fault(path+".name", "begins with %s, which only the relay's own events do", operationalPrefix)
		}
		if t.Tenant == "" {
			all.add(path+".name", t.Name)
		}
		if t.Validate != nil && *t.Validate && t.Schema.IsZero() && !c.index.has(path+".schema") {
			c.fault(path+".validate", "needs a schema: add one, or remove this")
		}
	}
	own := map[string]*unique{}
	for i := range c.EventTypes {
		t := &c.EventTypes[i]
		path := fmt.Sprintf("event_types[%d]", i)
		c.checkTenantID(path+".tenant", t.Tenant)
		switch names := own[t.Tenant]; {
		case t.Tenant == "":
		case all.first[t.Name] != "":
			all.add(path+".name", t.Name)
		case names == nil:
			own[t.Tenant] = &unique{config: c, what: "event type"}
			own[t.Tenant].add(path+".name", t.Name)
		default:
			names.add(path+".name", t.Name)
		}
	}
}
