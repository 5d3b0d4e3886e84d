package deliver

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
)

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

var methods = []string{"POST", "PUT", "PATCH", "DELETE", "GET"}

// connections is a receiver that hands every connection to fn, with its number, and counts connections and requests.
type connections struct {
	url             string
	opened, request atomic.Int64
}

// serve calls fn for each request on each connection, until fn says false; the connection is closed then.
func serve(t *testing.T, fn func(conn net.Conn, number, request int64) bool) *connections {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &connections{url: "http://" + ln.Addr().String()}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			number := s.opened.Add(1)
			go func() {
				defer conn.Close()
				br := bufio.NewReader(conn)
				for n := int64(1); ; n++ {
					if _, err := readRequest(br); err != nil {
						return
					}
					s.request.Add(1)
					if !fn(conn, number, n) {
						return
					}
				}
			}()
		}
	}()
	return s
}

// TestKeptConnectionThatDies: the first request keeps a connection, the second finds it dead. It is sent once more if, and only if, no byte
// of an answer has come, and never a third time.
func TestKeptConnectionThatDies(t *testing.T) {
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	reset := func(c net.Conn) bool { c.(*net.TCPConn).SetLinger(0); return false }
	for _, c := range []struct {
		name     string
		second   func(net.Conn) bool // on the first connection
		later    func(net.Conn) bool // on the others; nil = 200
		reason   queue.Reason
		requests int64
		resent   bool
	}{
		{"closes at the request", func(net.Conn) bool { return false }, nil, queue.ReasonNone, 3, true},
		{"resets at the request", reset, nil, queue.ReasonNone, 3, true},
		{"closes the new one too", func(net.Conn) bool { return false }, func(net.Conn) bool { return false }, queue.ReasonReset, 3, true},
		{"answers one byte and closes", func(c net.Conn) bool { io.WriteString(c, "H"); return false }, nil, queue.ReasonReset, 2, false},
		{"answers half a head and closes", func(c net.Conn) bool { io.WriteString(c, "HTTP/1.1 200 OK\r\nX-"); return false }, nil, queue.ReasonReset, 2, false},
		{"answers half a body and closes", func(c net.Conn) bool {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
			return false
		}, nil, queue.ReasonReset, 2, false},
		{"never answers", func(net.Conn) bool { <-hang; return false }, nil, queue.ReasonTimeout, 2, false},
		{"answers 500", func(c net.Conn) bool { io.WriteString(c, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"); return true }, nil, queue.ReasonStatus, 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, method := range methods {
				s := serve(t, func(conn net.Conn, number, request int64) bool {
					switch {
					case number == 1 && request == 2:
						return c.second(conn)
					case number > 1 && c.later != nil:
						return c.later(conn)
					}
					io.WriteString(conn, ok)
					return true
				})
				r := newRig(t, s.url+"/", method, nil)
				if r.settle(`{"n":1}`); r.q.action != Ack {
					t.Fatalf("%s: %+v", method, r.q.failure)
				}
				r.settle(`{"n":2}`)
				if r.q.failure.Reason != c.reason || r.w.exchange.Resent != c.resent {
					t.Errorf("%s: %v (%s), resent %v; want %v, %v", method, r.q.failure.Reason, r.q.failure.Detail, r.w.exchange.Resent, c.reason, c.resent)
				}
				if n := s.request.Load(); n != c.requests {
					t.Errorf("%s: %d requests for two attempts, want %d", method, n, c.requests)
				}
				r.client.close()
			}
		})
	}
}

// TestIdleConnectionsThatWereClosed: what a receiver has closed, or written to unasked, while nothing was under way is not used, so nothing is
// sent twice.
func TestIdleConnectionsThatWereClosed(t *testing.T) {
	for _, last := range []string{"", "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"} {
		closed := make(chan struct{}, 16)
		let := make(chan struct{})
		s := serve(t, func(conn net.Conn, number, _ int64) bool {
			io.WriteString(conn, ok)
			if number > 8 {
				return true
			}
			<-let
			io.WriteString(conn, last)
			conn.Close()
			closed <- struct{}{}
			return false
		})
		r := newRig(t, s.url+"/", "POST", nil)
		r.target.Webhook.Concurrency = 8
		r.client = r.d.clientLocked(r.target.Webhook)
		// Eight at a time, so that eight connections are kept.
		var held sync.WaitGroup
		var begin sync.WaitGroup
		begin.Add(8)
		for range 8 {
			held.Go(func() {
				w := newWorker(r.d)
				cc, err := r.client.http.AcquireConn(time.Second, false)
				begin.Done()
				begin.Wait()
				if err != nil {
					t.Error(err)
					return
				}
				w.request.SetRequestURI(s.url + "/")
				if keep, err := r.client.over(&w.exchange, cc.Conn(), &w.request, &w.response, time.Now(), time.Now().Add(time.Second)); err != nil || !keep {
					t.Errorf("%v %v", keep, err)
				}
				r.client.http.ReleaseConn(cc)
			})
		}
		held.Wait()
		close(let)
		for range 8 {
			<-closed
		}
		time.AfterFunc(2*lookAfter, func() { closed <- struct{}{} }) // a connection that was used just now is not looked at
		<-closed
		r.settle(`1`)
		if r.q.action != Ack || r.w.exchange.Resent || s.request.Load() != 9 {
			t.Errorf("%q: %v %+v, resent %v, %d requests", last, r.q.action, r.q.failure, r.w.exchange.Resent, s.request.Load())
		}
		r.client.close()
	}
}

