package payload

import (
	"errors"
	"fmt"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
)

// The limits of one expression. The length also bounds how deep expr-lang's parser can recurse.
const (
	maxExpression = 16 << 10 // bytes
	maxNodes      = 2000
)

// program is one compiled expression. It is immutable and shared by all workers.
type program struct {
	lone *ref // not nil: the expression is only this variable or path, and code is not needed to write it
	code *vm.Program
	refs []ref
	at   position // of the expression in the text that people see
}

// compileExpression compiles text, which begins at at, over the variables vars. The error is an *Error without a path.
//
// It compiles twice. The first time is expr-lang's own strict check of what was written: unknown names, wrong types, wrong numbers of
// arguments. The second time the patcher has been at work, and its functions and paths are not what the strict check expects.
func compileExpression(text string, vars map[string]variable, at position, options ...expr.Option) (*program, error) {
	if len(text) > maxExpression {
		return nil, &Error{Line: at.line, Column: at.column, Msg: fmt.Sprintf("the expression has %d bytes, the limit is %d", len(text), maxExpression)}
	}
	env := types.Map{}
	for name, v := range vars {
		switch {
		case v.isJSON():
			env[name] = types.Any
		case v == varAttempt:
			env[name] = types.Int
		default:
			env[name] = types.String
		}
	}
	common := []expr.Option{expr.MaxNodes(maxNodes), expr.DisableBuiltin("now")}
	if _, err := compileSafely(text, append(append(options, common...), expr.Env(env))); err != nil {
		return nil, exprError(err, at)
	}
	functionTypes(env)
	p := &patcher{vars: vars, refs: map[string]ref{}}
	u := &used{refs: p.refs}
	code, err := compileSafely(text, append(common, expr.Env(env), expr.AllowUndefinedVariables(), expr.Patch(p), expr.Patch(u)))
	if p.err != nil {
		fe := &file.Error{Location: p.at.Location(), Message: p.err.Error()}
		return nil, exprError(fe.Bind(file.NewSource(text)), at)
	}
	if err != nil {
		return nil, exprError(err, at)
	}
	prog := &program{code: code, refs: u.list, at: at}
	if id, ok := p.root.(*ast.IdentifierNode); ok && len(u.list) == 1 && u.list[0].name == id.Value {
		prog.lone = &u.list[0]
	}
	return prog, nil
}

// compileSafely turns a panic of expr-lang's compiler, of which it has a history, into an error.
func compileSafely(text string, options []expr.Option) (code *vm.Program, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cannot compile: %v", r)
		}
	}()
	return expr.Compile(text, options...)
}

// eval runs the program.
func (p *program) eval(in *Input) (any, error) {
	if err := in.prepare(); err != nil {
		return nil, err
	}
	if in.machine == nil {
		in.machine = newMachine()
	}
	v, err := in.machine.run(in, p.code, p.refs)
	if err != nil {
		return nil, exprError(err, p.at)
	}
	return v, nil
}

// appendJSON appends the value as JSON.
func (p *program) appendJSON(dst []byte, in *Input) ([]byte, error) {
	if p.lone != nil {
		if err := in.prepare(); err != nil {
			return dst, err
		}
		return in.appendRefJSON(dst, p.lone), nil
	}
	v, err := p.eval(in)
	if err != nil {
		return dst, err
	}
	start := len(dst)
	if dst, err = in.machine.appendValue(dst, v, 0); err != nil {
		return dst[:start], p.failed(err)
	}
	return dst, nil
}

// appendEscaped appends the value as a piece of a JSON string.
func (p *program) appendEscaped(dst []byte, in *Input) ([]byte, error) {
	if p.lone == nil {
		return p.appendText(dst, in, appendEscaped)
	}
	if err := in.prepare(); err != nil {
		return dst, err
	}
	return in.appendRefEscaped(dst, p.lone), nil
}

// appendText appends the value as text, through escape unless it is nil.
func (p *program) appendText(dst []byte, in *Input, escape func([]byte, string) []byte) ([]byte, error) {
	if p.lone != nil {
		if err := in.prepare(); err != nil {
			return dst, err
		}
		return in.appendRefText(dst, p.lone, escape), nil
	}
	v, err := p.eval(in)
	if err != nil {
		return dst, err
	}
	in.text, err = in.machine.appendValueText(in.text[:0], v)
	switch {
	case err != nil:
		return dst, p.failed(err)
	case escape == nil:
		return append(dst, in.text...), nil
	}
	return escape(dst, view(in.text)), nil
}

// failed says where the expression stands whose value could not be written.
func (p *program) failed(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Line: p.at.line, Column: p.at.column, Msg: oneLine(err.Error())}
}
