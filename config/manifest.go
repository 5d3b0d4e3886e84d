package config

import (
	"reflect"
	"strings"
)

// Manifest is a YAML file that is not a config, decoded: it locates mistakes that its owner finds later.
type Manifest struct{ index *index }

// DecodeManifest decodes the one YAML document in text into the struct that into points to, by the same strict rules and struct tags as a
// config. Nothing is expanded: a manifest may come from a stranger, whose ${…} must not read our environment or files. name is what
// mistakes call the file. The error is a Problems.
func DecodeManifest(name string, text []byte, into any) (*Manifest, error) {
	m := &Manifest{index: &index{places: map[string]place{}}}
	f := &file{name: name, dir: directory(name), lines: strings.Split(string(text), "\n")}
	m.index.files = append(m.index.files, f)
	root, problem := parse(name, text)
	if problem != nil {
		return nil, Problems{*problem}
	}
	if root == nil || isNull(root) {
		return m, nil // no keys; whether one was needed is for the caller to say
	}
	d := &decoder{file: f, index: m.index, report: &report{}, literal: true}
	d.mapping("", target(root), reflect.ValueOf(into).Elem())
	if err := d.report.err(); err != nil {
		return nil, err
	}
	return m, nil
}

// Problem locates a mistake at path, or at its nearest parent that is in the file.
func (m *Manifest) Problem(path, message string) Problem {
	return (&Config{index: m.index}).Problem(path, message)
}
