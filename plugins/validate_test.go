package plugins_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"edgerelay/plugins"
)

func TestList(t *testing.T) {
	want := []string{"cloudevents", "csv-line", "discord", "flatten", "pagerduty", "pick", "redact", "slack", "splunk-hec", "teams"}
	if got := plugins.Names(); !slices.Equal(got, want) {
		t.Errorf("plugins %q, want %q", got, want)
	}
	if _, ok := plugins.Get("slac"); ok {
		t.Error("slac exists")
	}
	if p, ok := plugins.Get("slack"); !ok || p.Name != "slack" || !json.Valid(p.Schema) || len(p.Wasm) == 0 || len(p.Manifest) == 0 {
		t.Errorf("slack: %v %+v", ok, p.Limits)
	}
}

func TestValidate(t *testing.T) {
	key := `"routing_key":"0123456789abcdef0123456789ABCDEF"`
	for _, c := range []struct{ plugin, config, want string }{
		{"slack", ``, ""},
		{"slack", `{}`, ""},
		{"slack", `{"text":"{{type}}","fields":[{"name":"a","value":"b"}]}`, ""},
		{"slack", `[]`, "want keys with values, found a list"},
		{"slack", `{"text":5}`, "text: want a text, found a number"},
		{"slack", `{"text":""}`, "text: is empty"},
		{"slack", `{"fields":[{"name":"a","value":"b"},{"name":"a","vaule":"b"}]}`,
			"fields[1].value: is missing\nfields[1].vaule: unknown key \"vaule\": known are name, value"},
		{"slack", `{"title":"a","blocks":[{}]}`, "title: does not go together with the other keys: it is replaced by one of them"},
		{"slack", `{"unfurl":"yes"}`, "unfurl: want true or false, found a text"},
		{"discord", `{"color":"#2EB67D"}`, ""},
		{"discord", `{"color":3066993}`, ""},
		{"discord", `{"color":"green"}`, "color: does not have the form ^#[0-9A-Fa-f]{6}$"},
		{"discord", `{"color":16777216}`, "color: is more than 16777215"},
		{"discord", `{"mentions":["all"]}`, "mentions[0]: is none of users, roles, everyone"},
		{"discord", `{"mentions":["users","users"]}`, "mentions: has an entry twice"},
		{"teams", `{"style":"bad"}`, "style: is none of default, emphasis, good, attention, warning, accent"},
		{"pagerduty", `{}`, "routing_key: is missing"},
		{"pagerduty", `{"routing_key":"a secret"}`, "routing_key: does not have the form ^[A-Za-z0-9]{32}$"},
		{"pagerduty", `{` + key + `,"resolve":["*.ok",""]}`, "resolve[1]: is empty"},
		{"cloudevents", `{"extensions":{"Region":"eu"}}`, "extensions.Region: is not a name that is allowed here"},
		{"cloudevents", `{"dataschema":"no uri"}`, "dataschema: is not a uri"},
		{"splunk-hec", `{"event":"data","body":"x"}`, "event: does not go together with the other keys: it is replaced by one of them"},
		{"redact", `{"fields":[]}`, "fields: is empty"},
		{"redact", `{"fields":["data.a",{"path":"data.b","mode":"hide"}]}`, "fields[1].mode: is none of mask, hash, remove"},
		{"redact", `{"fields":["data.a",{"mode":"mask"}]}`, "fields[1].path: is missing"},
		{"redact", `{"fields":[5]}`, "fields[0]: want a text, found a number"},
		{"redact", `{"fields":["a"],"salt":"hush"}`, "salt: is shorter than 16 characters"},
		{"pick", `{"fields":["data.a"],"envelope":false}`, ""},
		{"flatten", `{"depth":-1}`, "depth: is less than 0"},
		{"csv-line", `{"columns":["a"],"delimiter":"\t"}`, ""},
		{"csv-line", `{"columns":["a"],"delimiter":"\""}`, "delimiter: does not have the form"},
		{"csv-line", `{"columns":["a"],"delimiter":";;"}`, "delimiter: does not have the form"},
		{"csv-line", `{"columns":`, "is not JSON"},
	} {
		p, ok := plugins.Get(c.plugin)
		if !ok {
			t.Fatal(c.plugin)
		}
		err := p.Validate([]byte(c.config))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s %s: %v", c.plugin, c.config, err)
		case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)):
			t.Errorf("%s %s:\n got %v\nwant %s", c.plugin, c.config, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hush") || err != nil && strings.Contains(err.Error(), "a secret") {
			t.Errorf("%s: the message holds a value: %v", c.plugin, err)
		}
	}
}

// TestMistakeOfKey: whoever knows how to suggest a name gets what is needed for it.
func TestMistakeOfKey(t *testing.T) {
	p, _ := plugins.Get("redact")
	var all plugins.Mistakes
	if err := p.Validate([]byte(`{"fields":[{"path":"a","maks":"x"}]}`)); !errors.As(err, &all) || len(all) != 1 {
		t.Fatal(err)
	}
	if m := all[0]; m.Path != "fields[0].maks" || m.Unknown != "maks" || !slices.Equal(m.Known, []string{"keep_last", "mask", "mode", "path"}) {
		t.Errorf("%+v", m)
	}
}
