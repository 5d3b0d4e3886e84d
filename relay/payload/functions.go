package payload

import (
	"fmt"
	"math"
	"reflect"

	"github.com/expr-lang/expr/vm/runtime"
)

// functions stand in for operators and builtins of expr-lang (see patcher), for four reasons: what is absent is nil and not an error,
// numbers keep their digits, the work is counted, and nothing depends on the random order of a Go map.
// The blank in each name keeps it out of reach for people's expressions. They panic on errors, as expr-lang's own operators do.
var functions map[string]func(m *machine, args []any) any

func init() { // not in the declaration: some of them lead back to this table
	functions = map[string]func(m *machine, args []any) any{
		"fn get":   func(m *machine, a []any) any { return m.get(a[0], a[1]) },
		"fn slice": func(m *machine, a []any) any { return m.slice(a[0], a[1], a[2]) },
		"fn eq":    func(m *machine, a []any) any { return m.equal(a[0], a[1], 0) },
		"fn ne":    func(m *machine, a []any) any { return !m.equal(a[0], a[1], 0) },
		"fn lt":    func(_ *machine, a []any) any { return compare(a, runtime.Less) },
		"fn le":    func(_ *machine, a []any) any { return compare(a, runtime.LessOrEqual) },
		"fn gt":    func(_ *machine, a []any) any { return compare(a, runtime.More) },
		"fn ge":    func(_ *machine, a []any) any { return compare(a, runtime.MoreOrEqual) },
		"fn in":    func(m *machine, a []any) any { return m.in(a[0], a[1]) },
		"fn add":   func(m *machine, a []any) any { return m.add(a[0], a[1]) },
		"fn sub":   func(_ *machine, a []any) any { return arithmetic(a, subtractInts, runtime.Subtract) },
		"fn mul":   func(_ *machine, a []any) any { return arithmetic(a, multiplyInts, runtime.Multiply) },
		"fn div": func(_ *machine, a []any) any {
			return arithmetic(a, nil, func(x, y any) any { return runtime.Divide(x, y) })
		},
		"fn mod": func(_ *machine, a []any) any {
			return arithmetic(a, nil, func(x, y any) any { return runtime.Modulo(x, y) })
		},
		"fn pow": func(_ *machine, a []any) any {
			return arithmetic(a, nil, func(x, y any) any { return runtime.Exponent(x, y) })
		},
		"fn neg": func(_ *machine, a []any) any { return negate(a[0]) },

		"fn truth":  func(_ *machine, a []any) any { return truth(a[0]) },
		"fn step":   func(m *machine, a []any) any { m.spend(1); return a[0] },
		"fn plain":  func(m *machine, a []any) any { return m.plain(a[0], 0) },
		"fn list":   func(m *machine, a []any) any { return m.list(a[0]) },
		"fn text":   func(m *machine, a []any) any { return m.text(a[0]) },
		"fn weight": func(m *machine, a []any) any { return m.weight(a[0]) },

		"fn string":   func(m *machine, a []any) any { return m.toString(a[0]) },
		"fn toJSON":   func(m *machine, a []any) any { return m.toJSON(a[0]) },
		"fn fromJSON": func(m *machine, a []any) any { return m.fromJSON(a[0]) },
		"fn keys":     func(m *machine, a []any) any { keys, _ := m.members("keys", a[0]); return keys },
		"fn values":   func(m *machine, a []any) any { _, values := m.members("values", a[0]); return values },
		"fn toPairs":  func(m *machine, a []any) any { return m.toPairs(a[0]) },
		"fn replace":  (*machine).replace,
		"fn repeat":   (*machine).repeat,
		"fn join":     (*machine).join,
		"fn uniq":     func(m *machine, a []any) any { return m.uniq(a[0]) },
	}
}

// get is base.key, base[key] and get(base, key): nil for whatever is not there.
func (m *machine) get(base, key any) any {
	key = m.plain(key, 0)
	switch base := base.(type) {
	case nil:
		return nil
	case map[string]any:
		name, _ := key.(string)
		return base[name]
	case []any:
		if i, ok := index(key, len(base)); ok {
			return base[i]
		}
		return nil
	}
	v := reflect.ValueOf(base)
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		if i, ok := index(key, v.Len()); ok {
			return v.Index(i).Interface()
		}
	case reflect.Map: // made by groupBy
		if k := reflect.ValueOf(key); k.IsValid() && k.Comparable() && k.Type().AssignableTo(v.Type().Key()) {
			if found := v.MapIndex(k); found.IsValid() {
				return found.Interface()
			}
		}
	}
	return nil
}

// index reads an array index; from the end when negative.
func index(key any, length int) (int, bool) {
	i, ok := key.(int)
	if f, isFloat := key.(float64); isFloat {
		i, ok = int(f), f == math.Trunc(f) && math.Abs(f) < 1<<53
	}
	if i < 0 {
		i += length
	}
	return i, ok && i >= 0 && i < length
}

// slice is base[from:to]. Strings are cut between characters, not between bytes.
func (m *machine) slice(base, from, to any) any {
	bound := func(v any, length, absent int) int {
		if v = m.plain(v, 0); v == nil {
			return absent
		}
		i := runtime.ToInt(v)
		if i < 0 {
			i += length
		}
		return min(max(i, 0), length)
	}
	if base == nil {
		return nil
	}
	if s, ok := base.(string); ok {
		m.spendText(4 * len(s))
		runes := []rune(s)
		a, b := bound(from, len(runes), 0), bound(to, len(runes), len(runes))
		return string(runes[min(a, b):b])
	}
	v := reflect.ValueOf(base)
	if v.Kind() != reflect.Slice {
		panic(fmt.Sprintf("cannot take a part of %s", kindOf(base)))
	}
	a, b := bound(from, v.Len(), 0), bound(to, v.Len(), v.Len())
	return v.Slice3(min(a, b), b, b).Interface()
}

// truth is a condition: nil counts as false.
func truth(v any) any {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	}
	panic(fmt.Sprintf("expected true or false, got %s", kindOf(v)))
}

// list is the first argument of the functions on arrays: nil counts as an empty one.
func (m *machine) list(v any) any {
	if v == nil {
		return []any{}
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice || r.Kind() == reflect.Array {
		m.spend(8 + r.Len()/16) // beginning a loop costs memory, too
	}
	return v
}

// text is an argument of the functions on strings: nil counts as an empty one.
func (m *machine) text(v any) any {
	if v == nil {
		return ""
	}
	return m.weight(v)
}

// weight passes v on and counts the work of looking through it.
func (m *machine) weight(v any) any {
	if s, ok := v.(string); ok {
		m.spendText(len(s))
	}
	return v
}

// kindOf names the kind of a value in the words of JSON, for error messages.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "nil"
	case bool:
		return "true or false"
	case string:
		return "a string"
	case int, float64, number:
		return "a number"
	case map[string]any:
		return "an object"
	case []any:
		return "an array"
	}
	return fmt.Sprintf("a value of type %T", v)
}
