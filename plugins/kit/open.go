package kit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"edgerelay/transform"
)

// Open finds what a webhook's wasm names: the directory of a plugin, its module beside its manifest, or a module that has no manifest. Of a
// plugin it reads what running it takes: the manifest, the module and the sample event, not the tests.
func Open(path string) (*Package, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		p, err := openPlugin(path)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s is a directory without a %s: name a module's file, or the directory of a plugin", path, ManifestFile)
		}
		return p, err
	}
	dir := filepath.Dir(path)
	switch p, err := openPlugin(dir); {
	case err == nil && filepath.Base(path) == filepath.FromSlash(p.Module):
		return p, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	wasm, err := readModule(f, path)
	if err != nil {
		return nil, err
	}
	return &Package{Manifest: Manifest{Name: filepath.Base(path)}, wasm: wasm}, nil
}

// openPlugin reads the manifest and the sample event of the plugin in dir, and its module.
func openPlugin(dir string) (*Package, error) {
	files := os.DirFS(dir)
	text, err := readFile(files, ManifestFile)
	if err != nil {
		return nil, err
	}
	m, err := decodeManifest(filepath.ToSlash(filepath.Join(dir, ManifestFile)), text)
	if err != nil {
		return nil, err
	}
	p := &Package{Manifest: *m, Dir: dir, files: files}
	if err := p.loadEvents(filepath.ToSlash(dir)); err != nil {
		return nil, err
	}
	if p.wasm, err = p.Wasm(); err != nil {
		return nil, errors.New(err.Error()) // not a missing manifest
	}
	return p, nil
}

// Bare reports whether it is a module without a manifest: nothing is known of its limits and its configuration.
func (p *Package) Bare() bool { return p.Version == "" }

// PoolConfig is how the plugin asks to be run. Whether it gets the isolation and the limits is for the caller to say.
func (p *Package) PoolConfig() transform.PoolConfig {
	c := p.poolConfig()
	if e := p.sample(); e != nil {
		c.Sample, c.SampleMeta = e.Envelope, e.Meta
	}
	return c
}

// sample is the event that every instance sees first; nil = none. It is the manifest's to say: a module that has never seen a second event
// in the same memory may not be made for it.
func (p *Package) sample() *Event {
	for i := range p.Events {
		if p.Sample != "" && p.Events[i].Name == p.Sample {
			return &p.Events[i]
		}
	}
	return nil
}
