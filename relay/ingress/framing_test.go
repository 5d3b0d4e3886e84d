package ingress

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

const (
	one = `{"type":"one"}` // 14 bytes
	two = `{"type":"two"}`
)

// inner is a whole request, to be hidden in places where it must not be found.
const inner = "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n" + two

// exchange writes raw to a new connection and reads answers until the server closes it, or until it has been quiet for long enough
// after the number of answers expected. closed says which of the two it was.
func exchange(t *testing.T, addr, raw string, answers int) (statuses []int, last reply, closed bool) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go io.WriteString(c, raw) // the server may stop reading before the end
	br := bufio.NewReader(c)
	for {
		wait := 10 * time.Second
		if len(statuses) >= answers {
			wait = 300 * time.Millisecond // more than the ReadTimeout of these tests: an unfinished request has ended by then
		}
		c.SetReadDeadline(time.Now().Add(wait))
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			var ne net.Error
			return statuses, last, !(errors.As(err, &ne) && ne.Timeout())
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		statuses, last = append(statuses, resp.StatusCode), reply{resp, string(body)}
	}
}

// TestFraming sends requests whose end is in doubt, or that are not HTTP at all. Whatever happens, an event that the sender has hidden
// within another one is never taken, and the connection ends.
func TestFraming(t *testing.T) {
	chunked := "POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	post := func(headers ...string) string {
		return "POST /v1/events HTTP/1.1\r\nHost: x\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n"
	}
	cases := map[string]struct {
		raw    string
		want   string // statuses
		events string // types stored
		open   bool   // the connection may stay open: nothing was in doubt
	}{
		// What must work.
		"plain":               {post("Content-Length: 14") + one, "[202]", "one", true},
		"two in a row":        {post("Content-Length: 14") + one + inner, "[202 202]", "one two", true},
		"chunked":             {chunked + "e\r\n" + one + "\r\n0\r\n\r\n", "[202]", "one", true},
		"chunked in pieces":   {chunked + "4\r\n" + one[:4] + "\r\n00A;ext=1\r\n" + one[4:] + "\r\n0\r\n\r\n", "[202]", "one", true},
		"chunked, then more":  {chunked + "e\r\n" + one + "\r\n0\r\n\r\n" + inner, "[202 202]", "one two", true},
		"trailer":             {post("Transfer-Encoding: chunked", "Trailer: X-T") + "e\r\n" + one + "\r\n0\r\nX-T: 1\r\n\r\n" + inner, "[202 202]", "one two", true},
		"absolute form":       {"POST http://x/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n" + one, "[202]", "one", true},
		"HTTP/1.0":            {"POST /v1/events HTTP/1.0\r\nContent-Length: 14\r\n\r\n" + one + inner, "[202]", "one", false},
		"close in capitals":   {post("Connection: Close", "Content-Length: 14") + one + inner, "[202]", "one", false},
		"close in a list":     {post("Connection: te, close", "Content-Length: 14") + one + inner, "[202]", "one", false},
		"expect":              {post("Expect: 100-continue", "Content-Length: 14") + one, "[100 202]", "one", true},
		"no body, then more":  {post("X: y") + inner, "[400 202]", "two", true},
		"a GET with a body":   {"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx" + inner, "[200 202]", "two", true},
		"empty lines between": {post("Content-Length: 14") + one + "\r\n\r\n" + inner, "[202 202]", "one two", true},

		// Two lengths, or none that is certain.
		"two content lengths":           {post("Content-Length: 14", "Content-Length: 100") + one + inner, "[400]", "", false},
		"the same length twice":         {post("Content-Length: 14", "Content-Length: 14") + one + inner, "[400]", "", false},
		"lengths in a list":             {post("Content-Length: 14, 14") + one + inner, "[400]", "", false},
		"length and chunked":            {post("Content-Length: 14", "Transfer-Encoding: chunked") + "0\r\n\r\n" + inner, "[400]", "", false},
		"chunked and length":            {post("Transfer-Encoding: chunked", "Content-Length: 5") + "e\r\n" + one + "\r\n0\r\n\r\n" + inner, "[400]", "", false},
		"length and identity":           {post("Content-Length: 14", "Transfer-Encoding: identity") + one + inner, "[400]", "", false},
		"identity alone":                {post("Transfer-Encoding: identity") + inner, "[400]", "", false},
		"chunked twice":                 {post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + "0\r\n\r\n" + inner, "[400]", "", false},
		"chunked and identity":          {post("Transfer-Encoding: chunked", "Transfer-Encoding: identity") + "0\r\n\r\n" + inner, "[400]", "", false},
		"gzip, chunked":                 {post("Transfer-Encoding: gzip, chunked") + "0\r\n\r\n" + inner, "[400]", "", false},
		"xchunked":                      {post("Transfer-Encoding: xchunked") + "0\r\n\r\n" + inner, "[400]", "", false},
		"chunked with a vertical tab":   {post("Transfer-Encoding: \x0bchunked") + "0\r\n\r\n" + inner, "[400]", "", false},
		"chunked in HTTP/1.0":           {"POST /v1/events HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\ne\r\n" + one + "\r\n0\r\n\r\n" + inner, "[400]", "", false},
		"negative length":               {post("Content-Length: -1") + inner, "[400]", "", false},
		"length with a plus":            {post("Content-Length: +14") + one + inner, "[400]", "", false},
		"length in hexadecimal":         {post("Content-Length: 0xe") + one + inner, "[400]", "", false},
		"length with text behind":       {post("Content-Length: 14x") + one + inner, "[400]", "", false},
		"empty length":                  {post("Content-Length:") + inner, "[400]", "", false},
		"length beyond 64 bits":         {post("Content-Length: 99999999999999999999999") + one + inner, "[400]", "", false},
		"length of 2^63":                {post("Content-Length: 9223372036854775808") + one + inner, "[400]", "", false},
		"length beyond the limit":       {post("Content-Length: 5000") + strings.Repeat(inner, 100), "[413]", "", false},
		"a space in Content Length":     {post("Content Length: 14") + one + inner, "[400]", "", false},
		"a space before the colon":      {post("Content-Length : 14") + one + inner, "[400]", "", false},
		"a tab before the colon":        {post("Transfer-Encoding\t: chunked") + "0\r\n\r\n" + inner, "[400]", "", false},
		"folded length":                 {post("Content-Length:\r\n 14") + one + inner, "[400]", "", false},
		"folded encoding":               {post("Transfer-Encoding:\r\n\tchunked") + "0\r\n\r\n" + inner, "[400]", "", false},
		"folded header":                 {post("X: a\r\n b", "Content-Length: 14") + one + inner, "[400]", "", false},
		"first header line is indented": {"POST /v1/events HTTP/1.1\r\n Host: x\r\nContent-Length: 14\r\n\r\n" + one + inner, "[400]", "", false},
		"length shorter than the event": {post("Content-Length: 13") + one + inner, "[400 400]", "", false},

		// Line ends.
		"bare LF in the header":     {"POST /v1/events HTTP/1.1\r\nHost: x\nContent-Length: 14\r\n\r\n" + one + inner, "[400]", "", false},
		"bare LF everywhere":        {strings.ReplaceAll(post("Content-Length: 14"), "\r\n", "\n") + one + inner, "[400]", "", false},
		"bare LF ends the header":   {"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 14\n\n" + one + inner, "[400]", "", false},
		"bare LF hides a length":    {post("X: y\nContent-Length: 100", "Content-Length: 14") + one + inner, "[400]", "", false},
		"bare CR in a value":        {post("X: a\rContent-Length: 100", "Content-Length: 14") + one + inner, "[400]", "", false},
		"bare CR ends a line":       {"POST /v1/events HTTP/1.1\r\nHost: x\rContent-Length: 14\r\n\r\n" + one + inner, "[400]", "", false},
		"NUL in a value":            {post("X: a\x00b", "Content-Length: 14") + one + inner, "[400]", "", false},
		"NUL in a name":             {post("X\x00: a", "Content-Length: 14") + one + inner, "[400]", "", false},
		"DEL in a value":            {post("X: a\x7fb", "Content-Length: 14") + one + inner, "[400]", "", false},
		"name beyond ASCII":         {post("X\xff: a", "Content-Length: 14") + one + inner, "[400]", "", false},
		"header without a colon":    {post("nonsense", "Content-Length: 14") + one + inner, "[400]", "", false},
		"header without a name":     {post(": nonsense", "Content-Length: 14") + one + inner, "[400]", "", false},
		"brackets in a header name": {post("X(): a", "Content-Length: 14") + one + inner, "[400]", "", false},

		// Chunks.
		"chunk size is no number":      {chunked + "zz\r\n" + inner, "[400]", "", false},
		"empty chunk size":             {chunked + "\r\n" + inner, "[400]", "", false},
		"negative chunk size":          {chunked + "-1\r\n" + inner, "[400]", "", false},
		"chunk size with 0x":           {chunked + "0xe\r\n" + one + "\r\n0\r\n\r\n" + inner, "[400]", "", false},
		"chunk size with a plus":       {chunked + "+e\r\n" + one + "\r\n0\r\n\r\n" + inner, "[400]", "", false},
		"chunk size beyond 64 bits":    {chunked + "10000000000000000e\r\n" + one + "\r\n0\r\n\r\n" + inner, "[400]", "", false},
		"chunk size beyond the limit":  {chunked + "fffffff\r\n" + inner, "[413]", "", false},
		"chunks beyond the limit":      {chunked + strings.Repeat("400\r\n"+strings.Repeat("x", 1024)+"\r\n", 5) + "0\r\n\r\n" + inner, "[413]", "", false},
		"chunk longer than its size":   {chunked + "d\r\n" + one + "\r\n0\r\n\r\n" + inner, "[400]", "", false},
		"chunk shorter than its size":  {chunked + "f\r\n" + one + "\r\n0\r\n\r\n" + inner, "[400]", "", false},
		"chunk size ends in bare LF":   {chunked + "e\n" + one + "\r\n0\r\n\r\n" + inner, "[400]", "", false},
		"chunk ends in bare LF":        {chunked + "e\r\n" + one + "\n0\r\n\r\n" + inner, "[400]", "", false},
		"LF in a chunk extension":      {chunked + "e;a\n" + one + "\r\n0\r\n\r\n" + inner, "[400]", "", false},
		"bare CR in a chunk extension": {chunked + "e;a\rb\r\n" + one + "\r\n0\r\n\r\n" + inner, "[400]", "", false},
		"length as a trailer":          {chunked + "e\r\n" + one + "\r\n0\r\nContent-Length: 100\r\n\r\n" + inner, "[400]", "", false},
		"trailer without a colon":      {chunked + "e\r\n" + one + "\r\n0\r\nnonsense\r\n\r\n" + inner, "[400]", "", false},
		"forbidden trailer announced":  {post("Transfer-Encoding: chunked", "Trailer: Content-Length") + "e\r\n" + one + "\r\n0\r\n\r\n" + inner, "[400]", "", false},

		// The first line.
		"HTTP/0.9":             {"GET /healthz\r\n\r\n", "[400]", "", false},
		"HTTP/0.9 by number":   {"POST /v1/events HTTP/0.9\r\nHost: x\r\nContent-Length: 14\r\n\r\n" + one + inner, "[400]", "", false},
		"HTTP/1.2":             {"POST /v1/events HTTP/1.2\r\nHost: x\r\nContent-Length: 14\r\n\r\n" + one + inner, "[400]", "", false},
		"HTTP/2 preface":       {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "[400]", "", false},
		"http in small":        {"POST /v1/events http/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n" + one + inner, "[400]", "", false},
		"no host":              {"POST /v1/events HTTP/1.1\r\nContent-Length: 14\r\n\r\n" + one + inner, "[400]", "", false},
		"empty host":           {"POST /v1/events HTTP/1.1\r\nHost:\r\nContent-Length: 14\r\n\r\n" + one + inner, "[400]", "", false},
		"two hosts":            {post("Host: y", "Content-Length: 14") + one + inner, "[400]", "", false},
		"two spaces":           {"POST  /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n" + one + inner, "[400]", "", false},
		"space in the target":  {"POST /v1/events x HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n" + one + inner, "[400]", "", false},
		"NUL in the target":    {"POST /v1/events\x00 HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n" + one + inner, "[400]", "", false},
		"tab in the method":    {"PO\tST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n" + one + inner, "[400]", "", false},
		"method in small":      {"post /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n" + one, "[405]", "", false},
		"a TLS greeting":       {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "[400]", "", false},
		"binary nonsense":      {"\x00\x01\x02\xff\xfe\r\n\r\n\r\n\r\n", "[400]", "", false},
		"endless first line":   {"GET /" + strings.Repeat("x", 40_000), "[431]", "", false},
		"endless header":       {"GET / HTTP/1.1\r\n" + strings.Repeat("X: y\r\n", 10_000), "[431]", "", false},
		"ends in the header":   {"POST /v1/events HTTP/1.1\r\nHost: x\r\nConte", "[408]", "", false},
		"ends in the body":     {post("Content-Length: 14") + one[:13], "[408]", "", false},
		"ends in a chunk":      {chunked + "e\r\n" + one[:13], "[408]", "", false},
		"ends in a chunk size": {chunked + "e", "[408]", "", false},
		"refused, chunked":     {strings.Replace(chunked, "/v1/events", "/nowhere", 1) + "fff\r\n" + inner, "[404]", "", false},
		"refused with a body":  {"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: " + fmt.Sprint(len(inner)) + "\r\n\r\n" + inner, "[404]", "", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, func(o *Options) { o.ReadTimeout = 150 * time.Millisecond })
			statuses, last, closed := exchange(t, h.addr, c.raw, strings.Count(c.want, " ")+1)
			if got := fmt.Sprint(statuses); got != c.want {
				t.Errorf("answers %s, want %s; the last one: %s", got, c.want, last.body)
			}
			var types []string
			for _, e := range h.stored() {
				types = append(types, string(e.Type))
			}
			if got := strings.Join(types, " "); got != c.events {
				t.Errorf("stored %q, want %q", got, c.events)
			}
			if !c.open && (!closed || last.Response != nil && !last.Close) {
				t.Errorf("the connection stays open (announced: %v)", last.Response != nil && last.Close)
			}
			if last.Response != nil && last.StatusCode >= 400 {
				last.problemType(t)
			}
		})
	}
}

