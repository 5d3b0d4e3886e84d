package ingress

// maxKey is how long an Idempotency-Key may be.
const maxKey = 255

const keyRule = "want 1 to 255 visible ASCII characters, either as they are or as a quoted string (RFC 9651)"

// idempotencyKey reads the header of draft-ietf-httpapi-idempotency-key-header: a quoted string, or, as most clients send it, the bare key. Both
// spellings of a key are the same key. It appends to dst; no header is no key.
func idempotencyKey(dst, header []byte) (key []byte, ok bool) {
	if len(header) == 0 {
		return nil, true
	}
	quoted := header[0] == '"'
	if quoted {
		if len(header) < 2 || header[len(header)-1] != '"' {
			return nil, false
		}
		header = header[1 : len(header)-1]
	}
	for i := 0; i < len(header); i++ {
		c := header[i]
		switch {
		case c == '"', !quoted && (c == '\\' || c == ',' || c == ';'):
			return nil, false // a comma or semicolon would make it a list or a parameter
		case c == '\\':
			if i++; i == len(header) || header[i] != '"' && header[i] != '\\' {
				return nil, false
			}
			c = header[i]
		case c == ' ' && quoted:
		case c <= ' ' || c >= 0x7f:
			return nil, false
		}
		dst = append(dst, c)
	}
	return dst, len(dst) > 0 && len(dst) <= maxKey
}

// traceparent returns the header if it is one of W3C Trace Context, version 00, else nothing: a broken one must not break the event.
func traceparent(header []byte) []byte {
	const form = "00-tttttttttttttttttttttttttttttttt-pppppppppppppppp-ff"
	if len(header) != len(form) {
		return nil
	}
	var trace, parent bool // not all zeros
	for i, c := range header {
		switch want := form[i]; {
		case want == '0' || want == '-':
			if c != want {
				return nil
			}
		case !(c-'0' <= 9 || c >= 'a' && c <= 'f'):
			return nil
		case want == 't':
			trace = trace || c != '0'
		case want == 'p':
			parent = parent || c != '0'
		}
	}
	if !trace || !parent {
		return nil
	}
	return header
}
