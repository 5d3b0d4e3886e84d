package plugins_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"edgerelay/plugins"
)

// TestBuild builds every module again and compares: what is committed is what its source says, and nothing else.
func TestBuild(t *testing.T) {
	if version, err := exec.Command("clang-19", "--version").Output(); err != nil || !bytes.Contains(version, []byte("version 19.1.7")) {
		t.Skip("NOT CHECKED: whether the committed modules are those of their sources. It needs clang and lld 19.1.7: " +
			"apt-get install --no-install-recommends clang-19 lld-19")
	}
	dir := t.TempDir()
	if out, err := exec.Command("./build.sh", "-o", dir).CombinedOutput(); err != nil {
		t.Fatalf("build.sh: %v\n%s", err, out)
	}
	built, err := filepath.Glob(filepath.Join(dir, "*.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	if want := len(plugins.List()) + 2; len(built) != want {
		t.Errorf("build.sh makes %d modules, want %d: the plugins, mask of the demo, and the probe", len(built), want)
	}
	for _, name := range built {
		base := filepath.Base(name)
		committed := filepath.Join(strings.TrimSuffix(base, ".wasm"), base)
		if base == "probe.wasm" {
			committed = filepath.Join("internal", "probe", base)
		}
		if !bytes.Equal(read(t, name), read(t, committed)) {
			t.Errorf("%s is not what its source builds: run plugins/build.sh and commit it", committed)
		}
	}
}

// TestSize: small modules are compiled at every start, and all of them are in the program.
func TestSize(t *testing.T) {
	for _, p := range plugins.List() {
		if len(p.Wasm) > 32<<10 {
			t.Errorf("%s has %d bytes, more than 32 KiB", p.Name, len(p.Wasm))
		}
	}
}

// TestFiles: every plugin comes with its source, its documentation and its tests.
func TestFiles(t *testing.T) {
	for _, p := range plugins.List() {
		for _, name := range []string{p.Name + ".c", "plugin.yaml", "README.md", "tests"} {
			if _, err := os.Stat(filepath.Join(p.Name, name)); err != nil {
				t.Error(err)
			}
		}
		if p.Version == "" || p.Description == "" || p.ABI != "edgerelay_v1" || p.Isolation != "event" || p.Limits.Fuel == 0 {
			t.Errorf("%s: its manifest lacks something: %+v", p.Name, p.Limits)
		}
	}
}
