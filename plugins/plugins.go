// Package plugins holds the transforms that come with the program: slack, redact and others. A webhook names one as plugin: NAME.
//
// Each has a directory: its source in C, the module that build.sh makes of it, plugin.yaml, which says what it is and what its configuration
// looks like, a README and golden tests. All of it is embedded that a plugin needs to run. Called by relay and cli; starts no goroutines,
// imports nothing of ours.
package plugins

import (
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

//go:embed */plugin.yaml */*.wasm
var files embed.FS

// Plugin is one of them.
type Plugin struct {
	Name, Version, Description string
	ABI                        string
	Isolation                  string // as the transform package names it
	Limits                     Limits
	Capabilities               []string // what it does besides writing a body, as "edgerelay plugin" names it

	Manifest []byte          // plugin.yaml as it is
	Wasm     []byte          // the module
	Schema   json.RawMessage // JSON Schema (2020-12) of its configuration

	schema *jsonschema.Schema
}

// Limits is what a plugin wants for an event of 1 MiB; its tests keep to it.
type Limits struct {
	Fuel    int64  `yaml:"fuel"`
	Timeout string `yaml:"timeout"` // such as 100ms
	Memory  string `yaml:"memory"`  // such as 16MiB
}

// manifest is plugin.yaml.
type manifest struct {
	Name         string         `yaml:"name"`
	Version      string         `yaml:"version"`
	Description  string         `yaml:"description"`
	ABI          string         `yaml:"abi"`
	Module       string         `yaml:"module"`
	Isolation    string         `yaml:"isolation"`
	Limits       Limits         `yaml:"limits"`
	Capabilities []string       `yaml:"capabilities"`
	Config       map[string]any `yaml:"config"`
}

// Get returns the plugin of that name.
func Get(name string) (Plugin, bool) {
	p, ok := load()[name]
	return p, ok
}

// List returns all of them, by name.
func List() []Plugin {
	var all []Plugin
	for _, p := range load() {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Plugin) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Names returns the names of all of them.
func Names() []string {
	var names []string
	for _, p := range List() {
		names = append(names, p.Name)
	}
	return names
}

// load reads the manifests once, when somebody asks.
var load = sync.OnceValue(func() map[string]Plugin {
	names, err := fs.Glob(files, "*/plugin.yaml")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	all := make(map[string]Plugin, len(names))
	for _, name := range names {
		p, err := read(path.Dir(name))
		if err != nil {
			panic("BUG: embedded " + err.Error())
		}
		all[p.Name] = p
	}
	return all
})

// read makes a plugin of the embedded directory.
func read(dir string) (Plugin, error) {
	text, err := files.ReadFile(dir + "/plugin.yaml")
	if err != nil {
		return Plugin{}, fmt.Errorf("plugin %q: %w", dir, err)
	}
	var m manifest
	if err := yaml.Unmarshal(text, &m); err != nil {
		return Plugin{}, fmt.Errorf("plugin %q: read manifest: %w", dir, err)
	}
	p := Plugin{Name: m.Name, Version: m.Version, Description: m.Description, ABI: m.ABI, Isolation: m.Isolation, Limits: m.Limits,
		Capabilities: m.Capabilities, Manifest: text}
	if p.Name != dir {
		return Plugin{}, fmt.Errorf("plugin %q: its manifest names it %q", dir, p.Name)
	}
	if p.Wasm, err = files.ReadFile(path.Join(dir, m.Module)); err != nil {
		return Plugin{}, fmt.Errorf("plugin %q: %w", dir, err)
	}
	if p.Schema, err = json.Marshal(m.Config); err != nil {
		return Plugin{}, fmt.Errorf("plugin %q: config schema: %w", dir, err)
	}
	if p.schema, err = compile(p.Schema); err != nil {
		return Plugin{}, fmt.Errorf("plugin %q: config schema: %w", dir, err)
	}
	return p, nil
}
