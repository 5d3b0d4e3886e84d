package ingress

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestOneLinePerRequest: accepted ones at debug, refused ones throttled, and nothing of what producers send.
func TestOneLinePerRequest(t *testing.T) {
	var log bytes.Buffer
	h := start(t, func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.Policy.Tokens = []Token{{Name: "shop", Token: "t0ken-canary", Tenant: "acme"}}
	})
	auth := []string{"Content-Type", "application/json", "Authorization", "Bearer t0ken-canary", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	h.do("POST", "/v1/events", `{"id":"order-1","type":"order.paid","data":"data-canary"}`, auth...)
	var first string
	for range 5 {
		r := h.do("POST", "/v1/events", `{"type":"order.paid","data":"data-canary","x":1}`, auth...)
		if first == "" {
			first = r.Header.Get("X-Request-Id")
		}
	}
	h.do("POST", "/v1/events", `{}`, "Authorization", "Bearer wrong-canary")
	if second := h.do("GET", "/nowhere-canary", "").Header.Get("X-Request-Id"); second == "" || second == first {
		t.Errorf("request id %q again", second)
	}
	h.Close(t.Context())
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	want := []string{
		"level=DEBUG msg=\"event accepted\" event=order-1 type=order.paid tenant=acme webhooks=1 replayed=false producer=shop",
		"level=WARN msg=\"request refused\" request=" + first + " problem=malformed status=400 remote=127.0.0.1 producer=shop",
		"problem=unauthorized status=401", "problem=not-found status=404"}
	if len(lines) != len(want) {
		t.Fatalf("%d lines:\n%s", len(lines), log.String())
	}
	for i, w := range want {
		if !strings.Contains(lines[i], w) {
			t.Errorf("line %d: %s\nwant %s", i, lines[i], w)
		}
	}
	if !strings.Contains(lines[0], "trace=0af7651916cd43dd8448eb211c80319c") || first == "" || strings.Contains(log.String(), "canary") {
		t.Errorf("%s", log.String())
	}
}

func TestRefusalsAreThrottled(t *testing.T) {
	var r refusals
	now := time.Unix(1, 0)
	if _, ok := r.allow(kindMalformed, now); !ok {
		t.Error("the first is not logged")
	}
	for range 7 {
		if _, ok := r.allow(kindMalformed, now.Add(refusalEvery-1)); ok {
			t.Error("a repeat is logged")
		}
	}
	if _, ok := r.allow(kindTooLarge, now); !ok {
		t.Error("another kind is not logged")
	}
	if n, ok := r.allow(kindMalformed, now.Add(refusalEvery)); !ok || n != 7 {
		t.Errorf("%d left out, %v", n, ok)
	}
}
