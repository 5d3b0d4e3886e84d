package payload

import (
	"fmt"

	"github.com/expr-lang/expr"
)

// Filter is a condition on events. It may be used from any goroutine; the Input may not.
type Filter struct {
	text string
	prog *program
}

// CompileFilter compiles an expression over id, type, time, tenant, program and data that is true or false. The error is an *Error.
func CompileFilter(text string) (*Filter, error) {
	prog, err := compileExpression(text, filterVars, position{1, 1}, expr.AsBool())
	if err != nil {
		return nil, err
	}
	return &Filter{text: text, prog: prog}, nil
}

// Match says whether the event meets the condition. nil — the condition is about something that the event does not have — is false.
func (f *Filter) Match(in *Input) (bool, error) {
	v, err := f.prog.eval(in)
	if err != nil {
		return false, err
	}
	switch v := v.(type) {
	case nil:
		return false, nil
	case bool:
		return v, nil
	}
	return false, &Error{Line: 1, Column: 1, Msg: fmt.Sprintf("a filter must be true or false, this is %s", kindOf(v))}
}

// String returns the text that the filter was compiled from.
func (f *Filter) String() string { return f.text }
