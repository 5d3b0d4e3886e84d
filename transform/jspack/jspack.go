// Package jspack makes a transform of a JavaScript or TypeScript file: one .wasm file that holds the engine, unchanged, and the script in a
// custom section at its end. What the author imports is bundled; a plain JavaScript file stays as it is written, so that every message
// names its lines.
//
// The engine is quickjs.wasm of the npm package quickjs-wasi. It is not part of this repository: the author's project installs it.
//
// Called by the commands for plugins. No goroutines of its own; imports nothing of ours but meter, and is the only owner of esbuild.
package jspack

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"

	"edgerelay/transform/meter"
)

// The engine that the tests run with. Others of the same package work as long as they export the same functions.
const (
	EnginePackage = "quickjs-wasi"
	EngineVersion = "3.6.2"
	EngineSHA256  = "d4c9375f2b1ca4dc95f72c8aa2982a7a9951ac8011490d79c6582df732b4bbd9"
	EnginePath    = "node_modules/quickjs-wasi/quickjs.wasm"
)

// section is where package transform looks for the script.
const section = "edgerelay.javascript"

// script is the content of the section; the names are those of package transform.
type script struct {
	File string          `json:"file"`
	Kind string          `json:"kind"` // module: it exports; script: its functions are global
	Code string          `json:"code"`
	Map  json.RawMessage `json:"map,omitempty"`
}

// Error is a mistake in a source file. Line and Col are counted from 1, 0 when unknown.
type Error struct {
	File      string
	Line, Col int
	Text      string
}

// Errors is one or several, one per line.
type Errors []Error

func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Text
		if e.Line > 0 {
			lines[i] = fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Text)
		} else if e.File != "" {
			lines[i] = e.File + ": " + e.Text
		}
	}
	return strings.Join(lines, "\n")
}

// FindEngine looks for the engine where npm installs it: in dir or a directory above it.
func FindEngine(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the JavaScript engine: %w", err)
	}
	for at := dir; ; at = filepath.Dir(at) {
		path := filepath.Join(at, filepath.FromSlash(EnginePath))
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("find the JavaScript engine: there is no %s in %s or above it; run: npm install %s@%s", EnginePath, dir, EnginePackage, EngineVersion)
		}
	}
}

// Pack returns the transform that is made of an engine and the script in file, with all that the script imports. A mistake in the script
// is returned as Errors. The same content gives the same bytes.
func Pack(engine []byte, file string) ([]byte, error) {
	if _, err := meter.Decode(engine); err != nil {
		return nil, fmt.Errorf("pack %q: the engine: %w", file, err)
	}
	s, err := compile(file)
	if err != nil {
		return nil, err
	}
	content, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("pack %q: %w", file, err)
	}
	return meter.AppendCustom(append([]byte(nil), engine...), section, content), nil
}

// bundled is what esbuild says of a bundle.
type bundled struct {
	Inputs  map[string]struct{ Format string }
	Outputs map[string]struct{ Exports []string }
}

func compile(file string) (*script, error) {
	source, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, fmt.Errorf("pack %q: %w", file, err)
	}
	name := filepath.Base(file)
	result := api.Build(api.BuildOptions{
		EntryPoints: []string{"./" + name}, AbsWorkingDir: dir, Outfile: "edgerelay-transform.js", Bundle: true, Metafile: true,
		Format: api.FormatESModule, Platform: api.PlatformNeutral, MainFields: []string{"module", "main"}, Target: api.ES2023,
		Charset: api.CharsetUTF8, Sourcemap: api.SourceMapExternal, SourcesContent: api.SourcesContentExclude, LogLevel: api.LogLevelSilent,
	})
	if len(result.Errors) > 0 {
		return nil, errorsOf(result.Errors)
	}
	var about bundled
	if err := json.Unmarshal([]byte(result.Metafile), &about); err != nil {
		return nil, fmt.Errorf("pack %q: %w", file, err)
	}
	exports, format := 0, ""
	for _, o := range about.Outputs {
		exports += len(o.Exports)
	}
	for _, in := range about.Inputs {
		format = in.Format
	}
	alone := len(about.Inputs) == 1 && format != "cjs"
	plain := strings.HasSuffix(name, ".js") || strings.HasSuffix(name, ".mjs")
	switch {
	case alone && plain && exports > 0:
		return &script{File: name, Kind: "module", Code: string(source)}, nil
	case alone && plain:
		return &script{File: name, Kind: "script", Code: string(source)}, nil
	case alone && exports == 0:
		return global(name, source)
	}
	s := &script{File: name, Kind: "module"}
	for _, f := range result.OutputFiles {
		if strings.HasSuffix(f.Path, ".map") {
			s.Map = compact(f.Contents)
		} else {
			s.Code = string(f.Contents)
		}
	}
	return s, nil
}

// global translates a file that exports nothing: its functions stay global, where a bundle would throw them away.
func global(name string, source []byte) (*script, error) {
	result := api.Transform(string(source), api.TransformOptions{Loader: loader(name), Sourcefile: name, Target: api.ES2023, Charset: api.CharsetUTF8,
		Sourcemap: api.SourceMapExternal, SourcesContent: api.SourcesContentExclude, LogLevel: api.LogLevelSilent})
	if len(result.Errors) > 0 {
		return nil, errorsOf(result.Errors)
	}
	return &script{File: name, Kind: "script", Code: string(result.Code), Map: compact(result.Map)}, nil
}

func loader(name string) api.Loader {
	switch filepath.Ext(name) {
	case ".ts", ".mts", ".cts":
		return api.LoaderTS
	case ".tsx":
		return api.LoaderTSX
	case ".jsx":
		return api.LoaderJSX
	}
	return api.LoaderJS
}

// compact drops what is not needed to find positions.
func compact(raw []byte) json.RawMessage {
	var m struct {
		Version  int      `json:"version"`
		Sources  []string `json:"sources"`
		Mappings string   `json:"mappings"`
	}
	if json.Unmarshal(raw, &m) != nil {
		return nil
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil
	}
	return b
}

func errorsOf(ms []api.Message) error {
	var es Errors
	for _, m := range ms {
		e := Error{Text: m.Text}
		if l := m.Location; l != nil {
			e.File, e.Line, e.Col = l.File, l.Line, l.Column+1
		}
		es = append(es, e)
	}
	return es
}
