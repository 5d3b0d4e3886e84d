package payload

import (
	"errors"

	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
)

// The budgets of one evaluation. They are counted in work and not in time, so that an expression which works once works always.
const (
	maxSteps  = 1_000_000 // one round of a loop, or 16 bytes of text, is a step
	maxMemory = 250_000   // elements of arrays that expr-lang makes
)

var errBudget = errors.New("the expression does too much work")

// machine runs the expressions of one Input: expr-lang's virtual machine, the variables, and the functions that stand in for expr-lang's
// own operators (functions.go).
type machine struct {
	vm      vm.VM
	env     map[string]any // functions, and the variables asked for so far
	known   []string       // the names of those variables
	steps   int            // left in this evaluation
	origins map[identity]origin
}

func newMachine() *machine {
	m := &machine{vm: vm.VM{MemoryBudget: maxMemory}, env: map[string]any{}, origins: map[identity]origin{}}
	m.bind()
	return m
}

// forget drops all variables.
func (m *machine) forget() {
	if len(m.known) == 0 && len(m.origins) == 0 {
		return
	}
	for _, name := range m.known {
		delete(m.env, name)
	}
	m.known = m.known[:0]
	clear(m.origins)
	clear(m.vm.Stack[:cap(m.vm.Stack)])
	clear(m.vm.Variables)
}

// bind puts the functions among the variables. They are methods of this machine, because they count its steps.
func (m *machine) bind() {
	for name, f := range functions {
		m.env[name] = func(args ...any) any { return f(m, args) }
	}
}

// functionTypes is what the compiler knows of the functions.
func functionTypes(env types.Map) {
	for name := range functions {
		env[name] = types.TypeOf(func(...any) any { return nil })
	}
}

// run evaluates code with the variables refs of in.
func (m *machine) run(in *Input, code *vm.Program, refs []ref) (any, error) {
	for i := range refs {
		r := &refs[i]
		_, known := m.env[r.name]
		if !known {
			m.known = append(m.known, r.name)
		}
		if !known || r.root == varWebhook || r.root == varAttempt {
			m.env[r.name] = in.value(r)
		}
	}
	m.steps = maxSteps
	v, err := m.vm.Run(code, m.env)
	if maxSteps-m.steps > bigRun {
		m.vm = vm.VM{MemoryBudget: maxMemory}
	}
	return v, err
}

// bigRun is the work after which the virtual machine is thrown away: it keeps a record of every loop that it has ever begun at once.
const bigRun = 10_000

// spend takes n steps from the budget.
func (m *machine) spend(n int) {
	if m.steps -= n; m.steps < 0 || n < 0 {
		m.steps = 0
		panic(errBudget)
	}
}

// spendText takes the steps for handling n bytes of text.
func (m *machine) spendText(n int) { m.spend(1 + n/16) }
