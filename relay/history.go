package relay

import (
	"context"
	"path/filepath"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/history"
	"edgerelay/relay/metrics"
)

const historyDir = "history"

// openHistory opens what remembers events and attempts. Nothing on the path of an event needs it, so a history that cannot be opened is
// reported, and the relay goes on without.
func (r *Relay) openHistory(dir string) {
	c := &r.cfg.History
	r.recorder = history.NewRecorder(history.RecorderOptions{CaptureBody: int(c.CaptureBody)})
	if !c.Enabled {
		return
	}
	q := r.queue
	h, err := history.Open(history.Options{Dir: filepath.Join(dir, historyDir), Log: r.log, Retention: time.Duration(c.Retention),
		FailedRetention: time.Duration(max(c.FailedRetention, c.Retention)), BodyRetention: time.Duration(c.BodyRetention), MaxBytes: int64(c.MaxBytes),
		MaxBodyBytes: int64(c.MaxBodyBytes), CaptureBody: int(c.CaptureBody), Redact: c.Redact,
		Free: func() int64 { return q.Stats().DiskFree }, MinFree: int64(r.cfg.Queue.MinFreeDisk) + historyReserve})
	if err != nil {
		r.log.Error("the history cannot be opened; events are delivered, but nothing is remembered", "error", err)
		return
	}
	r.history, r.recorder = h, h.Recorder()
	r.metrics.WatchHistory(func() metrics.HistorySnapshot {
		s := h.Stats()
		return metrics.HistorySnapshot{Stored: s.Stored, Dropped: s.Dropped, Bytes: s.Bytes}
	})
	r.stopLast("history", func(context.Context) error { return h.Close() })
}

// historyReserve is how much more disk than the queue the history leaves free: it stops long before events have to be refused.
const historyReserve = 128 << 20

// accepted is what the ingress tells about stored events; nil when nobody wants to know. An event all of whose webhooks log errors only is
// remembered when one of its deliveries fails.
func (r *Relay) accepted() func(*event.Event, []event.WebhookID) {
	if !r.recorder.Stores() {
		return nil
	}
	return func(e *event.Event, targets []event.WebhookID) {
		keep := len(targets) == 0
		table := r.table.Load()
		for _, id := range targets {
			w := table.Get(id)
			if keep = w == nil || !w.LogErrors; keep {
				break
			}
		}
		if keep {
			r.recorder.Event(e, targets)
		}
	}
}
