package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Foreign is an object of the tree that does not come from a file: one that was made through the API, or a draft. Its text is JSON or YAML with the keys
// of the element of its list. ${…} is text in it, and it can name no file: whoever wrote it must not read the files and the environment of who loads it.
type Foreign struct {
	Kind  string // the list: webhooks, authorizations or event_types
	Label string // what mistakes call it, in the place of a file's name
	Text  []byte
}

// Join returns a config with the objects behind those that c has, each checked as if it stood in the files, and c as it is. indexes says where in its
// list each object is. The error is a Problems; the paths in it begin with the list and the index.
func (c *Config) Join(objects ...Foreign) (next *Config, indexes []int, err error) {
	r := &report{}
	next = c.clone()
	for _, o := range objects {
		indexes = append(indexes, next.join(o, r))
	}
	next.report = r
	next.check()
	next.report = nil
	if err := r.err(); err != nil {
		return nil, nil, err
	}
	return next, indexes, nil
}

// clone copies what Join adds to.
func (c *Config) clone() *Config {
	next := *c
	next.Webhooks, next.Authorizations, next.EventTypes = slices.Clone(c.Webhooks), slices.Clone(c.Authorizations), slices.Clone(c.EventTypes)
	next.index = &index{places: map[string]place{}}
	if c.index != nil {
		next.index.places, next.index.files, next.index.made = maps.Clone(c.index.places), slices.Clone(c.index.files), c.index.made
	}
	return &next
}

// join decodes one object and appends it.
func (c *Config) join(o Foreign, r *report) (at int) {
	f := &file{name: o.Label, lines: strings.Split(string(o.Text), "\n")}
	c.index.files = append(c.index.files, f)
	d := &decoder{file: f, index: c.index, report: r, literal: true, foreign: true}
	root, problem := parseForeign(o.Label, o.Text)
	switch {
	case problem != nil:
		r.add(*problem)
	case root == nil:
		r.add(Problem{File: o.Label, Message: "is empty"})
	}
	if problem != nil || root == nil {
		root = &yaml.Node{Kind: yaml.MappingNode}
		d.report = &report{} // what is missing follows from that
	}
	switch o.Kind {
	case "webhooks":
		at = appendForeign(d, o.Kind, root, &c.Webhooks)
		c.settleWebhook(at)
	case "authorizations":
		at = appendForeign(d, o.Kind, root, &c.Authorizations)
	case "event_types":
		at = appendForeign(d, o.Kind, root, &c.EventTypes)
	default:
		panic("BUG: nothing can be joined to " + o.Kind)
	}
	return at
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

func appendForeign[T any](d *decoder, kind string, n *yaml.Node, list *[]T) int {
	at := len(*list)
	element := new(T)
	if x, ok := any(element).(defaulter); ok {
		x.setDefaults()
	}
	d.decode(fmt.Sprintf("%s[%d]", kind, at), n, reflect.ValueOf(element).Elem(), "")
	*list = append(*list, *element)
	return at
}

// Compact makes JSON of a Foreign's text, which may be YAML, so that it can be stored and compared. It checks nothing else.
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
