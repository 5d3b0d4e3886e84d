package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// Load reads the files, one after the other, into one config, and checks it. Each file may carry any section: lists of several files
// are joined, and a value that two files set is a mistake. A directory stands for its *.yaml and *.yml files in the order of their
// names. Without paths it returns the defaults. The error is a Problems with every mistake in it.
func Load(paths ...string) (*Config, error) {
	var sources []source
	r := &report{}
	for _, path := range paths {
		found, err := read(path)
		if err != nil {
			r.add(Problem{File: path, Message: reason(err)})
		}
		sources = append(sources, found...)
	}
	return load(sources, r)
}

// Parse is Load for one text that is in memory; name is what mistakes call it, and relative file names count from its directory.
func Parse(name string, text []byte) (*Config, error) {
	return load([]source{{name, text}}, &report{})
}

// source is a file that has been read.
type source struct {
	name string
	text []byte
}

func load(sources []source, r *report) (*Config, error) {
	c := Default()
	c.index = &index{places: map[string]place{}}
	for _, s := range sources {
		f := &file{name: s.name, dir: directory(s.name), lines: strings.Split(string(s.text), "\n")}
		c.index.files = append(c.index.files, f)
		if len(bytes.TrimSpace(s.text)) == 0 {
			c.blank = append(c.blank, s.name)
		}
		root, problem := parse(s.name, s.text)
		if problem != nil {
			r.add(*problem)
			continue
		}
		if root == nil || isNull(root) {
			continue
		}
		d := &decoder{file: f, index: c.index, report: r}
		d.mapping("", target(root), reflect.ValueOf(c).Elem())
	}
	c.report = r
	c.settle()
	c.check()
	c.report = nil
	if err := r.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// directory returns the absolute directory of a file.
func directory(name string) string {
	if abs, err := filepath.Abs(name); err == nil {
		return filepath.Dir(abs)
	}
	return filepath.Dir(name) // there is no working directory any more: relative names stay relative
}

// read returns the file at path, or the files of the directory at path.
func read(path string) ([]source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		text, err := readFile(path)
		return []source{{path, text}}, err
	}
	var names []string
	for _, pattern := range []string{"*.yaml", "*.yml"} {
		found, err := fs.Glob(os.DirFS(path), pattern)
		if err != nil {
			return nil, err
		}
		names = append(names, found...)
	}
	if len(names) == 0 {
		return nil, errors.New("the directory holds no *.yaml or *.yml file")
	}
	slices.Sort(names)
	var all []source
	for _, name := range names {
		text, err := readFile(filepath.Join(path, name))
		if err != nil {
			return nil, err
		}
		all = append(all, source{filepath.Join(path, name), text})
	}
	return all, nil
}

// readFile reads one byte more than is allowed, so that parse can tell a file that is too large.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFileSize+1))
}

// reason drops the file's name, which the problem has already.
func reason(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err
	}
	return fmt.Sprintf("cannot be read: %v", err)
}

// Resolve makes a file name absolute that stands at path: relative to the file that path, or its nearest parent, is written in. The
// file names of a loaded tree are absolute already, and Resolve leaves them alone.
func (c *Config) Resolve(path, name string) string {
	if p, _, ok := c.index.nearest(path); ok {
		return absolute(name, p.file.dir)
	}
	return name
}

// settle gives every webhook what it inherits.
func (c *Config) settle() {
	c.settleRetry("retry", &c.Retry, Default().Retry)
	if len(c.Tenants) > 0 {
		c.defaultTenant = ""
		if len(c.Tenants) == 1 {
			c.defaultTenant = c.Tenants[0].ID
		}
	}
	for i := range c.Webhooks {
		c.settleWebhook(i)
	}
}

// settleWebhook gives a webhook what it inherits.
func (c *Config) settleWebhook(i int) {
	w := &c.Webhooks[i]
	path := fmt.Sprintf("webhooks[%d]", i)
	c.settleRetry(path+".retry", &w.Retry, c.Retry)
	if !c.index.has(path + ".timeout") {
		w.Timeout = c.Sender.Timeout
	}
	if w.Tenant == "" {
		w.Tenant = c.defaultTenant
	}
	w.Secret = slices.DeleteFunc(w.Secret, func(s Secret) bool { return s == "" }) // a ${OLD:-} that is not set
}

// BlankFiles lists the files in which there is nothing at all. At a start that is as good as no file. Later it is more likely a file that somebody is just writing, and
// whoever loads again should not take it for the wish to have no webhooks any more.
func (c *Config) BlankFiles() Problems {
	var all Problems
	for _, name := range c.blank {
		all = append(all, Problem{File: name, Message: "is empty: is it just being written? Write a file under another name and rename it; to mean an empty one, write version: 1"})
	}
	return all
}

// DefaultTenant is the tenant of whatever names none: the only declared one, or "default" when none is declared. It is empty when
// several are declared, because then everything must name its own.
func (c *Config) DefaultTenant() string { return c.defaultTenant }

// fault reports a mistake at path while loading.
func (c *Config) fault(path, format string, args ...any) {
	c.report.add(c.Problem(path, fmt.Sprintf(format, args...)))
}
