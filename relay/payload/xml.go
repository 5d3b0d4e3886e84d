package payload

import (
	"strings"
	"unicode/utf8"
)

// XML: an object's members become elements, an array repeats its element, null is an empty element with nil="true". A key that is no
// element name is made one, and the key itself goes into the attribute name.

const xmlDeclaration = `<?xml version="1.0" encoding="UTF-8"?>`

// appendXML appends the checked value v as a document.
func appendXML(dst []byte, root string, v []byte) ([]byte, error) {
	x := xmlEncoder{dst: append(dst, xmlDeclaration...), limit: len(dst) + maxOutput}
	if v[0] == '[' { // the root cannot repeat
		x.put("<", root, ">")
		x.content(v)
		x.put("</", root, ">")
	} else {
		x.element(root, v)
	}
	if len(x.dst) > x.limit {
		return dst, errTooLarge
	}
	return x.dst, nil
}

// itemName is the element of an array inside an array, which has no key of its own.
const itemName = "item"

// xmlEncoder is one encoding. It stops adding elements once dst is longer than limit: a long key over many elements of an array makes
// much of little.
type xmlEncoder struct {
	dst   []byte
	limit int
}

func (x *xmlEncoder) put(texts ...string) {
	for _, s := range texts {
		x.dst = append(x.dst, s...)
	}
}

// element appends v as one element, or as several if it is an array.
func (x *xmlEncoder) element(key string, v []byte) {
	if v[0] != '[' {
		x.single(key, v)
		return
	}
	for c := walk(v); ; {
		value, ok := c.element()
		if !ok {
			return
		}
		x.single(key, value)
	}
}

func (x *xmlEncoder) single(key string, v []byte) {
	if len(x.dst) > x.limit {
		return
	}
	name := key
	if validName(key) {
		x.put("<", key)
	} else {
		name = sanitisedName(key)
		x.put("<", name, ` name="`)
		x.dst = appendXMLText(x.dst, key, true)
		x.put(`"`)
	}
	if v[0] == 'n' {
		x.put(` nil="true"/>`)
		return
	}
	x.put(">")
	x.content(v)
	x.put("</", name, ">")
}

// content appends what stands between the tags.
func (x *xmlEncoder) content(v []byte) {
	switch v[0] {
	case '{':
		for c := walk(v); ; {
			key, value, ok := c.member()
			if !ok {
				return
			}
			x.element(unquoted(key), value)
		}
	case '[':
		x.element(itemName, v)
	case '"':
		x.dst = appendXMLText(x.dst, unquoted(v), false)
	default:
		x.dst = append(x.dst, v...)
	}
}

// appendXMLText escapes for element text or for an attribute's value. Parsers turn a carriage return into a line feed, and in attributes
// every tab and line feed into a blank, so those are written as references. What XML 1.0 cannot hold at all becomes U+FFFD.
func appendXMLText(dst []byte, s string, attribute bool) []byte {
	start := 0
	for i, r := range s {
		var escaped string
		switch r {
		case '<':
			escaped = "&lt;"
		case '>':
			escaped = "&gt;"
		case '&':
			escaped = "&amp;"
		case '"':
			escaped = "&quot;"
		case '\'':
			escaped = "&apos;"
		case '\t', '\n':
			if !attribute {
				continue
			}
			escaped = "&#9;"
			if r == '\n' {
				escaped = "&#10;"
			}
		case '\r':
			escaped = "&#13;"
		case 0xFFFE, 0xFFFF:
			escaped = "\uFFFD"
		default:
			if r >= ' ' {
				continue
			}
			escaped = "\uFFFD"
		}
		dst = append(append(dst, s[start:i]...), escaped...)
		start = i + utf8.RuneLen(r)
	}
	return append(dst, s[start:]...)
}

// nameLetters are the ranges of letters beyond ASCII that both the fourth and the fifth edition of XML 1.0 allow in names; many parsers
// still follow the fourth.
var nameLetters = [][2]rune{
	{0xC0, 0xD6}, {0xD8, 0xF6}, {0xF8, 0x131}, {0x134, 0x13E}, {0x141, 0x148}, {0x14A, 0x17E}, // Latin
	{0x388, 0x38A}, {0x38E, 0x3A1}, {0x3A3, 0x3CE}, // Greek
	{0x401, 0x40C}, {0x40E, 0x44F}, {0x451, 0x45C}, {0x45E, 0x481}, // Cyrillic
	{0x5D0, 0x5EA}, {0x621, 0x63A}, {0x641, 0x64A}, // Hebrew, Arabic
	{0x3041, 0x3094}, {0x30A1, 0x30FA}, {0x4E00, 0x9FA5}, {0xAC00, 0xD7A3}, // Japanese, Chinese, Korean
}

func nameStart(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_'
	}
	for _, l := range nameLetters {
		if r >= l[0] && r <= l[1] {
			return true
		}
	}
	return false
}

func nameChar(r rune) bool { return nameStart(r) || r >= '0' && r <= '9' || r == '-' || r == '.' }

// validName says whether s can be an element's name. A colon would mean a namespace; names that begin with xml are reserved.
func validName(s string) bool {
	for i, r := range s {
		if i == 0 && !nameStart(r) || !nameChar(r) {
			return false
		}
	}
	return s != "" && !reservedName(s)
}

func reservedName(s string) bool { return len(s) >= 3 && strings.EqualFold(s[:3], "xml") }

// sanitisedName makes an element's name of any key.
func sanitisedName(key string) string {
	var b strings.Builder
	for i, r := range key {
		if i == 0 && !nameStart(r) && nameChar(r) || i == 0 && reservedName(key) {
			b.WriteByte('_')
		}
		if !nameChar(r) {
			r = '_'
		}
		b.WriteRune(r)
	}
	if b.Len() == 0 {
		return "_"
	}
	return b.String()
}
