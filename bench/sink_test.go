package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"
)

func startSink(t *testing.T, o SinkOptions) *Sink {
	t.Helper()
	s, err := StartSink(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func stamped(format string, s stamp) string {
	text := make([]byte, stampSize)
	s.put(text)
	return fmt.Sprintf(format, text)
}

func TestSinkProvesDeliveries(t *testing.T) {
	s := startSink(t, SinkOptions{Hooks: 2, Scheme: "standard", Secret: benchSecret})
	const envelope = `{"id":"we_1","type":"a","time":"2026-01-01T00:00:00Z","data":{"ref":"%s"}}`
	url := func(hook int) string { return "http://" + s.Addr() + HookPath + strconv.Itoa(hook) }
	send := func(status, hook int, id, secret, body string) {
		t.Helper()
		wantStatus(t, status, url(hook), body, signed(secret, id, body, time.Now())...)
	}
	now := time.Now().UnixMicro()
	at := func(stream uint16, n uint32) stamp { return stamp{stream, n, now} }
	send(200, 0, "we_1", benchSecret, stamped(envelope, at(0, 0)))
	send(200, 0, "we_1", benchSecret, stamped(envelope, at(0, 2)))
	send(200, 0, "we_1", benchSecret, stamped(envelope, at(0, 1))) // late
	send(200, 0, "we_1", benchSecret, stamped(envelope, at(0, 1))) // again
	send(200, 1, "we_1", benchSecret, stamped(envelope, at(0, 0))) // another hook: another delivery
	send(200, 0, "we_9", benchSecret, stamped("<a>%s</a>", at(40, 5)))
	send(401, 0, "we_1", vectorSecret, stamped(envelope, at(0, 3)))
	send(401, 0, "we_2", benchSecret, stamped(envelope, at(0, 4)))
	send(200, 0, "we_3", benchSecret, `{"no":"stamp"}`)

	c := s.Counts()
	c.LastError, c.First, c.Last = "", 0, 0
	want := SinkCounts{Requests: 9, Delivered: 6, Distinct: 5, Duplicates: 1, OutOfOrder: 1, BadSignatures: 1, BadIDs: 1, Unknown: 1, Checked: 9}
	if got := c.Hooks; len(got) != 2 || got[0] != 4 || got[1] != 1 {
		t.Errorf("per hook %v, want 4 and 1", got)
	}
	c.Hooks = nil
	if fmt.Sprint(c) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", c, want)
	}
	l := s.Ledger(0)
	if l.Count() != 4 || !l[0].has(1) || l[0].has(3) || !l[40].has(5) {
		t.Errorf("ledger %v", l)
	}
	if n := s.Latency().TotalCount(); n != 5 {
		t.Errorf("%d latencies, want 5", n)
	}
	if err := s.Reset(SinkOptions{Scheme: "none"}); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, 200, url(0), stamped("%s", at(1, 1)))
	if c := s.Counts(); c.Distinct != 1 || c.Checked != 0 {
		t.Errorf("after a reset: %+v", c)
	}
}

func TestSinkBehaves(t *testing.T) {
	s := startSink(t, SinkOptions{Scheme: "none"})
	url := "http://" + s.Addr() + "/any/path"
	body := func(n uint32) string { return stamped("%s", stamp{0, n, 1}) }
	s.Behave(0, Behaviour{Status: 429, RetryAfter: 7})
	if res := wantStatus(t, 429, url, body(0)); res.Header.Get("Retry-After") != "7" {
		t.Error("no Retry-After")
	}
	s.Behave(0, Behaviour{Status: 500, Share: 0.25})
	refused := 0
	for n := range uint32(100) {
		res, err := post(url, body(n))
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode == 500 {
			refused++
		}
	}
	if refused != 25 {
		t.Errorf("%d of 100 refused, want 25", refused)
	}
	s.Behave(0, Behaviour{Reset: true})
	if res, err := post(url, body(0)); err == nil {
		t.Errorf("answer %d instead of a reset", res.StatusCode)
	}
}

func TestSinkHangsUntilItBehaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := newSinkState(SinkOptions{Scheme: "none"})
		if err != nil {
			t.Fatal(err)
		}
		request := func(n uint32) (answer func() int) {
			ctx := &fasthttp.RequestCtx{}
			ctx.Request.SetBodyString(stamped("%s", stamp{0, n, 1}))
			done := make(chan int, 1)
			go func() {
				s.handle(ctx)
				done <- ctx.Response.StatusCode()
			}()
			return func() int {
				synctest.Wait()
				select {
				case status := <-done:
					return status
				default:
					return 0
				}
			}
		}
		s.behave(0, Behaviour{Hang: true})
		hanging := request(0)
		if status := hanging(); status != 0 {
			t.Fatalf("answered %d at once", status)
		}
		s.behave(0, Behaviour{Delay: time.Minute})
		if status := hanging(); status != 503 {
			t.Errorf("a request that hung was answered with %d, want 503", status)
		}
		delayed, begin := request(1), time.Now()
		if status := delayed(); status != 0 {
			t.Errorf("answered %d before the delay", status)
		}
		<-time.After(time.Minute) // of the bubble's own time
		if status := delayed(); status != 200 || time.Since(begin) != time.Minute {
			t.Errorf("after %v: %d", time.Since(begin), status)
		}
		released := request(2)
		s.release()
		if status := released(); status != 200 && status != 503 {
			t.Errorf("released: %d", status)
		}
	})
}

func TestRemoteSink(t *testing.T) {
	// Both ends in one process: what net/rpc carries is the same.
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	served := make(chan error, 1)
	go func() { served <- ServeSink(inR, outW) }()
	r := newRemoteSink(stdioPair{outR, inW})
	if err := r.Fresh(SinkOptions{Hooks: 2, Scheme: "none"}); err != nil {
		t.Fatal(err)
	}
	addr := r.Addr
	wantStatus(t, 200, r.URL("1"), stamped("%s", stamp{3, 70, time.Now().UnixMicro()}))
	c, err := r.Counts()
	if err != nil || c.Distinct != 1 || c.Hooks[1] != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	l, err := r.Ledger(1)
	if err != nil || l.Count() != 1 || !l[3].has(70) {
		t.Errorf("%v, %v", l, err)
	}
	h, err := r.Latency()
	if err != nil || h.TotalCount() != 1 {
		t.Errorf("%v", err)
	}
	if err := r.Behave(0, Behaviour{Status: 500}); err != nil {
		t.Error(err)
	}
	wantStatus(t, 500, r.URL("0"), "x")
	if err := r.Fresh(SinkOptions{Scheme: "none"}); err != nil || r.Addr != addr {
		t.Errorf("%v, address %s, was %s", err, r.Addr, addr)
	}
	wantStatus(t, 200, r.URL("0"), stamped("%s", stamp{3, 70, 1}))
	if err := r.ResetLatency(); err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := r.client.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestForwarder(t *testing.T) {
	s := startSink(t, SinkOptions{Scheme: "standard", Secret: benchSecret})
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Forward("http://"+s.Addr()+"/", benchSecret, inR, outW) }()
	line := make([]byte, 100)
	n, err := outR.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	addr := string(bytes.TrimSpace(bytes.TrimPrefix(line[:n], []byte("listening "))))
	wantStatus(t, 200, "http://"+addr+"/x", stamped(`{"a":"%s"}`, stamp{1, 2, 3}))
	if c := s.Counts(); c.Distinct != 1 || c.Checked != 1 {
		t.Errorf("%+v", c)
	}
	http.DefaultClient.CloseIdleConnections()
	inW.Close()
	if err := <-ended; err != nil {
		t.Errorf("the forwarder ended with %v", err)
	}
}