// TestIdleConnectionsAreKept: looking at an idle connection does not mistake a good one for a dead one, encrypted or not.
func TestIdleConnectionsAreKept(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		var opened atomic.Int64
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				opened.Add(1)
			}
		}
		if secure {
			s.StartTLS()
		} else {
			s.Start()
		}
		r := newRig(t, s.URL+"/", "POST", func(w *webhooks.Webhook) {
			w.Host, w.TLS, w.Insecure, w.Timeout = s.Listener.Addr().String(), secure, secure, 5*time.Second
		})
		for range 5 {
			if r.settle(`1`); r.q.action != Ack {
				t.Fatalf("%+v", r.q.failure)
			}
			idle := make(chan struct{})
			time.AfterFunc(2*lookAfter, func() { close(idle) })
			<-idle
		}
		if opened.Load() != 1 {
			t.Errorf("TLS %v: %d connections for 5 requests", secure, opened.Load())
		}
		r.client.close()
		s.Close()
	}
}

// TestMoreThanOneAnswer: what comes after an answer is never taken for the next one's.
func TestMoreThanOneAnswer(t *testing.T) {
	for name, extra := range map[string]string{"a second answer": ok, "more body than announced": "garbage"} {
		s := serve(t, func(conn net.Conn, _, _ int64) bool {
			io.WriteString(conn, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"+extra)
			return true
		})
		r := newRig(t, s.url+"/", "POST", nil)
		for range 3 {
			if r.settle(`1`); r.q.failure.Reason != queue.ReasonStatus || r.q.failure.Status != 500 {
				t.Errorf("%s: %+v", name, r.q.failure)
			}
		}
		if s.opened.Load() != 3 || s.request.Load() != 3 {
			t.Errorf("%s: %d connections, %d requests", name, s.opened.Load(), s.request.Load())
		}
	}
}

// TestAnswerBeforeTheBodyIsTaken: a receiver that refuses a large body without reading it is heard.
func TestAnswerBeforeTheBodyIsTaken(t *testing.T) {
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
			io.ReadFull(conn, make([]byte, 10))
			io.WriteString(conn, "HTTP/1.1 413 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			conn.(*net.TCPConn).CloseWrite()
			io.CopyN(io.Discard, conn, 1<<20)
			conn.Close()
		}
	}()
	r := newRig(t, "http://"+ln.Addr().String()+"/", "POST", nil)
	r.settle(`"` + strings.Repeat("x", 16<<20) + `"`)
	if r.q.failure.Status != 413 && r.q.failure.Reason != queue.ReasonReset { // the kernel may throw the answer away with the connection
		t.Errorf("%+v", r.q.failure)
	}
}

// TestMemoryStaysFlat: receivers that answer without end cost no memory, however often.
func TestMemoryStaysFlat(t *testing.T) {
	if testing.Short() {
		t.Skip("the run without -short counts what is allocated")
	}
	chunk := "8000\r\n" + strings.Repeat("x", 0x8000) + "\r\n"
	endless := func(head, part string) func(net.Conn, int64, int64) bool {
		return func(c net.Conn, _, _ int64) bool {
			io.WriteString(c, head)
			for {
				if _, err := io.WriteString(c, part); err != nil {
					return false
				}
			}
		}
	}
	for _, c := range []struct {
		name   string
		fn     func(net.Conn, int64, int64) bool
		reason queue.Reason
	}{
		{"chunks", endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk), queue.ReasonNone},
		{"until the end", endless("HTTP/1.1 200 OK\r\n\r\n", chunk), queue.ReasonNone},
		{"a length of 8 EiB", endless("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n", chunk), queue.ReasonNone},
		{"one chunk of 2 GiB", endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n", chunk), queue.ReasonNone},
		{"headers", endless("HTTP/1.1 200 OK\r\n", "X-A: "+strings.Repeat("x", 1000)+"\r\n"), queue.ReasonProtocol},
		{"interim answers", endless("", "HTTP/1.1 103 Early Hints\r\n\r\n"), queue.ReasonProtocol},
		{"trailers", endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X-A: "+strings.Repeat("x", 1000)+"\r\n"), queue.ReasonProtocol},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, c.fn)
			rigs := make([]*rig, len(methods))
			for i, method := range methods {
				rigs[i] = newRig(t, s.url+"/", method, nil)
			}
			var before, after runtime.MemStats
			const rounds = 40
			for i := range rounds {
				if i == 5 {
					runtime.ReadMemStats(&before)
				}
				r := rigs[i%len(rigs)]
				if r.settle(`{"n":1}`); r.q.failure.Reason != c.reason {
					t.Fatalf("%v (%s), want %v", r.q.failure.Reason, r.q.failure.Detail, c.reason)
				}
				if body := r.w.response.Body(); len(body) > 4*maxResponse {
					t.Fatalf("%d bytes of the body were kept", len(body))
				}
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
				t.Errorf("the heap has grown by %d KiB in %d attempts", grown>>10, rounds-5)
			}
			if s.request.Load() != rounds {
				t.Errorf("%d requests for %d attempts", s.request.Load(), rounds)
			}
		})
	}
}
