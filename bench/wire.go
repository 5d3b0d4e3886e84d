package bench

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Placeholder is what a body template has where each event's own id goes.
const Placeholder = "{{id}}"

// Target is the address that a load is sent to, and what is sent.
type Target struct {
	URL     string
	Headers []string // "Name: value"
	Body    string   // with at least one {{id}}
}

// Check reports what is wrong with t.
func (t Target) Check() error {
	_, err := t.message()
	return err
}

// message is a prepared request: its bytes, and where the stamps go. Each connection has a copy of its own.
type message struct {
	tls    bool
	server string // host name for TLS
	addr   string
	bytes  []byte
	stamps []int // offsets
}

func (t Target) message() (*message, error) {
	u, err := url.Parse(t.URL)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("target %q is not a URL like http://127.0.0.1:8080/v1/events", t.URL)
	}
	if !strings.Contains(t.Body, Placeholder) {
		return nil, fmt.Errorf("the body template has no %s: without it nothing can be counted", Placeholder)
	}
	m := &message{tls: u.Scheme == "https", server: u.Hostname(), addr: net.JoinHostPort(u.Hostname(), u.Port())}
	if u.Port() == "" {
		m.addr = net.JoinHostPort(u.Hostname(), map[bool]string{false: "80", true: "443"}[m.tls])
	}
	marker := strings.Repeat("?", stampSize)
	body := strings.ReplaceAll(t.Body, Placeholder, marker)
	var head bytes.Buffer
	fmt.Fprintf(&head, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", u.RequestURI(), u.Host, len(body))
	typed := false
	for _, h := range t.Headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok || name == "" || strings.ContainsAny(h, "\r\n") {
			return nil, fmt.Errorf("header %q is not like Name: value", name)
		}
		typed = typed || strings.EqualFold(name, "Content-Type")
		fmt.Fprintf(&head, "%s: %s\r\n", name, strings.TrimSpace(value))
	}
	if !typed {
		head.WriteString("Content-Type: application/json\r\n")
	}
	head.WriteString("\r\n")
	for rest, at := t.Body, head.Len(); ; {
		before, after, found := strings.Cut(rest, Placeholder)
		if !found {
			break
		}
		at += len(before)
		m.stamps = append(m.stamps, at)
		at += stampSize
		rest = after
	}
	m.bytes = append(head.Bytes(), body...)
	return m, nil
}

// stamp writes s into the request.
func (m *message) stamp(s stamp) {
	for _, at := range m.stamps {
		s.put(m.bytes[at:])
	}
}

func (m *message) clone() *message {
	c := *m
	c.bytes = bytes.Clone(m.bytes)
	return &c
}

// wire is one keep-alive connection that speaks just enough HTTP/1.1 to send a prepared request and to understand the answer. A general client
// would cost as much CPU as what is measured, and they share the cores.
type wire struct {
	net.Conn
	buf        []byte
	start, end int  // what of buf was received and not yet consumed
	last       bool // the server closes after this answer
}

const dialTimeout = 5 * time.Second

func dial(m *message) (*wire, error) {
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.Dial("tcp", m.addr)
	if err == nil && m.tls {
		c = tls.Client(c, &tls.Config{ServerName: m.server})
	}
	if err != nil {
		return nil, err
	}
	return &wire{Conn: c, buf: make([]byte, 4096)}, nil
}

var errAnswer = errors.New("the answer is not HTTP/1.1 as this generator understands it")

// maxAnswerHead bounds the header of an answer.
const maxAnswerHead = 64 << 10

// answer reads one response and returns its status; the body is thrown away.
func (w *wire) answer() (status int, err error) {
	for {
		head, err := w.head()
		if err != nil {
			return 0, err
		}
		if len(head) < 12 || string(head[:7]) != "HTTP/1." {
			return 0, errAnswer
		}
		if status, err = strconv.Atoi(string(head[9:12])); err != nil {
			return 0, errAnswer
		}
		length, chunked := w.framing(head)
		if status >= 100 && status < 200 {
			continue // only announces the answer
		}
		switch {
		case status == 204 || status == 304:
			return status, nil
		case chunked:
			return status, w.skipChunks()
		case length < 0: // the body ends with the connection
			w.last = true
			return status, nil
		}
		return status, w.skip(length)
	}
}

// fill reads more.
func (w *wire) fill() error {
	if w.start == w.end {
		w.start, w.end = 0, 0
	} else if w.end == len(w.buf) {
		if w.start > 0 {
			w.end = copy(w.buf, w.buf[w.start:w.end])
			w.start = 0
		} else if len(w.buf) >= maxAnswerHead {
			return errAnswer
		} else {
			w.buf = append(w.buf, make([]byte, len(w.buf))...)
		}
	}
	n, err := w.Read(w.buf[w.end:])
	w.end += n
	if n > 0 {
		return nil
	}
	return err
}

// head consumes the status line and the header and returns them with the empty line; valid until the next fill.
func (w *wire) head() ([]byte, error) {
	for {
		if at := bytes.Index(w.buf[w.start:w.end], []byte("\r\n\r\n")); at >= 0 {
			h := w.buf[w.start : w.start+at+4]
			w.start += at + 4
			return h, nil
		}
		if err := w.fill(); err != nil {
			return nil, err
		}
	}
}

// framing reads what a header says about the body's length (-1 = nothing).
func (w *wire) framing(head []byte) (length int, chunked bool) {
	length = -1
	_, rest, _ := bytes.Cut(head, []byte("\r\n"))
	for len(rest) > 2 {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch len(name) {
		case len("Content-Length"):
			if bytes.EqualFold(name, []byte("Content-Length")) {
				if n, err := strconv.Atoi(string(value)); err == nil && n >= 0 {
					length = n
				}
			}
		case len("Transfer-Encoding"):
			chunked = chunked || bytes.EqualFold(name, []byte("Transfer-Encoding")) && bytes.EqualFold(value, []byte("chunked"))
		case len("Connection"):
			w.last = w.last || bytes.EqualFold(name, []byte("Connection")) && bytes.EqualFold(value, []byte("close"))
		}
	}
	return length, chunked
}

// skip throws away n bytes.
func (w *wire) skip(n int) error {
	for {
		have := min(n, w.end-w.start)
		w.start += have
		if n -= have; n == 0 {
			return nil
		}
		if err := w.fill(); err != nil {
			return err
		}
	}
}

// skipChunks throws away a chunked body.
func (w *wire) skipChunks() error {
	for {
		line, err := w.line()
		if err != nil {
			return err
		}
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseUint(string(bytes.TrimSpace(size)), 16, 31)
		if err != nil {
			return errAnswer
		}
		if n == 0 {
			break
		}
		if err := w.skip(int(n) + 2); err != nil {
			return err
		}
	}
	for { // the trailer ends with an empty line
		line, err := w.line()
		if err != nil || len(line) == 0 {
			return err
		}
	}
}

// line consumes one line and returns it without its end; valid until the next fill.
func (w *wire) line() ([]byte, error) {
	for {
		if at := bytes.Index(w.buf[w.start:w.end], []byte("\r\n")); at >= 0 {
			l := w.buf[w.start : w.start+at]
			w.start += at + 2
			return l, nil
		}
		if err := w.fill(); err != nil {
			return nil, err
		}
	}
}
