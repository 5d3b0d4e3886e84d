package transform

import (
	"context"
	"log/slog"
	"runtime"
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
	for p.slots.inside.Load() == 0 {
		runtime.Gosched()
	}
	var in *instance
	for in == nil {
		h.watchdog.mu.Lock()
		for i := range h.watchdog.instances {
			if !p.isIdle(i) {
				in = i
			}
		}
		h.watchdog.mu.Unlock()
	}
	for time.Until(time.Unix(0, in.until.Load())) < time.Minute { // until the run has begun
		runtime.Gosched()
	}
	now := time.Unix(0, in.until.Load())
	h.watchdog.look(now.Add(overrun - 1))
	if p.Quarantined() {
		t.Fatal("quarantined before it was overdue")
	}
	h.watchdog.look(now.Add(overrun))
	if p.Quarantined() {
		t.Fatal("quarantined after one look")
	}
	h.watchdog.look(now.Add(2 * overrun))
	h.watchdog.look(now.Add(3 * overrun))
	var out Result
	if err := p.Run(context.Background(), &testMeta, nil, &out); kindOf(t, err) != KindQuarantined {
		t.Errorf("after it: %v", err)
	}
	if n := strings.Count(logged.String(), "cannot be stopped"); n != 1 || p.module.Stats().Quarantines != 1 {
		t.Errorf("%d lines, %d quarantines: %s", n, p.module.Stats().Quarantines, logged.String())
	}
	cancel()
	<-ended
	p.Close(context.Background())
	if n := len(h.watchdog.instances); n != 0 {
		t.Errorf("%d instances are still watched", n)
	}
}
