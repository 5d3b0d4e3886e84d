package payload

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

// Inside an expression JSON becomes nil, bool, string, int, float64, []any and map[string]any, which expr-lang can compute with. Two
// things would get lost on the way back, so they are kept beside the values:
//
//   - the digits of a number. A number that would be written differently after a round trip through int or float64 (1.10, 1e5,
//     12345678901234567890) is a number value: text and float64. Whatever only passes it on writes the text; whatever computes
//     takes the float64 (see plain).
//   - the order of an object's keys. origins remembers the JSON that an object or array was decoded from, by identity. Nothing in
//     expr-lang changes a value in place, so as long as it is the same object, that JSON is what it says.

// number is a JSON number that neither int nor float64 can give back digit for digit.
type number struct {
	text string
	f    float64
}

// origin ties a decoded object or array to its JSON. Holding the value keeps its address from being used again.
type origin struct {
	value any
	json  []byte
}

// identity is the address of a decoded object, or of an array's first element, and the array's length (a part of an array begins at
// the same address). Empty arrays all have the same address, so they are not remembered.
type identity struct {
	at  unsafe.Pointer
	len int
}

func identityOf(v any) identity {
	switch v := v.(type) {
	case map[string]any:
		return identity{reflect.ValueOf(v).UnsafePointer(), -1}
	case []any:
		if len(v) > 0 {
			return identity{unsafe.Pointer(unsafe.SliceData(v)), len(v)}
		}
	}
	return identity{}
}

// decode makes a value of checked JSON.
func (m *machine) decode(v []byte) any {
	switch v[0] {
	case '"':
		return string(appendUnquoted(nil, v))
	case 't':
		return true
	case 'f':
		return false
	case 'n':
		return nil
	case '{':
		object := map[string]any{}
		for c := walk(v); ; {
			key, value, ok := c.member()
			if !ok {
				break
			}
			object[string(appendUnquoted(nil, key))] = m.decode(value)
		}
		return m.remember(object, v)
	case '[':
		array := []any{}
		for c := walk(v); ; {
			value, ok := c.element()
			if !ok {
				break
			}
			array = append(array, m.decode(value))
		}
		return m.remember(array, v)
	}
	return decodeNumber(string(v))
}

func (m *machine) remember(v any, json []byte) any {
	if id := identityOf(v); id.at != nil {
		m.origins[id] = origin{value: v, json: json}
	}
	return v
}

func decodeNumber(text string) any {
	if !strings.ContainsAny(text, ".eE") && text != "-0" {
		if i, err := strconv.Atoi(text); err == nil {
			return i
		}
	}
	f, _ := strconv.ParseFloat(text, 64) // out of range: infinite, which is how it compares
	if !math.IsInf(f, 0) && string(appendFloat(nil, f)) == text {
		return f
	}
	return number{text: text, f: f}
}

// appendFloat writes f the shortest way that reads back the same, as JavaScript and encoding/json do.
func appendFloat(dst []byte, f float64) []byte {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, format, -1, 64)
	if n := len(dst); format == 'e' && n-start >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1] // e-09 is written e-9
		dst = dst[:n-1]
	}
	return dst
}

// appendValue appends the value of an expression as compact JSON.
func (m *machine) appendValue(dst []byte, v any, depth int) ([]byte, error) {
	if depth > maxDepth {
		return dst, fmt.Errorf("the value is nested deeper than %d levels", maxDepth)
	}
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case string:
		return appendQuoted(dst, v), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return dst, fmt.Errorf("the result is not a finite number")
		}
		return appendFloat(dst, v), nil
	case number:
		return append(dst, v.text...), nil
	case time.Time:
		return appendQuoted(dst, v.Format(time.RFC3339Nano)), nil
	case time.Duration:
		return appendQuoted(dst, v.String()), nil
	case map[string]any, []any:
		if o, ok := m.origins[identityOf(v)]; ok {
			return appendCompact(dst, o.json), nil
		}
	}
	return m.appendReflected(dst, reflect.ValueOf(v), depth)
}

// appendReflected appends what expressions make themselves: new objects and arrays, typed arrays (split), groups.
func (m *machine) appendReflected(dst []byte, v reflect.Value, depth int) ([]byte, error) {
	var err error
	switch {
	case v.Kind() == reflect.Slice || v.Kind() == reflect.Array:
		dst = append(dst, '[')
		for i := range v.Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = m.appendValue(dst, v.Index(i).Interface(), depth+1); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case v.Kind() == reflect.Map:
		keys, values := m.sortedMap(v)
		dst = append(dst, '{')
		for i, key := range keys {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendQuoted(dst, key), ':')
			if dst, err = m.appendValue(dst, values[i], depth+1); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	case v.CanInt():
		return strconv.AppendInt(dst, v.Int(), 10), nil
	}
	return dst, fmt.Errorf("a value of type %s cannot be written", v.Type())
}

// sortedMap lists a map's members by key: the order of a Go map is random, and what we send must not be.
func (m *machine) sortedMap(v reflect.Value) (keys []string, values []any) {
	byKey := make(map[string]any, v.Len())
	for it := v.MapRange(); it.Next(); {
		key, err := m.appendValueText(nil, it.Key().Interface())
		if err != nil {
			key = []byte(err.Error())
		}
		if _, ok := byKey[string(key)]; !ok {
			keys = append(keys, string(key))
		}
		byKey[string(key)] = it.Value().Interface()
	}
	slices.Sort(keys)
	for _, key := range keys {
		values = append(values, byKey[key])
	}
	return keys, values
}

// appendValueText appends the value of an expression as text: strings as they are, nil as nothing, all else as compact JSON.
func (m *machine) appendValueText(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return dst, nil
	case string:
		return append(dst, v...), nil
	case time.Time:
		return v.AppendFormat(dst, time.RFC3339Nano), nil
	case time.Duration:
		return append(dst, v.String()...), nil
	}
	return m.appendValue(dst, v, 0)
}
