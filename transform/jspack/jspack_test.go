package jspack

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgerelay/transform/meter"
)

// engine is the smallest module there is: what is packed does not depend on it.
var engine = []byte("\x00asm\x01\x00\x00\x00")

// write makes a directory of files, and returns the path of the first.
func write(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, filepath.FromSlash(files[i]))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, filepath.FromSlash(files[0]))
}

func TestPack(t *testing.T) {
	const code = "// a comment\nexport default (e) => e\n"
	for _, c := range []struct {
		name     string
		files    []string
		kind     string
		verbatim bool
		mapped   bool
		part     string
	}{
		{"a module", []string{"t.js", code}, "module", true, false, "a comment"},
		{"a script", []string{"t.mjs", "function handler(w) { return w }"}, "script", true, false, "handler"},
		{"two files", []string{"t.js", "import {f} from './f.js'\nexport default f", "f.js", "export const f = () => 1"}, "module", false, true, "export"},
		{"TypeScript", []string{"t.ts", "export default (e: string): string => e"}, "module", false, true, "export"},
		{"TypeScript that exports nothing", []string{"t.ts", "function handler(w: object) { return w }"}, "script", false, true, "function handler(w)"},
		{"CommonJS", []string{"t.js", "module.exports = (e) => e"}, "module", false, true, "export default"},
		{"a package", []string{"t.js", "import x from 'pkg'\nexport default () => x", "node_modules/pkg/package.json", `{"main":"m.js"}`,
			"node_modules/pkg/m.js", "module.exports = 'from the package'"}, "module", false, true, "from the package"},
		{"JSON", []string{"t.js", "import x from './x.json'\nexport default () => x", "x.json", `{"a":"from the file"}`}, "module", false, true, "from the file"},
	} {
		path := write(t, c.files...)
		wasm, err := Pack(engine, path)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		at, content, ok := meter.LastCustom(wasm, section)
		var s script
		if !ok || !bytes.Equal(wasm[:at], engine) || json.Unmarshal(content, &s) != nil {
			t.Fatalf("%s: %q", c.name, wasm)
		}
		if s.Kind != c.kind || s.File != filepath.Base(path) || (s.Code == c.files[1]) != c.verbatim || (len(s.Map) > 0) != c.mapped || !strings.Contains(s.Code, c.part) {
			t.Errorf("%s: %+v", c.name, s)
		}
		if again, err := Pack(engine, path); err != nil || !bytes.Equal(again, wasm) {
			t.Errorf("%s: packed twice, two results (%v)", c.name, err)
		}
		if strings.Contains(string(content), filepath.Dir(path)) {
			t.Errorf("%s: it names a directory of this machine", c.name)
		}
	}
}

func TestPackErrors(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{"export default (e) => {\n  return e +;\n}", "t.js:2:13: Unexpected \";\""},
		{"import x from './nothing'\nexport default x", "t.js:1:15: Could not resolve \"./nothing\""},
		{"import fs from 'node:fs'\nexport default fs", "t.js:1:16: Could not resolve \"node:fs\""},
	} {
		_, err := Pack(engine, write(t, "t.js", c.source))
		var es Errors
		if !errors.As(err, &es) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	if _, err := Pack(engine, filepath.Join(t.TempDir(), "none.js")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := Pack([]byte("text"), write(t, "t.js", "export default 1")); err == nil {
		t.Error("an engine that is none")
	}
}

func TestFindEngine(t *testing.T) {
	path := write(t, EnginePath, "x")
	below := filepath.Join(filepath.Dir(filepath.Dir(filepath.Dir(path))), "src", "deep")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if found, err := FindEngine(below); err != nil || found != path {
		t.Errorf("%q %v", found, err)
	}
	if _, err := FindEngine(t.TempDir()); err == nil || !strings.Contains(err.Error(), "npm install quickjs-wasi@"+EngineVersion) {
		t.Errorf("%v", err)
	}
}
