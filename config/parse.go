package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// What a file may cost. A config is written by an operator, but one that is generated, or fetched from somewhere, must not be
// able to take the daemon down.
const (
	maxFileSize  = 4 << 20
	maxDepth     = 64
	maxAliases   = 1000
	maxExpansion = 4 << 20 // how much larger aliases may make the document, in characters and nodes
)

// parse reads one YAML document. It returns nil for an empty one, and nil with a problem when the text cannot be used at all.
func parse(name string, text []byte) (*yaml.Node, *Problem) {
	if len(text) > maxFileSize {
		return nil, &Problem{File: name, Message: fmt.Sprintf("is larger than %s: split it into several files", Size(maxFileSize))}
	}
	if p := checkCharacters(name, text); p != nil {
		return nil, p
	}
	doc, next, err := parseYAML(text)
	if err != nil {
		return nil, syntaxProblem(name, text, err)
	}
	if next != nil {
		return nil, &Problem{File: name, Line: next.Line, Col: next.Column, Message: "a second YAML document: a config file holds one (remove the --- line, or use several files)"}
	}
	if doc == nil || len(doc.Content) == 0 {
		return nil, nil
	}
	root := doc.Content[0]
	if p := checkShape(name, root); p != nil {
		return nil, p
	}
	return root, nil
}

// checkCharacters refuses what YAML does not allow, because the parser's own message has no position.
func checkCharacters(name string, text []byte) *Problem {
	line, col := 1, 1
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return &Problem{File: name, Line: line, Col: col, Message: fmt.Sprintf("byte 0x%02x is not UTF-8: save the file as UTF-8", text[i])}
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r >= 0x7f && r < 0xa0 && r != 0x85, r == 0xfffe, r == 0xffff:
			return &Problem{File: name, Line: line, Col: col, Message: fmt.Sprintf("character %U is not allowed in YAML: remove it, or write it as an escape in double quotes", r)}
		case r == '\n':
			line, col = line+1, 0
		}
		i += size
		col++
	}
	return nil
}

// parseYAML returns the first document and, if there is one, the second. It turns panics of the parser into errors.
func parseYAML(text []byte) (first, second *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			first, second, err = nil, nil, fmt.Errorf("yaml: the parser gave up: %v", r)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var docs [2]yaml.Node
	for i := range docs {
		if err := dec.Decode(&docs[i]); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, nil, err
		}
		if i == 0 {
			first = &docs[0]
		} else {
			second = &docs[1]
		}
	}
	return first, second, nil
}

var yamlLine = regexp.MustCompile(`^(?:line (\d+): )?(.*)$`)

// syntaxProblem takes the line out of the parser's message. Of a block that ends wrongly the parser often tells only where it begins.
func syntaxProblem(name string, text []byte, err error) *Problem {
	m := yamlLine.FindStringSubmatch(strings.TrimPrefix(err.Error(), "yaml: "))
	p := &Problem{File: name, Line: 1, Col: 1}
	message := m[2]
	if n, err := strconv.Atoi(m[1]); err == nil {
		p.Line = n
	}
	switch anchor, unknown := strings.CutPrefix(message, "unknown anchor '"); {
	case unknown: // the only message without a line
		if at := bytes.Index(text, []byte("*"+strings.TrimSuffix(anchor, "' referenced"))); at >= 0 {
			p.Line = 1 + bytes.Count(text[:at], []byte("\n"))
			p.Col = 1 + utf8.RuneCount(text[bytes.LastIndexByte(text[:at], '\n')+1:at])
		}
	case strings.HasPrefix(message, "did not find expected"):
		p.Line++ // the grammar counts lines from 0, unlike the scanner
		message += " (here, or in the block that begins here)"
	case message == "found character that cannot start any token":
		message += " (a tab? YAML is indented with spaces; a text that begins with @, ` or % needs quotes)"
	}
	p.Message = "YAML syntax: " + message
	return p
}

// shape measures a document as it would be with every alias replaced by what it stands for.
type shape struct {
	name    string
	aliases int
	cost    map[*yaml.Node]int // of the nodes that are done; -1 = being measured, so an alias to it is a loop
	height  map[*yaml.Node]int
}

// checkShape refuses documents that are too deep or that aliases blow up, loops of aliases, and tags other than YAML's own.
// It visits every node once, whatever the aliases say.
func checkShape(name string, root *yaml.Node) *Problem {
	s := &shape{name: name, cost: map[*yaml.Node]int{}, height: map[*yaml.Node]int{}}
	_, p := s.measure(root, 1)
	return p
}

func (s *shape) problem(n *yaml.Node, format string, args ...any) *Problem {
	return &Problem{File: s.name, Line: n.Line, Col: n.Column, Message: fmt.Sprintf(format, args...)}
}

var plainTags = map[string]bool{
	"!!str": true, "!!int": true, "!!float": true, "!!bool": true, "!!null": true, "!!map": true, "!!seq": true, "!!merge": true, "!!timestamp": true,
}

func (s *shape) measure(n *yaml.Node, depth int) (cost int, p *Problem) {
	if depth > maxDepth {
		return 0, s.problem(n, "is nested deeper than %d levels", maxDepth)
	}
	if n.Kind == yaml.AliasNode {
		return s.alias(n, depth)
	}
	if n.Style&yaml.TaggedStyle != 0 && !plainTags[n.ShortTag()] {
		return 0, s.problem(n, "tag %s is not supported: write the value as plain text", n.Tag)
	}
	if n.Anchor != "" {
		s.cost[n] = -1
	}
	cost, height := 1+len(n.Value), 0
	for _, child := range n.Content {
		c, p := s.measure(child, depth+1)
		if p != nil {
			return 0, p
		}
		if cost += c; cost > maxFileSize+maxExpansion {
			return 0, s.problem(n, "aliases make this too large: write it out, or use fewer of them")
		}
		height = max(height, 1+s.height[target(child)])
	}
	s.height[n] = height
	if n.Anchor != "" {
		s.cost[n] = cost
	}
	return cost, nil
}

func (s *shape) alias(n *yaml.Node, depth int) (int, *Problem) {
	if s.aliases++; s.aliases > maxAliases {
		return 0, s.problem(n, "more than %d aliases", maxAliases)
	}
	cost := s.cost[n.Alias]
	if cost < 0 {
		return 0, s.problem(n, "alias *%s contains itself", n.Value)
	}
	if depth+s.height[n.Alias] > maxDepth {
		return 0, s.problem(n, "is nested deeper than %d levels", maxDepth)
	}
	return cost, nil
}

// target is what n stands for.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
