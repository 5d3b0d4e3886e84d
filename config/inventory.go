package config

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// Inventory is a config taken apart into objects, to be compared with another one. As JSON it shows no secrets: what Print would hide is given as a keyed
// hash, so that whoever has the other config can tell whether it is the same, and learns nothing else.
type Inventory struct {
	Salt    string   `json:"salt,omitempty"` // of the hashes, in hex
	Objects []Object `json:"objects"`
}

// Object is an entry of a list, such as a webhook, or all settings that are not in such a list.
type Object struct {
	Kind   string  `json:"kind,omitempty"` // the list: webhooks, authorizations, ingress.tokens …; "" = the settings
	Tenant string  `json:"tenant,omitempty"`
	Name   string  `json:"name,omitempty"` // or id
	Values []Value `json:"values,omitempty"`
}

// Value is one value that is not the zero of its type.
type Value struct {
	Path string `json:"path"` // within the object
	Text string `json:"text"` // as it may be shown
	Hash string `json:"hash,omitempty"`

	raw string // what it is; "" in an inventory that came over the wire
}

// Change is a difference between two configs.
type Change struct {
	Action string        `json:"action" enum:"add,change,remove"`
	Kind   string        `json:"kind,omitempty" doc:"The list: webhooks, authorizations …; absent = a setting."`
	Tenant string        `json:"tenant,omitempty"`
	Name   string        `json:"name,omitempty"`
	Fields []FieldChange `json:"fields,omitempty" doc:"Of a change."`
}

// FieldChange is one value that differs; an empty text means absent.
type FieldChange struct {
	Path   string `json:"path"`
	Old    string `json:"old,omitempty"`
	New    string `json:"new,omitempty"`
	Secret bool   `json:"secret,omitempty" doc:"The values are not shown."`
}

// Inventory takes c apart.
func (c *Config) Inventory() Inventory {
	x := &taker{c: c}
	settings := Object{}
	x.fields(&settings, "", "", reflect.ValueOf(c).Elem(), true)
	return Inventory{Objects: append([]Object{settings}, x.objects...)}
}

// Sealed returns v as it may leave the process, with hashes under salt.
func (v Inventory) Sealed(salt []byte) Inventory {
	out := Inventory{Salt: hex.EncodeToString(salt)}
	for _, o := range v.Objects {
		values := make([]Value, len(o.Values))
		for i, value := range o.Values {
			values[i] = Value{Path: value.Path, Text: value.Text}
			if value.Text != value.raw {
				values[i].Hash = hashUnder(salt, value.raw)
			}
		}
		o.Values = values
		out.Objects = append(out.Objects, o)
	}
	return out
}

