package admin

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// fewAttempts yields what it holds and then fails, or, with hold, waits.
type fewAttempts struct {
	list    []Attempt
	dropped int64
	hold    bool
	closed  atomic.Bool
}

func (f *fewAttempts) Next(ctx context.Context) (Attempt, int64, error) {
	if len(f.list) > 0 {
		a := f.list[0]
		f.list = f.list[1:]
		d := f.dropped
		f.dropped = 0
		return a, d, nil
	}
	if f.hold {
		<-ctx.Done()
		return Attempt{}, 0, ctx.Err()
	}
	return Attempt{}, 0, io.EOF
}

func (f *fewAttempts) Close() { f.closed.Store(true) }

func TestStream(t *testing.T) {
	var asked AttemptFilter
	watch := &fewAttempts{list: []Attempt{{Delivery: "dl_1", Event: "e1", Status: "delivered", Detail: "two\nlines"}, {Delivery: "dl_2", Status: "dead"}}, dropped: 7}
	b := newBed(t, func(o *Options) { o.Watch = func(f AttemptFilter) AttemptWatch { asked = f; return watch } })
	rec := b.do("GET", "/api/v1/stream?status=failed&type=order.*&webhook="+acmeWebhook.String(), "acme-viewer")
	if rec.Code != 200 || !strings.HasPrefix(rec.Header().Get("Content-Type"), "text/event-stream") {
		t.Fatalf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	if len(asked.Tenants) != 1 || asked.Tenants[0] != "acme" || asked.Status != "failed" || asked.Type != "order.*" || asked.Webhook != acmeWebhook {
		t.Errorf("asked for %+v", asked)
	}
	want := ": edgerelay\n\nevent: dropped\ndata: {\"count\":7}\n\nevent: attempt\ndata: {\"delivery\":\"dl_1\",\"event\":\"e1\""
	if body := rec.Body.String(); !strings.HasPrefix(body, want) || strings.Count(body, "\ndata: ") != 3 || !strings.Contains(body, `two\nlines`) {
		t.Errorf("%s", body)
	}
	if !watch.closed.Load() {
		t.Error("the watch is still open")
	}
	for target, code := range map[string]int{"?webhook=x": 400, "?status=x": 400, "?tenant=zeta": 404, "?tenant=acme": 200} {
		watch.list = nil
		if rec := b.do("GET", "/api/v1/stream"+target, "acme-viewer"); rec.Code != code {
			t.Errorf("%s: %d, want %d", target, rec.Code, code)
		}
	}
	full := newBed(t, func(o *Options) { o.Watch = func(AttemptFilter) AttemptWatch { return nil } })
	if rec := full.do("GET", "/api/v1/stream", "acme-viewer"); rec.Code != 503 {
		t.Errorf("without room: %d", rec.Code)
	}
}

// TestStreamEnds: with the server, whatever the client does; and a token has so many, not more.
func TestStreamEnds(t *testing.T) {
	b := newBed(t, func(o *Options) { o.Watch = func(AttemptFilter) AttemptWatch { return &fewAttempts{hold: true} } })
	served := make(chan error, 1)
	go func() { served <- b.Serve() }()
	open := func() *http.Response {
		req, err := http.NewRequest("GET", "http://"+b.opts.Listener.Addr().String()+"/api/v1/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer acme-viewer")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	var all []*http.Response
	for range streamsPerToken {
		resp := open()
		if line, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || line != ": edgerelay\n" {
			t.Fatalf("%q, %v", line, err)
		}
		all = append(all, resp)
	}
	if resp := open(); resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("one more: %d", resp.StatusCode)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	for _, resp := range all {
		if _, err := io.ReadAll(resp.Body); err != nil {
			t.Errorf("a stream was cut off: %v", err)
		}
	}
}
