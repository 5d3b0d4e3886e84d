package config

import (
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// file is one loaded file.
type file struct {
	name  string
	dir   string   // relative names in the file count from here
	lines []string // its text, for positions inside scalars of several lines
}

// place is where the value of one path was written.
type place struct {
	file     *file
	node     *yaml.Node // the value; an alias stays one, so that the position is that of its use
	null     bool       // written, but with no value: counts as absent
	expanded bool       // ${…} stood in it, so its text may be a secret
	altered  bool       // its text is not what the file says, so positions inside do not fit
}

// index remembers the place of every path, so that mistakes that are found later, also by other packages, can be located.
type index struct {
	places map[string]place
	files  []*file
	made   map[string]*index // of objects that were made through the API, by the path that they have here, as if each were the first of its list
}

// find returns the place of path.
func (x *index) find(path string) (place, bool) {
	if p, ok := x.places[path]; ok || x.made == nil {
		return p, ok
	}
	head, rest, ok := strings.Cut(path, "]")
	own := x.made[head+"]"]
	if !ok || own == nil {
		return place{}, false
	}
	p, ok := own.places[head[:strings.IndexByte(head, '[')]+"[0]"+rest]
	return p, ok
}

// has says whether path was given a value.
func (x *index) has(path string) bool {
	if x == nil {
		return false
	}
	p, ok := x.find(path)
	return ok && !p.null
}

// nearest returns the place of path, or of its nearest parent that was written.
func (x *index) nearest(path string) (p place, exact, ok bool) {
	if x == nil {
		return p, false, false
	}
	for at := path; at != ""; at = parent(at) {
		if p, ok := x.find(at); ok {
			return p, at == path, true
		}
	}
	return p, false, false
}

// parent cuts the last .key or [n] off path.
func parent(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }

// Problem locates a mistake at path, such as webhooks[2].filter; at the nearest parent when the path itself is not in the files.
func (c *Config) Problem(path, message string) Problem {
	problem := Problem{Path: path, Message: message}
	if p, _, ok := c.index.nearest(path); ok {
		problem.File, problem.Line, problem.Col = p.file.name, p.node.Line, p.node.Column
	} else if c.index != nil && len(c.index.files) > 0 {
		problem.File, problem.Line, problem.Col = c.index.files[0].name, 1, 1
	}
	return problem
}

// ProblemAt locates a mistake inside the text at path, such as an expression: line and col are 1-based and count within that text.
func (c *Config) ProblemAt(path, message string, line, col int) Problem {
	problem := c.Problem(path, message)
	if p, exact, ok := c.index.nearest(path); ok && exact && !p.altered && p.node.Kind == yaml.ScalarNode && p.node.Line > 0 {
		problem.Line, problem.Col = within(p.file.lines, p.node, max(line, 1), max(col, 1))
	}
	return problem
}

// within turns a position in the text of a scalar into one in the file. It is exact as long as the scalar has no escapes;
// whatever it cannot follow is placed at the start of the scalar.
func within(lines []string, n *yaml.Node, line, col int) (int, int) {
	quote := 0
	switch n.Style &^ (yaml.TaggedStyle | yaml.FlowStyle) {
	case yaml.LiteralStyle:
		return inLiteral(lines, n, line, col)
	case yaml.FoldedStyle:
		return inFolded(lines, n.Line+1, 0, offset(n.Value, line, col), n)
	case yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle:
		quote = 1
	}
	return inFolded(lines, n.Line, n.Column-1+quote, offset(n.Value, line, col), n)
}

func inLiteral(lines []string, n *yaml.Node, line, col int) (int, int) {
	for at := n.Line; at < len(lines); at++ { // the first line with text decides the indentation
		if indent := leading(lines[at]); strings.TrimSpace(lines[at]) != "" {
			return n.Line + line, indent + col
		}
	}
	return n.Line, n.Column
}

// inFolded walks the source lines of a scalar whose line breaks became spaces, until rest characters of the text are used up.
func inFolded(lines []string, line, skip, rest int, n *yaml.Node) (int, int) {
	for ; line <= len(lines); line++ {
		text := lines[line-1]
		if skip == 0 {
			skip = leading(text)
		}
		length := max(0, utf8.RuneCountInString(strings.TrimRight(text, " \t\r"))-skip)
		if rest <= length {
			return line, skip + rest + 1
		}
		rest -= length + 1
		skip = 0
	}
	return n.Line, n.Column
}

// offset is the number of characters in text before line and col.
func offset(text string, line, col int) int {
	before := 0
	for ; line > 1; line-- {
		head, tail, ok := strings.Cut(text, "\n")
		if !ok {
			break
		}
		before += utf8.RuneCountInString(head) + 1
		text = tail
	}
	return before + col - 1
}

func leading(line string) int { return len(line) - len(strings.TrimLeft(line, " \t")) }
