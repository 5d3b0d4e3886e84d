package relay

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"edgerelay/bench"
	"edgerelay/relay/alert"
	"edgerelay/relay/queue"
)

// TestOwnEventsReachTheirSubscribers: a delivery that dies becomes an event for the tenant's webhook that asked for it, once; nothing becomes of
// what the relay's own events go through.
func TestOwnEventsReachTheirSubscribers(t *testing.T) {
	rec := receiver(t, nil, "shop", "ops", "all")
	if err := rec.Answer("shop", bench.Answer{Status: 422}); err != nil {
		t.Fatal(err)
	}
	if err := rec.Answer("ops", bench.Answer{Times: 1, Status: 400}); err != nil { // its first delivery dies
		t.Fatal(err)
	}
	text := "webhooks:\n"
	for name, events := range map[string]string{"shop": "order.*", "ops": "edgerelay.*", "all": "\"*\""} {
		text += strings.Replace(hook(rec, name, ", retry: { schedule: [] }"), `events: ['*']`, "events: ["+events+"]", 1)
	}
	if strings.Count(text, "[order.*]") != 1 {
		t.Fatal(text)
	}
	r := start(t, t.TempDir(), text)
	r.send(`{"type":"order.paid","data":{"card":"4242"}}`)
	r.dead(2) // the order, and the event about it
	r.send(`{"type":"order.paid","data":2}`)
	if err := rec.Wait(within(t), "ops", func(c bench.Counts) bool { return c.Delivered == 1 }); err != nil {
		t.Fatal(err)
	}
	if err := rec.Wait(within(t), "all", func(c bench.Counts) bool { return c.Delivered == 2 }); err != nil {
		t.Fatal(err)
	}
	r.eventually("settled", func() bool { s := r.Queue(); return s.Pending == 0 && s.Dead == 3 })
	for name, what := range map[string]string{"ops": "an event about an event of the relay", "all": "the relay's own events, with a pattern for everything"} {
		rec.Wait(within(t), name, func(c bench.Counts) bool {
			if c.Requests != 2 {
				t.Errorf("%s got %d requests: %s", name, c.Requests, what)
			}
			return true
		})
	}
}

// TestQueueWatch: it tells once, in both directions.
func TestQueueWatch(t *testing.T) {
	var s queue.Stats
	var told []string
	q := newQueueWatch(func() queue.Stats { return s }, 1000, 100, func(n alert.Notice) { told = append(told, fmt.Sprint(n.Kind == alert.QueueHigh, n.Bytes)) })
	for _, step := range []queue.Stats{{Bytes: 700, DiskFree: 1000}, {Bytes: 800, DiskFree: 1000}, {Bytes: 900, DiskFree: 1000}, {Bytes: 750, DiskFree: 1000},
		{Bytes: 600, DiskFree: 1000}, {Bytes: 1, DiskFree: 150}, {Bytes: 2, DiskFree: 220}, {Bytes: 3, DiskFree: 300}, {Bytes: 4, DiskFree: 1000, Full: true}} {
		s = step
		q.look(time.UnixMilli(1))
	}
	want := "true 800, false 600, true 1, false 3, true 4"
	if got := strings.Join(told, ", "); got != want {
		t.Errorf("told %s, want %s", got, want)
	}
}

func TestProducersCannotSendOwnEvents(t *testing.T) {
	r := start(t, t.TempDir(), "")
	resp, err := http.Post("http://"+r.IngressAddr().String()+"/v1/events", "application/json", strings.NewReader(`{"type":"edgerelay.queue.high"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("answered %d", resp.StatusCode)
	}
}

// TestMailServerThatHangs: deliveries neither fail nor wait because of it, the relay stops in time, and the next one still knows whom to tell.
func TestMailServerThatHangs(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() // nobody ever accepts: connections are made by the kernel, and no byte comes
	rec := receiver(t, nil, "bad", "good")
	if err := rec.Answer("bad", bench.Answer{Status: 422}); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("alerts: { smtp: { host: 127.0.0.1, port: %d, from: r@example.com }, min_interval: 1s }\nwebhooks:\n", ln.Addr().(*net.TCPAddr).Port) +
		hook(rec, "bad", ", retry: { schedule: [] }, error_recipients: ['ops@example.com, a@example.com']") + hook(rec, "good", "")
	r := start(t, t.TempDir(), text)
	const n = 300
	for range n {
		r.send(`{"type":"a","data":1}`)
	}
	if err := rec.Wait(within(t), "good", func(c bench.Counts) bool { return c.Distinct == n }); err != nil {
		t.Fatal(err)
	}
	r.eventually("dead", func() bool { return r.Queue().Dead == n })
	stored := func() (people int) {
		r.queue.Scan("alerts/to/", func(_ string, value []byte) bool {
			if strings.Contains(string(value), `"dead":`) {
				people++
			}
			return true
		})
		return people
	}
	r.eventually("kept for later", func() bool { return stored() == 2 })
	if err := r.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// TestCheckReadsTheMailServersAuthorities: validate finds what a start would stumble over.
func TestCheckReadsTheMailServersAuthorities(t *testing.T) {
	r := &running{t: t, dir: t.TempDir()}
	c := r.load("alerts: { smtp: { host: mail.example, from: a@b.example, ca_file: nowhere.pem } }\n")
	problems := Check(t.Context(), c)
	if len(problems) != 1 || problems[0].Path != "alerts.smtp" || !strings.Contains(problems[0].Message, "nowhere.pem") {
		t.Errorf("%v", problems)
	}
}
