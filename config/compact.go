package config

import (
	"bytes"
	"encoding/json"

	"gopkg.in/yaml.v3"
)

// Compact makes JSON of the text of one object, which may be YAML, as the API takes it. It checks nothing else. label is what mistakes call the text.
func Compact(label string, text []byte) ([]byte, error) {
	root, problem := parseForeign(label, text)
	if problem != nil {
		return nil, Problems{*problem}
	}
	if root == nil {
		return nil, Problems{{File: label, Message: "is empty"}}
	}
	d := &decoder{file: &file{name: label}, index: &index{places: map[string]place{}}, report: &report{}, literal: true}
	var b bytes.Buffer
	d.json(&b, "", target(root))
	if err := d.report.err(); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Compact(&out, b.Bytes()); err != nil {
		return nil, Problems{{File: label, Message: "cannot be written as JSON"}}
	}
	return out.Bytes(), nil
}

// parseForeign reads JSON as JSON, whose escapes YAML does not all know, and anything else as YAML.
func parseForeign(label string, text []byte) (*yaml.Node, *Problem) {
	if len(text) > maxFileSize || !json.Valid(text) {
		return parse(label, text)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	root, err := jsonNode(dec)
	if err != nil {
		return nil, &Problem{File: label, Message: "cannot be read as JSON"}
	}
	quoteTexts(root)
	return root, checkShape(label, root)
}

// quoteTexts marks what is a text in JSON as one that was written in quotes, so that "5" is no number.
func quoteTexts(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		n.Style = yaml.DoubleQuotedStyle
	}
	for _, child := range n.Content {
		quoteTexts(child)
	}
}
