package config

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Concealed is what Print does not show of a webhook. Whoever shows what became of the webhook, such as a request that it would make, must
// not show it either.
type Concealed struct {
	url    bool     // it came out of ${…}: everything after its host is concealed
	values []string // the longest first
}

// shortest is the length from which on a text is taken for the concealed value wherever it stands. Anything shorter would be found by chance.
const shortest = 6

// Conceal collects it for webhook i, its authorization included.
func (c *Config) Conceal(i int) Concealed {
	var k Concealed
	w := &c.Webhooks[i]
	path := fmt.Sprintf("webhooks[%d]", i)
	if p, exact, _ := c.index.nearest(path + ".url"); exact {
		k.url = p.expanded
	}
	var root yaml.Node
	if err := root.Encode(w); err == nil {
		c.concealed(path, "", &root, &k)
	}
	for _, s := range w.Secret {
		k.add(s.Reveal())
	}
	if j := c.FindAuthorization(w.Tenant, w.Authorization); j >= 0 {
		c.concealAuthorization(j, &k)
	}
	slices.SortFunc(k.values, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	k.values = slices.Compact(k.values)
	return k
}

func (c *Config) concealAuthorization(i int, k *Concealed) {
	a := &c.Authorizations[i]
	var root yaml.Node
	if err := root.Encode(a); err == nil {
		c.concealed(fmt.Sprintf("authorizations[%d]", i), "", &root, k)
	}
	for _, h := range a.Headers {
		if h.Visibility != "public" {
			k.add(h.Value.Reveal())
		}
	}
	for _, s := range []Secret{a.Password, a.Token, a.ClientSecret} {
		k.add(s.Reveal())
	}
	if a.Password != "" {
		k.add(base64.StdEncoding.EncodeToString([]byte(a.Username + ":" + a.Password.Reveal())))
	}
}

// concealed walks the tree as redact does, and collects what that replaces.
func (c *Config) concealed(path, key string, n *yaml.Node, k *Concealed) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			name := n.Content[i].Value
			c.concealed(join(path, name), name, n.Content[i+1], k)
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			c.concealed(fmt.Sprintf("%s[%d]", path, i), key, item, k)
		}
	default:
		if c.hides(path, key, n.Value) {
			k.add(n.Value)
		}
	}
}

// hides says whether Print shows *** for a value in the free-form parts of the tree.
func (c *Config) hides(path, key, value string) bool {
	if !freeForm.MatchString(path) {
		return false
	}
	p, exact, _ := c.index.nearest(path)
	return exact && p.expanded || sensitiveName.MatchString(key) && !strings.Contains(value, "{{")
}

// add notes value, of a template the texts between its expressions.
func (k *Concealed) add(value string) {
	for {
		text, rest, open := strings.Cut(value, "{{")
		if len(text) >= shortest {
			k.values = append(k.values, text, url.QueryEscape(text), url.PathEscape(text)) // as forms and paths hold it
			if quoted, err := json.Marshal(text); err == nil {
				k.values = append(k.values, string(quoted[1:len(quoted)-1]))
			}
		}
		end := templateEnd(rest)
		if !open || end < 0 {
			return
		}
		value = rest[end+2:]
	}
}

// URL returns a URL that was made for the webhook without what is concealed.
func (k Concealed) URL(text string) string { return k.Text(redactURL(text, k.url)) }

// Text returns text without what is concealed, wherever it stands.
func (k Concealed) Text(text string) string {
	for _, v := range k.values {
		if strings.Contains(text, v) {
			text = strings.ReplaceAll(text, v, redacted)
		}
	}
	return text
}
