package payload

import (
	"strings"
)

// Template is a text with {{ expressions }} in it, such as a webhook's URL or the value of a header.
type Template struct {
	text  string
	parts []part // literals and asText expressions, in turn
}

// CompileTemplate compiles text; without {{ it is a constant. A literal {{ is written {{ "{{" }}. The error is an *Error.
func CompileTemplate(text string) (*Template, error) {
	parts, err := parseTemplate(text, templateVars)
	if err != nil {
		return nil, err
	}
	return &Template{text: text, parts: parts}, nil
}

// Constant returns the text when there is no expression in it.
func (t *Template) Constant() (string, bool) {
	for i := range t.parts {
		if t.parts[i].prog != nil {
			return "", false
		}
	}
	return t.text, true
}

// String returns the text that the template was compiled from.
func (t *Template) String() string { return t.text }

// Append appends the text with its expressions filled in. Each value goes through escape, the literal text does not; nil escapes nothing.
// The string that escape gets is valid only during the call. After an error dst is as it was.
func (t *Template) Append(dst []byte, in *Input, escape func(dst []byte, s string) []byte) ([]byte, error) {
	start := len(dst)
	for i := range t.parts {
		p := &t.parts[i]
		if p.prog == nil {
			dst = append(dst, p.lit...)
			continue
		}
		var err error
		if dst, err = p.prog.appendText(dst, in, escape); err != nil {
			return dst[:start], err
		}
	}
	return dst, nil
}

// parseTemplate cuts text into literals and expressions.
func parseTemplate(text string, vars map[string]variable) ([]part, error) {
	var parts []part
	rest := 0
	for {
		open := strings.Index(text[rest:], "{{")
		if open < 0 {
			break
		}
		open += rest
		begin := open + 2
		end := expressionEnd(text, begin)
		at := positionOf(text, open)
		if end < 0 {
			return nil, &Error{Line: at.line, Column: at.column, Msg: "{{ without }}"}
		}
		if strings.TrimSpace(text[begin:end]) == "" {
			return nil, &Error{Line: at.line, Column: at.column, Msg: "nothing between {{ and }}"}
		}
		prog, err := compileExpression(text[begin:end], vars, positionOf(text, begin))
		if err != nil {
			return nil, err
		}
		if open > rest {
			parts = append(parts, part{lit: []byte(text[rest:open]), mode: asText})
		}
		parts = append(parts, part{prog: prog, mode: asText})
		rest = end + 2
	}
	if rest < len(text) {
		parts = append(parts, part{lit: []byte(text[rest:]), mode: asText})
	}
	return parts, nil
}

// expressionEnd finds the }} that ends the expression beginning at i: not one in quotes, nor the end of an object in an object.
func expressionEnd(text string, i int) int {
	depth := 0
	for i < len(text) {
		switch c := text[i]; c {
		case '"', '\'', '`':
			i = quoteEnd(text, i)
			continue
		case '/':
			if strings.HasPrefix(text[i:], "/*") {
				if n := strings.Index(text[i:], "*/"); n > 0 {
					i += n
				}
			}
		case '{':
			depth++
		case '}':
			if depth == 0 && strings.HasPrefix(text[i:], "}}") {
				return i
			}
			depth = max(depth-1, 0)
		}
		i++
	}
	return -1
}

// quoteEnd is where the string that begins at i ends; backquoted ones know no escapes.
func quoteEnd(text string, i int) int {
	quote := text[i]
	for i++; i < len(text); i++ {
		switch {
		case text[i] == quote:
			return i + 1
		case text[i] == '\\' && quote != '`':
			i++
		}
	}
	return len(text)
}
