package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"edgerelay/bench"
	"edgerelay/config"
	"edgerelay/relay/admin"
)

// api asks the management API with the generated token.
func (r *running) api(method, path string, into any) int {
	r.t.Helper()
	req, err := http.NewRequest(method, "http://"+r.AdminAddr().String()+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	token, _ := r.AdminToken()
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if into != nil && resp.StatusCode < 300 {
		if err := json.Unmarshal(b, into); err != nil {
			r.t.Fatalf("%s %s: %v in %s", method, path, err, b)
		}
	}
	return resp.StatusCode
}

type deliveryPage struct {
	Items []admin.Delivery `json:"items"`
}

// eventually asks cond again and again until it holds. It waits for what other goroutines do in real time, as any client would.
func (r *running) eventually(what string, cond func() bool) {
	r.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			r.t.Fatalf("never: %s (queue %+v)", what, r.Queue())
		}
	}
}

// dead waits until the API lists n dead deliveries.
func (r *running) dead(n int) []admin.Delivery {
	r.t.Helper()
	var page deliveryPage
	r.eventually(fmt.Sprintf("%d dead deliveries", n), func() bool {
		return r.api("GET", "/api/v1/deliveries?status=dead", &page) == http.StatusOK && len(page.Items) == n
	})
	return page.Items
}

func TestDeadAfterTheLastRetryThenRedriven(t *testing.T) {
	rec := receiver(t, nil, "w")
	if err := rec.Answer("w", bench.Answer{Times: 3, Status: 422}); err != nil {
		t.Fatal(err)
	}
	r := start(t, t.TempDir(), "webhooks:\n"+hook(rec, "w", ", retry: { schedule: [5ms, 5ms] }"))
	id := r.send(`{"type":"a","data":1}`)
	d := r.dead(1)[0]
	if d.Event != id || d.WebhookName != "w" || d.Attempts != 3 || d.LastFailure.HTTPStatus != 422 {
		t.Errorf("%+v %+v", d, d.LastFailure)
	}
	if s := r.api("POST", "/api/v1/deliveries/"+d.ID+"/retry", nil); s != http.StatusAccepted {
		t.Fatalf("retry: %d", s)
	}
	if err := rec.Wait(within(t), "w", func(c bench.Counts) bool { return c.Delivered == 1 }); err != nil {
		t.Fatal(err)
	}
	r.eventually("settled", func() bool { s := r.Queue(); return s.Dead == 0 && s.Retrying == 0 && s.Bytes == 0 })
}

func TestGoneDisablesAlsoAfterARestart(t *testing.T) {
	rec := receiver(t, nil, "gone", "other")
	if err := rec.Answer("gone", bench.Answer{Status: 410}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := "webhooks:\n" + hook(rec, "gone", "") + hook(rec, "other", "")
	r := start(t, dir, text)
	r.send(`{"type":"a","data":1}`)
	r.eventually("disabled", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.disabled) == 1 })
	r.send(`{"type":"a","data":2}`)
	if err := rec.Wait(within(t), "other", func(c bench.Counts) bool { return c.Delivered == 2 }); err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = start(t, dir, text)
	r.send(`{"type":"a","data":3}`)
	if err := rec.Wait(within(t), "other", func(c bench.Counts) bool { return c.Delivered == 3 }); err != nil {
		t.Fatal(err)
	}
	if n := rec.Snapshot().Hooks["gone"].Requests; n != 1 {
		t.Errorf("a receiver that is gone got %d requests", n)
	}
	// A change of the webhook lifts the mark.
	if err := rec.Answer("gone"); err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(text, rec.URL("gone"), rec.URL("gone")+"?v=2", 1)
	if err := r.Reload(context.Background(), r.load(changed)); err != nil {
		t.Fatal(err)
	}
	r.send(`{"type":"a","data":4}`)
	if err := rec.Wait(within(t), "gone", func(c bench.Counts) bool { return c.Delivered == 1 }); err != nil {
		t.Fatal(err)
	}
}

