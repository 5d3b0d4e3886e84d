package payload

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The manual's examples are what happens.
func TestManual(t *testing.T) {
	text, err := os.ReadFile("../../docs/payloads.md")
	if err != nil {
		t.Fatal(err)
	}
	var data []byte
	var payload struct {
		Type, Root string
		Body       json.RawMessage
	}
	examples := 0
	for _, block := range regexp.MustCompile("(?ms)^```(\\w+ (?:event|payload|result))\n(.*?)\n```$").FindAllStringSubmatch(string(text), -1) {
		switch block[1] {
		case "json event":
			data = []byte(block[2])
		case "json payload":
			payload.Type, payload.Root, payload.Body = "", "", nil
			if err := json.Unmarshal([]byte(block[2]), &payload); err != nil {
				t.Fatalf("%s: %v", block[2], err)
			}
		case "text result":
			examples++
			in := testInput()
			in.Data = data
			d := mustCompile(t, Spec{Type: payload.Type, Root: payload.Root, Body: payload.Body})
			if got, err := d.Append(nil, in); err != nil || string(got) != block[2] {
				t.Errorf("%s\ngot  %s, %v\nwant %s", payload.Body, got, err, block[2])
			}
		}
	}
	if examples != 6 {
		t.Errorf("found %d examples", examples)
	}
	filters := regexp.MustCompile("(?m)^\\| `(.+)` \\| (true|false) \\|$").FindAllStringSubmatch(string(text), -1)
	for _, row := range filters {
		f, err := CompileFilter(row[1])
		if err != nil {
			t.Errorf("%s: %v", row[1], err)
			continue
		}
		in := testInput()
		in.Data = data
		if got, err := f.Match(in); err != nil || got != (row[2] == "true") {
			t.Errorf("%s: got %v, %v", row[1], got, err)
		}
	}
	if len(filters) != 8 {
		t.Errorf("found %d filters", len(filters))
	}
	for name := range templateVars {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("the manual does not name %s", name)
		}
	}
}
