package config

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

func mustGlob(patterns ...string) []string {
	var all []string
	for _, pattern := range patterns {
		names, err := filepath.Glob(pattern)
		if err != nil {
			panic(err)
		}
		all = append(all, names...)
	}
	return all
}

func mustRead(name string) []byte {
	text, err := os.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return text
}

// compiled is the schema as another implementation understands it.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(jsonschema.SchemeURLLoader{}) // nothing but the metaschemas that it has
	if err := c.AddResource("config.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestSchemaAgrees validates what Load takes, as an editor would.
func TestSchemaAgrees(t *testing.T) {
	schema := compiled(t)
	examples := mustGlob("../examples/*.yaml")
	if len(examples) < 4 {
		t.Fatalf("only %d examples", len(examples))
	}
	for _, name := range append(examples, "testdata/good/everything.yaml", "starter.yaml") {
		var value any
		if err := yaml.Unmarshal(mustRead(name), &value); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, bad := range []string{"unknown-key-nested", "enum-method", "range-concurrency", "duration-without-unit", "size-bad-unit", "missing-required", "type-list-for-text", "later-sections", "transform-file-or-plugin"} {
		var value any
		if err := yaml.Unmarshal(mustRead("testdata/bad/"+bad+".yaml"), &value); err != nil {
			t.Fatal(err)
		}
		if schema.Validate(value) == nil {
			t.Errorf("the schema accepts %s", bad)
		}
	}
}

// TestExamples loads every example as its reader would: with an empty environment, and without a warning.
func TestExamples(t *testing.T) {
	for _, name := range mustGlob("../examples/*.yaml") {
		c, err := Load(name)
		if err != nil {
			t.Errorf("%s:\n%v", name, err)
			continue
		}
		if warnings := c.Warnings(); len(warnings) > 0 {
			t.Errorf("%s: warnings:\n%v", name, warnings)
		}
	}
}

// properties returns the path of every key of the schema, such as webhooks[].payload.type, with its schema.
func properties(path string, schema map[string]any, into map[string]map[string]any) {
	if items, ok := schema["items"].(map[string]any); ok {
		properties(path+"[]", items, into)
	}
	keys, _ := schema["properties"].(map[string]any)
	for key, value := range keys {
		property := value.(map[string]any)
		into[join(path, key)] = property
		properties(join(path, key), property, into)
	}
}

func TestSchemaDescribesEverything(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]any{}
	properties("", root, all)
	if len(all) < 80 {
		t.Errorf("only %d keys", len(all))
	}
	for path, property := range all {
		if property["description"] == nil {
			t.Errorf("%s has no description", path)
		}
	}
}

// TestDocs wants every key, with its default, in docs/configuration.md, and no key there that does not exist.
func TestDocs(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]any{}
	properties("", root, all)
	rows := map[string]string{}
	for line := range strings.Lines(string(mustRead("../docs/configuration.md"))) {
		if rest, ok := strings.CutPrefix(line, "| `"); ok && !strings.HasPrefix(rest, "$") {
			path, row, _ := strings.Cut(rest, "`")
			rows[path] = row
		}
	}
	for path, property := range all {
		row, ok := rows[path]
		if !ok {
			t.Errorf("docs/configuration.md does not explain %s", path)
			continue
		}
		if value, ok := property["default"]; ok {
			text, _ := json.Marshal(value)
			if want := strings.Trim(strings.NewReplacer(`"`, "", ",", ", ").Replace(string(text)), "[]"); !strings.Contains(row, want) {
				t.Errorf("docs/configuration.md: the row of %s does not say the default %s: %s", path, want, row)
			}
		}
	}
	for path := range rows {
		if all[path] == nil && !isLater(path) {
			t.Errorf("docs/configuration.md explains %s, which does not exist", path)
		}
	}
}
