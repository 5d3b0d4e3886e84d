package relay

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const producersTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// sendTraced sends one event with a traceparent ("" = none).
func (r *running) sendTraced(traceparent string) {
	r.t.Helper()
	req, err := http.NewRequest("POST", "http://"+r.IngressAddr().String()+"/v1/events", strings.NewReader(`{"type":"order.paid","data":1}`))
	if err != nil {
		r.t.Fatal(err)
	}
	if traceparent != "" {
		req.Header.Set("traceparent", traceparent)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusAccepted {
		r.t.Fatalf("%s, %v", resp.Status, err)
	}
}

// traceReceiver yields the traceparent of each request, and refuses the first.
func traceReceiver(t *testing.T) (url string, got chan string) {
	got = make(chan string, 10)
	refused := false
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !refused {
			refused = true
			w.WriteHeader(500)
		}
		got <- r.Header.Get("traceparent")
	}))
	t.Cleanup(srv.Close)
	return srv.URL, got
}

// TestTraceparentGoesThrough without any tracing: it is stored with the event, and every attempt has it, also after a restart.
func TestTraceparentGoesThrough(t *testing.T) {
	url, got := traceReceiver(t)
	dir := t.TempDir()
	text := fmt.Sprintf("webhooks: [ { name: w, events: ['*'], url: '%s', retry: { schedule: [1ms, 1ms] }", url)
	r := start(t, dir, text+", status: paused, on_paused: hold } ]")
	r.sendTraced(producersTrace)
	r.sendTraced("")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	start(t, dir, text+" } ]")
	seen := map[string]int{}
	for range 3 {
		select {
		case trace := <-got:
			seen[trace]++
		case <-time.After(20 * time.Second):
			t.Fatalf("only %v", seen)
		}
	}
	if seen[producersTrace] < 1 || seen[""] < 1 || len(seen) != 2 {
		t.Errorf("attempts had %v", seen)
	}
}

// TestSpansOfAnEvent: one when it is accepted, one per attempt, all in the producer's trace, linked over the queue; the receiver sees the attempt's.
func TestSpansOfAnEvent(t *testing.T) {
	type span struct {
		TraceID, SpanID, ParentSpanID, Name string
		Links                               []struct{ SpanID string }
		Status                              struct{ Message string }
	}
	spans := make(chan span, 100)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			ResourceSpans []struct{ ScopeSpans []struct{ Spans []span } }
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
			return
		}
		for _, s := range body.ResourceSpans[0].ScopeSpans[0].Spans {
			spans <- s
		}
	}))
	defer collector.Close()
	url, got := traceReceiver(t)
	r := start(t, t.TempDir(), fmt.Sprintf("tracing: { endpoint: '%s' }\nwebhooks: [ { name: w, events: ['*'], url: '%s', retry: { schedule: [1ms] } } ]", collector.URL, url))
	r.sendTraced(producersTrace)
	first, second := <-got, <-got
	r.eventually("settled", func() bool { s := r.Queue(); return s.Pending+s.Retrying == 0 })
	if err := r.stop(); err != nil { // exports what is left
		t.Fatal(err)
	}
	byID := map[string]span{}
	var accepted span
	for len(spans) > 0 {
		s := <-spans
		byID[s.SpanID] = s
		if s.TraceID != producersTrace[3:35] {
			t.Errorf("%s is in another trace: %+v", s.Name, s)
		}
		if s.Name == "accept order.paid" {
			accepted = s
		}
	}
	if len(byID) != 3 || accepted.ParentSpanID != producersTrace[36:52] {
		t.Fatalf("spans %+v", byID)
	}
	for i, trace := range []string{first, second} {
		s := byID[trace[36:52]]
		if s.Name != "deliver order.paid" || s.ParentSpanID != accepted.SpanID || len(s.Links) != 1 || s.Links[0].SpanID != accepted.SpanID || (s.Status.Message == "status") != (i == 0) {
			t.Errorf("attempt %d had %s: %+v", i+1, trace, s)
		}
	}
}
