package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// decoder fills the tree from the nodes of one file. It never stops at a mistake: it reports it, leaves the value at its default and
// goes on, so that one run shows everything that is wrong. The struct tags of the tree say what is allowed:
//
//	yaml                 the key
//	jsonschema           required, enum=…, minimum=…, maximum=… (the JSON Schema reads the same tag)
//	min, max             bounds of a Size or Duration
//	merge:"whole"        a list that cannot be continued in a second file
type decoder struct {
	file    *file
	index   *index
	report  *report
	literal bool // ${…} is text: whoever wrote the file must not read the environment of who loads it
	foreign bool // nor name files: see Foreign
}

// nodeDecoder is for types that have more than one shape in YAML, or an open set of keys.
type nodeDecoder interface {
	decodeNode(d *decoder, path string, n *yaml.Node)
}

// defaulter is for list elements whose keys have defaults.
type defaulter interface{ setDefaults() }

// fault reports a mistake at n.
func (d *decoder) fault(path string, n *yaml.Node, format string, args ...any) {
	d.report.add(Problem{File: d.file.name, Line: n.Line, Col: n.Column, Path: path, Message: fmt.Sprintf(format, args...)})
}

// value decodes n into what the pointer into points to.
func (d *decoder) value(path string, n *yaml.Node, into any) {
	d.decode(path, n, reflect.ValueOf(into).Elem(), "")
}

func (d *decoder) decode(path string, n *yaml.Node, v reflect.Value, tag reflect.StructTag) {
	continued := d.index.has(path) // another file has it already
	n = d.note(path, n)
	if isNull(n) {
		return // "key:" without a value is the same as no key
	}
	if custom, ok := v.Addr().Interface().(nodeDecoder); ok {
		custom.decodeNode(d, path, n)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == prefixType {
			d.scalar(path, n, v, tag)
			return
		}
		d.mapping(path, n, v)
	case reflect.Slice:
		d.list(path, n, v, tag, continued)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.scalar(path, n, v.Elem(), tag)
	default:
		d.scalar(path, n, v, tag)
	}
}

// note remembers where path was written and returns the node that an alias stands for. The first file keeps the place.
func (d *decoder) note(path string, n *yaml.Node) *yaml.Node {
	if !d.index.has(path) {
		d.index.places[path] = place{file: d.file, node: n, null: isNull(target(n))}
	}
	return target(n)
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// mapping decodes the keys of n into the fields of the struct v.
func (d *decoder) mapping(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.fault(path, n, "want keys with values, found %s", describe(n))
		return
	}
	fields := fieldsOf(v.Type())
	given := map[string]*yaml.Node{}
	var meant []string // keys that are not missing but misspelt
	for _, e := range d.entries(path, n) {
		key := e.key.Value
		at := join(path, key)
		field, ok := fields.byKey[key]
		if !ok {
			meant = append(meant, d.unknownKey(at, e.key, fields)...)
			continue
		}
		given[key] = e.value
		if d.setTwice(at, e.value, field) {
			continue
		}
		d.decode(at, e.value, v.FieldByIndex(field.Index), field.Tag)
	}
	for _, key := range fields.keys {
		if !required(fields.byKey[key].Tag) || slices.Contains(meant, key) {
			continue
		}
		if value := given[key]; value == nil {
			d.fault(join(path, key), n, "is missing")
		} else if isNull(target(value)) {
			d.fault(join(path, key), value, "is empty")
		}
	}
}

// setTwice reports a value that an earlier file has set already. Sections and lists are continued instead, and every file may
// say its version.
func (d *decoder) setTwice(path string, n *yaml.Node, field reflect.StructField) bool {
	old, ok := d.index.places[path]
	if !ok || old.null || old.file == d.file || path == "version" {
		return false
	}
	whole := field.Tag.Get("merge") == "whole"
	switch kind := field.Type.Kind(); {
	case kind == reflect.Struct, kind == reflect.Slice && !whole:
		return false
	}
	d.fault(path, n, "is set twice: here and at %s:%d:%d; keep one of them", old.file.name, old.node.Line, old.node.Column)
	return true
}

func (d *decoder) list(path string, n *yaml.Node, v reflect.Value, tag reflect.StructTag, continued bool) {
	if n.Kind != yaml.SequenceNode {
		d.fault(path, n, "want a list, found %s", describe(n))
		return
	}
	if !continued { // the first file's list replaces the default
		v.Set(reflect.MakeSlice(v.Type(), 0, len(n.Content)))
	}
	for _, item := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, v.Len())
		element := reflect.New(v.Type().Elem())
		if x, ok := element.Interface().(defaulter); ok {
			x.setDefaults()
		}
		if isNull(target(item)) {
			d.fault(at, item, "is empty: give it a value, or remove the -")
		}
		d.decode(at, item, element.Elem(), tag)
		v.Set(reflect.Append(v, element.Elem()))
	}
}

// entry is one key with its value.
type entry struct{ key, value *yaml.Node }

// entries returns what the mapping n holds, merge keys (<<) resolved: what is written beside them wins, then the first merged mapping.
func (d *decoder) entries(path string, n *yaml.Node) []entry {
	var all []entry
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if isMerge(key) {
			continue
		}
		if key = target(key); key.Kind != yaml.ScalarNode || isNull(key) {
			d.fault(path, key, "a key must be a text, found %s", describe(key))
			continue
		}
		if first := seen[key.Value]; first != nil {
			d.fault(join(path, key.Value), key, "duplicate key %q: it is at %d:%d already", key.Value, first.Line, first.Column)
			continue
		}
		seen[key.Value] = key
		all = append(all, entry{key, value})
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if isMerge(n.Content[i]) {
			all = append(all, d.merged(path, n.Content[i+1], seen)...)
		}
	}
	return all
}

func isMerge(key *yaml.Node) bool { return key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge" }

// merged returns the entries behind a merge key that are not in seen yet.
func (d *decoder) merged(path string, n *yaml.Node, seen map[string]*yaml.Node) []entry {
	sources := []*yaml.Node{n}
	if target(n).Kind == yaml.SequenceNode {
		sources = target(n).Content
	}
	var all []entry
	for _, source := range sources {
		if target(source).Kind != yaml.MappingNode {
			d.fault(join(path, "<<"), source, "a merge key (<<) wants an alias of a mapping, or a list of them")
			continue
		}
		for _, e := range d.entries(path, target(source)) {
			if seen[e.key.Value] == nil {
				seen[e.key.Value] = e.key
				all = append(all, e)
			}
		}
	}
	return all
}

// describe names what n is, without its content.
func describe(n *yaml.Node) string {
	switch n = target(n); {
	case n.Kind == yaml.MappingNode:
		return "a mapping (key: value)"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(n):
		return "nothing"
	case n.ShortTag() == "!!bool":
		return "true or false"
	case n.ShortTag() == "!!int", n.ShortTag() == "!!float":
		return "a number"
	}
	return "a text"
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// fields are the keys of one struct.
type fields struct {
	keys  []string // in the order of the struct
	byKey map[string]reflect.StructField
}

func fieldsOf(t reflect.Type) fields {
	f := fields{byKey: map[string]reflect.StructField{}}
	for field := range t.Fields() {
		if key, _, _ := strings.Cut(field.Tag.Get("yaml"), ","); key != "" && key != "-" {
			f.keys = append(f.keys, key)
			f.byKey[key] = field
		}
	}
	return f
}

func required(tag reflect.StructTag) bool {
	for part := range strings.SplitSeq(tag.Get("jsonschema"), ",") {
		if part == "required" {
			return true
		}
	}
	return false
}
