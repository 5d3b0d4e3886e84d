package deliver

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/metrics"
	"edgerelay/relay/payload"
	"edgerelay/relay/queue"
	"edgerelay/relay/sign"
	"edgerelay/relay/webhooks"
)

// settled is a queue that remembers what it was told.
type settled struct {
	queue.Queue
	action  Action
	failure queue.Failure
}

func (s *settled) Ack(*queue.Delivery) { s.action, s.failure = Ack, queue.Failure{} }
func (s *settled) Retry(_ *queue.Delivery, _ time.Time, f queue.Failure) {
	s.action, s.failure = Retry, f
}
func (s *settled) Bury(_ *queue.Delivery, f queue.Failure) { s.action, s.failure = Bury, f }

// rig is one worker with one webhook.
type rig struct {
	t      testing.TB
	q      settled
	d      *Deliverer
	w      *worker
	target Target
	client *client
}

func newRig(t testing.TB, url, method string, change func(*webhooks.Webhook)) *rig {
	t.Helper()
	tpl, err := payload.CompileTemplate(url)
	if err != nil {
		t.Fatal(err)
	}
	def, err := payload.Compile(payload.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	signer, err := sign.New("standard", []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	wh := &webhooks.Webhook{ID: event.NamedWebhookID("t", "w"), Name: "w", Tenant: "t", URL: tpl, Host: host, Method: method, Payload: def, Signer: signer,
		Timeout: 500 * time.Millisecond, Concurrency: 4, Status: webhooks.StatusActive, Retry: webhooks.RetryPolicy{Schedule: []time.Duration{time.Second}}}
	if change != nil {
		change(wh)
	}
	r := &rig{t: t, target: Target{Webhook: wh}}
	r.d = New(Options{Queue: &r.q, Metrics: metrics.New(), Log: slog.New(slog.DiscardHandler), UserAgent: "test/1",
		Networks: loopbackNetworks})
	r.w = newWorker(r.d)
	r.client = r.d.clientLocked(wh)
	return r
}

// delivery makes a leased delivery of an event.
func delivery(data string) *queue.Delivery {
	env := []byte(`{"id":"we_1","type":"a.b","time":"2026-01-02T03:04:05Z","data":` + data + `}`)
	at := strings.Index(string(env), `"data":`) + 7
	d := &queue.Delivery{Webhook: event.NamedWebhookID("t", "w"), Event: event.Event{ID: []byte("we_1"), Type: []byte("a.b"), Tenant: []byte("t"),
		Envelope: env, Data: env[at : at+len(data)], Time: env[33:53]}}
	d.Handle.Kind = 1
	return d
}

func (r *rig) settle(data string) result {
	return r.w.settle(delivery(data), &r.target, r.client)
}

// server answers every connection with fn, and counts requests.
func server(t *testing.T, fn func(net.Conn, *bufio.Reader)) (url string, requests *atomic.Int64) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	requests = new(atomic.Int64)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				br := bufio.NewReader(conn)
				for {
					if _, err := readRequest(br); err != nil {
						return
					}
					requests.Add(1)
					fn(conn, br)
				}
			}()
		}
	}()
	return "http://" + ln.Addr().String(), requests
}

// readRequest reads one request and returns its text, head and body.
func readRequest(br *bufio.Reader) (string, error) {
	var text strings.Builder
	length := 0
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return "", err
		}
		text.WriteString(line)
		if n, ok := strings.CutPrefix(strings.ToLower(line), "content-length: "); ok {
			fmt.Sscan(n, &length)
		}
		if line == "\r\n" {
			break
		}
	}
	body := make([]byte, length)
	_, err := io.ReadFull(br, body)
	text.Write(body)
	return text.String(), err
}

func say(text string) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, _ *bufio.Reader) { io.WriteString(c, text) }
}

