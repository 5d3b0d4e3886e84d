package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgerelay/bench"
	"edgerelay/config"
)

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// running is a relay that serves until the test ends.
type running struct {
	*Relay
	t    *testing.T
	dir  string
	stop func() error
}

// start writes text as the configuration and runs a relay with it; {data} in text is the data directory.
func start(t *testing.T, dir, text string) *running {
	t.Helper()
	return startWith(t, dir, (&running{dir: dir}).whole(text))
}

// startWith is start for a whole configuration.
func startWith(t *testing.T, dir, whole string) *running {
	t.Helper()
	r := &running{t: t, dir: dir}
	var err error
	r.Relay, err = New(context.Background(), Options{Config: r.loadWhole(whole), Log: testLog(t), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stopped := false
	r.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return r
}

func (r *running) load(text string) *config.Config {
	r.t.Helper()
	return r.loadWhole(r.whole(text))
}

// whole puts the head before text, which may have a section of its own for the sender.
func (r *running) whole(text string) string {
	head := r.head()
	if strings.HasPrefix(text, "sender:") {
		head = head[:strings.Index(head, "sender:")]
	}
	return head + text
}

func (r *running) loadWhole(whole string) *config.Config {
	r.t.Helper()
	file := filepath.Join(r.dir, "edgerelay.yaml")
	if err := os.WriteFile(file, []byte(whole), 0o600); err != nil {
		r.t.Fatal(err)
	}
	c, err := config.Load(file)
	if err != nil {
		r.t.Fatalf("load config:\n%v", err)
	}
	return c
}

// head is what every configuration begins with.
func (r *running) head() string {
	return fmt.Sprintf("version: 1\ndata_dir: %s\ningress: { listen: 127.0.0.1:0 }\nadmin: { listen: 127.0.0.1:0 }\nsender: { allow_private_networks: [127.0.0.0/8] }\n",
		filepath.Join(r.dir, "data"))
}

func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// send posts one event and returns its id.
func (r *running) send(body string) string {
	r.t.Helper()
	resp, err := http.Post("http://"+r.IngressAddr().String()+"/v1/events", "application/json", strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	var answer struct{ ID string }
	if err := json.Unmarshal(b, &answer); err != nil || resp.StatusCode != http.StatusAccepted {
		r.t.Fatalf("send %s: %d %s", body, resp.StatusCode, b)
	}
	return answer.ID
}

// receiver starts a verifying receiver with these hooks.
func receiver(t *testing.T, onDelivery func(bench.Delivery), names ...string) *bench.Receiver {
	t.Helper()
	o := bench.Options{OnDelivery: onDelivery}
	for _, n := range names {
		o.Hooks = append(o.Hooks, bench.Hook{Name: n, Scheme: "standard", Secrets: []string{testSecret}})
	}
	rec, err := bench.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rec.Close(context.Background()) })
	return rec
}

func hook(rec *bench.Receiver, name, more string) string {
	return fmt.Sprintf("- { name: %s, events: ['*'], url: '%s', secret: %s%s }\n", name, rec.URL(name), testSecret, more)
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestEventReachesItsWebhooksSigned(t *testing.T) {
	bodies := make(chan bench.Delivery, 10)
	rec := receiver(t, func(d bench.Delivery) { bodies <- d }, "plain", "shaped")
	r := start(t, t.TempDir(), "webhooks:\n"+hook(rec, "plain", "")+
		hook(rec, "shaped", ", payload: { type: xml, root: order, body: { number: '{{ data.n }}' } }"))
	id := r.send(`{"type":"order.created","data":{"n":12345678901234567890.10}}`)
	got := map[string]bench.Delivery{}
	for range 2 {
		d := <-bodies
		got[d.Hook] = d
	}
	if d := got["plain"]; d.BadSign != nil || d.ID != id || !bytes.Contains(d.Body, []byte(`"data":{"n":12345678901234567890.10}}`)) {
		t.Errorf("plain: %+v %s", d, d.Body)
	}
	if d := got["shaped"]; d.BadSign != nil || !bytes.Contains(d.Body, []byte(`<order><number>12345678901234567890.10</number></order>`)) {
		t.Errorf("shaped: %+v %s", d, d.Body)
	}
}

func TestRetryThenSuccess(t *testing.T) {
	rec := receiver(t, nil, "flaky")
	if err := rec.Answer("flaky", bench.Answer{Times: 2, Status: 500}); err != nil {
		t.Fatal(err)
	}
	r := start(t, t.TempDir(), "webhooks:\n"+hook(rec, "flaky", ", retry: { schedule: [10ms, 20ms, 30ms] }"))
	r.send(`{"type":"a","data":1}`)
	if err := rec.Wait(within(t), "flaky", func(c bench.Counts) bool { return c.Delivered == 1 }); err != nil {
		t.Fatal(err, rec.Snapshot())
	}
}
