package payload

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/expr-lang/expr/vm/runtime"
)

// The builtin functions that are replaced as a whole.

// toString is string(v): the same text as {{ v }} inside a longer text.
func (m *machine) toString(v any) string {
	b, err := m.appendValueText(nil, v)
	if err != nil {
		panic(err)
	}
	m.spendText(len(b))
	return string(b)
}

func (m *machine) toJSON(v any) string {
	b, err := m.appendValue(nil, v, 0)
	if err != nil {
		panic(err)
	}
	m.spendText(len(b))
	return string(b)
}

func (m *machine) fromJSON(v any) any {
	s, ok := v.(string)
	if !ok {
		panic("fromJSON wants a string, got " + kindOf(v))
	}
	m.spendText(16 * len(s))
	json, err := check([]byte(s))
	if err != nil {
		panic("fromJSON: " + err.Error())
	}
	return m.decode(json)
}

// members lists keys and values of an object, sorted by key.
func (m *machine) members(name string, v any) (keys, values []any) {
	if v == nil {
		return []any{}, []any{}
	}
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Map {
		panic(name + " wants an object, got " + kindOf(v))
	}
	m.spend(1 + 4*r.Len())
	names, values := m.sortedMap(r)
	keys = make([]any, len(names))
	for i, s := range names {
		keys[i] = s
	}
	return keys, values
}

func (m *machine) toPairs(v any) any {
	keys, values := m.members("toPairs", v)
	pairs := make([]any, len(keys))
	for i := range keys {
		pairs[i] = []any{keys[i], values[i]}
	}
	return pairs
}

// replace counts before it builds: a short text can become a very long one.
func (m *machine) replace(args []any) any {
	s, old, with := m.mustText("replace", args[0]), m.mustText("replace", args[1]), m.mustText("replace", args[2])
	n := strings.Count(s, old)
	if len(args) > 3 {
		if most := runtime.ToInt(plainNumber(args[3])); most >= 0 {
			n = min(n, most)
		}
	}
	m.spendText(len(s) + len(s)/4)
	m.spendText(n * len(with))
	return strings.Replace(s, old, with, n)
}

func (m *machine) repeat(args []any) any {
	s, n := m.mustText("repeat", args[0]), runtime.ToInt(plainNumber(args[1]))
	if n < 0 {
		panic(fmt.Sprintf("repeat wants a count of 0 or more, got %d", n))
	}
	if len(s) > 0 && n > 16*maxSteps/len(s) {
		panic(errBudget)
	}
	m.spendText(n * len(s))
	return strings.Repeat(s, n)
}

func (m *machine) join(args []any) any {
	glue := ""
	if len(args) > 1 {
		glue = m.mustText("join", args[1])
	}
	list := reflect.ValueOf(m.list(args[0]))
	if list.Kind() != reflect.Slice && list.Kind() != reflect.Array {
		panic("join wants an array, got " + kindOf(args[0]))
	}
	texts := make([]string, list.Len())
	for i := range texts {
		texts[i] = m.toString(list.Index(i).Interface())
		m.spendText(len(glue))
	}
	return strings.Join(texts, glue)
}

func (m *machine) uniq(v any) any {
	list := reflect.ValueOf(m.list(v))
	if list.Kind() != reflect.Slice && list.Kind() != reflect.Array {
		panic("uniq wants an array, got " + kindOf(v))
	}
	out := []any{}
	for i := range list.Len() {
		if x := list.Index(i).Interface(); !m.in(x, out) {
			out = append(out, x)
		}
	}
	return out
}

// mustText is a string argument; nil counts as an empty one.
func (m *machine) mustText(name string, v any) string {
	s, ok := m.text(v).(string)
	if !ok {
		panic(name + " wants a string, got " + kindOf(v))
	}
	return s
}
