package payload

import (
	"fmt"
	"math"
	"reflect"
	"strings"

	"github.com/expr-lang/expr/vm/runtime"
)

// Comparing and computing: expr-lang's own rules, except for nil, for numbers with digits to keep, and for whole numbers that overflow.

// equal compares by value. Two whole numbers outside the range of int are compared by their digits, so that long ids stay different.
func (m *machine) equal(a, b any, depth int) bool {
	m.spend(1)
	if depth > maxDepth {
		panic(fmt.Sprintf("values nested deeper than %d levels cannot be compared", maxDepth))
	}
	switch a := a.(type) {
	case string:
		if b, ok := b.(string); ok {
			m.spendText(len(a))
			return a == b
		}
	case number:
		if b, ok := b.(number); ok && (a.text == b.text || a.whole() && b.whole()) {
			return a.text == b.text
		}
	case []any:
		if b, ok := b.([]any); ok {
			return m.equalArrays(a, b, depth)
		}
	case map[string]any:
		if b, ok := b.(map[string]any); ok {
			return m.equalObjects(a, b, depth)
		}
	}
	return runtime.Equal(m.plain(a, 0), m.plain(b, 0))
}

// whole says that the text has digits only, apart from a sign.
func (n number) whole() bool { return !strings.ContainsAny(n.text, ".eE") && n.text != "-0" }

func (m *machine) equalArrays(a, b []any, depth int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !m.equal(a[i], b[i], depth+1) {
			return false
		}
	}
	return true
}

func (m *machine) equalObjects(a, b map[string]any, depth int) bool {
	if len(a) != len(b) {
		return false
	}
	for k, x := range a {
		if y, ok := b[k]; !ok || !m.equal(x, y, depth+1) {
			return false
		}
	}
	return true
}

// compare is < <= > >=. Nothing is smaller or larger than nil, so a filter on an absent number is simply false.
func compare(args []any, op func(a, b any) bool) bool {
	a, b := plainNumber(args[0]), plainNumber(args[1])
	if a == nil || b == nil {
		return false
	}
	return op(a, b)
}

func (m *machine) in(needle, all any) bool {
	if list, ok := all.([]any); ok {
		for _, x := range list {
			if m.equal(needle, x, 0) {
				return true
			}
		}
		return false
	}
	if object, ok := all.(map[string]any); ok {
		key, isString := needle.(string)
		_, there := object[key]
		return isString && there
	}
	if all == nil {
		return false
	}
	if v := reflect.ValueOf(all); v.Kind() == reflect.Slice || v.Kind() == reflect.Array {
		m.spend(v.Len())
	}
	return runtime.In(plainNumber(needle), all)
}

// add is + for numbers and strings. nil and a string is the string; nil and anything else is nil.
func (m *machine) add(a, b any) any {
	x, xIsString := a.(string)
	y, yIsString := b.(string)
	if (xIsString || a == nil) && (yIsString || b == nil) && (xIsString || yIsString) {
		m.spendText(len(x) + len(y))
		return x + y
	}
	return arithmetic([]any{a, b}, addInts, runtime.Add)
}

// arithmetic computes with ints exactly while the result fits, else with op on float64. With nil on one side the result is nil.
func arithmetic(args []any, ints func(a, b int) (int, bool), op func(a, b any) any) any {
	a, b := plainNumber(args[0]), plainNumber(args[1])
	if a == nil || b == nil {
		return nil
	}
	x, xIsInt := a.(int)
	y, yIsInt := b.(int)
	if xIsInt && yIsInt && ints != nil {
		if z, fits := ints(x, y); fits {
			return z
		}
		return op(float64(x), float64(y))
	}
	return op(a, b)
}

func addInts(a, b int) (int, bool)      { return a + b, (a+b > a) == (b > 0) }
func subtractInts(a, b int) (int, bool) { return a - b, (a-b < a) == (b > 0) }

func multiplyInts(a, b int) (int, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	c := a * b
	return c, c/b == a && (a != -1 || b != math.MinInt) && (b != -1 || a != math.MinInt)
}

func negate(v any) any {
	v = plainNumber(v)
	if v == nil {
		return nil
	}
	if v == math.MinInt {
		return -float64(math.MinInt)
	}
	return runtime.Negate(v)
}

// plainNumber gives up the digits of a number in order to compute with it.
func plainNumber(v any) any {
	if n, ok := v.(number); ok {
		return n.f
	}
	return v
}

// plain is plainNumber for all that is in v; arrays are copied only when there is something to change.
func (m *machine) plain(v any, depth int) any {
	list, ok := v.([]any)
	if !ok {
		return plainNumber(v)
	}
	m.spend(len(list))
	if depth > maxDepth {
		panic(fmt.Sprintf("an array nested deeper than %d levels", maxDepth))
	}
	out := make([]any, len(list))
	for i, x := range list {
		out[i] = m.plain(x, depth+1)
	}
	return out
}
