package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// Exported is an object that was made through the API, to be written as YAML.
type Exported struct {
	List         string // webhooks, authorizations or event_types
	Tenant, Name string
	Text         []byte // JSON, with its secrets
	Generated    bool   // of a webhook: it signs with a secret that is not in Text, and has to go on doing so
}

// Export writes objects as sections of a config file. No secret is in it: where one was, there is a variable, ${ACME_FEED_SECRET}, and a comment at the
// beginning lists them all. Load understands the result once the variables are set.
func Export(objects []Exported) ([]byte, error) {
	x := &exporter{names: map[string]bool{}}
	lists := map[string]*yaml.Node{}
	for _, o := range objects {
		node, err := x.object(o)
		if err != nil {
			return nil, fmt.Errorf("export %s %q: %w", o.List, o.Name, err)
		}
		if lists[o.List] == nil {
			lists[o.List] = &yaml.Node{Kind: yaml.SequenceNode}
		}
		lists[o.List].Content = append(lists[o.List].Content, node)
	}
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, list := range []string{"event_types", "authorizations", "webhooks"} {
		if lists[list] != nil {
			root.Content = append(root.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: list}, lists[list])
		}
	}
	var b bytes.Buffer
	b.WriteString("# What was made through the API of a relay, without its secrets.\n")
	if len(x.variables) > 0 {
		b.WriteString("# Set these variables before it is loaded:\n")
	}
	for _, v := range x.variables {
		b.WriteString("#   " + oneLine(v) + "\n")
	}
	if len(root.Content) == 0 {
		return b.Bytes(), nil
	}
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return b.Bytes(), nil
}

// exporter makes references of secrets.
type exporter struct {
	names     map[string]bool // of variables that are taken
	variables []string        // with what each is for
}

func (x *exporter) object(o Exported) (*yaml.Node, error) {
	dec := json.NewDecoder(bytes.NewReader(o.Text))
	dec.UseNumber()
	node, err := jsonNode(dec)
	if err != nil || node.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("its definition is not a JSON object")
	}
	set := func(key, value string) {
		if value == "" {
			return
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == key {
				node.Content[i+1].SetString(value)
				return
			}
		}
		var k, v yaml.Node
		k.SetString(key)
		v.SetString(value)
		node.Content = append([]*yaml.Node{&k, &v}, node.Content...)
	}
	set("tenant", o.Tenant)
	set("name", o.Name)
	x.walk(o, "", "", node, false)
	if o.Generated {
		var k, v yaml.Node
		k.SetString("secret")
		v.SetString(x.reference(o, "secret"))
		node.Content = append(node.Content, &k, &v)
	}
	return node, nil
}

var (
	secretPath = map[string]*regexp.Regexp{
		"webhooks":       regexp.MustCompile(`^secret(\[\d+\])?$`),
		"authorizations": regexp.MustCompile(`^(password|token|client_secret|headers\[\d+\]\.value)$`),
	}
	notOfNames = regexp.MustCompile(`[^A-Z0-9]+`)
)

// walk replaces what is secret, and writes the dollars of the rest so that they are text in a file. public says that a header's value may be seen.
func (x *exporter) walk(o Exported, path, key string, n *yaml.Node, public bool) {
	switch n.Kind {
	case yaml.MappingNode:
		public = false
		for i := 0; i+1 < len(n.Content); i += 2 {
			public = public || n.Content[i].Value == "visibility" && n.Content[i+1].Value == "public"
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			name := n.Content[i].Value
			x.walk(o, join(path, name), name, n.Content[i+1], public)
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			x.walk(o, fmt.Sprintf("%s[%d]", path, i), key, item, false)
		}
	default:
		if n.Tag != "!!str" || n.Value == "" {
			return
		}
		full := o.List + "[0]." + path
		known := secretPath[o.List]
		switch {
		case known != nil && known.MatchString(path) && !public, (&Config{}).hides(full, key, n.Value), webhookURL.MatchString(full) && redactURL(n.Value, false) != n.Value:
			n.SetString(x.reference(o, path))
		default:
			n.Value = dollars.Replace(n.Value)
		}
	}
}

// reference makes a variable for the value at path.
func (x *exporter) reference(o Exported, path string) string {
	base := strings.Trim(notOfNames.ReplaceAllString(strings.ToUpper(o.Tenant+"_"+o.Name+"_"+path), "_"), "_")
	if base == "" || base[0] >= '0' && base[0] <= '9' {
		base = "T" + base
	}
	name := base
	for i := 2; x.names[name]; i++ {
		name = fmt.Sprintf("%s_%d", base, i)
	}
	x.names[name] = true
	x.variables = append(x.variables, fmt.Sprintf("%s: %s of %s %q of tenant %q", name, path, strings.TrimSuffix(strings.ReplaceAll(o.List, "_", " "), "s"), o.Name, o.Tenant))
	return "${" + name + "}"
}