// TestDrip sends a byte now and then: the time is limited for the request as a whole, not between two bytes.
func TestDrip(t *testing.T) {
	for name, raw := range map[string]string{
		"header": "POST /v1/events HTTP/1.1\r\nHost: x\r\nX-Slow: " + strings.Repeat("x", 4000),
		"body":   "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n" + strings.Repeat(" ", 4000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const limit = 200 * time.Millisecond
			h := start(t, func(o *Options) { o.ReadTimeout = limit })
			begin := time.Now() // before the connection, whose time the server counts from
			c, err := net.Dial("tcp", h.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			go func() {
				tick := time.NewTicker(5 * time.Millisecond)
				defer tick.Stop()
				for i := range len(raw) {
					if _, err := io.WriteString(c, raw[i:i+1]); err != nil {
						return
					}
					<-tick.C
				}
			}()
			c.SetReadDeadline(begin.Add(10 * time.Second))
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); resp.StatusCode != 408 || !resp.Close || took < limit {
				t.Errorf("status %d, close %v after %v, want 408 after %v", resp.StatusCode, resp.Close, took, limit)
			}
		})
	}
}

func TestIdleConnectionEnds(t *testing.T) {
	h := start(t, func(o *Options) { o.IdleTimeout = 50 * time.Millisecond })
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, inner)
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	rest, err := io.ReadAll(c)
	if err != nil || strings.Count(string(rest), "HTTP/1.1") != 1 {
		t.Errorf("%v, %q; want one answer and a quiet end", err, rest)
	}
}

