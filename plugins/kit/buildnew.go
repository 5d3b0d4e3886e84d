package kit

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"edgerelay/transform/jspack"
)

// BuildNew builds what New writes for a language, in a directory that is gone afterwards, and returns the module. A script finds its
// engine where npm has installed it: in the current directory or above it. A toolchain that is not there is a *MissingTool.
func (h *Host) BuildNew(ctx context.Context, language string) (wasm []byte, err error) {
	dir, err := os.MkdirTemp("", "plugin")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	dir = filepath.Join(dir, "bench")
	if _, err := New(dir, language, "slack"); err != nil {
		return nil, err
	}
	if languages[language].abi == abiScript {
		if err := lendEngine(dir); err != nil {
			return nil, err
		}
	}
	p, err := Load(dir)
	if err != nil {
		return nil, err
	}
	if _, err := h.Build(ctx, p, io.Discard); err != nil {
		return nil, err
	}
	return p.Wasm()
}

// lendEngine puts the engine of the current directory's project into the plugin.
func lendEngine(dir string) error {
	found, err := jspack.FindEngine(".")
	if err != nil {
		return &MissingTool{"the JavaScript engine", "npm install " + jspack.EnginePackage + "@" + jspack.EngineVersion}
	}
	engine, err := os.ReadFile(found)
	if err != nil {
		return err
	}
	to := filepath.Join(dir, filepath.FromSlash(jspack.EnginePath))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, engine, 0o644)
}
