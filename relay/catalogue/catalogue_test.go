package catalogue

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

func compile(t *testing.T, text string) *Schema {
	t.Helper()
	s, err := Compile([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const recognition = `{
	"type": "object",
	"required": ["giver", "points"],
	"additionalProperties": false,
	"properties": {
		"giver": { "$ref": "#/$defs/person" },
		"points": { "type": "integer", "minimum": 1 },
		"tags": { "type": "array", "items": { "type": "string", "pattern": "^[a-z]+$" }, "uniqueItems": true },
		"at": { "type": "string", "format": "date-time" }
	},
	"$defs": { "person": { "type": "object", "required": ["name"], "properties": { "name": { "type": "string", "minLength": 1 } } } }
}`

func TestCheckNamesBothPlaces(t *testing.T) {
	s := compile(t, recognition)
	for data, want := range map[string][]string{
		`{"giver":{"name":"Ada"},"points":5}`:                             nil,
		`{"giver":{"name":"Ada"},"points":5.0,"tags":["a","b"]}`:          nil,
		`{"giver":{"name":"Ada"},"points":5,"at":"2026-01-02T03:04:05Z"}`: nil,
		`{"giver":{"name":"Ada"},"points":0}`:                             {"#/properties/points/minimum /data/points"},
		`{"giver":{"name":""},"points":"5"}`:                              {"#/$defs/person/properties/name/minLength /data/giver/name", "#/properties/points/type /data/points"},
		`{"points":5}`:                                                    {"#/required /data"},
		`{"giver":{"name":"Ada"},"points":5,"a/b~c":1}`:                   {"#/additionalProperties /data"},
		`{"giver":{"name":"Ada"},"points":5,"tags":["a","B"]}`:            {"#/properties/tags/items/pattern /data/tags/1"},
		`{"giver":{"name":"Ada"},"points":5,"tags":["a","a"]}`:            {"#/properties/tags/uniqueItems /data/tags"},
		`{"giver":{"name":"Ada"},"points":5,"at":"yesterday"}`:            {"#/properties/at/format /data/at"},
		`[]`:   {"#/type /data"},
		`null`: {"#/type /data"},
		`{"giver":{"name":"Ada","name":"Bob"},"points":5}`:                    {" /data/giver/name"},
		`{"giver":{"name":"Ada"},"points":1e999999}`:                          {" /data/points"},
		`{"giver":{"name":"Ada"},"points":` + strings.Repeat("1", 1001) + `}`: {" /data/points"},
	} {
		var got []string
		for _, v := range s.Check([]byte(data)) {
			got = append(got, v.Schema+" "+v.Instance)
			if v.Message == "" || strings.Contains(v.Schema, "edgerelay") {
				t.Errorf("%s: %+v", data, v)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", data, got, want)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{"$ref":"https://evil.example/schema.json"}`:           `refers to "https://evil.example/schema.json", which lies outside`,
		`{"$ref":"file:///etc/passwd"}`:                         "lies outside",
		`{"$ref":"other.json"}`:                                 "",
		`{"$id":"https://acme.example/a.json","$ref":"b.json"}`: `refers to "https://acme.example/b.json"`,
		`{"$schema":"https://acme.example/meta.json"}`:          "lies outside",
		`{"$ref":"#/$defs/none"}`:                               "is not a JSON Schema",
		`{"type":"objekt"}`:                                     "is not a JSON Schema: at #/type",
		`{"pattern":"("}`:                                       "is not a JSON Schema",
		`"text"`:                                                "an object, or true or false",
		`{"type":"object","type":"array"}`:                      "appears twice",
		`{`:                                                     "is not JSON",
		`{"description":"` + strings.Repeat("x", MaxSchema) + `"}`:         "may have 262144",
		strings.Repeat(`{"not":`, 200) + "true" + strings.Repeat("}", 200): "nested too deeply",
	} {
		_, err := Compile([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		} else if strings.Contains(err.Error(), "edgerelay") {
			t.Errorf("%.60s: %v", text, err)
		}
	}
	for _, text := range []string{`true`, `{"$id":"https://acme.example/a.json","$defs":{"x":{"$id":"x.json"}},"properties":{"a":{"$ref":"x.json"}}}`,
		`{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"a":{"type":"string"}},"items":{"$ref":"#/definitions/a"}}`} {
		compile(t, text)
	}
}

// Each of these would keep an ordinary checker busy for longer than the universe has been there, or fill the memory.
func TestBudgets(t *testing.T) {
	deep := strings.Repeat("[", 100) + "1" + strings.Repeat("]", 100)
	for name, c := range map[string]struct{ schema, data string }{
		"two ways at every level":         {`{"anyOf":[{"items":{"$ref":"#"}},{"items":{"$ref":"#"},"minItems":0}],"type":"array"}`, deep},
		"the same under not":              {`{"not":{"anyOf":[{"type":"array","items":{"$ref":"#"}},{"type":"array","items":{"$ref":"#"},"minItems":0}]}}`, deep},
		"a definition that doubles":       {doubling(40), `1`},
		"a reference to itself":           {`{"$ref":"#"}`, `1`},
		"a reference to itself, by turns": {`{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}`, `1`},
	} {
		s, err := Compile([]byte(c.schema))
		if err != nil {
			continue // refused: as well
		}
		if s.Check([]byte(c.data)) == nil && !strings.HasPrefix(name, "the same") {
			t.Errorf("%s: fits", name)
		}
	}
}

// doubling is a schema whose definitions each use the next one twice.
func doubling(n int) string {
	var b strings.Builder
	b.WriteString(`{"$ref":"#/$defs/d0","$defs":{`)
	for i := range n {
		fmt.Fprintf(&b, `"d%d":{"allOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]},`, i, i+1, i+1)
	}
	fmt.Fprintf(&b, `"d%d":{"type":"number"}}}`, n)
	return b.String()
}

func TestLargeDataIsStillDecided(t *testing.T) {
	size := 400_000
	if testing.Short() {
		size = 60_000
	}
	s := compile(t, `{"type":"array","items":{"type":"integer","maximum":10}}`)
	ones := strings.Repeat("1,", size)
	if v := s.Check([]byte("[" + ones + "10]")); v != nil {
		t.Errorf("%+v", v)
	}
	if v := s.Check([]byte("[" + ones + "11]")); len(v) != 1 || v[0].Instance != "/data" {
		t.Errorf("%+v", v)
	}
	many := make([]string, size/4)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	u := compile(t, `{"uniqueItems":true}`)
	if v := u.Check([]byte("[" + strings.Join(many, ",") + "]")); v != nil {
		t.Errorf("%+v", v)
	}
	if v := s.Check([]byte(`["` + strings.Repeat("x", 2000) + `"]`)); len(v) != 1 || len(v[0].Message) > maxMessage+10 {
		t.Errorf("%+v", v)
	}
	if v := s.Check([]byte(`[` + strings.Repeat(`"x",`, 100) + `"x"]`)); len(v) != maxViolations {
		t.Errorf("%d violations", len(v))
	}
}

func TestManyCheckAtOnce(t *testing.T) {
	s := compile(t, recognition)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for range 50 {
				bad := s.Check([]byte(fmt.Sprintf(`{"giver":{"name":"Ada"},"points":%d}`, i%2)))
				if (bad == nil) != (i%2 == 1) {
					t.Errorf("%d: %+v", i, bad)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(recognition), []byte(`{"giver":{"name":"Ada"},"points":5}`))
	f.Add([]byte(doubling(10)), []byte(`1`))
	f.Add([]byte(`{"$dynamicRef":"#a","$dynamicAnchor":"a","unevaluatedProperties":false}`), []byte(`{"a":{}}`))
	f.Add([]byte(`{"propertyNames":{"format":"uuid"},"patternProperties":{"^a":{"type":["null","string"]}}}`), []byte(`{"a":null,"b":1}`))
	f.Fuzz(func(t *testing.T, schema, data []byte) {
		s, err := Compile(schema)
		if err != nil {
			return
		}
		for _, v := range s.Check(data) {
			if v.Message == "" || len(v.Message) > maxMessage+10 || len(v.Instance) > maxWords+10 || len(v.Schema) > maxWords+10 {
				t.Errorf("%+v", v)
			}
		}
	})
}
