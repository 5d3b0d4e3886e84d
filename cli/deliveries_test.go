package cli

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"edgerelay/relay/event"
)

var someDelivery = event.DeliveryID{1, 2, 3}.String()

const deliveryJSON = `{"id":"dl_1","webhook":"wh_1","webhook_name":"feed","event":"we_1","type":"a.b","tenant":"acme","status":"dead","attempts":6,` +
	`"accepted_at":"2026-01-02T03:04:05Z","last_failure":{"reason":"status","http_status":500,"detail":"line\nfeed\u001b[2J","at":"2026-01-02T03:05:05Z"}`

func TestDeliveriesList(t *testing.T) {
	api := newFakeRelay(t, 200, `{"items":[`+deliveryJSON+`}],"next_cursor":"c2"}`)
	t.Setenv("EDGERELAY_ADMIN_TOKEN", "t0ken")
	code, stdout, stderr := runCommand(t, "", "deliveries", "ls", "--url", api.URL, "--status", "dead", "--webhook", "wh_1", "--event", "we_1", "--limit", "1")
	if code != exitOK || !strings.Contains(stderr, "--cursor c2") {
		t.Errorf("code %d, %q", code, stderr)
	}
	rows := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(rows) != 2 || !strings.HasPrefix(rows[0], "ID ") || !strings.Contains(rows[1], `status 500: line\nfeed\x1b[2J`) || !strings.Contains(rows[1], "feed") {
		t.Errorf("table:\n%s", stdout)
	}
	if got := api.requests(); got != "GET /api/v1/deliveries?event=we_1&limit=1&status=dead&webhook=wh_1" || api.tokens[0] != "Bearer t0ken" {
		t.Errorf("request %q, token %q", got, api.tokens)
	}
}

func TestDeliveriesListAllPagesAsJSON(t *testing.T) {
	pages := map[string]string{"": `{"items":[{"id":"a"},{"id":"b"}],"next_cursor":"p2"}`, "p2": `{"items":[{"id":"c"}]}`}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte(pages[r.URL.Query().Get("cursor")]))
	}))
	defer api.Close()
	code, stdout, stderr := runCommand(t, "", "deliveries", "list", "--url", api.URL, "--all", "--json")
	if code != exitOK || stdout != "{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\"id\":\"c\"}\n" || stderr != "" {
		t.Errorf("code %d, %q, %q", code, stdout, stderr)
	}
}

func TestDeliveriesListEmpty(t *testing.T) {
	api := newFakeRelay(t, 200, `{"items":[]}`)
	if code, stdout, stderr := runCommand(t, "", "deliveries", "ls", "--url", api.URL); code != exitOK || stdout != "" || stderr != "" {
		t.Errorf("code %d, %q, %q", code, stdout, stderr)
	}
}

func TestDeliveriesShow(t *testing.T) {
	api := newFakeRelay(t, 200, deliveryJSON+`,"envelope":{"id":"we_1","data":{"n":1.10}}}`)
	code, stdout, stderr := runCommand(t, "", "deliveries", "show", someDelivery, "--url", api.URL)
	for _, want := range []string{"status        dead", "webhook       feed", "last failure  status 500: line", "\n\n{\n  \"id\": \"we_1\"", "1.10"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s%s", want, stdout, stderr)
		}
	}
	if strings.Contains(stdout, "next attempt") || strings.Contains(stdout, "\x1b") || code != exitOK {
		t.Errorf("code %d:\n%s", code, stdout)
	}
	if _, stdout, _ = runCommand(t, "", "deliveries", "show", someDelivery, "--url", api.URL, "--json"); !strings.HasPrefix(stdout, deliveryJSON) {
		t.Errorf("JSON: %s", stdout)
	}
	if !strings.HasPrefix(api.requests(), "GET /api/v1/deliveries/"+someDelivery) {
		t.Errorf("requests %s", api.requests())
	}
}

func TestDeliveriesRetry(t *testing.T) {
	api := newFakeRelay(t, 202, `{"id":"x"}`)
	other := event.DeliveryID{9}.String()
	code, stdout, _ := runCommand(t, "", "deliveries", "retry", someDelivery, other, "--url", api.URL, "--json")
	if code != exitOK || stdout != `{"id":"`+someDelivery+`"}`+"\n"+`{"id":"`+other+`"}`+"\n" {
		t.Errorf("code %d, %q", code, stdout)
	}
	if got := api.requests(); got != "POST /api/v1/deliveries/"+someDelivery+"/retry\nPOST /api/v1/deliveries/"+other+"/retry" {
		t.Errorf("requests %s", got)
	}
	api.status, api.answer = 404, `{"title":"Not found"}`
	code, _, stderr := runCommand(t, "", "deliveries", "retry", someDelivery, other, "--url", api.URL)
	if code != exitFailure || !strings.Contains(stderr, "after 0 of 2") || !strings.Contains(stderr, "404 Not Found") {
		t.Errorf("code %d, %q", code, stderr)
	}
}

func TestDeliveriesChecksAllIDsFirst(t *testing.T) {
	api := newFakeRelay(t, 202, `{}`)
	code, _, _ := runCommand(t, "", "deliveries", "retry", someDelivery, "dl_wrong", "--url", api.URL)
	if code != exitUsage || api.requests() != "" {
		t.Errorf("code %d, requests %q", code, api.requests())
	}
}

func TestDeliveriesTokenHint(t *testing.T) {
	api := newFakeRelay(t, 401, `{"title":"Unauthorized","detail":"send a valid token"}`)
	code, _, stderr := runCommand(t, "", "deliveries", "ls", "--url", api.URL)
	if code != exitFailure || !strings.Contains(stderr, "401 Unauthorized: send a valid token\nTry: --token TOKEN, or $EDGERELAY_ADMIN_TOKEN") {
		t.Errorf("code %d, %q", code, stderr)
	}
}
