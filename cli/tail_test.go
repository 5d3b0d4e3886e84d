package cli

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const streamed = `{"delivery":"dl_1","event":"e1","type":"order.paid","tenant":"acme","webhook":"wh_1","webhook_name":"feed","number":2,"at":"2026-11-24T12:00:00.5Z","status":"dead","http_status":422,"detail":"no \u001b[31m","duration_ms":1.25}`

func TestTail(t *testing.T) {
	var asked []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery+" "+r.Header.Get("Authorization"))
		if r.URL.Query().Get("status") == "none" {
			http.Error(w, `{"detail":"status: want one of …"}`, http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, ": hello\n\nevent: dropped\ndata: {\"count\":3}\n\nevent: news\ndata: of tomorrow\n\nevent: attempt\ndata: %s\n\n", streamed)
	}))
	defer srv.Close()
	run := func(path string, json bool, most int) (out, notes string, err error) {
		var o, n bytes.Buffer
		tl := &tail{client: &client{base: srv.URL, token: "t0ken", http: http.DefaultClient, log: slog.New(slog.DiscardHandler)}, out: &o, notes: &n, json: json, left: most}
		err = tl.follow(context.Background(), path)
		return o.String(), n.String(), err
	}
	out, notes, err := run("/api/v1/stream?type=order.paid", false, 1)
	if err != nil || out != "12:00:00.500  dead       422        dl_1  order.paid → feed  #2  1.2 ms  no \\x1b[31m\n" || notes != "3 attempts were left out: this reader is too slow\n" {
		t.Errorf("%q %q %v", out, notes, err)
	}
	if out, _, err := run("/api/v1/stream?", true, 1); err != nil || out != streamed+"\n" {
		t.Errorf("%q %v", out, err)
	}
	// The stream ends before what was asked for: it is opened again.
	if out, notes, err := run("/api/v1/stream?", true, 2); err != nil || strings.Count(out, "\n") != 2 || !strings.Contains(notes, "trying again") {
		t.Errorf("%q %q %v", out, notes, err)
	}
	if _, _, err := run("/api/v1/stream?status=none", false, 1); err == nil || !strings.Contains(err.Error(), "want one of") {
		t.Errorf("%v", err)
	}
	if len(asked) < 1 || asked[0] != "type=order.paid Bearer t0ken" {
		t.Errorf("asked %q", asked)
	}
}

func TestHealth(t *testing.T) {
	api := newFakeRelay(t, 200, "ok\n")
	if code, stdout, _ := runCommand(t, "", "health", "--url", api.URL); code != exitOK || stdout != "ok\n" || api.requests() != "GET /healthz" {
		t.Errorf("code %d, %q, %q", code, stdout, api.requests())
	}
	api = newFakeRelay(t, 503, `{"title":"The relay does not take events at the moment","detail":"not true: disk has room"}`)
	if code, _, stderr := runCommand(t, "", "health", "--ready", "--url", api.URL); code != exitFailure || !strings.Contains(stderr, "disk has room") || api.requests() != "GET /readyz" {
		t.Errorf("code %d, %q, %q", code, stderr, api.requests())
	}
	api.Close()
	if code, _, stderr := runCommand(t, "", "health", "--url", api.URL); code != exitFailure || !strings.Contains(stderr, "cannot reach") {
		t.Errorf("code %d, %q", code, stderr)
	}
}
