package ingress

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/metrics"
	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
)

func TestPanic(t *testing.T) {
	h := start(t)
	h.queue.append = func(_ context.Context, e *event.Event, _ []event.WebhookID, _ *queue.Dedup) (queue.Receipt, error) {
		panic("BUG: " + string(e.Data))
	}
	r := h.post(`{"type":"t","data":"canary"}`)
	if r.StatusCode != 500 || r.problemType(t) != "internal" || !r.Close {
		t.Errorf("status %d, close %v: %s", r.StatusCode, r.Close, r.body)
	}
	if n := h.count("/v1/events", "500"); n != 1 {
		t.Errorf("metric counts %v, want 1", n)
	}
	if log := h.log.String(); !strings.Contains(log, "panic while answering") || !strings.Contains(log, "lifecycle_test.go") || strings.Contains(log, "canary") {
		t.Errorf("log: %s", log)
	}
	h.queue.append = h.keep
	if r := h.post(`{"type":"t"}`); r.StatusCode != 202 {
		t.Errorf("after the panic: status %d", r.StatusCode)
	}
}

func TestHealthAndReady(t *testing.T) {
	cases := map[string]struct {
		change        func(h *harness)
		health, ready int
		missing       string
	}{
		"all well":     {func(*harness) {}, 200, 200, ""},
		"queue full":   {func(h *harness) { h.queue.stats.Store(&queue.Stats{Full: true}) }, 200, 503, "queue has room"},
		"disk low":     {func(h *harness) { h.queue.stats.Store(&queue.Stats{DiskLow: true}) }, 200, 503, "disk has room"},
		"queue failed": {func(h *harness) { close(h.queue.failed) }, 503, 503, "queue works"},
		"store stuck":  {func(h *harness) { h.opts.Alive = func() error { return errors.New("the disk hangs") } }, 503, 503, "store writes"},
		"draining":     {func(h *harness) { h.Drain() }, 200, 503, "serving (not draining)"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := start(t)
			c.change(h)
			if r := h.do("GET", "/healthz", ""); r.StatusCode != c.health {
				t.Errorf("/healthz: %d, want %d", r.StatusCode, c.health)
			}
			r := h.do("GET", "/readyz", "")
			if r.StatusCode != c.ready || !strings.Contains(r.body, c.missing) {
				t.Errorf("/readyz: %d %s, want %d", r.StatusCode, r.body, c.ready)
			}
			if c.ready == 503 && r.problemType(t) != "not-ready" {
				t.Errorf("problem %s", r.body)
			}
			v := h.do("GET", "/readyz?verbose", "")
			if v.StatusCode != c.ready || strings.Count(v.body, "[-] ") != min(len(c.missing), 1) || c.missing != "" && !strings.Contains(v.body, "[-] "+c.missing+"\n") {
				t.Errorf("/readyz?verbose: %d\n%s", v.StatusCode, v.body)
			}
		})
	}
}

func TestDrain(t *testing.T) {
	h := start(t)
	h.Drain()
	r := h.post(`{"type":"t"}`)
	if r.StatusCode != 503 || r.problemType(t) != "draining" || !r.Close || r.Header.Get("Retry-After") == "" {
		t.Errorf("status %d, close %v, header %v", r.StatusCode, r.Close, r.Header)
	}
}

func TestCloseWaitsForTheAnswer(t *testing.T) {
	h := start(t)
	entered, release := make(chan struct{}), make(chan struct{})
	h.queue.append = func(ctx context.Context, e *event.Event, w []event.WebhookID, d *queue.Dedup) (queue.Receipt, error) {
		close(entered)
		<-release
		return h.keep(ctx, e, w, d)
	}
	silent, err := net.Dial("tcp", h.addr) // a connection that never says anything must not hold up the end
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	answered := make(chan reply, 1)
	go func() { answered <- h.post(`{"type":"t"}`) }()
	<-entered
	closed := make(chan error, 1)
	go func() { closed <- h.Close(context.Background()) }()
	select {
	case <-closed:
		t.Fatal("closed while a request was under way")
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	if r := <-answered; r.StatusCode != 202 || !r.Close {
		t.Errorf("status %d, close %v", r.StatusCode, r.Close)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
	if _, err := net.Dial("tcp", h.addr); err == nil {
		t.Error("still accepting")
	}
}

func TestCloseGivesUp(t *testing.T) {
	h := start(t)
	entered := make(chan struct{})
	h.queue.append = func(ctx context.Context, _ *event.Event, _ []event.WebhookID, _ *queue.Dedup) (queue.Receipt, error) {
		close(entered)
		<-ctx.Done() // a disk that hangs
		return queue.Receipt{}, ctx.Err()
	}
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n"+`{"type":"t"}`)
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.Close(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("close: %v", err)
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err == nil && resp.StatusCode == 202 {
		t.Error("202 for an event that the queue does not have")
	}
}

func TestNewRefuses(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var empty, table atomic.Pointer[webhooks.Table]
	tab, err := webhooks.NewTable(nil)
	if err != nil {
		t.Fatal(err)
	}
	table.Store(tab)
	good := Options{Listener: ln, Queue: &fakeQueue{}, Table: &table, Durability: "os", Metrics: metrics.New(), Log: slog.Default()}
	for name, change := range map[string]func(*Options){
		"no listener": func(o *Options) { o.Listener = nil }, "no queue": func(o *Options) { o.Queue = nil },
		"no table": func(o *Options) { o.Table = nil }, "empty table": func(o *Options) { o.Table = &empty },
		"no durability": func(o *Options) { o.Durability = "" }, "empty token": func(o *Options) { o.Policy.Tokens = []Token{{}} },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	s, err := New(good)
	if err != nil {
		t.Fatal(err)
	}
	if s.opts.MaxBody != 1<<20 || s.opts.ReadTimeout != 10*time.Second || s.opts.IdleTimeout != time.Minute {
		t.Errorf("defaults %+v", s.opts)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Errorf("close without serve: %v", err)
	}
}

func TestADeadlineIsSetWhenItMatters(t *testing.T) {
	const slack = time.Second
	base := time.Unix(1_700_000_000, 0)
	for name, c := range map[string]struct {
		set, want time.Time
		due       bool
	}{
		"the first":           {time.Time{}, base, true},
		"none, and none":      {time.Time{}, time.Time{}, false},
		"taken away":          {base, time.Time{}, true},
		"the same":            {base, base, false},
		"a little later":      {base, base.Add(slack - 1), false},
		"later by the slack":  {base, base.Add(slack), true},
		"earlier by a moment": {base, base.Add(-1), true},
	} {
		d := deadline{set: c.set, want: c.want}
		if due := d.due(slack); due != c.due || due && !d.set.Equal(c.want) {
			t.Errorf("%s: due %v, set %v", name, due, d.set)
		}
	}
}
