package kit

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"edgerelay/config"
	"edgerelay/transform"
)

// Case is a golden test: one directory below tests/.
type Case struct {
	Name   string
	Event  Event
	Config []byte // JSON; nil = {}
	Body   []byte // what is expected of the body
	Format Format // of Body; "" = none is expected to be written
	Expect Expect
}

// Expect is expect.yaml: what is expected besides the body. What it does not list must not happen; only reason, log and max_fuel are looked
// at when they are there and left alone when they are not.
type Expect struct {
	Event       string         `yaml:"event"` // a sample event to use, in place of an event.json of its own
	Action      string         `yaml:"action" jsonschema:"enum=send,enum=drop,enum=fail,enum=retry,enum=error"`
	Error       string         `yaml:"error"` // its kind, for action error; "config" = the configuration is refused
	Reason      string         `yaml:"reason"`
	ContentType string         `yaml:"content_type"`
	Method      string         `yaml:"method"`
	Path        string         `yaml:"path"`
	Headers     config.Headers `yaml:"headers"`
	Query       config.Headers `yaml:"query"`
	Log         []string       `yaml:"log"` // texts that its log must contain
	MaxFuel     int            `yaml:"max_fuel" jsonschema:"minimum=1"`
}

// ErrorConfig is the error of an outcome whose plugin was not started: its schema, or the plugin itself, refuses the configuration.
const ErrorConfig = "config"

const (
	testsDir   = "tests"
	eventsDir  = "events"
	eventFile  = "event.json"
	configFile = "config.json"
	expectFile = "expect.yaml"
)

func (p *Package) loadCases(name string) error {
	entries, err := fs.ReadDir(p.files, testsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		c, err := p.loadCase(name, e.Name())
		if err != nil {
			return err
		}
		p.Cases = append(p.Cases, c)
	}
	return nil
}

func (p *Package) loadCase(plugin, name string) (Case, error) {
	c := Case{Name: name, Expect: Expect{Action: transform.Send.String()}}
	dir := path.Join(testsDir, name)
	shown := path.Join(plugin, dir) // in messages
	text, err := optional(p.files, path.Join(dir, expectFile))
	if err != nil {
		return c, err
	}
	if text != nil {
		if err := c.Expect.decode(path.Join(shown, expectFile), text); err != nil {
			return c, err
		}
	}
	if c.Config, err = optional(p.files, path.Join(dir, configFile)); err != nil {
		return c, err
	}
	if err := p.loadCaseEvent(&c, dir, shown); err != nil {
		return c, err
	}
	for _, f := range formats {
		body, err := optional(p.files, path.Join(dir, f.file()))
		if err != nil {
			return c, err
		}
		if body == nil {
			continue
		}
		if c.Format != "" {
			return c, fmt.Errorf("%s: has both %s and %s: keep one", shown, c.Format.file(), f.file())
		}
		c.Format, c.Body = f, body
	}
	return c, nil
}

// file is the name of the file that holds an expected body of the format.
func (f Format) file() string { return "expected." + string(f) }

func (p *Package) loadCaseEvent(c *Case, dir, shown string) (err error) {
	if c.Expect.Event != "" {
		if c.Event, err = p.Event(c.Expect.Event); err != nil {
			return fmt.Errorf("%s/%s: %w", shown, expectFile, err)
		}
		return nil
	}
	text, err := optional(p.files, path.Join(dir, eventFile))
	if err != nil {
		return err
	}
	if text == nil {
		return fmt.Errorf("%s: has no %s, and no %s that names a sample event (event: NAME)", shown, eventFile, expectFile)
	}
	c.Event, err = ParseEvent(path.Join(shown, eventFile), text)
	return err
}

// optional reads a file that need not be there; then it returns nil.
func optional(files fs.FS, name string) ([]byte, error) {
	text, err := readFile(files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && text == nil {
		text = []byte{}
	}
	return text, err
}

// decode reads expect.yaml; name is what mistakes call it.
func (x *Expect) decode(name string, text []byte) error {
	at, err := config.DecodeManifest(name, text, x)
	if err != nil {
		return err
	}
	if x.Error == "" {
		return nil
	}
	known := []string{ErrorConfig}
	for _, k := range transform.Kinds() {
		known = append(known, k.String())
	}
	if !slices.Contains(known, x.Error) {
		return config.Problems{at.Problem("error", fmt.Sprintf("%q is no kind of error: known are %s", x.Error, strings.Join(known, ", ")))}
	}
	x.Action = ActionError
	return nil
}
