package bench

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

func TestMessage(t *testing.T) {
	m, err := Target{URL: "http://example.com/in?x=1", Headers: []string{"Authorization: Bearer t"}, Body: `{"a":"{{id}}","b":"{{id}}"}`}.message()
	if err != nil {
		t.Fatal(err)
	}
	other := m.clone()
	s := stamp{1, 2, 3}
	m.stamp(s)
	text := make([]byte, stampSize)
	s.put(text)
	want := "POST /in?x=1 HTTP/1.1\r\nHost: example.com\r\nContent-Length: 77\r\nAuthorization: Bearer t\r\nContent-Type: application/json\r\n\r\n" +
		`{"a":"` + string(text) + `","b":"` + string(text) + `"}`
	if string(m.bytes) != want || m.addr != "example.com:80" {
		t.Errorf("%s: %s, want %s", m.addr, m.bytes, want)
	}
	if strings.Contains(string(other.bytes), string(text)) {
		t.Error("a clone shares its bytes")
	}
	for _, tt := range []struct {
		name string
		t    Target
		want string
	}{
		{"no placeholder", Target{URL: "http://a/", Body: "{}"}, "no {{id}}"},
		{"no URL", Target{URL: "a:80", Body: Placeholder}, "is not a URL"},
		{"another scheme", Target{URL: "ftp://a/", Body: Placeholder}, "is not a URL"},
		{"two lines in a header", Target{URL: "http://a/", Body: Placeholder, Headers: []string{"A: b\r\nC: d"}}, "not like Name: value"},
		{"no colon", Target{URL: "http://a/", Body: Placeholder, Headers: []string{"A"}}, "not like Name: value"},
	} {
		if err := tt.t.Check(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// pieces is a connection that delivers its text in pieces of n bytes.
type pieces struct {
	net.Conn
	text string
	n    int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.text == "" {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.n)], p.text)
	p.text = p.text[n:]
	return n, nil
}

func TestAnswersAreToldApart(t *testing.T) {
	const next = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
	for _, tt := range []struct {
		name, text string
		status     int
		last       bool
	}{
		{"with a length", "HTTP/1.1 202 Accepted\r\ncontent-length: 5\r\nX: y\r\n\r\nhello", 202, false},
		{"long body", "HTTP/1.1 500 No\r\nContent-Length: 10000\r\n\r\n" + strings.Repeat("x", 10000), 500, false},
		{"long header", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", 9000) + "\r\nContent-Length: 1\r\n\r\nz", 200, false},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nTrailer: x\r\n\r\n", 200, false},
		{"204", "HTTP/1.1 204 No Content\r\n\r\n", 204, false},
		{"after an announcement", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n", 429, false},
		{"connection ends", "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\nok", 200, true},
	} {
		for _, n := range []int{1, 7, 1 << 20} {
			w := &wire{Conn: &pieces{text: tt.text + next, n: n}, buf: make([]byte, 64)}
			status, err := w.answer()
			if err != nil || status != tt.status || w.last != tt.last {
				t.Errorf("%s, in pieces of %d: %d, %v, last %v", tt.name, n, status, err, w.last)
				continue
			}
			if status, err := w.answer(); err != nil || status != 201 {
				t.Errorf("%s, in pieces of %d: the next answer is %d, %v", tt.name, n, status, err)
			}
		}
	}
	for _, tt := range []struct {
		name, text string
		want       error
	}{
		{"not HTTP", "SSH-2.0-OpenSSH_9.7\r\n\r\n", errAnswer},
		{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", nil},
		{"status is no number", "HTTP/1.1 2x0 OK\r\n\r\n", errAnswer},
		{"ends in the header", "HTTP/1.1 200 OK\r\n", io.EOF},
		{"ends in the body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", io.EOF},
		{"chunk size is no number", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", errAnswer},
		{"endless header", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 20000), errAnswer},
	} {
		w := &wire{Conn: &pieces{text: tt.text, n: 1 << 20}, buf: make([]byte, 64)}
		if status, err := w.answer(); tt.want != nil && !errors.Is(err, tt.want) || tt.want == nil && err == nil {
			t.Errorf("%s: %d, %v, want %v", tt.name, status, err, tt.want)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nhello"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		w := &wire{Conn: &pieces{text: string(text), n: 13}, buf: make([]byte, 64)}
		for {
			status, err := w.answer()
			if err != nil || w.last {
				return
			}
			if status < 200 && status >= 100 {
				t.Fatalf("status %d is no answer", status)
			}
		}
	})
}
