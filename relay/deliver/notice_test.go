package deliver

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/metrics"
	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
)

// TestNoticesOfALane: what a lane tells, and that trying again and again is told once.
func TestNoticesOfALane(t *testing.T) {
	var kinds []NoticeKind
	now := time.UnixMilli(1)
	d := New(Options{Queue: &oneDelivery{}, Metrics: metrics.New(), Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
		Notice: func(n Notice) {
			if n.WebhookName != "feed" || n.Tenant != "acme" || n.At != now {
				t.Errorf("notice %+v", n)
			}
			kinds = append(kinds, n.Kind)
		}})
	wh := &webhooks.Webhook{ID: event.NamedWebhookID("acme", "feed"), Name: "feed", Tenant: "acme", Host: "127.0.0.1:1", URL: template(t, "http://127.0.0.1:1/"), Method: "POST",
		Status: webhooks.StatusActive, Concurrency: 4}
	d.Update([]Target{{Webhook: wh}})
	note := func(times int, r result) {
		t.Helper()
		d.mu.Lock()
		defer d.mu.Unlock()
		l := d.lanes[wh.ID]
		for range times {
			r.webhook = l.target.Webhook
			l.noteLocked(r)
		}
	}
	bad := result{sent: true, reason: queue.ReasonTimeout, verdict: Verdict{Action: Retry, Bad: true}}
	note(openAfter, bad)
	now = now.Add(openMost)
	d.lanes[wh.ID].tryAgain()
	note(1, bad) // opens again
	now = now.Add(openMost)
	d.lanes[wh.ID].tryAgain()
	note(2, result{sent: true, delivered: true})
	note(1, result{sent: true, reason: queue.ReasonGone, verdict: Verdict{Action: Bury, Disable: true}})
	changed := *wh
	d.Update([]Target{{Webhook: &changed}})
	note(openAfter, bad)
	d.Update(nil)
	want := []NoticeKind{NoticeOpened, NoticeRecovered, NoticeDisabled, NoticeReset, NoticeOpened, NoticeReset}
	if !slices.Equal(kinds, want) {
		t.Errorf("told %v, want %v", kinds, want)
	}
	d.opt.Notice = nil
	if n := testing.AllocsPerRun(100, func() { d.noticeDead(&queue.Delivery{}, wh, Outcome{}, queue.Failure{}) }); n != 0 {
		t.Errorf("telling nobody allocates %v times", n)
	}
	if err := d.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}
