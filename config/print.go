package config

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// Print returns the config as YAML with everything resolved: defaults filled in, ${…} expanded, file names absolute. Secrets are ***,
// and so is whatever may be one in the free-form parts of a webhook: a value that came out of ${…}, or whose name says so.
// Load understands the result, except that it refuses to take *** for a secret.
func (c *Config) Print() ([]byte, error) {
	resolved := *c
	if !c.index.has("data_dir") { // the default is the only name that counts from the working directory
		resolved.DataDir = Path(absolute(string(c.DataDir), directory("x")))
	}
	var root yaml.Node
	if err := root.Encode(&resolved); err != nil {
		return nil, fmt.Errorf("print config: %w", err)
	}
	c.redact("", "", &root)
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&root); err != nil {
		return nil, fmt.Errorf("print config: %w", err)
	}
	return b.Bytes(), nil
}

var (
	freeForm      = regexp.MustCompile(`^(webhooks\[\d+\]\.(headers|payload\.body|transform\[\d+\]\.(config|sample))|authorizations\[\d+\]\.params|event_types\[\d+\]\.(example|schema))\b`)
	webhookURL    = regexp.MustCompile(`^(webhooks\[\d+\]\.url|authorizations\[\d+\]\.(endpoint|token_url))$`)
	sensitiveName = regexp.MustCompile(`(?i)secret|token|passw|api.?key|private.?key|(^|[-_])key$|authorization|cookie|credential|signature`)
	sensitiveArg  = regexp.MustCompile(`(?i)([?&][^=&]*(?:secret|token|passw|key|auth|credential|sig)[^=&]*=)[^&{#]+`)
	dollars       = strings.NewReplacer("$$", "$$$$", "${", "$${")
	origin        = regexp.MustCompile(`^(https?://[^/?#]*).*$`)
)

// redact walks the printed tree at path; key is the last key on the way.
func (c *Config) redact(path, key string, n *yaml.Node) { c.redactTree(path, key, n, true) }

// redactTree is redact; with escape every $ is doubled, as whoever loads the result will read it.
func (c *Config) redactTree(path, key string, n *yaml.Node, escape bool) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			name := n.Content[i].Value
			c.redactTree(join(path, name), name, n.Content[i+1], escape)
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			c.redactTree(fmt.Sprintf("%s[%d]", path, i), key, item, escape)
		}
	default:
		if p, exact, _ := c.index.nearest(path); webhookURL.MatchString(path) {
			n.Value = redactURL(n.Value, exact && p.expanded)
		} else if c.hides(path, key, n.Value) {
			n.SetString(redacted)
		}
		if escape {
			n.Value = dollars.Replace(n.Value)
		}
	}
}

// redactURL hides the arguments of a URL that look like credentials; of one that came out of ${…} everything after the host,
// because many services put the secret into the path.
func redactURL(text string, expanded bool) string {
	if expanded {
		return origin.ReplaceAllString(text, "$1/"+redacted)
	}
	return sensitiveArg.ReplaceAllString(text, "${1}"+redacted)
}

// MarshalYAML shows the value of a public header.
func (h AuthHeader) MarshalYAML() (any, error) {
	value := h.Value.String()
	if h.Visibility == "public" {
		value = h.Value.Reveal()
	}
	return struct{ Name, Value, Visibility string }{h.Name, value, h.Visibility}, nil
}
