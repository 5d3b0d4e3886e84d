package kit

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgerelay/plugins"
)

func TestMissingTools(t *testing.T) {
	h := newHost(t)
	t.Setenv("PATH", t.TempDir())
	for language, want := range map[string]string{"go": "https://go.dev/dl/", "c": "apt-get install clang lld", "assemblyscript": "apt-get install nodejs npm",
		"rust": "https://rustup.rs", "js": "npm install", "ts": "npm install"} {
		dir := filepath.Join(t.TempDir(), "a")
		if _, err := New(dir, language, "slack"); err != nil {
			t.Fatal(err)
		}
		p, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		var missing *MissingTool
		if _, err := h.Build(t.Context(), p, nil); !errors.As(err, &missing) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", language, err, want)
		}
	}
}

func TestBuildNeedsALanguage(t *testing.T) {
	p, err := Load(onDisk(t, counter, "", nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newHost(t).Build(t.Context(), p, nil); err == nil || !strings.Contains(err.Error(), "names no language") {
		t.Errorf("got %v", err)
	}
}

// TestFailedBuildKeepsTheModule: whatever goes wrong, what worked stays.
func TestFailedBuildKeepsTheModule(t *testing.T) {
	if _, _, ok := clangs(); !ok {
		t.Skip("skipped: no clang with wasm-ld; apt-get install clang lld")
	}
	h := newHost(t)
	for _, c := range []struct{ name, source, want, log string }{
		{"an error", "int x = ;", ": exit status 1", "expected expression"},
		{"nothing exported", "int x;", "the relay would refuse the module: it does not export the function transform", ""},
		{"an unknown import", "#include \"edgerelay.h\"\n__attribute__((import_module(\"edgerelay_v1\"), import_name(\"fly\"))) int fly(void);\n" +
			"ER_EXPORT(transform) int transform(void) { return fly(); }", "imports edgerelay_v1.fly, which does not exist", ""},
		{"too much memory", "#include \"edgerelay.h\"\nchar x[8 << 20];\nER_EXPORT(transform) int transform(void) { x[5] = 1; er_put((er_str){x, 9}); return er_send(); }",
			"begins with 8454144 bytes of memory", ""},
	} {
		dir := filepath.Join(t.TempDir(), "a")
		if _, err := New(dir, "c", "slack"); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string][]byte{"plugin.c": []byte(c.source), "plugin.wasm": plugins.Mask} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		p, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		if _, err := h.Build(t.Context(), p, &log); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(log.String(), c.log) {
			t.Errorf("%s: got %v, want %s; the compiler says %s", c.name, err, c.want, &log)
		}
		if kept, err := p.Wasm(); err != nil || !bytes.Equal(kept, plugins.Mask) {
			t.Errorf("%s: the old module is gone: %v", c.name, err)
		}
		if left, err := filepath.Glob(filepath.Join(dir, ".new-*")); err != nil || left != nil {
			t.Errorf("%s: left behind: %v", c.name, left)
		}
	}
}

func TestStamp(t *testing.T) {
	dir := onDisk(t, counter, "", map[string]string{"src/a.c": "1", "node_modules/b": "1"})
	p, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	stamp := func(built bool) string {
		t.Helper()
		s, err := p.Stamp(map[bool]Part{false: PartFiles, true: PartAll}[built])
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, c := range []struct {
		file            string
		sources, module bool // whose stamp changes
	}{{"src/a.c", true, true}, {"plugin.wasm", false, true}, {"node_modules/b", false, false}} {
		sources, module := stamp(false), stamp(true)
		later := time.Now().Add(time.Hour)
		if err := os.Chtimes(filepath.Join(dir, c.file), later, later); err != nil {
			t.Fatal(err)
		}
		if (stamp(false) != sources) != c.sources || (stamp(true) != module) != c.module {
			t.Errorf("%s: the wrong stamp changed", c.file)
		}
	}
}