// TestAnswerSurvivesALargeBody: the producer sends more than anybody will read, and still gets to know why.
func TestAnswerSurvivesALargeBody(t *testing.T) {
	h := start(t, func(o *Options) { o.Linger = 2 * time.Second })
	for range 20 {
		c, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		const size = 3 << 20
		fmt.Fprintf(c, "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
		if _, err := io.WriteString(c, strings.Repeat("x", size)); err != nil {
			t.Fatalf("write: %v", err)
		}
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != 413 {
			t.Fatalf("answer %v, %v", resp, err)
		}
		c.Close()
	}
}

func TestTooManyConnections(t *testing.T) {
	h := start(t, func(o *Options) { o.MaxConnections = 2 })
	entered, release := make(chan struct{}, 2), make(chan struct{})
	h.queue.append = func(_ context.Context, e *event.Event, w []event.WebhookID, d *queue.Dedup) (queue.Receipt, error) {
		entered <- struct{}{}
		<-release
		return h.keep(context.Background(), e, w, d)
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if r := h.post(one); r.StatusCode != 202 {
				t.Errorf("within the limit: status %d", r.StatusCode)
			}
		})
		<-entered
	}
	r := h.post(one)
	if r.StatusCode != 503 || r.problemType(t) != "too-many-connections" || r.Header.Get("Retry-After") != "1" || !r.Close {
		t.Errorf("beyond the limit: status %d, header %v, %s", r.StatusCode, r.Header, r.body)
	}
	if n := h.count("other", "503"); n != 1 {
		t.Errorf("metric counts %v refused connections, want 1", n)
	}
	close(release)
	wg.Wait()
	h.queue.append = h.keep
	for status := 503; status != 202; { // until the server has noticed that the others have gone
		if status = h.post(one).StatusCode; status != 202 && status != 503 {
			t.Fatalf("after the others have gone: status %d", status)
		}
	}
}

