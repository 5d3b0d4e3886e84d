package payload

import (
	"strings"
	"unicode/utf8"
)

// XML: an object's members become elements, an array repeats its element, null is an empty element with nil="true". A key that is no
// element name is made one, and the key itself goes into the attribute name.

const xmlDeclaration = `<?xml version="1.0" encoding="UTF-8"?>`

// appendXML appends the checked value v as a document.
func appendXML(dst []byte, root string, v []byte) []byte {
	dst = append(dst, xmlDeclaration...)
	if v[0] == '[' { // the root cannot repeat
		dst = append(append(append(dst, '<'), root...), '>')
		dst = appendXMLContent(dst, v)
		return append(append(append(dst, "</"...), root...), '>')
	}
	return appendXMLElement(dst, root, v)
}

// itemName is the element of an array inside an array, which has no key of its own.
const itemName = "item"

// appendXMLElement appends v as one element, or as several if it is an array.
func appendXMLElement(dst []byte, key string, v []byte) []byte {
	if v[0] == '[' {
		for c := walk(v); ; {
			element, ok := c.element()
			if !ok {
				return dst
			}
			dst = appendXMLSingle(dst, key, element)
		}
	}
	return appendXMLSingle(dst, key, v)
}

func appendXMLSingle(dst []byte, key string, v []byte) []byte {
	name := key
	dst = append(dst, '<')
	if validName(key) {
		dst = append(dst, key...)
	} else {
		name = sanitisedName(key)
		dst = append(append(append(dst, name...), ` name="`...), appendXMLText(nil, key)...)
		dst = append(dst, '"')
	}
	if v[0] == 'n' {
		return append(dst, ` nil="true"/>`...)
	}
	dst = append(dst, '>')
	dst = appendXMLContent(dst, v)
	return append(append(append(dst, "</"...), name...), '>')
}

// appendXMLContent appends what stands between the tags.
func appendXMLContent(dst, v []byte) []byte {
	switch v[0] {
	case '{':
		for c := walk(v); ; {
			key, value, ok := c.member()
			if !ok {
				return dst
			}
			dst = appendXMLElement(dst, unquoted(key), value)
		}
	case '[':
		return appendXMLElement(dst, itemName, v)
	case '"':
		return appendXMLText(dst, unquoted(v))
	}
	return append(dst, v...)
}

// appendXMLText escapes for text and attributes alike. Tab and line ends are written as references, because parsers change them in
// attributes, and a carriage return everywhere. What XML 1.0 cannot hold at all becomes U+FFFD.
func appendXMLText(dst []byte, s string) []byte {
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
		case '\t':
			escaped = "&#9;"
		case '\n':
			escaped = "&#10;"
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
