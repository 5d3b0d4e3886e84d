package deliver

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
)

var noPolicy webhooks.RetryPolicy

// log writes one line for every decision: successes at debug, failures at warn, but a webhook that goes on failing in the same way is
// mentioned once in a while only.
func (w *worker) log(del *queue.Delivery, t *Target, r result, o Outcome, took time.Duration) {
	level := slog.LevelWarn
	if r.delivered || o.Reason == queue.ReasonDropped {
		level = slog.LevelDebug
	}
	log := w.d.opt.Log
	if !log.Enabled(context.Background(), level) {
		return
	}
	suppressed := 0
	if level == slog.LevelWarn && r.verdict.Action != Bury {
		ok := false
		if suppressed, ok = w.d.throttle.allow(del.Webhook, o, w.d.opt.Now()); !ok {
			return
		}
	}
	name := ""
	if t != nil {
		name = t.Webhook.Name
	}
	attrs := []slog.Attr{slog.String("delivery", del.ID().String()), slog.String("event", string(del.Event.ID)), slog.String("type", string(del.Event.Type)),
		slog.String("webhook", name), slog.String("webhook_id", del.Webhook.String()), slog.Int("attempt", del.Attempts+1),
		slog.String("verdict", r.verdict.Action.String()), slog.Duration("took", took.Round(time.Microsecond))}
	if o.Reason != queue.ReasonNone {
		attrs = append(attrs, slog.String("reason", o.Reason.String()), slog.String("detail", o.Detail))
	}
	if o.Status != 0 {
		attrs = append(attrs, slog.Int("status", o.Status))
	}
	if r.verdict.Action == Retry {
		attrs = append(attrs, slog.Time("due", r.verdict.Due))
	}
	if suppressed > 0 {
		attrs = append(attrs, slog.Int("like_this_not_logged", suppressed))
	}
	log.LogAttrs(context.Background(), level, "delivery attempted", attrs...)
}

// throttle lets the first failure of a kind through, and then one every ten seconds. Its zero value is ready.
type throttle struct {
	mu   sync.Mutex
	last map[throttleKey]*throttled
}

type throttleKey struct {
	webhook event.WebhookID
	reason  queue.Reason
	status  int
}

type throttled struct {
	at      time.Time
	skipped int
}

const throttleEvery = 10 * time.Second

// allow says whether to log, and how many like it were not.
func (t *throttle) allow(w event.WebhookID, o Outcome, now time.Time) (skipped int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := throttleKey{w, o.Reason, o.Status}
	s := t.last[k]
	if s == nil {
		if t.last == nil || len(t.last) > 10_000 {
			t.last = map[throttleKey]*throttled{}
		}
		t.last[k] = &throttled{at: now}
		return 0, true
	}
	if now.Sub(s.at) < throttleEvery {
		s.skipped++
		return 0, false
	}
	skipped = s.skipped
	*s = throttled{at: now}
	return skipped, true
}
