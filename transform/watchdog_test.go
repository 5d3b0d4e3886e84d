package transform

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestWatchdog: a run that does not end though its deadline is over is reported, once, and its module gets no more events.
func TestWatchdog(t *testing.T) {
	var logged syncBuffer
	h := newHost(t, Options{Log: slog.New(slog.NewTextHandler(&logged, nil))})
	p := newPool(t, h, slow(), PoolConfig{Size: 2, Limits: Limits{Fuel: 1 << 50, Timeout: time.Hour}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		var out Result
		ended <- p.Run(ctx, &testMeta, nil, &out)
	}()
	running := func() *instance {
		h.watchdog.mu.Lock()
		defer h.watchdog.mu.Unlock()
		for in := range h.watchdog.instances {
			if in.watched.until.Load() != 0 {
				return in
			}
		}
		return nil
	}
	var in *instance
	for in == nil {
		in = running()
	}
	now := time.Unix(0, in.watched.until.Load())
	h.watchdog.look(now.Add(overrun - 1))
	if p.Quarantined() {
		t.Fatal("quarantined before it was overdue")
	}
	h.watchdog.look(now.Add(overrun))
	h.watchdog.look(now.Add(2 * overrun))
	var out Result
	if err := p.Run(context.Background(), &testMeta, nil, &out); kindOf(t, err) != KindQuarantined {
		t.Errorf("after it: %v", err)
	}
	if n := strings.Count(logged.String(), "cannot be stopped"); n != 1 || p.module.Stats().Quarantines != 1 {
		t.Errorf("%d lines, %d quarantines: %s", n, p.module.Stats().Quarantines, logged.String())
	}
	cancel()
	<-ended
	if running() != nil {
		t.Error("it is taken for running after its end")
	}
	p.Close(context.Background())
	if n := len(h.watchdog.instances); n != 0 {
		t.Errorf("%d instances are still watched", n)
	}
}
