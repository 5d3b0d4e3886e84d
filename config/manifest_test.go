package config

import "testing"

type manifest struct {
	Name   string `yaml:"name" jsonschema:"required"`
	Kind   string `yaml:"kind" jsonschema:"enum=a,enum=b"`
	Limits struct {
		Memory Size `yaml:"memory" min:"64KiB"`
	} `yaml:"limits"`
	Schema JSON `yaml:"schema"`
}

func TestDecodeManifest(t *testing.T) {
	t.Setenv("EDGERELAY_TEST_SECRET", "leaked")
	var v manifest
	m, err := DecodeManifest("plugin.yaml", []byte("name: ${EDGERELAY_TEST_SECRET}\nlimits: { memory: 1MiB }\nschema:\n  type: object\n  pattern: \"${HOME}$\"\n"), &v)
	if err != nil {
		t.Fatal(err)
	}
	if v.Name != "${EDGERELAY_TEST_SECRET}" || v.Limits.Memory != 1<<20 || string(v.Schema) != `{"type":"object","pattern":"${HOME}$"}` {
		t.Errorf("%+v %s", v, v.Schema)
	}
	if got, want := m.Problem("schema.pattern", "is odd").String(), "plugin.yaml:5:12: schema.pattern: is odd"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDecodeManifestRefuses(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a missing key", "kind: a\n", "m.yaml:1:1: name: is missing"},
		{"an unknown key", "name: x\nlimit: {}\n", `m.yaml:2:1: limit: unknown key "limit": did you mean "limits"?`},
		{"another value", "name: x\nkind: c\n", `m.yaml:2:7: kind: "c" is not allowed: use one of a, b`},
		{"out of range", "name: x\nlimits: { memory: 1KiB }\n", `m.yaml:2:19: limits.memory: "1KiB" is out of range: it must be at least 64KiB`},
		{"two documents", "name: x\n---\nname: y\n", "m.yaml:2:1: a second YAML document: a config file holds one (remove the --- line, or use several files)"},
	} {
		var v manifest
		_, err := DecodeManifest("m.yaml", []byte(c.text), &v)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}
