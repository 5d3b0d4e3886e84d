package scenarios

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// got is a request that a receiver got.
type got struct {
	Method, Path string
	Header       http.Header
	Body         string
}

// receiver is the other side: it keeps what it gets, and answers as it is told.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(got) (status int, body string)
	all    []got
	came   chan got
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{came: make(chan got, 1000), answer: func(got) (int, string) { return 200, "thanks" }}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		g := got{req.Method, req.URL.RequestURI(), req.Header.Clone(), string(body)}
		r.mu.Lock()
		r.all = append(r.all, g)
		answer := r.answer
		r.mu.Unlock()
		status, text := answer(g)
		w.WriteHeader(status)
		io.WriteString(w, text)
		select {
		case r.came <- g:
		default:
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// respond changes the answer.
func (r *receiver) respond(status int, body string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = func(got) (int, string) { return status, body }
}

// world is a relay in the middle of its life: webhooks of every state, events that came through, and some that did not.
type world struct {
	*program
	good, bad          *receiver
	feed, broken, made string // ids of webhooks
	event, failed      string // ids of events
	undelivered        string // id of a delivery
}

const worldConfig = `
tenants:
  - { id: acme, name: Acme Rewards, programs: [ { id: summer, name: Summer 26 } ] }
  - { id: zeta, name: Zeta Loyalty }
event_types:
  - { name: recognition.complete, description: Somebody was recognised by somebody else, example: { giver: { name: Ada }, recipient: { name: Grace }, points: 50, note: "Thank you!" } }
  - { name: order.created, description: An order was placed, example: { id: 4711, total: "29.90", items: [ { sku: mug, n: 2 } ] } }
  - { name: member.joined, description: Somebody joined the programme, example: { member: m-1 } }
  - { name: tenant.settled, description: The month is closed, scope: global, example: { month: 2026-05 } }
authorizations:
  - { name: crm, type: header, endpoint: "%[1]s", headers: [ { name: X-Api-Key, value: not-a-real-key } ] }
webhooks:
  - { name: intranet-feed, description: Shows recognitions on the intranet, tenant: acme, events: [recognition.complete, "object.*"], url: "%[1]s/hooks", authorization: crm, error_recipients: [ops@example.com] }
  - { name: billing, tenant: acme, events: ["order.*"], url: "%[2]s/billing", method: PUT, retry: { schedule: [10ms] } }
  - { name: archive, tenant: acme, events: ["*"], url: "%[1]s/archive", status: paused }
  - { name: crm-sync, tenant: acme, program: summer, events: ["member.*"], url: "%[1]s/crm" }
`

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{good: newReceiver(t), bad: newReceiver(t)}
	w.bad.respond(500, `{"error":"the ledger is locked"}`)
	w.program = run(t, fmt.Sprintf(worldConfig, w.good.URL, w.bad.URL))
	var hooks struct{ Items []struct{ ID, Name string } }
	w.api(opsToken, "POST", "/api/v1/webhooks", `{"name":"slack-wins","description":"Posts wins to the channel","tenant":"acme","events":["recognition.complete"],"url":"`+w.good.URL+`/slack",
		"transform":[{"plugin":"slack","config":{}}],"status":"draft"}`, &struct{}{})
	w.api(opsToken, "GET", "/api/v1/webhooks", "", &hooks)
	for _, h := range hooks.Items {
		switch h.Name {
		case "intranet-feed":
			w.feed = h.ID
		case "billing":
			w.broken = h.ID
		case "slack-wins":
			w.made = h.ID
		}
	}
	w.api(opsToken, "PATCH", "/api/v1/webhooks/"+w.made, `{"description":"Posts wins to the channel of everybody"}`, &struct{}{})
	for i := range 40 {
		w.event = w.send(fmt.Sprintf(`{"type":"recognition.complete","tenant":"acme","data":{"giver":{"name":"Ada"},"recipient":{"name":"Grace"},"points":%d}}`, i))
	}
	for range 40 {
		<-w.good.came
	}
	w.send(`{"type":"member.joined","tenant":"acme","program":"summer","data":{"member":"m-1"}}`)
	<-w.good.came
	w.failed = w.send(`{"type":"order.created","tenant":"acme","data":{"id":4711,"total":"29.90"}}`)
	<-w.bad.came
	<-w.bad.came // and once more, then it is given up
	return w
}

// page is one page to look at.
type pageOf struct {
	name, path string
	then       func(*tab)
}

func (w *world) pages() []pageOf {
	var d struct{ Deliveries []struct{ ID string } }
	w.api(opsToken, "GET", "/api/v1/events/"+w.failed, "", &d)
	if len(d.Deliveries) > 0 {
		w.undelivered = d.Deliveries[0].ID
	}
	return []pageOf{
		{"overview", "/", nil},
		{"webhooks", "/webhooks", nil},
		{"webhook", "/webhooks/" + w.feed, nil},
		{"webhook-failing", "/webhooks/" + w.broken, nil},
		{"webhook-log", "/webhooks/" + w.feed + "/log", nil},
		{"webhook-versions", "/webhooks/" + w.made + "/versions", nil},
		{"webhook-new", "/webhooks/new", nil},
		{"webhook-edit", "/webhooks/" + w.made + "/edit", nil},
		{"webhook-delete", "/webhooks/" + w.made + "/delete", nil},
		{"authorizations", "/authorizations", nil},
		{"authorization-new", "/authorizations/new", nil},
		{"events", "/events", nil},
		{"event", "/events/" + w.failed, nil},
		{"deliveries", "/deliveries?status=dead", nil},
		{"delivery", "/deliveries/" + w.undelivered, nil},
		{"live", "/live", nil},
		{"playground", "/playground?webhook=" + w.made + "&event=recognition.complete", func(b *tab) { b.click("button[value=try]") }},
		{"event-types", "/settings", nil},
		{"tokens", "/settings/tokens", nil},
		{"audit", "/settings/audit", nil},
		{"jobs", "/jobs", nil},
		{"config", "/settings/config", nil},
		{"not-found", "/nothing", nil},
	}
}
