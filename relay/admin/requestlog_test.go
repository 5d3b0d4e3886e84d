package admin

import (
	"log/slog"
	"strings"
	"testing"
)

// TestRequestsLeaveOneLine: whoever changes something at info, readers at debug; the answer names the line.
func TestRequestsLeaveOneLine(t *testing.T) {
	b := newBed(t, nil)
	rec := b.do("POST", "/api/v1/deliveries/"+acmeDelivery.String()+"/retry?x=canary", "acme-editor")
	id := rec.Header().Get("X-Request-Id")
	b.do("GET", "/api/v1/webhooks", "acme-viewer")
	log := b.logs.String()
	if id == "" || strings.Count(log, "admin request") != 1 || !strings.Contains(log, "request="+id+" method=POST route=/api/v1/deliveries/{id}/retry status=400 token=ae") ||
		strings.Contains(log, "canary") || strings.Contains(log, acmeDelivery.String()) {
		t.Errorf("%s, %d\n%s", id, rec.Code, log)
	}
	b = newBed(t, nil)
	b.opts.Log = slog.New(slog.NewTextHandler(&b.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b.do("GET", "/api/v1/webhooks", "acme-viewer")
	b.do("GET", "/unknown-canary", "")
	if log := b.logs.String(); strings.Count(log, "admin request") != 2 || !strings.Contains(log, "route=/api/v1/webhooks status=200 token=av") ||
		!strings.Contains(log, "route=other status=404") || strings.Contains(log, "canary") {
		t.Errorf("%s", log)
	}
}
