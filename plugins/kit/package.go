package kit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"edgerelay/config"
	"edgerelay/plugins"
	"edgerelay/transform"
)

// Package is a plugin as it lies on disk.
type Package struct {
	Manifest
	Dir    string // "" = not on disk
	Events []Event
	Cases  []Case

	files fs.FS  // nil for one that comes with the program
	wasm  []byte // of one that comes with the program, or was opened to be run
}

// maxFile bounds what is read of any file but the module.
const maxFile = 4 << 20

// Load reads the plugin in dir. Its module may not be built yet; Wasm says so.
func Load(dir string) (*Package, error) {
	p, err := load(os.DirFS(dir), filepath.ToSlash(dir))
	if p != nil {
		p.Dir = dir
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not a plugin: it has no %s (edgerelay plugin new NAME makes one)", dir, ManifestFile)
	}
	return p, err
}

// Embedded returns the plugin of that name that comes with the program: its manifest and its module, without events and tests.
func Embedded(name string) (*Package, bool) {
	p, ok := plugins.Get(name)
	if !ok {
		return nil, false
	}
	m, err := decodeManifest(name, p.Manifest)
	if err != nil {
		panic("BUG: embedded " + err.Error())
	}
	return &Package{Manifest: *m, wasm: p.Wasm}, true
}

// LoadFS is Load for a plugin that is not on disk; name is what messages call it.
func LoadFS(files fs.FS, name string) (*Package, error) { return load(files, name) }

func load(files fs.FS, name string) (*Package, error) {
	text, err := readFile(files, ManifestFile)
	if err != nil {
		return nil, err
	}
	m, err := decodeManifest(path.Join(name, ManifestFile), text)
	if err != nil {
		return nil, err
	}
	p := &Package{Manifest: *m, files: files}
	if err := p.loadEvents(name); err != nil {
		return nil, err
	}
	return p, p.loadCases(name)
}

// readFile reads a file of the plugin, up to maxFile.
func readFile(files fs.FS, name string) ([]byte, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is larger than %v", name, config.Size(maxFile))
	}
	return text, err
}

func (p *Package) loadEvents(name string) error {
	found, err := fs.Glob(p.files, eventsDir+"/*.json")
	if err != nil {
		return err
	}
	slices.Sort(found)
	for _, file := range found {
		text, err := readFile(p.files, file)
		if err != nil {
			return err
		}
		e, err := ParseEvent(path.Join(name, file), text)
		if err != nil {
			return err
		}
		e.Name = strings.TrimSuffix(path.Base(file), ".json")
		p.Events = append(p.Events, e)
	}
	if p.Sample != "" && p.sample() == nil {
		_, err := p.Event(p.Sample)
		return fmt.Errorf("%s: sample: %w", path.Join(name, ManifestFile), err)
	}
	return nil
}

// Event returns the sample event of that name, the file's without .json.
func (p *Package) Event(name string) (Event, error) {
	var names []string
	for _, e := range p.Events {
		if e.Name == name {
			return e, nil
		}
		names = append(names, e.Name)
	}
	return Event{}, fmt.Errorf("plugin %q has no sample event %q: it has %s", p.Name, name, strings.Join(names, ", "))
}

// Wasm reads the module.
func (p *Package) Wasm() ([]byte, error) {
	if p.wasm != nil {
		return p.wasm, nil
	}
	f, err := p.files.Open(p.Module)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("plugin %q is not built yet: there is no %s; run edgerelay plugin build%s", p.Name, p.Module, p.argument())
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readModule(f, p.Module)
}

// argument is how a command line names the plugin: nothing for the current directory.
func (p *Package) argument() string {
	if p.Dir == "" || p.Dir == "." {
		return ""
	}
	return " " + p.Dir
}

// readModule stops at the size that no module may have.
func readModule(r io.Reader, name string) ([]byte, error) {
	wasm, err := io.ReadAll(io.LimitReader(r, transform.MaxModule+1))
	if err != nil {
		return nil, fmt.Errorf("read module %q: %w", name, err)
	}
	return wasm, nil
}
