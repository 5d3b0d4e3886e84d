package payload

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
)

// patcher rewrites a parsed expression, from the leaves to the root, before expr-lang compiles it:
//
//   - data.a.b and data.list[0].x become one variable each, which is looked up in the raw JSON. Only what an expression names is
//     decoded, and a lone path needs no expression at all.
//   - every other access to members, and every operator that could meet nil or a number with digits to keep, becomes a call of one of
//     our functions.
//   - the body of every loop passes through "fn step", which counts.
type patcher struct {
	vars map[string]variable
	refs map[string]ref // by name: the variables and paths met so far
	root ast.Node       // the last node visited is the root
	err  error
	at   ast.Node // where err is
}

// fail keeps the first mistake; a visitor cannot return one.
func (p *patcher) fail(at ast.Node, format string, args ...any) {
	if p.err == nil {
		p.err, p.at = fmt.Errorf(format, args...), at
	}
}

// Visit implements ast.Visitor.
func (p *patcher) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		p.identifier(n)
	case *ast.ChainNode: // a?.b: every access is optional already
		if call, ok := n.Node.(*ast.CallNode); !ok || !isMethod(call) {
			*node = n.Node
		}
	case *ast.MemberNode:
		p.member(node, n)
	case *ast.CallNode:
		if !isMethod(n) {
			p.fail(n, "%s is not a function", n.Callee.String())
		}
	case *ast.SliceNode:
		ast.Patch(node, call("fn slice", n.Node, orNil(n.From), orNil(n.To)))
	case *ast.ConditionalNode:
		n.Cond = condition(n.Cond)
	case *ast.UnaryNode:
		p.unary(node, n)
	case *ast.BinaryNode:
		p.binary(node, n)
	case *ast.BuiltinNode:
		p.builtin(node, n)
	}
	p.root = *node
}

func (p *patcher) identifier(n *ast.IdentifierNode) {
	if n.Value == "$env" {
		p.fail(n, "$env is not available")
	}
	if v, ok := p.vars[n.Value]; ok {
		p.refs[n.Value] = ref{name: n.Value, root: v}
	} else if _, ok := builtin.Index[n.Value]; ok {
		p.fail(n, "%s is a function, it needs ( )", n.Value)
	}
}

// member makes a longer path of a path, or else a call of "fn get".
func (p *patcher) member(node *ast.Node, n *ast.MemberNode) {
	if n.Method {
		return
	}
	if id, ok := n.Node.(*ast.IdentifierNode); ok {
		if base, ok := p.refs[id.Value]; ok && base.root.isJSON() {
			if s, ok := segmentOf(n.Property); ok {
				r := ref{name: base.name + s.String(), root: base.root, path: append(slices.Clone(base.path), s)}
				p.refs[r.name] = r
				ast.Patch(node, &ast.IdentifierNode{Value: r.name})
				return
			}
		}
	}
	ast.Patch(node, call("fn get", n.Node, n.Property))
}

// segmentOf reads a constant step of a path. An index from the end is not one: it would have to be counted first.
func segmentOf(property ast.Node) (segment, bool) {
	switch p := property.(type) {
	case *ast.StringNode:
		return segment{key: p.Value, index: -1}, true
	case *ast.IntegerNode:
		return segment{index: p.Value}, p.Value >= 0
	}
	return segment{}, false
}

// String makes names of paths unique, and impossible to write as the name of a variable.
func (s segment) String() string {
	if s.index >= 0 {
		return "[" + strconv.Itoa(s.index) + "]"
	}
	return "." + strconv.Quote(s.key)
}

func (p *patcher) unary(node *ast.Node, n *ast.UnaryNode) {
	switch n.Operator {
	case "!", "not":
		n.Node = condition(n.Node)
	case "-":
		if !literal(n.Node) {
			ast.Patch(node, call("fn neg", n.Node))
		}
	case "+":
		n.Node = plain(n.Node)
	}
}

var binaryCalls = map[string]string{
	"==": "fn eq", "!=": "fn ne", "<": "fn lt", "<=": "fn le", ">": "fn gt", ">=": "fn ge", "in": "fn in",
	"+": "fn add", "-": "fn sub", "*": "fn mul", "/": "fn div", "%": "fn mod", "**": "fn pow", "^": "fn pow",
}

func (p *patcher) binary(node *ast.Node, n *ast.BinaryNode) {
	switch n.Operator {
	case "&&", "and", "||", "or":
		n.Left, n.Right = condition(n.Left), condition(n.Right)
	case "contains", "startsWith", "endsWith":
		n.Left, n.Right = weight(n.Left), weight(n.Right)
	case "matches":
		n.Left, n.Right = weight(n.Left), weight(n.Right)
	case "..":
		n.Left, n.Right = plain(n.Left), plain(n.Right)
	default:
		if name := binaryCalls[n.Operator]; name != "" && !(literal(n.Left) && literal(n.Right)) {
			ast.Patch(node, call(name, n.Left, n.Right))
		}
	}
}

