package deliver

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/history"
	"edgerelay/relay/metrics"
	"edgerelay/relay/payload"
	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
)

// oneDelivery is a queue that has one delivery and takes note of its settlement.
type oneDelivery struct {
	queue.Queue
	settled chan string
	event   *event.Event
	webhook event.WebhookID
	left    int
}

func (q *oneDelivery) Lease(w event.WebhookID, d *queue.Delivery) bool {
	if q.left == 0 || w != q.webhook {
		return false
	}
	q.left--
	*d = queue.Delivery{Webhook: w, Event: *q.event, More: q.left > 0, Handle: queue.Handle{Kind: 1}}
	return true
}
func (q *oneDelivery) Ack(*queue.Delivery)                             { q.settled <- "ack" }
func (q *oneDelivery) Retry(*queue.Delivery, time.Time, queue.Failure) { q.settled <- "retry" }
func (q *oneDelivery) Bury(*queue.Delivery, queue.Failure)             { q.settled <- "bury" }
func (q *oneDelivery) Park(event.WebhookID)                            {}

// TestRecordedAttempt compares what the history is told with what a receiver saw.
func TestRecordedAttempt(t *testing.T) {
	status := http.StatusOK
	var got http.Header
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		rw.Header().Set("X-Answer", "yes")
		rw.Header().Set("Set-Cookie", "session=s3cret")
		rw.WriteHeader(status)
		fmt.Fprint(rw, "thank you")
	}))
	defer srv.Close()
	fields, err := event.Parse([]byte(`{"id":"order-1","type":"order.paid","data":{"total":3}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	e, _ := event.BuildEvent(nil, &fields, nil, time.UnixMilli(1000))
	e.Tenant, e.Mark = []byte("acme"), event.MarkReplay
	auth, err := webhooks.HeaderAuth("crm", "", webhooks.AuthHeader{Name: "X-Partner", Value: "s3cret", Secret: true}, webhooks.AuthHeader{Name: "X-Region", Value: "eu"})
	if err != nil {
		t.Fatal(err)
	}
	definition, err := payload.Compile(payload.Spec{Type: payload.JSON})
	if err != nil {
		t.Fatal(err)
	}
	wh := &webhooks.Webhook{ID: event.NamedWebhookID("acme", "feed"), Name: "feed", Tenant: "acme", URL: template(t, srv.URL+"/in?token=s3cret&q=1"),
		Host: strings.TrimPrefix(srv.URL, "http://"), Method: "POST", Authorization: auth, Payload: definition, Status: webhooks.StatusActive,
		Headers: []webhooks.Header{{Name: "X-Api-Key", Value: template(t, "s3cret")}}, Timeout: 5 * time.Second, Concurrency: 1}
	h := history.NewRecorder(history.RecorderOptions{CaptureBody: 5})
	sub := h.Subscribe(8)
	defer sub.Close()
	q := &oneDelivery{settled: make(chan string, 2), event: &e, webhook: wh.ID, left: 2}
	d := New(Options{Queue: q, Metrics: metrics.New(), Log: slog.New(slog.DiscardHandler), UserAgent: "test", Networks: loopbackNetworks, History: h})
	d.Update([]Target{{Webhook: wh}})
	d.Ready(wh.ID)
	<-q.settled
	<-q.settled
	first, second := <-sub.C(), <-sub.C()
	if err := d.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if first.Status != history.StatusDelivered || first.HTTPStatus != 200 || first.Number != 1 || first.Mark != event.MarkReplay || first.WebhookName != "feed" ||
		string(first.EventID) != "order-1" || !first.SameAsEvent || !first.Keep {
		t.Errorf("attempt %+v", first)
	}
	if string(first.RequestBody) != `{"id"` || first.RequestSize != len(e.Envelope) || string(first.ResponseBody) != "thank" || first.ResponseSize != 9 {
		t.Errorf("bodies %q of %d, %q of %d", first.RequestBody, first.RequestSize, first.ResponseBody, first.ResponseSize)
	}
	if !strings.HasSuffix(string(first.URL), "/in?token=***&q=1") || string(first.Method) != "POST" || len(first.Remote) == 0 {
		t.Errorf("%s %s to %s", first.Method, first.URL, first.Remote)
	}
	if tm := first.Timings; tm.Connect <= 0 || tm.FirstByte <= 0 || tm.Total < tm.FirstByte || tm.TLS != 0 {
		t.Errorf("timings of a new connection %+v", tm)
	}
	if tm := second.Timings; tm.Connect != 0 || tm.FirstByte <= 0 {
		t.Errorf("timings of a connection that was there %+v", tm)
	}
	seen := map[string]string{}
	for _, x := range append(first.RequestHeaders, first.ResponseHeaders...) {
		seen[string(x.Name)] = string(x.Value)
		if bytes.Contains(x.Value, []byte("s3cret")) {
			t.Errorf("%s: %s", x.Name, x.Value)
		}
	}
	for name, want := range map[string]string{"X-Partner": "***", "X-Region": "eu", "X-Api-Key": "***", "X-Answer": "yes", "Set-Cookie": "***", "webhook-id": "order-1"} {
		if seen[name] != want {
			t.Errorf("%s: %q, want %q", name, seen[name], want)
		}
	}
	if got.Get("X-Partner") != "s3cret" {
		t.Errorf("the receiver got %v", got)
	}
}
