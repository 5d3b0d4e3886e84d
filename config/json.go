package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// JSON is a free-form value of the tree as JSON text. Keys keep the order of the YAML, numbers are kept digit by digit, and
// what YAML takes for a text stays a text. nil = absent.
type JSON []byte

// MarshalJSON returns the text itself.
func (j JSON) MarshalJSON() ([]byte, error) {
	if len(j) == 0 {
		return []byte("null"), nil
	}
	return j, nil
}

func (j *JSON) decodeNode(d *decoder, path string, n *yaml.Node) {
	var b bytes.Buffer
	d.json(&b, path, n)
	if json.Valid(b.Bytes()) { // not after a mistake
		*j = b.Bytes()
	}
}

// json appends n as JSON. Every path inside is noted, so that a mistake in one expression of a definition can be located.
func (d *decoder) json(b *bytes.Buffer, path string, n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		b.WriteByte('{')
		for i, e := range d.entries(path, n) {
			if i > 0 {
				b.WriteByte(',')
			}
			writeText(b, e.key.Value)
			b.WriteByte(':')
			at := join(path, e.key.Value)
			d.json(b, at, d.note(at, e.value))
		}
		b.WriteByte('}')
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			at := fmt.Sprintf("%s[%d]", path, i)
			d.json(b, at, d.note(at, item))
		}
		b.WriteByte(']')
	default:
		d.jsonScalar(b, path, n)
	}
}

func (d *decoder) jsonScalar(b *bytes.Buffer, path string, n *yaml.Node) {
	switch n.ShortTag() {
	case "!!null":
		b.WriteString("null")
	case "!!bool":
		b.WriteString(strings.ToLower(n.Value))
	case "!!int", "!!float":
		if !json.Valid([]byte(n.Value)) {
			d.fault(path, n, "%s is a number that JSON cannot hold as written: write it in plain decimal, or quote it to keep it as a text", clip(n.Value))
			return
		}
		b.WriteString(n.Value)
	default: // a text, or something like a date that JSON has no type for
		if text, _, ok := d.text(path, n); ok {
			writeText(b, text)
		}
	}
}

// writeText appends s as a JSON string, with < > & as they are.
func writeText(b *bytes.Buffer, s string) {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	enc.Encode(s)           // cannot fail: s is a string and b is memory
	b.Truncate(b.Len() - 1) // the encoder's line break
}

// MarshalYAML writes the value as YAML again, order and digits kept.
func (j JSON) MarshalYAML() (any, error) {
	if len(j) == 0 {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(j))
	dec.UseNumber()
	node, err := jsonNode(dec)
	if err != nil {
		return nil, fmt.Errorf("print JSON value: %w", err)
	}
	return node, nil
}

// jsonNode reads the next JSON value.
func jsonNode(dec *json.Decoder) (*yaml.Node, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	scalar := func(tag, value string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value} }
	switch t := token.(type) {
	case string:
		node := scalar("!!str", t)
		if t == "<<" { // the encoder would leave it bare, and it would come back as a merge key
			node.Style = yaml.DoubleQuotedStyle
		}
		return node, nil
	case json.Number:
		if strings.ContainsAny(t.String(), ".eE") {
			return scalar("!!float", t.String()), nil
		}
		return scalar("!!int", t.String()), nil
	case bool:
		return scalar("!!bool", fmt.Sprint(t)), nil
	case nil:
		return scalar("!!null", "null"), nil
	}
	node := &yaml.Node{Kind: yaml.SequenceNode}
	if token == json.Delim('{') {
		node.Kind = yaml.MappingNode
	}
	for dec.More() { // keys and values in turn, or items
		child, err := jsonNode(dec)
		if err != nil {
			return nil, err
		}
		node.Content = append(node.Content, child)
	}
	_, err = dec.Token() // the closing bracket
	return node, err
}

// Headers are the headers of a webhook in the order of the file. In YAML they are a mapping.
type Headers []Header

// Header is one of them.
type Header struct{ Name, Value string }

func (h *Headers) decodeNode(d *decoder, path string, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		d.fault(path, n, "want header names with values, found %s", describe(n))
		return
	}
	for _, e := range d.entries(path, n) {
		header := Header{Name: e.key.Value}
		d.value(join(path, header.Name), e.value, &header.Value)
		*h = append(*h, header)
	}
}

// MarshalYAML writes the mapping again, in order.
func (h Headers) MarshalYAML() (any, error) {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, header := range h {
		var name, value yaml.Node
		name.SetString(header.Name)
		value.SetString(header.Value)
		node.Content = append(node.Content, &name, &value)
	}
	return node, nil
}
