package event

import (
	"unicode/utf16"
	"unicode/utf8"
)

// unescape appends the text that raw, a checked JSON string without its quotes, stands for. It fails when that has more than limit bytes
// or when an escape is half of a surrogate pair, which is no character at all.
func unescape(dst, raw []byte, limit int) ([]byte, bool) {
	start := len(dst)
	for i := 0; i < len(raw); {
		c := raw[i]
		i++
		if c != '\\' {
			dst = append(dst, c)
		} else {
			c = raw[i]
			i++
			if c != 'u' {
				dst = append(dst, unescaped(c))
			} else {
				r := hex4(raw[i:])
				i += 4
				if utf16.IsSurrogate(r) {
					if len(raw)-i < 6 || raw[i] != '\\' || raw[i+1] != 'u' {
						return dst, false
					}
					if r = utf16.DecodeRune(r, hex4(raw[i+2:])); r == utf8.RuneError {
						return dst, false
					}
					i += 6
				}
				dst = utf8.AppendRune(dst, r)
			}
		}
		if len(dst)-start > limit {
			return dst, false
		}
	}
	return dst, true
}

// unescaped is the character behind a two-character escape.
func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

func hexValue(c byte) rune {
	switch {
	case c-'0' <= 9:
		return rune(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return rune(c|0x20-'a') + 10
	}
	return -1
}

func hex4(b []byte) rune {
	return hexValue(b[0])<<12 | hexValue(b[1])<<8 | hexValue(b[2])<<4 | hexValue(b[3])
}

// Which bytes an id and an event type may have. Both appear in URLs, headers and log lines, so nothing in them ever needs escaping.
const (
	inID = 1 << iota
	inType
)

var charClass = func() (t [256]uint8) {
	for c := range 256 {
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c == '_', c == '-':
			t[c] = inID | inType
		case c == '.', c == ':', c == '/':
			t[c] = inType
		}
	}
	return t
}()

func madeOf(b []byte, class uint8) bool {
	for _, c := range b {
		if charClass[c]&class == 0 {
			return false
		}
	}
	return len(b) > 0 && len(b) <= maxMember
}

// ValidID reports whether b can be the id of an event: 1 to 255 of A-Z a-z 0-9 _ -.
func ValidID(b []byte) bool { return madeOf(b, inID) }

// ValidType reports whether b can be the type of an event: 1 to 255 of A-Z a-z 0-9 _ . : / -.
func ValidType(b []byte) bool { return madeOf(b, inType) }

// validName is the rule for tenants and programs: any text that fits into a record and into one line of a log.
func validName(b []byte) bool {
	for _, c := range b {
		if c < 0x20 || c == 0x7f {
			return false
		}
	}
	return len(b) > 0 && len(b) <= maxMember
}

// validTime accepts RFC 3339 as Go's decoders do: capital T and Z, no leap second, because receivers would choke on the rest.
func validTime(b []byte) bool {
	if len(b) < len("2006-01-02T15:04:05Z") || len(b) > maxTime {
		return false
	}
	if b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' {
		return false
	}
	century, y := number2(b[0:]), number2(b[2:])
	month, day := number2(b[5:]), number2(b[8:])
	if century < 0 || y < 0 || month < 1 || month > 12 || day < 1 || day > daysIn(century*100+y, month) {
		return false
	}
	if !upTo(b[11:], 23) || !upTo(b[14:], 59) || !upTo(b[17:], 59) {
		return false
	}
	b = b[19:]
	if b[0] == '.' {
		n := 1
		for n < len(b) && b[n]-'0' <= 9 {
			n++
		}
		if n == 1 {
			return false
		}
		b = b[n:]
	}
	if len(b) == 1 {
		return b[0] == 'Z'
	}
	return len(b) == 6 && (b[0] == '+' || b[0] == '-') && b[3] == ':' && upTo(b[1:], 23) && upTo(b[4:], 59)
}

// number2 reads two digits, or returns -1.
func number2(b []byte) int {
	if b[0]-'0' > 9 || b[1]-'0' > 9 {
		return -1
	}
	return int(b[0]-'0')*10 + int(b[1]-'0')
}

func upTo(b []byte, most int) bool {
	n := number2(b)
	return n >= 0 && n <= most
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}