// TestStrangeReceivers: whatever a receiver does, an attempt is one request, ends in time, and gets the right verdict.
func TestStrangeReceivers(t *testing.T) {
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	for _, c := range []struct {
		name   string
		fn     func(net.Conn, *bufio.Reader)
		action Action
		reason queue.Reason
	}{
		{"200", say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), Ack, queue.ReasonNone},
		{"204 without length", say("HTTP/1.1 204 No Content\r\n\r\n"), Ack, queue.ReasonNone},
		{"100 first", say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), Ack, queue.ReasonNone},
		{"body longer than we read", say("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", 200000)), Ack, queue.ReasonNone},
		{"12 KiB of headers", say("HTTP/1.1 200 OK\r\nX-Long: " + strings.Repeat("x", 12<<10) + "\r\nContent-Length: 0\r\n\r\n"), Ack, queue.ReasonNone},
		{"302 to elsewhere", say("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"), Retry, queue.ReasonStatus},
		{"500", say("HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno"), Retry, queue.ReasonStatus},
		{"410", say("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"), Bury, queue.ReasonGone},
		{"endless headers", say("HTTP/1.1 200 OK\r\nX-Long: " + strings.Repeat("x", 100<<10)), Retry, queue.ReasonProtocol},
		{"not HTTP", say("SSH-2.0-OpenSSH_9.2\r\n\r\n"), Retry, queue.ReasonProtocol},
		{"never answers", func(net.Conn, *bufio.Reader) { <-hang }, Retry, queue.ReasonTimeout},
		{"stops in the body", func(c net.Conn, _ *bufio.Reader) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
			<-hang
		}, Retry, queue.ReasonTimeout},
		{"closes without an answer", func(c net.Conn, _ *bufio.Reader) { c.Close() }, Retry, queue.ReasonReset},
		{"closes in the body", func(c net.Conn, _ *bufio.Reader) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
			c.Close()
		}, Retry, queue.ReasonReset},
		{"closes in the head", func(c net.Conn, _ *bufio.Reader) { io.WriteString(c, "HTTP/1.1 200 OK\r\nX-A"); c.Close() }, Retry, queue.ReasonReset},
		{"closes in a chunk", func(c net.Conn, _ *bufio.Reader) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nabc")
			c.Close()
		}, Retry, queue.ReasonReset},
		{"closes between chunks", func(c net.Conn, _ *bufio.Reader) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
			c.Close()
		}, Retry, queue.ReasonReset},
		{"closes after the last chunk", func(c net.Conn, _ *bufio.Reader) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n")
			c.Close()
		}, Retry, queue.ReasonReset},
		{"chunks and trailers", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"), Ack, queue.ReasonNone},
		{"a body until the end", func(c net.Conn, _ *bufio.Reader) { io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\nabc"); c.Close() }, Ack, queue.ReasonNone},
		{"a chunk of no length", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), Retry, queue.ReasonProtocol},
		{"a negative length", say("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), Retry, queue.ReasonProtocol},
		{"two lengths", say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), Retry, queue.ReasonProtocol},
		{"a length that is no number", say("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"), Retry, queue.ReasonProtocol},
		{"103 first", say("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No\r\n\r\n"), Ack, queue.ReasonNone},
		{"101", say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), Retry, queue.ReasonStatus},
		{"304", say("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"), Retry, queue.ReasonStatus},
		{"half of an endless body", func(c net.Conn, _ *bufio.Reader) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nabc")
			c.Close()
		}, Ack, queue.ReasonNone},
		{"drips its head", func(c net.Conn, _ *bufio.Reader) {
			io.WriteString(c, "HTTP/1.1 ")
			<-hang
		}, Retry, queue.ReasonTimeout},
		{"resets in the body", func(c net.Conn, _ *bufio.Reader) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}, Retry, queue.ReasonReset},
		{"resets", func(c net.Conn, _ *bufio.Reader) { c.(*net.TCPConn).SetLinger(0); c.Close() }, Retry, queue.ReasonReset},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url, requests := server(t, c.fn)
			for _, method := range methods {
				before := requests.Load()
				r := newRig(t, url+"/hook", method, nil)
				r.settle(`{"n":1}`)
				if r.q.action != c.action || r.q.failure.Reason != c.reason {
					t.Errorf("%s: %v %v (%s), want %v %v", method, r.q.action, r.q.failure.Reason, r.q.failure.Detail, c.action, c.reason)
				}
				if n := requests.Load() - before; n != 1 {
					t.Errorf("%s: %d requests for one attempt", method, n)
				}
				r.client.close()
			}
		})
	}
}

func TestUnreachableReceivers(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := ln.Addr().String()
	ln.Close()
	for _, c := range []struct {
		name, url string
		reason    queue.Reason
	}{
		{"refused", "http://" + closed + "/", queue.ReasonConnect},
		{"guarded", "http://10.255.255.1:80/", queue.ReasonBlocked},
		{"no such name", "http://nowhere.invalid:80/", queue.ReasonDNS},
	} {
		r := newRig(t, c.url, "POST", nil)
		r.settle(`1`)
		if r.q.action != Retry || r.q.failure.Reason != c.reason || !r.q.failure.Counted {
			t.Errorf("%s: %v %+v", c.name, r.q.action, r.q.failure)
		}
		if strings.Contains(r.q.failure.Detail, "/") && c.name == "refused" {
			t.Errorf("the detail shows the URL: %s", r.q.failure.Detail)
		}
	}
}

