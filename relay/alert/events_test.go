package alert

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"edgerelay/relay/event"
)

// TestReporter: who wants it gets an event, with what happened; no events about events, and none about the troubles of who listens to them.
func TestReporter(t *testing.T) {
	var made []OwnEvent
	c := newTally()
	fail := false
	r := OpenReporter(ReporterOptions{
		Listeners: func(tenant, typ string) []string {
			if typ == TypeRecovered {
				return nil
			}
			if tenant == "" {
				return []string{"acme", "beta"}
			}
			return []string{tenant}
		},
		Listens: func(id event.WebhookID) bool { return id == other },
		Append: func(_ context.Context, e OwnEvent) error {
			if fail {
				return errors.New("full")
			}
			made = append(made, e)
			return nil
		}, Counters: c, Log: slog.New(slog.DiscardHandler)})
	r.Notice(deadNotice(1))
	about := deadNotice(2)
	about.Type = TypeDead
	r.Notice(about)
	r.Notice(Notice{Kind: Failing, At: time.Now(), ID: other, Name: "other", Tenant: "acme"})
	r.Notice(Notice{Kind: Disabled, At: time.Now(), ID: feed, Name: "feed", Tenant: "acme"})
	r.Notice(Notice{Kind: Recovered, At: time.Now(), ID: feed, Tenant: "acme"})
	r.Notice(Notice{Kind: Reset, At: time.Now(), ID: feed, Tenant: "acme"})
	r.Notice(Notice{Kind: QueueHigh, At: time.Now(), Bytes: 9, MaxBytes: 10})
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	types := ""
	for _, e := range made {
		types += e.Tenant + ":" + e.Type + " "
	}
	want := "acme:edgerelay.delivery.dead acme:edgerelay.webhook.disabled acme:edgerelay.queue.high beta:edgerelay.queue.high "
	if types != want || c.of("event made") != 4 {
		t.Fatalf("made %s, want %s", types, want)
	}
	var got struct {
		Webhook struct{ ID, Name string }
		Event   struct{ ID, Type string }
		Status  int `json:"http_status"`
	}
	if err := json.Unmarshal(made[0].Data, &got); err != nil || got.Webhook.Name != "feed" || got.Event.ID != "order-1" || got.Status != 501 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestReporterDoesNotWait: a queue that hangs holds nobody up, and what is left out is counted and told.
func TestReporterDoesNotWait(t *testing.T) {
	hang, c := make(chan struct{}), newTally()
	var last []byte
	r := OpenReporter(ReporterOptions{Listeners: func(string, string) []string { return []string{"acme"} }, Listens: func(event.WebhookID) bool { return false },
		Append:   func(_ context.Context, e OwnEvent) error { <-hang; last = e.Data; return nil },
		Counters: c, Log: slog.New(slog.DiscardHandler)})
	for i := range 2 * inboxSize {
		r.Notice(deadNotice(i))
	}
	omitted := c.of("event omitted")
	if omitted < inboxSize-1 {
		t.Errorf("%d left out", omitted)
	}
	close(hang)
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if c.of("event made")+omitted != 2*inboxSize || last == nil {
		t.Errorf("made %d, left out %d", c.of("event made"), omitted)
	}
}
