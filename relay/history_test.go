package relay

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"edgerelay/bench"
	"edgerelay/relay/event"
)

// call asks the management API with a token and decodes the answer into out, which may be nil. It returns the status.
func (r *running) call(token, method, path, body string, out any) int {
	r.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, "http://"+r.AdminAddr().String()+path, in)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if resp.StatusCode >= 400 {
		r.t.Logf("%s %s: %d %s", method, path, resp.StatusCode, b)
	}
	if out != nil && resp.StatusCode < 400 {
		if err := json.Unmarshal(b, out); err != nil {
			r.t.Fatalf("%s %s: %v in %s", method, path, err, b)
		}
	}
	return resp.StatusCode
}

// shown is what the tests look at in answers.
type shown struct {
	Items []struct {
		ID, Event, Status, Type string
	}
	NextCursor string `json:"next_cursor"`
}

type shownEvent struct {
	ID, Type   string
	Body       *string
	Replayable bool
	Deliveries []struct {
		ID, Status, Webhook string
		Attempts            []struct {
			Status, Mark string
			Request      *struct {
				Body    *string
				Headers []struct{ Name, Value string }
			}
			Response *struct {
				Status int
				Body   *string
			}
		}
	}
}

// TestHistoryThroughTheAPI follows two events, one that arrives and one that dies, with tokens that may see them and tokens that may not.
func TestHistoryThroughTheAPI(t *testing.T) {
	arrived := make(chan bench.Delivery, 100)
	rec := receiver(t, func(d bench.Delivery) { arrived <- d }, "good")
	refuse := http.NewServeMux()
	refuse.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such order", http.StatusNotFound) })
	bad := serve(t, refuse)
	const tokens = "admin: { listen: 127.0.0.1:0, tokens: [{ name: all, token: all-tenants-admin, tenants: ['*'] }, { name: acme, token: acme-editor-token, tenants: [acme], role: editor }, { name: other, token: other-viewer-token, tenants: [other], role: viewer }] }\n"
	r := startWith(t, t.TempDir(), strings.Replace((&running{dir: t.TempDir()}).head(), "admin: { listen: 127.0.0.1:0 }\n", tokens, 1)+
		"tenants: [{ id: acme }, { id: other }]\nwebhooks:\n"+
		fmt.Sprintf("- { name: good, tenant: acme, events: [order.paid], url: '%s', secret: %s }\n", rec.URL("good"), testSecret)+
		fmt.Sprintf("- { name: bad, tenant: acme, events: [order.lost], url: '%s', secret: %s, retry: { schedule: [1ms] } }\n", bad, testSecret))
	paid := r.send(`{"type":"order.paid","tenant":"acme","data":{"n":1,"user":{"id":"42"}}}`)
	<-arrived
	lost := r.send(`{"type":"order.lost","tenant":"acme","data":{"n":2,"user":{"id":"42"}}}`)
	nobody := r.send(`{"type":"order.other","tenant":"acme","data":{"n":3}}`)
	const acme, all, other = "acme-editor-token", "all-tenants-admin", "other-viewer-token"

	var e shownEvent
	until(t, func() bool { // what is recorded comes after what is answered
		e = shownEvent{}
		return r.call(acme, "GET", "/api/v1/events/"+paid, "", &e) == 200 && len(e.Deliveries) == 1 && len(e.Deliveries[0].Attempts) == 1
	})
	first := e.Deliveries[0].Attempts[0]
	if e.Body == nil || !strings.Contains(*e.Body, `"n":1`) || !e.Replayable || e.Deliveries[0].Status != "delivered" || first.Request == nil || first.Request.Body == nil ||
		*first.Request.Body != *e.Body || first.Response == nil || first.Response.Status != 200 || first.Mark != "" {
		t.Errorf("event: %+v", e)
	}
	until(t, func() bool {
		e = shownEvent{}
		return r.call(acme, "GET", "/api/v1/events/"+lost, "", &e) == 200 && len(e.Deliveries) == 1 && e.Deliveries[0].Status == "dead"
	})
	if n := len(e.Deliveries[0].Attempts); n != 2 || !strings.Contains(*e.Deliveries[0].Attempts[1].Response.Body, "no such order") {
		t.Errorf("dead: %d attempts, %+v", n, e.Deliveries[0])
	}
	dead := e.Deliveries[0].ID
	var list shown
	if r.call(acme, "GET", "/api/v1/events?search=%22n%22%3A3", "", &list); len(list.Items) != 1 || list.Items[0].ID != nobody {
		t.Errorf("search: %+v", list)
	}
	list = shown{}
	if r.call(acme, "GET", "/api/v1/attempts?status=failed", "", &list); len(list.Items) != 2 || list.Items[0].Status != "dead" {
		t.Errorf("failed attempts: %+v", list)
	}
	list = shown{}
	if r.call(all, "GET", "/api/v1/events?limit=2", "", &list); len(list.Items) != 2 || list.NextCursor == "" || list.Items[0].ID != nobody {
		t.Errorf("first page: %+v", list)
	}
	list = shown{}
	if r.call(all, "GET", "/api/v1/deliveries?status=delivered", "", &list); len(list.Items) != 1 || list.Items[0].Event != paid {
		t.Errorf("delivered: %+v", list)
	}

	// Another tenant sees nothing, and may do nothing.
	for path, status := range map[string]int{"/api/v1/events/" + paid: 404, "/api/v1/deliveries/" + dead: 404, "/api/v1/events/we_nothing": 404} {
		if got := r.call(other, "GET", path, "", nil); got != status {
			t.Errorf("another tenant's token: GET %s: %d, want %d", path, got, status)
		}
	}
	for _, path := range []string{"/api/v1/events", "/api/v1/attempts", "/api/v1/deliveries?status=dead", "/api/v1/jobs"} {
		list = shown{}
		if got := r.call(other, "GET", path, "", &list); got != 200 || len(list.Items) != 0 {
			t.Errorf("another tenant's token: GET %s: %d %+v", path, got, list)
		}
	}
	if got := r.call(other, "POST", "/api/v1/events/"+paid+"/replay", "{}", nil); got != 403 {
		t.Errorf("a viewer replays: %d", got)
	}
	if got := r.call(acme, "POST", "/api/v1/erase", `{"where":"true"}`, nil); got != 403 {
		t.Errorf("an editor erases: %d", got)
	}

	// Replay: dry, then really; the attempt is marked.
	if got := r.call(acme, "POST", "/api/v1/events/"+paid+"/replay", `{"dry_run":true}`, nil); got != 202 {
		t.Errorf("dry run: %d", got)
	}
	if got := r.call(acme, "POST", "/api/v1/events/"+paid+"/replay", `{}`, nil); got != 202 {
		t.Errorf("replay: %d", got)
	}
	again := <-arrived
	if again.ID != paid {
		t.Errorf("replayed %q", again.ID)
	}
	until(t, func() bool {
		e = shownEvent{}
		r.call(acme, "GET", "/api/v1/events/"+paid, "", &e)
		return len(e.Deliveries[0].Attempts) == 2 && e.Deliveries[0].Attempts[1].Mark == "replay"
	})
	if got := r.call(acme, "POST", "/api/v1/deliveries/"+e.Deliveries[0].ID+"/retry", "", nil); got != 202 {
		t.Errorf("retry of a delivered one: %d", got)
	}
	<-arrived

	// Jobs: count, replay, purge, erase.
	var started struct {
		Count *struct{ Matched int }
		Job   *struct{ ID string }
	}
	if got := r.call(acme, "POST", "/api/v1/deliveries/purge", `{"reason":"status","dry_run":true}`, &started); got != 200 || started.Count == nil || started.Count.Matched != 1 {
		t.Errorf("count: %d %+v", got, started)
	}
	feed := event.NamedWebhookID("acme", "good")
	r.job(acme, "/api/v1/events/replay", fmt.Sprintf(`{"type":"order.lost","to_webhook":%q}`, feed), 1)
	if d := <-arrived; d.ID != lost {
		t.Errorf("replayed to another webhook: %q", d.ID)
	}
	r.job(acme, "/api/v1/deliveries/purge", `{"reason":"status"}`, 1)
	if s := r.Queue(); s.Dead != 0 {
		t.Errorf("dead after the purge: %+v", s)
	}
	r.job(all, "/api/v1/erase", `{"where":"data.user.id == \"42\""}`, -1)
	for _, id := range []string{paid, lost} {
		if got := r.call(all, "GET", "/api/v1/events/"+id, "", nil); got != 404 {
			t.Errorf("an erased event: %d", got)
		}
	}
	list = shown{}
	if r.call(all, "GET", "/api/v1/events", "", &list); len(list.Items) != 1 {
		t.Errorf("left: %+v", list)
	}
}

// job starts a job, waits until it has ended and checks how much it did (-1 = anything).
func (r *running) job(token, path, body string, done int64) {
	r.t.Helper()
	var started struct{ Job struct{ ID string } }
	if got := r.call(token, "POST", path, body, &started); got != 202 {
		r.t.Fatalf("POST %s: %d", path, got)
	}
	var j struct {
		Status, Note string
		Done         int64
	}
	until(r.t, func() bool {
		r.call(token, "GET", "/api/v1/jobs/"+started.Job.ID, "", &j)
		return j.Status != "running"
	})
	if j.Status != "done" || done >= 0 && j.Done != done {
		r.t.Errorf("%s %s: %+v, want %d done", path, body, j, done)
	}
}

// until asks again and again, until the test's time is over.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	ctx := within(t)
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatal("it did not come to that")
		default:
		}
	}
}

// serve runs a handler on a loopback address.
func serve(t *testing.T, h http.Handler) (url string) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}