// TestRetryAfterWhateverItsCase: names of headers have no case.
func TestRetryAfterWhateverItsCase(t *testing.T) {
	for _, name := range []string{"Retry-After", "retry-after", "RETRY-AFTER"} {
		url, _ := server(t, say("HTTP/1.1 429 Slow\r\n"+name+": 77\r\nContent-Length: 0\r\n\r\n"))
		r := newRig(t, url, "POST", nil)
		if got := r.settle(`1`).verdict.Pause; got != 77*time.Second {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestRequestBytes compares what a receiver gets, to the byte.
func TestRequestBytes(t *testing.T) {
	got := make(chan string, 1)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			text, _ := readRequest(bufio.NewReader(conn))
			got <- text
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			conn.Close()
		}
	}()
	base := "http://" + ln.Addr().String()
	header := func(name, value string) webhooks.Header {
		tpl, err := payload.CompileTemplate(value)
		if err != nil {
			t.Fatal(err)
		}
		return webhooks.Header{Name: name, Value: tpl}
	}
	for _, c := range []struct {
		name, url, method string
		change            func(*webhooks.Webhook)
		want, not         []string
	}{
		{"as configured", base + "/a//b%2Fc/?x=1&y=%20", "POST", nil,
			[]string{"POST /a//b%2Fc/?x=1&y=%20 HTTP/1.1\r\n", "\r\nContent-Type: application/json\r\n", "\r\nUser-Agent: test/1\r\n", "\r\nwebhook-id: we_1\r\n",
				"\r\nwebhook-signature: v1,", "\r\n\r\n{\"id\":\"we_1\",\"type\":\"a.b\",\"time\":\"2026-01-02T03:04:05Z\",\"data\":{\"n\":1}}"}, nil},
		{"values in the URL are escaped", base + "/{{ type }}?q={{ data.q }}", "PUT", nil, []string{"PUT /a.b?q=a%20%26%20b%2F%C3%A4 HTTP/1.1\r\n"}, nil},
		{"headers", base + "/", "PATCH", func(w *webhooks.Webhook) {
			w.Headers = []webhooks.Header{header("X-Env", "prod"), header("x-type", "is {{ type }}")}
		},
			[]string{"PATCH / HTTP/1.1\r\n", "\r\nX-Env: prod\r\n", "\r\nx-type: is a.b\r\n"}, nil},
		{"GET carries the payload as query", base + "/g?k=v", "GET", nil, []string{"GET /g?k=v&id=we_1&type=a.b&time=2026-01-02T03%3A04%3A05Z&data%5Bn%5D=1 HTTP/1.1\r\n"},
			[]string{"Content-Length", "Content-Type"}},
		{"DELETE has no body", base + "/d", "DELETE", nil, []string{"DELETE /d HTTP/1.1\r\n"}, []string{"\"data\"", "Content-Type"}},
	} {
		r := newRig(t, c.url, c.method, c.change)
		data := `{"n":1}`
		if strings.Contains(c.url, "data.q") {
			data = `{"q":"a & b/ä"}`
		}
		for i := range 2 { // the second one uses what was prepared for the first
			r.settle(data)
			if r.q.action != Ack {
				t.Fatalf("%s: %v %+v", c.name, r.q.action, r.q.failure)
			}
			text := <-got
			for _, w := range c.want {
				if !strings.Contains(text, w) {
					t.Errorf("%s, attempt %d: no %q in\n%s", c.name, i+1, w, text)
				}
			}
			for _, n := range c.not {
				if strings.Contains(text, n) {
					t.Errorf("%s, attempt %d: %q in\n%s", c.name, i+1, n, text)
				}
			}
		}
	}
}

func TestHeaderInjectionIsRefused(t *testing.T) {
	url, requests := server(t, say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	r := newRig(t, url, "POST", func(w *webhooks.Webhook) {
		tpl, err := payload.CompileTemplate("{{ data }}")
		if err != nil {
			t.Fatal(err)
		}
		w.Headers = []webhooks.Header{{Name: "X-A", Value: tpl}}
	})
	r.settle(`"a\r\nX-Evil: 1"`)
	if r.q.action != Bury || r.q.failure.Reason != queue.ReasonPayload || requests.Load() != 0 {
		t.Errorf("%v %+v, %d requests", r.q.action, r.q.failure, requests.Load())
	}
}