// What becomes of the arguments of the builtin functions.
var (
	loopsOverConditions = []string{"all", "none", "any", "one", "filter", "find", "findIndex", "findLast", "findLastIndex", "count"}
	loopsOverNumbers    = []string{"sum", "groupBy", "sortBy"}
	loops               = []string{"map", "reduce"}
	ofLists             = []string{"len", "first", "last", "take", "reverse", "concat", "flatten", "fromPairs"}
	ofNumbers           = []string{"abs", "ceil", "floor", "round", "int", "float", "max", "min", "mean", "median", "sort",
		"bitand", "bitor", "bitxor", "bitnand", "bitshl", "bitshr", "bitushr", "bitnot"}
	ofTexts = []string{"trim", "trimPrefix", "trimSuffix", "upper", "lower", "split", "splitAfter", "indexOf", "lastIndexOf", "hasPrefix",
		"hasSuffix", "toBase64", "fromBase64"}
	replaced = []string{"get", "string", "toJSON", "fromJSON", "keys", "values", "toPairs", "replace", "repeat", "join", "uniq"}
)

func (p *patcher) builtin(node *ast.Node, n *ast.BuiltinNode) {
	is := func(names []string) bool { return slices.Contains(names, n.Name) }
	switch {
	case is(replaced):
		ast.Patch(node, call("fn "+n.Name, n.Arguments...))
	case is(loopsOverConditions):
		n.Arguments[0] = call("fn list", n.Arguments[0])
		loopBody(n, condition)
	case is(loopsOverNumbers):
		n.Arguments[0] = call("fn list", n.Arguments[0])
		if len(n.Arguments) == 1 { // sum(list)
			n.Arguments[0] = plain(n.Arguments[0])
		}
		loopBody(n, plain)
	case is(loops):
		n.Arguments[0] = call("fn list", n.Arguments[0])
		loopBody(n, func(body ast.Node) ast.Node { return body })
	case is(ofLists):
		for i := range n.Arguments {
			n.Arguments[i] = call("fn list", n.Arguments[i])
		}
		if n.Name == "take" && len(n.Arguments) > 1 {
			n.Arguments[1] = plain(n.Arguments[1])
		}
	case is(ofNumbers):
		for i := range n.Arguments {
			n.Arguments[i] = plain(n.Arguments[i])
		}
	case is(ofTexts):
		for i := range n.Arguments {
			if !literal(n.Arguments[i]) {
				n.Arguments[i] = call("fn text", n.Arguments[i])
			}
		}
	}
}

// loopBody makes each round of a loop count as a step.
func loopBody(n *ast.BuiltinNode, result func(ast.Node) ast.Node) {
	for _, arg := range n.Arguments {
		if predicate, ok := arg.(*ast.PredicateNode); ok {
			predicate.Node = call("fn step", result(predicate.Node))
		}
	}
}

// call is a call of one of our functions. It stands where its first argument stands.
func call(name string, args ...ast.Node) ast.Node {
	callee := &ast.IdentifierNode{Value: name}
	n := &ast.CallNode{Callee: callee, Arguments: args}
	if len(args) > 0 {
		callee.SetLocation(args[0].Location())
		n.SetLocation(args[0].Location())
	}
	return n
}

func plain(n ast.Node) ast.Node {
	if literal(n) {
		return n
	}
	return call("fn plain", n)
}

func weight(n ast.Node) ast.Node {
	if literal(n) { // and so a constant pattern of matches stays constant
		return n
	}
	return call("fn weight", n)
}

// condition makes nil count as false where true or false is wanted.
func condition(n ast.Node) ast.Node {
	if _, ok := n.(*ast.BoolNode); ok || yieldsBool(n) {
		return n
	}
	return call("fn truth", n)
}

func yieldsBool(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.UnaryNode:
		return n.Operator == "!" || n.Operator == "not"
	case *ast.BinaryNode:
		return slices.Contains([]string{"&&", "and", "||", "or", "contains", "startsWith", "endsWith", "matches"}, n.Operator)
	case *ast.CallNode:
		id, ok := n.Callee.(*ast.IdentifierNode)
		return ok && slices.Contains([]string{"fn eq", "fn ne", "fn lt", "fn le", "fn gt", "fn ge", "fn in", "fn truth"}, id.Value)
	}
	return false
}

func literal(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return true
	}
	return false
}

// isMethod says whether n calls a member, as in date(time).Year(). Only times and durations have any.
func isMethod(n *ast.CallNode) bool {
	m, ok := n.Callee.(*ast.MemberNode)
	return ok && m.Method
}

func orNil(n ast.Node) ast.Node {
	if n == nil {
		return &ast.NilNode{}
	}
	return n
}

// used collects which refs are left in the finished expression.
type used struct {
	refs map[string]ref
	list []ref
}

// Visit implements ast.Visitor.
func (u *used) Visit(node *ast.Node) {
	id, ok := (*node).(*ast.IdentifierNode)
	if !ok {
		return
	}
	r, ok := u.refs[id.Value]
	if ok && !slices.ContainsFunc(u.list, func(x ref) bool { return x.name == r.name }) {
		u.list = append(u.list, r)
	}
}
