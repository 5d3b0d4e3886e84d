package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Problem is one mistake or warning, with the place where it was written.
type Problem struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"` // 1-based; 0 = the whole file, or no file at all
	Col     int    `json:"col,omitempty"`  // 1-based, in characters
	Path    string `json:"path,omitempty"` // such as webhooks[2].payload.body.giver.name
	Message string `json:"message"`
}

// String writes file:line:col: path: message, without the parts that are not known.
func (p Problem) String() string {
	var b strings.Builder
	switch {
	case p.File != "" && p.Line != 0:
		fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Col)
	case p.File != "":
		fmt.Fprintf(&b, "%s: ", p.File)
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	return oneLine(b.String())
}

// oneLine escapes line breaks and other control characters, which keys and messages of the parser may hold: a problem is one line,
// and nothing in a config may steer the terminal.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, unicode.IsControl) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsControl(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Problems is a list of mistakes or warnings. As an error it prints one per line.
type Problems []Problem

// Error prints one problem per line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Sort puts ps in the order of the files, and within a file in the order of the text.
func (ps Problems) Sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col), cmp.Compare(a.Path, b.Path))
	})
}

// maxProblems is how many mistakes are kept: nobody reads more, and a hostile file could make millions.
const maxProblems = 200

// report collects mistakes while a config is loaded.
type report struct {
	problems Problems
	faulty   map[string]bool // paths that have a mistake already: a second one there or below is only its echo
}

// full says that nothing more is kept, so that the work of finding out more can be spared.
func (r *report) full() bool { return len(r.problems) > maxProblems }

func (r *report) add(p Problem) {
	if r.full() {
		return
	}
	for at := p.Path; at != ""; at = parent(at) {
		if r.faulty[at] {
			return
		}
	}
	if r.faulty == nil {
		r.faulty = map[string]bool{}
	}
	r.faulty[p.Path] = true
	if len(r.problems) == maxProblems {
		p = Problem{File: p.File, Line: p.Line, Col: p.Col, Message: fmt.Sprintf("more than %d mistakes: the rest is not shown", maxProblems)}
	}
	r.problems = append(r.problems, p)
}

// below says whether there is a mistake somewhere inside path.
func (r *report) below(path string) bool {
	for at := range r.faulty {
		if strings.HasPrefix(at, path+".") {
			return true
		}
	}
	return false
}

// err returns the mistakes in order, or nil.
func (r *report) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	r.problems.Sort()
	return r.problems
}
