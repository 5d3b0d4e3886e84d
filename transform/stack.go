package transform

import (
	"reflect"

	"github.com/tetratelabs/wazero/api"
)

// The engine lets a guest's stack grow to 100 MB before it says no, by doubling, and nothing counts that memory. So whoever looks at the
// clock looks at the stack, too. Between two looks a guest can go some megabytes deeper, whatever it does.
const maxStack = 16 << 20

// guestStack is the engine's stack of one function of a guest, which it keeps for the next call. The engine does not tell how large it is:
// that is read, never written, by reflection. An engine that has no such field keeps to its own limit.
type guestStack struct {
	field reflect.Value
	unit  int // bytes of an element
}

func stackOf(f api.Function) guestStack {
	v := reflect.ValueOf(f)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return guestStack{}
	}
	field := v.Elem().FieldByName("stack")
	if field.Kind() != reflect.Slice {
		return guestStack{}
	}
	return guestStack{field, int(field.Type().Elem().Size())}
}

// bytes is its size now, 0 = not known.
func (s guestStack) bytes() int {
	if s.unit == 0 {
		return 0
	}
	return s.field.Len() * s.unit
}
