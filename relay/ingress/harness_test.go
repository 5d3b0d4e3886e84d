package ingress

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/metrics"
	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
)

// fakeQueue is a queue at the edge of the package: what it is not told to do panics, by way of the nil interface.
type fakeQueue struct {
	queue.Queue
	append func(ctx context.Context, e *event.Event, targets []event.WebhookID, d *queue.Dedup) (queue.Receipt, error)
	stats  atomic.Pointer[queue.Stats]
	failed chan struct{}
}

func (q *fakeQueue) Append(ctx context.Context, e *event.Event, targets []event.WebhookID, d *queue.Dedup) (queue.Receipt, error) {
	return q.append(ctx, e, targets, d)
}

func (q *fakeQueue) Failed() <-chan struct{} { return q.failed }

func (q *fakeQueue) Stats() queue.Stats {
	if s := q.stats.Load(); s != nil {
		return *s
	}
	return queue.Stats{}
}

// stored is one accepted event with what came along.
type stored struct {
	*event.Event
	targets []event.WebhookID
	dedup   *queue.Dedup
}

// harness is a running server with a queue that keeps everything, and deduplicates like a real one.
type harness struct {
	*Server
	t     testing.TB
	queue *fakeQueue
	url   string
	addr  string
	log   *bytes.Buffer

	mu     sync.Mutex
	events []stored
	seen   map[[16]byte]stored
}

func (h *harness) keep(_ context.Context, e *event.Event, targets []event.WebhookID, d *queue.Dedup) (queue.Receipt, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := stored{Event: e.Clone(), targets: append([]event.WebhookID(nil), targets...)}
	if d != nil {
		copied := *d
		s.dedup = &copied
		if first, ok := h.seen[d.Key]; ok {
			if first.dedup.Fingerprint != d.Fingerprint {
				return queue.Receipt{}, queue.ErrMismatch
			}
			return queue.Receipt{Replayed: true, ID: first.ID}, nil
		}
		h.seen[d.Key] = s
	}
	h.events = append(h.events, s)
	return queue.Receipt{ID: e.ID}, nil
}

func (h *harness) stored() []stored {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]stored(nil), h.events...)
}

func hook(name, tenant string, patterns ...string) *webhooks.Webhook {
	return &webhooks.Webhook{ID: event.NamedWebhookID(tenant, name), Name: name, Tenant: tenant, Events: patterns, Status: webhooks.StatusActive}
}

// start runs a server on a free port until the test ends; change may alter the options.
func start(t testing.TB, change ...func(*Options)) *harness {
	t.Helper()
	h := &harness{t: t, queue: &fakeQueue{failed: make(chan struct{})}, seen: map[[16]byte]stored{}, log: &bytes.Buffer{}}
	h.queue.append = h.keep
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tab, err := webhooks.NewTable([]*webhooks.Webhook{hook("paid", "default", "order.paid"), hook("orders", "default", "order.*"), hook("acme", "acme", "*")})
	if err != nil {
		t.Fatal(err)
	}
	var table atomic.Pointer[webhooks.Table]
	table.Store(tab)
	o := Options{Listener: ln, Queue: h.queue, Table: &table, Durability: "fsync", Metrics: metrics.New(), MaxBody: 4096,
		Log: slog.New(slog.NewTextHandler(h.log, nil)), Linger: 50 * time.Millisecond}
	for _, f := range change {
		f(&o)
	}
	if h.Server, err = New(o); err != nil {
		t.Fatal(err)
	}
	h.addr = h.Addr().String()
	h.url = "http://" + h.addr
	served := make(chan error, 1)
	go func() { served <- h.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := h.Close(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("close: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return h
}

// reply is an answer, read to its end.
type reply struct {
	*http.Response
	body string
}

// problemType is the end of the problem's type, after checking that the answer is a proper problem.
func (r reply) problemType(t testing.TB) string {
	t.Helper()
	var p struct {
		Type, Title, Detail string
		Status              int
	}
	if ct := r.Header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("content type %q of status %d, body %s", ct, r.StatusCode, r.body)
		return ""
	}
	if err := json.Unmarshal([]byte(r.body), &p); err != nil || p.Status != r.StatusCode || p.Title == "" {
		t.Errorf("problem %s of status %d: %v", r.body, r.StatusCode, err)
	}
	name, ok := strings.CutPrefix(p.Type, "urn:edgerelay:problem:")
	if !ok {
		t.Errorf("problem type %q", p.Type)
	}
	return name
}

func (h *harness) do(method, path, body string, headers ...string) reply {
	h.t.Helper()
	req, err := http.NewRequest(method, h.url+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	return h.send(req)
}

func (h *harness) send(req *http.Request) reply {
	h.t.Helper()
	tr := &http.Transport{DisableCompression: true}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return reply{resp, string(b)}
}

func (h *harness) post(body string, headers ...string) reply {
	h.t.Helper()
	return h.do("POST", "/v1/events", body, append([]string{"Content-Type", "application/json"}, headers...)...)
}

// count reads edgerelay_ingress_requests_total.
func (h *harness) count(route, code string) (n float64) {
	h.t.Helper()
	families, err := h.opts.Metrics.Gatherer().Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "edgerelay_ingress_requests_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := ""
			for _, l := range m.GetLabel() {
				labels += l.GetValue() + " "
			}
			if labels == code+" "+route+" " {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}
