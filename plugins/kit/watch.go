package kit

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Part says which of a plugin's files count.
type Part int

// The parts of a plugin.
const (
	PartAll    Part = iota // everything, the module included
	PartFiles              // everything but the module
	PartSource             // what a build may depend on: not the module, the sample events, the tests and the README
)

// skipped are directories that belong to tools; they may be huge.
var skipped = []string{"node_modules", "target", ".git"}

// Stamp says when a part of the plugin was changed last: a text that is another one after every change.
func (p *Package) Stamp(part Part) (string, error) {
	var b strings.Builder
	err := p.walk(func(path string, d fs.DirEntry) error {
		name, err := filepath.Rel(p.Dir, path)
		if err != nil || d.IsDir() || part != PartAll && strings.HasSuffix(path, ".wasm") {
			return err
		}
		first, _, _ := strings.Cut(filepath.ToSlash(name), "/")
		if part == PartSource && (first == eventsDir || first == testsDir || first == "README.md") {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil // gone since the directory was read
		}
		fmt.Fprintln(&b, path, info.ModTime().UnixNano(), info.Size())
		return nil
	})
	return b.String(), err
}

// walk calls fn for every file and directory of the plugin, without those of tools and of builds under way.
func (p *Package) walk(fn func(path string, d fs.DirEntry) error) error {
	return filepath.WalkDir(p.Dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case os.IsNotExist(err): // gone since the directory was read
			return nil
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(skipped, d.Name()):
			return filepath.SkipDir
		case !d.IsDir() && strings.HasPrefix(d.Name(), ".new-"):
			return nil
		}
		return fn(path, d)
	})
}

const (
	// settle is how long files must have been quiet: editors write a new file, rename it, and touch the old one.
	settle = 3 * time.Millisecond
	// pollInterval is how often files are looked at where the system cannot tell, or has not told: network file systems, too many watches.
	pollInterval = 250 * time.Millisecond
)

// Files calls fn for every file of the plugin.
func (p *Package) Files(fn func(path string)) error {
	return p.walk(func(path string, d fs.DirEntry) error {
		if !d.IsDir() {
			fn(path)
		}
		return nil
	})
}

// Watch calls fn now, whenever the part of the plugin has changed, and for everything that comes from wake (nil = nothing), until ctx
// ends. fn runs in the caller's goroutine.
func (p *Package) Watch(ctx context.Context, part Part, wake <-chan struct{}, fn func()) error {
	w, err := fsnotify.NewWatcher()
	if err == nil {
		defer w.Close()
	} else {
		w = &fsnotify.Watcher{} // its channels are nil: nothing ever comes
	}
	last := ""
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		if err == nil {
			p.watchDirectories(w)
		}
		stamp, problem := p.Stamp(part)
		if problem != nil {
			return fmt.Errorf("watch %q: %w", p.Dir, problem)
		}
		if stamp != last {
			last = stamp
			fn()
			continue // what has changed meanwhile is seen at once
		}
		select {
		case <-poll.C:
		case <-wake:
			fn()
		case <-w.Errors: // too much at once: look at everything
		case <-w.Events:
			drain(w)
		case <-ctx.Done():
			return nil
		}
	}
}

// watchDirectories watches every directory of the plugin; those that are watched already stay so. Where it cannot, polling remains.
func (p *Package) watchDirectories(w *fsnotify.Watcher) {
	_ = p.walk(func(path string, d fs.DirEntry) error {
		if d.IsDir() {
			_ = w.Add(path)
		}
		return nil
	})
}

// drain waits until nothing has happened for a moment.
func drain(w *fsnotify.Watcher) {
	timer := time.NewTimer(settle)
	defer timer.Stop()
	for {
		select {
		case <-w.Errors:
		case <-w.Events:
			timer.Reset(settle)
		case <-timer.C:
			return
		}
	}
}
