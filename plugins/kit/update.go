package kit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"edgerelay/config"
	"edgerelay/transform"
)

// update makes the outcome the expectation of a case and writes the files that differ. It returns their names. What was expected of the
// log and of the fuel stays: these are promises, and not what happened to come out.
func (p *Package) update(c *Case, o *Outcome) (written []string, err error) {
	if p.Dir == "" {
		return nil, fmt.Errorf("plugin %q is not on disk, nothing can be updated", p.Name)
	}
	before := CaseResult{Outcome: o}
	c.check(&before)
	if len(before.Problems) == 0 {
		return nil, nil
	}
	write := func(name string, text []byte) error {
		if err := os.WriteFile(filepath.Join(p.Dir, testsDir, c.Name, name), text, 0o644); err != nil {
			return fmt.Errorf("update %q: %w", c.Name, err)
		}
		written = append(written, name)
		return nil
	}
	switch {
	case o.Written:
		if c.Format == "" {
			c.Format = formatOf(o.ContentType, o.Body)
		}
		if body := c.newBody(o); !bytes.Equal(body, c.Body) {
			c.Body = body
			if err := write(c.Format.file(), body); err != nil {
				return nil, err
			}
		}
	case c.Format != "":
		if err := os.Remove(filepath.Join(p.Dir, testsDir, c.Name, c.Format.file())); err != nil {
			return nil, fmt.Errorf("update %q: %w", c.Name, err)
		}
		written = append(written, c.Format.file())
		c.Format, c.Body = "", nil
	}
	x := Expect{Event: c.Expect.Event, Action: o.Action, Error: o.Error, Reason: o.Reason, ContentType: strings.TrimPrefix(o.contentType(), jsonType), Method: o.Method,
		Path: o.Path, Headers: expectFields(o.Headers), Query: expectFields(o.Query), Log: c.Expect.Log, MaxFuel: c.Expect.MaxFuel}
	if now := x.text(); now != c.Expect.text() {
		if err := write(expectFile, []byte(now)); err != nil {
			return nil, err
		}
	}
	c.Expect = x
	return written, nil
}

// newBody is the body to expect: the old file when it means the same, else what was written, JSON indented for people.
func (c *Case) newBody(o *Outcome) []byte {
	old, err := c.Format.canonical(c.Body)
	got, err2 := c.Format.canonical(o.Body)
	if err == nil && err2 == nil && old == got {
		return c.Body
	}
	var b bytes.Buffer
	if c.Format == FormatJSON && json.Indent(&b, o.Body, "", "  ") == nil {
		b.WriteByte('\n')
		return b.Bytes()
	}
	return o.Body
}

func expectFields(fields []Field) config.Headers {
	var hs config.Headers
	for _, f := range fields {
		hs = append(hs, config.Header{Name: f.Name, Value: f.Value})
	}
	return hs
}

// text writes expect.yaml. Texts are written as JSON, which YAML reads too.
func (x *Expect) text() string {
	var b strings.Builder
	add := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", key, quote(value))
		}
	}
	add("event", x.Event)
	if x.Action != transform.Send.String() && x.Error == "" {
		add("action", x.Action)
	}
	add("error", x.Error)
	add("reason", x.Reason)
	add("content_type", x.ContentType)
	add("method", x.Method)
	add("path", x.Path)
	for _, list := range []struct {
		key    string
		fields config.Headers
	}{{"headers", x.Headers}, {"query", x.Query}} {
		if len(list.fields) > 0 {
			b.WriteString(list.key + ":\n")
		}
		for _, f := range list.fields {
			fmt.Fprintf(&b, "  %s: %s\n", quote(f.Name), quote(f.Value))
		}
	}
	if len(x.Log) > 0 {
		b.WriteString("log:\n")
	}
	for _, l := range x.Log {
		fmt.Fprintf(&b, "  - %s\n", quote(l))
	}
	if x.MaxFuel != 0 {
		fmt.Fprintf(&b, "max_fuel: %d\n", x.MaxFuel)
	}
	return b.String()
}

// quote writes s for YAML: plain when that is certain to be read back as a text, else as JSON.
func quote(s string) string {
	if plainText.MatchString(s) && !notPlain[strings.ToLower(s)] {
		return s
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	// A string can always be encoded.
	_ = e.Encode(s)
	return strings.TrimSpace(b.String())
}

// plainText is what YAML reads as a text without quotes, but for the words below.
var plainText = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9/_.-]*( [A-Za-z][A-Za-z0-9/_.-]*)*$`)

var notPlain = map[string]bool{"true": true, "false": true, "null": true, "yes": true, "no": true, "on": true, "off": true, "y": true, "n": true}
