package catalogue

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
)

const (
	maxDepth    = 128  // as deep as an event may be nested
	maxNumber   = 1000 // characters
	maxExponent = 1000 // the checker computes with the number as it is written: 1e999999 would keep it busy
)

// decode reads one JSON value as the checker wants it: numbers as they are written. What is valid JSON but means different things to different
// readers is refused: a member that appears twice, a number that no usual type can hold. bad says so; of text that is no JSON, too.
func decode(text []byte) (value any, bad *Violation) {
	d := decoder{dec: json.NewDecoder(bytes.NewReader(text))}
	d.dec.UseNumber()
	value = d.value()
	if d.bad == nil {
		if _, err := d.dec.Token(); !errors.Is(err, io.EOF) {
			d.fail("is not one JSON value")
		}
	}
	if d.bad != nil {
		return nil, d.bad
	}
	return value, nil
}

type decoder struct {
	dec  *json.Decoder
	path []string
	bad  *Violation // the first mistake; nothing is read after it
}

func (d *decoder) fail(msg string) any {
	if d.bad == nil {
		d.bad = &Violation{Instance: clip("/data"+pointer(d.path), maxWords), Message: msg}
	}
	return nil
}

func (d *decoder) value() any {
	token, err := d.dec.Token()
	if err != nil {
		return d.fail("is not JSON")
	}
	switch t := token.(type) {
	case json.Delim:
		if len(d.path) >= maxDepth {
			return d.fail("is nested too deeply")
		}
		if t == '{' {
			return d.object()
		}
		return d.array()
	case json.Number:
		if !sensible(t.String()) {
			return d.fail("is a number beyond every usual type")
		}
		return t
	}
	return token
}

func (d *decoder) object() any {
	object := map[string]any{}
	for d.bad == nil && d.dec.More() {
		token, err := d.dec.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return d.fail("is not JSON")
		}
		d.path = append(d.path, name)
		if _, twice := object[name]; twice {
			return d.fail("appears twice")
		}
		object[name] = d.value()
		if d.bad == nil {
			d.path = d.path[:len(d.path)-1]
		}
	}
	d.end()
	return object
}

func (d *decoder) array() any {
	items := []any{}
	for d.bad == nil && d.dec.More() {
		d.path = append(d.path, strconv.Itoa(len(items)))
		items = append(items, d.value())
		if d.bad == nil {
			d.path = d.path[:len(d.path)-1]
		}
	}
	d.end()
	return items
}

// end reads the closing bracket.
func (d *decoder) end() {
	if d.bad != nil {
		return
	}
	if _, err := d.dec.Token(); err != nil {
		d.fail("is not JSON")
	}
}

func sensible(number string) bool {
	if len(number) > maxNumber {
		return false
	}
	at := strings.IndexAny(number, "eE")
	if at < 0 {
		return true
	}
	exponent, err := strconv.Atoi(number[at+1:])
	return err == nil && -maxExponent <= exponent && exponent <= maxExponent
}
