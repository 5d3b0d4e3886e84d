package kit

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"edgerelay/plugins/sdk"
	"edgerelay/transform"
)

//go:embed templates
var templates embed.FS

// Languages returns what a plugin can be written in.
func Languages() []string { return []string{"go", "js", "ts", "c", "rust", "assemblyscript"} }

// Outputs returns what a new plugin can make out of the sample event.
func Outputs() []string { return []string{"slack", "xml", "form"} }

// scaffold is what the templates can say.
type scaffold struct {
	Name, Language, For string

	Makes, Key, GoKey, KeyText, KeyExample string
	Format                                 Format
	Capabilities                           string
	Source, Memory, ABI                    string
	Install                                string // what npm install is for; "" = nothing
	Fuel                                   int
	Sample                                 string // "" = not primed
}

var outputs = map[string]scaffold{
	"slack": {Makes: "a Slack message", Key: "channel", GoKey: "Channel", KeyText: "The channel to write to, instead of the default one.",
		KeyExample: "#wins", Format: FormatJSON, Capabilities: "headers, drop"},
	"xml": {Makes: "an XML document", Key: "root", GoKey: "Root", KeyText: "Name of the root element, order if absent.",
		KeyExample: "purchase", Format: FormatXML, Capabilities: "content-type, headers, drop"},
	"form": {Makes: "an HTML form", Key: "source", GoKey: "Source", KeyText: "Where the order comes from, sent as the field source.",
		KeyExample: "shop", Format: FormatForm, Capabilities: "content-type, headers, drop"},
}

// file is one file of a scaffold and where it comes from.
type file struct{ to, from string }

// language is what is special about plugins in one language.
type language struct {
	files   []file // besides the common ones
	sdk     []file // of the directory with that name in plugins/sdk
	sdkDir  string
	source  string
	abi     string
	install string
	fuel    int
	memory  string
	sample  string // the sample event that brings the language's runtime up
}

var languages = map[string]language{
	"go": {files: []file{{"main.go", "main.go.tmpl"}, {"go.mod", "go.mod.tmpl"}}, source: "main.go", abi: abiNative, fuel: 50_000_000, memory: "32MiB", sample: "order", sdkDir: "go",
		sdk: []file{{"edgerelay/edgerelay.go", "edgerelay.go"}, {"edgerelay/host_wasip1.go", "host_wasip1.go"}, {"edgerelay/host_other.go", "host_other.go"}}},
	"c": {files: []file{{"plugin.c", "plugin.c.tmpl"}}, source: "plugin.c", abi: abiNative, fuel: 5_000_000, memory: "4MiB", sdkDir: "c",
		sdk: []file{{"edgerelay.h", "edgerelay.h"}, {"edgerelay_json.h", "edgerelay_json.h"}}},
	"assemblyscript": {files: []file{{"assembly/index.ts", "index.ts.tmpl"}, {"assembly/tsconfig.json", "tsconfig.json.tmpl"}, {"package.json", "package.json.tmpl"}},
		source: "assembly/index.ts", abi: abiNative, install: "the compiler", fuel: 10_000_000, memory: "4MiB", sdkDir: "assemblyscript",
		sdk: []file{{"assembly/edgerelay.ts", "edgerelay.ts"}}},
	"rust": {files: []file{{"src/lib.rs", "lib.rs.tmpl"}, {"Cargo.toml", "Cargo.toml.tmpl"}}, source: "src/lib.rs", abi: abiNative, fuel: 10_000_000, memory: "4MiB",
		sdkDir: "rust", sdk: []file{{"src/edgerelay.rs", "edgerelay.rs"}}},
	"js": {files: []file{{scriptJS, "index.js.tmpl"}, {"package.json", "package.json.tmpl"}}, source: scriptJS, abi: abiScript, install: "the engine",
		fuel: 50_000_000, memory: "32MiB", sdkDir: "javascript", sdk: []file{{"edgerelay.d.ts", "edgerelay.d.ts"}}},
	"ts": {files: []file{{scriptTS, "index.ts.tmpl"}, {"package.json", "package.json.tmpl"}, {"tsconfig.json", "tsconfig.json.tmpl"}}, source: scriptTS,
		abi: abiScript, install: "the engine", fuel: 50_000_000, memory: "32MiB", sdkDir: "javascript", sdk: []file{{"edgerelay.d.ts", "edgerelay.d.ts"}}},
}

// NeedsNPM says whether npm install comes before the first build.
func NeedsNPM(name string) bool { return languages[name].install != "" }

var abiNative, abiScript = transform.ABINative.String(), transform.ABIJavaScript.String()

// CheckLanguage explains why a plugin cannot be written in language, or returns nil.
func CheckLanguage(language string) error {
	if slices.Contains(Languages(), language) {
		return nil
	}
	return fmt.Errorf("no plugin can be written in %q: known are %s", language, strings.Join(Languages(), ", "))
}

// New writes a new plugin into the directory dir, which must not exist or be empty. The plugin has dir's name. It returns its files.
func New(dir, language, output string) ([]string, error) {
	s, ok := outputs[output]
	if !ok {
		return nil, fmt.Errorf("a new plugin cannot make %q: known are %s", output, strings.Join(Outputs(), ", "))
	}
	if err := CheckLanguage(language); err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	l := languages[language]
	s.Name, s.Language, s.For, s.Source, s.Fuel, s.Memory = filepath.Base(abs), language, output, l.source, l.fuel, l.memory
	s.ABI, s.Install, s.Sample = l.abi, l.install, l.sample
	if !ValidName(s.Name) {
		return nil, fmt.Errorf("%q is not a plugin's name: small letters, digits and -, beginning with a letter", s.Name)
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty: nothing was written", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("new plugin in %q: %w", dir, err)
	}
	files, err := s.files()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range files {
		names = append(names, f.name)
		at := filepath.Join(dir, filepath.FromSlash(f.name))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return nil, fmt.Errorf("new plugin: %w", err)
		}
		if err := os.WriteFile(at, f.text, 0o644); err != nil {
			return nil, fmt.Errorf("new plugin: %w", err)
		}
	}
	slices.Sort(names)
	return names, nil
}

type written struct {
	name string
	text []byte
}

// files are all files of the scaffold.
func (s *scaffold) files() ([]written, error) {
	var all []written
	add := func(name string, text []byte, err error) error {
		all = append(all, written{name, text})
		return err
	}
	l := languages[s.Language]
	plan := []file{{"plugin.yaml", "common/plugin.yaml.tmpl"}, {"README.md", "common/README.md.tmpl"}, {".gitignore", "common/gitignore.tmpl"}}
	for _, f := range l.files {
		plan = append(plan, file{f.to, path.Join(s.Language, f.from)})
	}
	for _, f := range plan {
		text, err := s.execute(path.Join("templates", f.from))
		if err := add(f.to, text, err); err != nil {
			return nil, err
		}
	}
	for _, f := range l.sdk {
		text, err := sdk.Files.ReadFile(path.Join(l.sdkDir, f.from))
		if err := add(f.to, text, err); err != nil {
			return nil, err
		}
	}
	for _, dir := range []file{{eventsDir, "templates/common/events"}, {testsDir, "templates/tests/" + s.For}} {
		err := fs.WalkDir(templates, dir.from, func(at string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := templates.ReadFile(at)
			return add(dir.to+strings.TrimPrefix(at, dir.from), text, err)
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (s *scaffold) execute(name string) ([]byte, error) {
	text, err := templates.ReadFile(name)
	if err != nil {
		return nil, err
	}
	t, err := template.New(name).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, s)
	return b.Bytes(), err
}
