package relay

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// The order of an object's members is part of a payload definition: it is the order in the body that the receiver gets. So what a merge patch
// makes of a definition is written in the order that its author gave.

// inOrder writes v, which came of merging patch into old. An object that the patch names in full takes the patch's order; any other keeps its own,
// with what is new behind.
func inOrder(v any, old, patch json.RawMessage) ([]byte, error) {
	switch v := v.(type) {
	case map[string]any:
		before, change := objectOf(old), objectOf(patch)
		names := slices.Concat(before.names, change.names)
		if !slices.ContainsFunc(before.names, func(n string) bool { _, kept := v[n]; return kept && change.values[n] == nil }) {
			names = change.names
		}
		out := []byte{'{'}
		written := make(map[string]bool, len(v))
		for _, name := range slices.Concat(names, slices.Sorted(maps.Keys(v))) {
			value, present := v[name]
			if !present || written[name] {
				continue
			}
			written[name] = true
			if len(out) > 1 {
				out = append(out, ',')
			}
			text, err := inOrder(value, before.values[name], change.values[name])
			if err != nil {
				return nil, err
			}
			out = append(append(append(out, mustJSON(name)...), ':'), text...)
		}
		return append(out, '}'), nil
	case []any:
		before, change := arrayOf(old), arrayOf(patch)
		out := []byte{'['}
		for i, value := range v {
			if i > 0 {
				out = append(out, ',')
			}
			text, err := inOrder(value, at(before, i), at(change, i))
			if err != nil {
				return nil, err
			}
			out = append(out, text...)
		}
		return append(out, ']'), nil
	}
	return json.Marshal(v)
}

// object is a JSON object whose members have an order.
type object struct {
	names  []string
	values map[string]json.RawMessage
}

// objectOf reads one; of what is none, an object without members.
func objectOf(text json.RawMessage) (o object) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return o
	}
	o.values = map[string]json.RawMessage{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return o
		}
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			return o
		}
		o.names = append(o.names, name.(string))
		o.values[name.(string)] = value
	}
	return o
}

func arrayOf(text json.RawMessage) (a []json.RawMessage) {
	if json.Unmarshal(text, &a) != nil {
		return nil
	}
	return a
}

func at(a []json.RawMessage, i int) json.RawMessage {
	if i < len(a) {
		return a[i]
	}
	return nil
}
