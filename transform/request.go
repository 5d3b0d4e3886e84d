package transform

import (
	"bytes"
	"strings"
)

// What set answers. Below zero: refused, and nothing changed.
const (
	setOK       = 0
	setUnknown  = -1 // no such key
	setRefused  = -2 // reserved header, CR or LF, another host, not a method
	setTooLarge = -3 // over the limits for headers
)

// reserved headers belong to the connection, to the signature or to the authorization.
var reserved = map[string]bool{
	"host": true, "content-length": true, "content-type": true, "content-encoding": true, "transfer-encoding": true, "connection": true,
	"keep-alive": true, "te": true, "trailer": true, "upgrade": true, "expect": true, "date": true, "authorization": true, "cookie": true,
	"traceparent": true, "tracestate": true, "x-hub-signature": true, "x-hub-signature-256": true, "forwarded": true,
}

var reservedPrefixes = []string{"webhook-", "proxy-", "sec-", "x-forwarded-", "x-edgerelay-"}

// isReserved is Reserved without an allocation; name is a token.
func isReserved(name []byte) bool {
	var buf [maxKey]byte
	if len(name) > len(buf) {
		return true
	}
	low := buf[:len(name)]
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		low[i] = c
	}
	if reserved[string(low)] {
		return true
	}
	for _, p := range reservedPrefixes {
		if len(low) >= len(p) && string(low[:len(p)]) == p {
			return true
		}
	}
	return false
}

// Reserved reports whether a transform may not set the header of that name.
func Reserved(name string) bool { return isReserved([]byte(name)) }

// set carries out the import of that name. Names of headers and of query parameters are unique: a later value replaces an earlier one,
// also of an earlier transform of the chain.
func (r *Result) set(key, value []byte, limit int) int32 {
	kind, name, named := bytes.Cut(key, []byte(":"))
	if !named {
		return r.setWhole(key, value)
	}
	switch string(kind) {
	case "header":
		if !isToken(name) || !isFieldValue(value) || isReserved(name) {
			return setRefused
		}
		return r.setField(&r.Headers, name, value, limit, bytes.EqualFold)
	case "query":
		if len(name) == 0 || bytes.IndexByte(name, 0) >= 0 || bytes.IndexByte(value, 0) >= 0 {
			return setRefused
		}
		return r.setField(&r.Query, name, value, limit, bytes.Equal)
	}
	return setUnknown
}

func (r *Result) setWhole(key, value []byte) int32 {
	switch string(key) {
	case "content-type":
		if len(value) == 0 || len(value) > maxKey || !isFieldValue(value) {
			return setRefused
		}
		r.ContentType = r.intern(value)
	case "method":
		switch string(value) {
		case "POST", "PUT", "PATCH", "DELETE", "GET":
			r.Method = r.intern(value)
		default:
			return setRefused
		}
	case "path":
		if !isPath(value) {
			return setRefused
		}
		r.Path = r.intern(value)
	default:
		return setUnknown
	}
	return setOK
}

func (r *Result) setField(fields *[]Field, name, value []byte, limit int, same func(a, b []byte) bool) int32 {
	size := r.fieldBytes + len(name) + len(value)
	if size > limit {
		return setTooLarge
	}
	r.fieldBytes = size
	for i := range *fields {
		if f := &(*fields)[i]; len(f.Name) == len(name) && same([]byte(f.Name), name) {
			f.Value = r.store(value)
			return setOK
		}
	}
	if len(*fields) >= MaxFields {
		return setTooLarge
	}
	*fields = append(*fields, Field{Name: r.intern(name), Value: r.store(value)})
	return setOK
}

func isToken(b []byte) bool {
	for _, c := range b {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return len(b) > 0
}

// isFieldValue: visible characters, spaces and tabs inside, bytes above 127; no control characters, so neither CR nor LF.
func isFieldValue(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return len(bytes.TrimSpace(b)) == len(b)
}

// isPath: the path of a URL, which cannot name another host or climb: one slash first, no backslash, no query, no dot segments.
func isPath(b []byte) bool {
	if len(b) == 0 || b[0] != '/' || len(b) > 1 && b[1] == '/' {
		return false
	}
	for i, c := range b {
		switch {
		case c <= ' ' || c >= 0x7f || strings.IndexByte(`\?#"<>^{}|`+"`", c) >= 0:
			return false
		case c == '%' && (i+2 >= len(b) || !isHex(b[i+1]) || !isHex(b[i+2])):
			return false
		}
	}
	plain := undot.Replace(strings.ToLower(string(b)))
	for segment := range strings.SplitSeq(plain, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// undot writes escaped dots and slashes as what some servers take them for.
var undot = strings.NewReplacer("%2e", ".", "%2f", "/", "%5c", "/")

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
