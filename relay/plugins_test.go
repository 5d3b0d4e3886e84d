package relay

import (
	"context"
	"strings"
	"testing"

	"edgerelay/config"
)

// TestPluginMistakes: what is wrong with a plugin is said with the line and the column where it is written.
func TestPluginMistakes(t *testing.T) {
	head := "webhooks:\n  - name: w\n    events: [x]\n    url: https://a.example/\n    transform:\n"
	for _, c := range []struct{ transform, want string }{
		{"      - { plugin: slack }", ""},
		{"      - { plugin: redact, config: { fields: [data.a] } }\n      - plugin: slack\n        config: { text: \"{{data.a}}\" }", ""},
		{"      - plugin: slak", `a.yaml:6:17: webhooks[0].transform[0].plugin: unknown plugin "slak": did you mean "slack"?`},
		{"      - plugin: slack\n        config:\n          text: hi\n          fields:\n            - { name: a, vaule: b }",
			`a.yaml:10:15: webhooks[0].transform[0].config.fields[0].value: is missing` + "\n" +
				`a.yaml:10:33: webhooks[0].transform[0].config.fields[0].vaule: unknown key "vaule": did you mean "value"?`},
		{"      - plugin: pagerduty\n        config: { routing_key: short }",
			`a.yaml:7:32: webhooks[0].transform[0].config.routing_key: does not have the form ^[A-Za-z0-9]{32}$`},
		{"      - plugin: redact", `a.yaml:6:9: webhooks[0].transform[0].config.fields: is missing`},
		{"      - plugin: slack\n        config:\n          text: \"{{data.a\"",
			`a.yaml:8:11: webhooks[0].transform[0].config: transform "slack": init: init: init returned 1: text: {{ without a closing }}`},
	} {
		cfg, err := config.Parse("a.yaml", []byte(head+c.transform+"\n"))
		if err != nil {
			t.Fatalf("%s: %v", c.transform, err)
		}
		got := Check(context.Background(), cfg).Error()
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.transform, got, strings.ReplaceAll(c.want, "\n", "\n     "))
		}
	}
}