func hashUnder(salt []byte, text string) string {
	h := hmac.New(sha256.New, salt)
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

// taker walks the tree.
type taker struct {
	c       *Config
	objects []Object
}

// fields adds the fields of the struct v. at is the path in the tree, path that within the object; with lists, lists of structs become objects.
func (x *taker) fields(o *Object, at, path string, v reflect.Value, lists bool) {
	fields := fieldsOf(v.Type())
	for _, key := range fields.keys {
		x.value(o, join(at, key), join(path, key), key, v.FieldByIndex(fields.byKey[key].Index), lists)
	}
}

func (x *taker) value(o *Object, at, path, key string, v reflect.Value, lists bool) {
	if v.IsZero() {
		return
	}
	switch known := v.Interface().(type) {
	case Secret:
		o.add(path, redacted, known.Reveal())
		return
	case JSON:
		x.json(o, at, path, key, known)
		return
	case EventSchema:
		if known.File != "" {
			o.add(path+".file", string(known.File), string(known.File))
		}
		o.add(path, clip(string(known.JSON)), string(known.JSON))
		return
	case Headers:
		for _, h := range known {
			x.text(o, join(at, h.Name), join(path, h.Name), h.Name, h.Value)
		}
		return
	case AuthHeader:
		shown := redacted
		if known.Visibility == "public" {
			shown = known.Value.Reveal()
		}
		o.add(path+".name", known.Name, known.Name)
		o.add(path+".value", shown, known.Value.Reveal())
		o.add(path+".visibility", known.Visibility, known.Visibility)
		return
	case fmt.Stringer: // a size, a duration, a network
		x.text(o, at, path, key, known.String())
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		x.value(o, at, path, key, v.Elem(), lists)
		if v.Elem().IsZero() { // said, and not absent
			x.text(o, at, path, key, fmt.Sprint(v.Elem().Interface()))
		}
	case reflect.Struct:
		x.fields(o, at, path, v, lists)
	case reflect.Slice:
		x.list(o, at, path, key, v, lists)
	default:
		x.text(o, at, path, key, fmt.Sprint(v.Interface()))
	}
}

// list adds a list: of secrets or structs item by item, of anything else as one value.
func (x *taker) list(o *Object, at, path, key string, v reflect.Value, lists bool) {
	element := v.Type().Elem()
	if element.Kind() == reflect.Struct && lists {
		if _, named := fieldsOf(element).byKey["name"]; named || hasKey(element, "id") {
			for i := range v.Len() {
				x.object(fmt.Sprintf("%s[%d]", at, i), path, v.Index(i))
			}
			return
		}
	}
	if element.Kind() == reflect.Struct && element != prefixType || element == reflect.TypeFor[Secret]() {
		for i := range v.Len() {
			x.value(o, fmt.Sprintf("%s[%d]", at, i), fmt.Sprintf("%s[%d]", path, i), key, v.Index(i), false)
		}
		return
	}
	texts := make([]string, v.Len())
	for i := range texts {
		texts[i] = fmt.Sprint(v.Index(i).Interface())
	}
	x.text(o, at, path, key, "["+strings.Join(texts, ", ")+"]")
}

func hasKey(t reflect.Type, key string) bool {
	_, ok := fieldsOf(t).byKey[key]
	return ok
}

// object adds an entry of a list.
func (x *taker) object(at, kind string, v reflect.Value) {
	o := Object{Kind: kind}
	get := func(key string) string {
		if f, ok := fieldsOf(v.Type()).byKey[key]; ok && f.Type.Kind() == reflect.String {
			return v.FieldByIndex(f.Index).String()
		}
		return ""
	}
	if o.Name, o.Tenant = get("name"), get("tenant"); hasKey(v.Type(), "id") {
		o.Name = get("id")
	}
	x.fields(&o, at, "", v, false)
	x.objects = append(x.objects, o)
}

// text adds a text, shown as Print shows it.
func (x *taker) text(o *Object, at, path, key, raw string) {
	shown := raw
	if p, exact, _ := x.c.index.nearest(at); webhookURL.MatchString(at) {
		shown = redactURL(raw, exact && p.expanded)
	} else if x.c.hides(at, key, raw) {
		shown = redacted
	}
	o.add(path, shown, raw)
}

// json adds the leaves of a free-form value.
func (x *taker) json(o *Object, at, path, key string, text JSON) {
	text = bytes.TrimSpace(text)
	switch {
	case len(text) > 0 && text[0] == '{':
		var members map[string]json.RawMessage
		if json.Unmarshal(text, &members) == nil && len(members) > 0 {
			for _, name := range sortedKeys(members) {
				x.json(o, join(at, name), join(path, name), name, JSON(members[name]))
			}
			return
		}
	case len(text) > 0 && text[0] == '[':
		var items []json.RawMessage
		if json.Unmarshal(text, &items) == nil && len(items) > 0 {
			for i, item := range items {
				x.json(o, fmt.Sprintf("%s[%d]", at, i), fmt.Sprintf("%s[%d]", path, i), key, JSON(item))
			}
			return
		}
	case len(text) > 0 && text[0] == '"':
		var s string
		if json.Unmarshal(text, &s) == nil {
			x.text(o, at, path, key, s)
			return
		}
	}
	x.text(o, at, path, key, string(text))
}

func (o *Object) add(path, shown, raw string) {
	o.Values = append(o.Values, Value{Path: path, Text: shown, raw: raw})
}
