package transform

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"edgerelay/transform/jspack"
)

// The JavaScript engine is not in this repository. It is fetched once, with npm, and kept in the user's cache.
var fetchEngine = sync.OnceValues(func() ([]byte, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	kept := filepath.Join(cache, "edgerelay-test", "quickjs-"+jspack.EngineSHA256+".wasm")
	if b, err := os.ReadFile(kept); err == nil && sum(b) == jspack.EngineSHA256 {
		return b, nil
	}
	if _, err := exec.LookPath("npm"); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "engine")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for _, args := range [][]string{{"npm", "pack", "--silent", jspack.EnginePackage + "@" + jspack.EngineVersion},
		{"tar", "xzf", jspack.EnginePackage + "-" + jspack.EngineVersion + ".tgz"}} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		if err := cmd.Run(); err != nil {
			return nil, err
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "package", "quickjs.wasm"))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		return nil, err
	}
	return b, os.WriteFile(kept, b, 0o644)
})

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// jsEngine returns the engine. Where there is npm but no engine, in continuous integration, that is a failure.
func jsEngine(t testing.TB) []byte {
	t.Helper()
	b, err := fetchEngine()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("NOT TESTED, npm is needed for the JavaScript engine")
	}
	if err != nil {
		unavailable(t, "npm package %s: %v", jspack.EnginePackage, err)
	}
	if sum(b) != jspack.EngineSHA256 {
		t.Fatalf("the engine has the hash %s, want %s", sum(b), jspack.EngineSHA256)
	}
	return b
}

// packFiles packs the first of the files, which lie in one directory.
func packFiles(t testing.TB, files ...string) []byte {
	t.Helper()
	engine, dir := jsEngine(t), t.TempDir()
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	wasm, err := jspack.Pack(engine, filepath.Join(dir, files[0]))
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}