func TestPendingOfARemovedWebhookIsBuriedNotLost(t *testing.T) {
	rec := receiver(t, nil, "a", "b")
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	if err := rec.Answer("b", bench.Answer{Hold: release}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	with := "shutdown_timeout: 10ms\nwebhooks:\n" + hook(rec, "a", "") + hook(rec, "b", ", concurrency: 1")
	r := start(t, dir, with)
	for i := range 5 {
		r.send(fmt.Sprintf(`{"type":"a","data":%d}`, i))
	}
	if err := rec.Wait(within(t), "b", func(c bench.Counts) bool { return rec.Snapshot().Hooks["a"].Delivered == 5 }); err != nil {
		t.Fatal(err)
	}
	r.stop() // the attempt that hangs is left behind: an error, but nothing lost
	r = start(t, dir, "webhooks:\n"+hook(rec, "a", ""))
	for _, d := range r.dead(5) {
		if d.LastFailure.Reason != "no_webhook" {
			t.Errorf("%+v", d)
		}
	}
}

func TestPausedKeepsItsDeliveries(t *testing.T) {
	rec := receiver(t, nil, "w")
	if err := rec.Answer("w", bench.Answer{Times: 1, Status: 500}); err != nil {
		t.Fatal(err)
	}
	active := "webhooks:\n" + hook(rec, "w", ", retry: { schedule: [1ms, 1ms] }")
	paused := "webhooks:\n" + hook(rec, "w", ", retry: { schedule: [1ms, 1ms] }, status: paused")
	r := start(t, t.TempDir(), "webhooks:\n"+hook(rec, "w", ", retry: { schedule: [1s] }"))
	r.send(`{"type":"a","data":1}`)
	r.eventually("waiting", func() bool { return r.Queue().Retrying == 1 })
	if err := r.Reload(context.Background(), r.load(paused)); err != nil {
		t.Fatal(err)
	}
	r.send(`{"type":"a","data":2}`) // not for a paused webhook
	r.eventually("settled", func() bool { s := r.Queue(); return s.Pending == 0 && s.Retrying == 1 })
	if err := r.Reload(context.Background(), r.load(active)); err != nil {
		t.Fatal(err)
	}
	if err := rec.Wait(within(t), "w", func(c bench.Counts) bool { return c.Delivered == 1 }); err != nil {
		t.Fatal(err)
	}
	if n := rec.Snapshot().Delivered; n != 1 {
		t.Errorf("%d delivered", n)
	}
}

func TestInvalidReloadKeepsTheOldConfig(t *testing.T) {
	rec := receiver(t, nil, "w")
	r := start(t, t.TempDir(), "webhooks:\n"+hook(rec, "w", ""))
	bad := r.load("webhooks:\n" + hook(rec, "w", ", filter: 'data.n >'"))
	err := r.Reload(context.Background(), bad)
	problems, ok := err.(config.Problems)
	if !ok || len(problems) != 1 || problems[0].Path != "webhooks[0].filter" || problems[0].Line == 0 {
		t.Fatalf("%v", err)
	}
	r.send(`{"type":"a","data":1}`)
	if err := rec.Wait(within(t), "w", func(c bench.Counts) bool { return c.Delivered == 1 }); err != nil {
		t.Fatal(err)
	}
	var metrics bytes.Buffer
	req, _ := http.NewRequest("GET", "http://"+r.AdminAddr().String()+"/metrics", nil)
	token, _ := r.AdminToken()
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	metrics.ReadFrom(resp.Body)
	if !strings.Contains(metrics.String(), "edgerelay_config_last_reload_successful 0") {
		t.Error("the metric does not show the failed reload")
	}
}

func TestRestartDeliversWhatWasAccepted(t *testing.T) {
	rec := receiver(t, nil, "w")
	if err := rec.Answer("w", bench.Answer{Times: 10, Status: 503}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := "webhooks:\n" + hook(rec, "w", ", retry: { initial: 20ms, multiplier: 1, max_retries: 50 }")
	r := start(t, dir, text)
	ids := map[string]bool{}
	for i := range 30 {
		ids[r.send(fmt.Sprintf(`{"type":"a","data":%d}`, i))] = true
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	start(t, dir, text)
	if err := rec.Wait(within(t), "w", func(c bench.Counts) bool { return c.Distinct == 30 }); err != nil {
		t.Fatal(err, rec.Snapshot())
	}
	for id := range ids {
		if !rec.Received("w", id) {
			t.Errorf("%s did not arrive", id)
		}
	}
}

func TestTheSameEventTwiceIsDeliveredOnce(t *testing.T) {
	rec := receiver(t, nil, "w")
	r := start(t, t.TempDir(), "webhooks:\n"+hook(rec, "w", ""))
	for range 3 {
		if id := r.send(`{"id":"mine-\u0031","type":"a","data":"\u0041"}`); id != "mine-1" {
			t.Errorf("id %q", id)
		}
	}
	r.send(`{"type":"b","data":1}`)
	if err := rec.Wait(within(t), "w", func(c bench.Counts) bool { return c.Delivered == 2 }); err != nil {
		t.Fatal(err)
	}
	if s := rec.Snapshot(); s.Requests != 2 || s.BadSignatures != 0 || !rec.Received("w", "mine-1") {
		t.Errorf("%+v", s)
	}
}

// A circuit opens while other attempts are in flight, and one of them closes it again: what the queue has must be asked for, because a
// parked webhook is not announced.
func TestLateSuccessClosesTheCircuitAndTheBacklogGoesOn(t *testing.T) {
	rec := receiver(t, nil, "w")
	hold := make(chan struct{})
	if err := rec.Answer("w", bench.Answer{Times: 6, Hold: hold}, bench.Answer{Status: 503}); err != nil {
		t.Fatal(err)
	}
	r := start(t, t.TempDir(), "webhooks:\n"+hook(rec, "w", ", concurrency: 16, retry: { initial: 10ms, multiplier: 1, max_retries: 50 }"))
	for i := range 16 {
		r.send(fmt.Sprintf(`{"type":"a","data":%d}`, i))
	}
	r.eventually("the circuit is open", func() bool {
		lanes := r.deliver.Lanes()
		return len(lanes) == 1 && lanes[0].State.String() == "open"
	})
	for i := range 50 {
		r.send(fmt.Sprintf(`{"type":"a","data":%d}`, 16+i))
	}
	if err := rec.Answer("w"); err != nil {
		t.Fatal(err)
	}
	close(hold)
	if err := rec.Wait(within(t), "w", func(c bench.Counts) bool { return c.Distinct == 66 }); err != nil {
		t.Fatal(err, rec.Snapshot(), r.deliver.Lanes())
	}
}
