package relay

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"edgerelay/bench"
	"edgerelay/relay/admin"
)

// TestStreamShowsAttempts, filtered, while a reader that reads nothing holds nobody up.
func TestStreamShowsAttempts(t *testing.T) {
	rec := receiver(t, nil, "good", "bad")
	if err := rec.Answer("bad", bench.Answer{Status: 422}); err != nil {
		t.Fatal(err)
	}
	r := start(t, t.TempDir(), "webhooks:\n"+hook(rec, "good", "")+hook(rec, "bad", ", retry: { schedule: [] }"))
	token, _ := r.AdminToken()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	open := func(query string) *bufio.Scanner {
		req, err := http.NewRequestWithContext(ctx, "GET", "http://"+r.AdminAddr().String()+"/api/v1/stream"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%v %v", resp, err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		lines := bufio.NewScanner(resp.Body)
		lines.Scan() // the first comment: from now on it watches
		return lines
	}
	open("") // and is never read
	failed := open("?status=failed&type=order.*")
	const n = 2000
	r.send(`{"type":"other","data":1}`)
	id := r.send(`{"type":"order.paid","data":1}`)
	for range n - 2 {
		r.send(`{"type":"bulk","data":1}`)
	}
	if err := rec.Wait(within(t), "good", func(c bench.Counts) bool { return c.Distinct == n }); err != nil {
		t.Fatal(err)
	}
	timeout := time.AfterFunc(20*time.Second, cancel)
	defer timeout.Stop()
	for failed.Scan() {
		data, ok := bytes.CutPrefix(failed.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		var a admin.Attempt
		if err := json.Unmarshal(data, &a); err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		if a.Event != id || a.Status != "dead" || a.HTTPStatus != 422 || a.WebhookName != "bad" || a.Number != 1 || a.Method != "POST" || a.DurationMS <= 0 || a.ID == "" {
			t.Errorf("%+v", a)
		}
		return
	}
	t.Fatal("the attempt is not shown")
}
