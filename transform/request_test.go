package transform

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzSet: whatever a guest sets, nothing gets into the request that ends a line, changes the host or takes over a reserved header.
func FuzzSet(f *testing.F) {
	for _, s := range [][2]string{{"path", "/a/b"}, {"path", "/%2e%2E/x"}, {"header:X-A", "1"}, {"header:Host", "x"}, {"query:a", "b"}, {"method", "PUT"},
		{"content-type", "text/plain"}, {"path", "/\\x"}, {"path", "/a%"}, {"path", "/a%2F.."}, {"path", "/a%5c%2E%2e"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		var r Result
		code := r.set([]byte(key), []byte(value), 1<<20)
		if code != setOK {
			if r.ContentType+r.Method+r.Path != "" || len(r.Headers)+len(r.Query) > 0 {
				t.Fatalf("refused with %d, and yet set", code)
			}
			return
		}
		for _, h := range r.Headers {
			if Reserved(h.Name) || strings.ContainsAny(h.Name, " \r\n:\x00") || strings.ContainsAny(string(h.Value), "\r\n\x00") {
				t.Fatalf("header %q: %q", h.Name, h.Value)
			}
		}
		if strings.ContainsAny(r.ContentType, "\r\n\x00") {
			t.Fatalf("content type %q", r.ContentType)
		}
		if r.Path == "" {
			return
		}
		u, err := url.Parse("https://safe.example" + r.Path)
		if err != nil || u.Host != "safe.example" || u.RawQuery != "" || u.Fragment != "" {
			t.Fatalf("path %q: %v %v", r.Path, u, err)
		}
		for segment := range strings.SplitSeq(u.Path, "/") {
			if segment == ".." || segment == "." {
				t.Fatalf("path %q climbs", r.Path)
			}
		}
	})
}
