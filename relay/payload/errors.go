package payload

import (
	"errors"
	"fmt"
	"strings"

	"github.com/expr-lang/expr/file"
)

// Error is one mistake in a definition, a template or a filter, or the failure of an expression. It is always a single line.
type Error struct {
	Path   string // where it stands, relative to the payload: type, root, body.giver.name; "" for a template or filter
	Line   int    // within the text at Path, from 1; 0 = not known
	Column int    // in characters, from 1
	Msg    string
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	if e.Line > 0 {
		fmt.Fprintf(&b, "%d:%d: ", e.Line, e.Column)
	}
	b.WriteString(e.Msg)
	return b.String()
}

// Errors are all the mistakes of one definition, in the order of its text. errors.As finds the first as *Error.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, x := range e {
		lines[i] = x.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the single mistakes to errors.Is and errors.As.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, x := range e {
		all[i] = x
	}
	return all
}

// withPath says where in the definition err happened. Nobody else has the *Error yet: each failure makes its own.
func withPath(err error, path string) error {
	var e *Error
	if errors.As(err, &e) {
		e.Path = path
		return e
	}
	return fmt.Errorf("%s: %w", path, err)
}

// exprError turns an error of expr-lang, whose text is a drawing of several lines, into one line with the place as numbers.
// at is where the expression begins in the text that people see.
func exprError(err error, at position) *Error {
	var fe *file.Error
	if !errors.As(err, &fe) {
		return &Error{Line: at.line, Column: at.column, Msg: oneLine(err.Error())}
	}
	return &Error{Msg: oneLine(fe.Message), Line: at.line + max(fe.Line, 1) - 1, Column: at.columnOf(fe)}
}

// position is a place in a text, in lines and characters from 1.
type position struct{ line, column int }

func (at position) columnOf(fe *file.Error) int {
	if fe.Line <= 1 {
		return at.column + fe.Column
	}
	return fe.Column + 1
}

// positionOf is the place of a byte in text.
func positionOf(text string, offset int) position {
	before := text[:min(offset, len(text))]
	line := strings.Count(before, "\n")
	return position{line: line + 1, column: len([]rune(before[strings.LastIndexByte(before, '\n')+1:])) + 1}
}

const maxMessage = 300

// oneLine makes a message fit for a log line.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "…"
	}
	return s
}
