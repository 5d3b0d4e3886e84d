package kit

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func newHost(t testing.TB) *Host {
	t.Helper()
	ctx := context.Background()
	h, err := NewHost(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return h
}

// toolchain prepares the machine and the plugin for a language, or skips the test and says why.
func toolchain(t *testing.T, language, dir string) {
	t.Helper()
	switch language {
	case "go": // whoever runs this test has it
	case "c":
		if _, _, ok := clangs(); !ok {
			t.Skip("skipped: no clang with wasm-ld; apt-get install clang lld")
		}
	case "assemblyscript", "js", "ts":
		if err := os.Symlink(npmInstall(t, language), filepath.Join(dir, "node_modules")); err != nil {
			t.Fatal(err)
		}
	case "rust":
		if err := exec.Command("/usr/bin/rustc", "--print", "target-libdir", "--target", rustTarget).Run(); err == nil {
			t.Setenv("PATH", "/usr/bin"+string(os.PathListSeparator)+os.Getenv("PATH")) // Debian's, which has the target, before another
		}
		var missing *MissingTool
		if _, err := commandRust(t.Context(), dir, ""); errors.As(err, &missing) {
			t.Skipf("skipped: %v", err)
		}
	}
}

// installed is what npm has installed for all tests, by the package.json.
var installed = map[string]string{}

// npmInstall installs what a new plugin in the language needs, and returns its node_modules.
func npmInstall(t *testing.T, language string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped: -short, and what it needs comes from the npm registry")
	}
	tool, ok := look("npm")
	if !ok {
		t.Skip("skipped: no npm; apt-get install nodejs npm")
	}
	text, err := templates.ReadFile("templates/" + language + "/package.json.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	if dir := installed[string(text)]; dir != "" {
		return dir
	}
	dir, err := os.MkdirTemp("", "npm")
	if err != nil {
		t.Fatal(err)
	}
	cleanups = append(cleanups, dir)
	if err := os.WriteFile(filepath.Join(dir, "package.json"), bytes.ReplaceAll(text, []byte("{{.Name}}"), []byte("test")), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool, "install", "--prefer-offline", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("skipped: npm install failed (is there a network?): %s", out)
	}
	installed[string(text)] = filepath.Join(dir, "node_modules")
	return installed[string(text)]
}

var cleanups []string

func TestMain(m *testing.M) {
	code := m.Run()
	for _, dir := range cleanups {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// TestScaffolds: what plugin new writes can be built and passes its own tests, in every language and for every output. The tests are the
// same files for all languages.
func TestScaffolds(t *testing.T) {
	h := newHost(t)
	for _, language := range Languages() {
		t.Run(language, func(t *testing.T) {
			for _, output := range Outputs() {
				t.Run(output, func(t *testing.T) {
					if testing.Short() && output != "slack" {
						t.Skip("skipped: -short")
					}
					buildAndTest(t, h, language, output)
				})
			}
		})
	}
}

func buildAndTest(t *testing.T, h *Host, language, output string) {
	dir := filepath.Join(t.TempDir(), "my-orders")
	if _, err := New(dir, language, output); err != nil {
		t.Fatal(err)
	}
	toolchain(t, language, dir)
	p, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Test(t.Context(), p, TestOptions{}); err == nil || !strings.Contains(err.Error(), "is not built yet") {
		t.Errorf("tested without a module: %v", err)
	}
	var log bytes.Buffer
	built, err := h.Build(t.Context(), p, &log)
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	if log.Len() > 0 {
		t.Errorf("the compiler says %s", &log)
	}
	r, err := h.Test(t.Context(), p, TestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed > 0 || r.Passed != 6 {
		t.Errorf("%d passed, %d failed", r.Passed, r.Failed)
	}
	most := int64(0)
	for _, c := range r.Cases {
		if !c.Passed {
			t.Errorf("%s: %s\n%s", c.Name, strings.Join(c.Problems, "\n"), c.Diff)
		}
		most = max(most, c.Outcome.Fuel)
	}
	if most > int64(p.Limits.Fuel)/2 {
		t.Errorf("the dearest test takes %d of %d fuel", most, p.Limits.Fuel)
	}
	wasm, err := p.Wasm()
	if err != nil {
		t.Fatal(err)
	}
	i := h.Inspect(t.Context(), wasm)
	want := map[string]string{"go": "Go", "c": "C", "assemblyscript": "AssemblyScript", "rust": "Rust", "js": "JavaScript", "ts": "JavaScript"}[language]
	if !i.Accepted || i.ABI != p.ABI || !strings.HasPrefix(i.Language, want) {
		t.Errorf("inspect: accepted %v %s, ABI %s, language %q (%s)", i.Accepted, i.Refusal, i.ABI, i.Language, i.Tools)
	}
	t.Logf("%d bytes, at most %d fuel, %.1f s to build, %s (%s)", built.Bytes, most, built.Seconds, i.Language, i.Tools)
}

func TestNewRefuses(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, dir, language, output, want string }{
		{"an unknown language", "a", "cobol", "slack", "known are go, js, ts, c, rust, assemblyscript"},
		{"an unknown output", "a", "go", "fax", "known are slack, xml, form"},
		{"a bad name", "My Plugin", "go", "slack", "is not a plugin's name"},
		{"a directory that is in use", full, "go", "slack", "is not"},
	} {
		dir := c.dir
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(t.TempDir(), dir)
		}
		if _, err := New(dir, c.language, c.output); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// TestGoScaffoldOnThisSystem: the SDK must not keep a plugin from being compiled, and tested by its author, without a relay.
func TestGoScaffoldOnThisSystem(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "my-orders")
	if _, err := New(dir, "go", "slack"); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "vet", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", runtime.GOOS, err, out)
	}
}

func TestTemplatesAreComplete(t *testing.T) {
	for _, language := range Languages() {
		for _, output := range Outputs() {
			s := outputs[output]
			s.Name, s.Language, s.For = "x", language, output
			files, err := s.files()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				if bytes.Contains(f.text, []byte("<no value>")) || len(f.text) == 0 {
					t.Errorf("%s for %s: %s: %s", language, output, f.name, f.text)
				}
			}
		}
	}
}
