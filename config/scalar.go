package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"
)

var prefixType = reflect.TypeFor[netip.Prefix]()

// textParser is a scalar type with its own syntax. The error says what is wrong without repeating the text.
type textParser interface{ parseText(text string) error }

// scalar decodes n into v: a text, a number, true or false, or one of the types with their own syntax.
func (d *decoder) scalar(path string, n *yaml.Node, v reflect.Value, tag reflect.StructTag) {
	want := nameOf(v)
	if n.Kind != yaml.ScalarNode {
		d.fault(path, n, "want %s, found %s", want, describe(n))
		return
	}
	text, expanded, ok := d.text(path, n)
	if !ok {
		return
	}
	if needsPlain(v.Kind(), v) && n.ShortTag() == "!!str" && !expanded && quoted(n) {
		d.fault(path, n, "want %s, found a text: remove the quotes", want)
		return
	}
	if _, named := v.Addr().Interface().(*Path); named && d.foreign && text != "" {
		d.fault(path, n, "names a file of the relay's machine, which only its config files can do")
		return
	}
	if err := setScalar(v, text, d.file.dir); err != nil {
		d.fault(path, n, "%s%v", shown(v, n, text, expanded), err)
		return
	}
	d.checkEnum(path, n, text, expanded, tag)
	if low, high := bounds(v, tag); low != nil && compare(v, low) < 0 || high != nil && compare(v, high) > 0 {
		d.fault(path, n, "%sis out of range: it must be %s", shown(v, n, text, expanded), rangeText(low, high))
	}
	if text == "" && required(tag) {
		d.fault(path, n, "is empty")
	}
}

// text returns the scalar's text with ${…} expanded, unless the file is literal.
func (d *decoder) text(path string, n *yaml.Node) (text string, expanded, ok bool) {
	if d.literal {
		return n.Value, false, true
	}
	text, expanded, err := expand(n.Value, d.file.dir)
	if err != nil {
		d.fault(path, n, "%v", err)
		return "", false, false
	}
	if p := d.index.places[path]; (expanded || text != n.Value) && p.file == d.file {
		p.altered, p.expanded = true, expanded
		d.index.places[path] = p
	}
	return text, expanded, true
}

// needsPlain says whether v is of a kind that YAML writes without quotes.
func needsPlain(k reflect.Kind, v reflect.Value) bool {
	if _, own := v.Addr().Interface().(textParser); own {
		return false
	}
	return k == reflect.Bool || k == reflect.Int || k == reflect.Float64
}

func quoted(n *yaml.Node) bool {
	return n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
}

func setScalar(v reflect.Value, text, dir string) error {
	switch x := v.Addr().Interface().(type) {
	case textParser:
		return x.parseText(text)
	case *Path:
		if strings.ContainsRune(text, 0) {
			return fmt.Errorf("is not a file name")
		}
		*x = Path(absolute(text, dir))
	case *netip.Prefix:
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("is not a network: write one such as 10.0.0.0/8, or 127.0.0.1/32 for a single address")
		}
		*x = prefix.Masked()
	case *string:
		if i := strings.IndexFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }); i >= 0 {
			return fmt.Errorf("contains a control character")
		}
		*x = text
	case *bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("is not true or false")
		}
		*x = text == "true"
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("is not a whole number")
		}
		*x = n
	case *float64:
		f, err := parseDecimal(text)
		if err != nil {
			return fmt.Errorf("is not a decimal number")
		}
		*x = f
	default:
		panic("BUG: no decoder for " + v.Type().String())
	}
	return nil
}

// absolute makes a file name independent of the working directory; relative names count from dir.
func absolute(name, dir string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}

// nameOf says in words what v takes.
func nameOf(v reflect.Value) string {
	switch v.Addr().Interface().(type) {
	case *Size:
		return "a size such as 1MiB"
	case *Duration:
		return "a duration such as 15s"
	case *Rate:
		return "a rate such as 100/s"
	case *netip.Prefix:
		return "a network such as 10.0.0.0/8"
	case *bool:
		return "true or false"
	case *int:
		return "a whole number"
	case *float64:
		return "a number"
	}
	return "a text"
}

// shown puts the text before a message about it: never that of a secret, and for an expanded text what the file says.
func shown(v reflect.Value, n *yaml.Node, text string, expanded bool) string {
	if _, secret := v.Addr().Interface().(*Secret); secret {
		return ""
	}
	if expanded {
		return fmt.Sprintf("what %s stands for ", clip(n.Value))
	}
	return strconv.Quote(clip(text)) + " "
}

func clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}

// checkEnum reports a text that is not one of the values that the tag lists.
func (d *decoder) checkEnum(path string, n *yaml.Node, text string, expanded bool, tag reflect.StructTag) {
	allowed := tagValues(tag, "enum")
	if len(allowed) == 0 {
		return
	}
	for _, a := range allowed {
		if text == a {
			return
		}
	}
	if isLater(path + "=" + text) {
		d.fault(path, n, "%s is not available in this version: use %s", text, strings.Join(allowed, ", "))
		return
	}
	name := strconv.Quote(clip(text))
	if expanded {
		name = "what " + clip(n.Value) + " stands for"
	}
	if len(allowed) == 1 {
		d.fault(path, n, "%s is not allowed: it must be %s", name, allowed[0])
		return
	}
	d.fault(path, n, "%s is not allowed: use one of %s", name, strings.Join(allowed, ", "))
}

// tagValues returns every value of key in the jsonschema tag.
func tagValues(tag reflect.StructTag, key string) []string {
	var values []string
	for part := range strings.SplitSeq(tag.Get("jsonschema"), ",") {
		if value, ok := strings.CutPrefix(part, key+"="); ok {
			values = append(values, value)
		}
	}
	return values
}

// bounds returns the smallest and the largest value that the tag allows for v, as values of v's type; nil = no bound.
func bounds(v reflect.Value, tag reflect.StructTag) (low, high *reflect.Value) {
	bound := func(text string) *reflect.Value {
		if text == "" {
			return nil
		}
		b := reflect.New(v.Type()).Elem()
		if err := setScalar(b, text, ""); err != nil {
			panic("BUG: bound " + text + ": " + err.Error())
		}
		return &b
	}
	return bound(tag.Get("min") + strings.Join(tagValues(tag, "minimum"), "")), bound(tag.Get("max") + strings.Join(tagValues(tag, "maximum"), ""))
}

func compare(v reflect.Value, b *reflect.Value) int {
	var less, more bool
	if v.CanInt() {
		less, more = v.Int() < b.Int(), v.Int() > b.Int()
	} else {
		less, more = v.Float() < b.Float(), v.Float() > b.Float()
	}
	switch {
	case less:
		return -1
	case more:
		return 1
	}
	return 0
}

func rangeText(low, high *reflect.Value) string {
	switch {
	case low == nil:
		return fmt.Sprintf("at most %v", high.Interface())
	case high == nil:
		return fmt.Sprintf("at least %v", low.Interface())
	}
	return fmt.Sprintf("%v to %v", low.Interface(), high.Interface())
}