func TestTLS(t *testing.T) {
	cert := selfSigned(t)
	h := start(t, func(o *Options) {
		o.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
		o.MaxConnections = 2
	})
	dial := func() *tls.Conn {
		c, err := tls.Dial("tcp", h.addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a, b := dial(), dial()
	defer b.Close()
	if c, err := tls.Dial("tcp", h.addr, &tls.Config{InsecureSkipVerify: true}); err == nil {
		c.Close()
		t.Error("a connection beyond the limit was taken")
	}
	fmt.Fprintf(a, "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n%s", strings.Repeat("x", 5000))
	a.SetReadDeadline(time.Now().Add(10 * time.Second))
	rest, err := io.ReadAll(a)
	if err != nil || !strings.HasPrefix(string(rest), "HTTP/1.1 413 ") {
		t.Errorf("%v, %q", err, rest)
	}
	a.Close()
	io.WriteString(b, inner)
	if resp, err := http.ReadResponse(bufio.NewReader(b), nil); err != nil || resp.StatusCode != 202 {
		t.Errorf("%v, %v", resp, err)
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// failingListener fails as often as it is told to, then works.
type failingListener struct {
	net.Listener
	errs []error
}

func (l *failingListener) Accept() (net.Conn, error) {
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, err
	}
	return l.Listener.Accept()
}

func TestAcceptSurvivesALackOfDescriptors(t *testing.T) {
	h := start(t, func(o *Options) {
		o.Listener = &failingListener{o.Listener, []error{&net.OpError{Op: "accept", Err: syscall.EMFILE}, &net.OpError{Op: "accept", Err: syscall.ECONNABORTED}}}
	})
	if r := h.post(one); r.StatusCode != 202 {
		t.Errorf("status %d", r.StatusCode)
	}
	if !strings.Contains(h.log.String(), "cannot accept connections for a moment") {
		t.Errorf("log: %s", h.log)
	}
}

func TestServeEndsWithABrokenListener(t *testing.T) {
	h := start(t)
	o := h.opts
	o.Listener = &failingListener{h.opts.Listener, []error{errors.New("gone for good")}}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(); err == nil || !strings.Contains(err.Error(), "gone for good") {
		t.Errorf("serve: %v", err)
	}
}
