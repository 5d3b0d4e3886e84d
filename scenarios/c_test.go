package scenarios

import (
	"regexp"
	"testing"

	"github.com/chromedp/chromedp"
)

// A reward engine: the default body, acknowledgement by 2xx, five retries.
func TestC(t *testing.T) {
	rows := expect(t, "C1", "C2", "C3", "C4")
	good := newReceiver(t)
	p := run(t, `
tenants: [ { id: acme } ]
retry: { schedule: [5ms, 10ms, 20ms, 40ms, 80ms] }
event_types:
  - { name: trigger_event.created, description: A trigger event was created, example: { user: { id: ca9bb5c2 }, value: 2.99, trigger: { id: successful_payment } } }
  - { name: balance.credit_points_issued, description: Credits were issued to a user, example: { user: { id: ca9bb5c2 }, points: 10 } }
`)
	b := open(t, p)
	b.signIn(acmeToken)
	b.goTo("/ui/t/acme/settings")
	b.wantText("trigger_event.created", "balance.credit_points_issued", "Credits were issued to a user")
	b.press(`//details[.//code="trigger_event.created"]`, "trigger_event.created")
	b.wantText("successful_payment")
	rows.ok("C4", "the catalogue documents the payloads")
	b.clickText(`//details[.//code="trigger_event.created"]`, "Create a webhook for it")
	b.wantText("Create webhook")
	b.fill("#name", "rewards")
	b.fill("#url", good.URL+"/rewards")
	b.do(chromedp.Click(`input[name=events][value="balance.credit_points_issued"]`, chromedp.ByQuery))
	b.click("button[value=publish]")
	b.wantText("is active", "trigger_event.created", "balance.credit_points_issued")
	rows.ok("C1", "name, address, events")

	p.send(`{"type":"trigger_event.created","tenant":"acme","data":{"user":{"id":"ca9bb5c2-25a6-43e9-972e-862d28241a47"},"value":2.99}}`)
	g := <-good.came
	form := regexp.MustCompile(`^\{"id":"we_[0-9a-hjkmnp-tv-z]{26}","type":"trigger_event\.created","time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","data":\{"user":\{"id":"ca9bb5c2-25a6-43e9-972e-862d28241a47"\},"value":2\.99\}\}$`)
	want(t, g.Method == "POST" && form.MatchString(g.Body), "%s %s", g.Method, g.Body)
	rows.ok("C2", g.Body[:40]+"…")

	good.respond(503, "later")
	event := p.send(`{"type":"balance.credit_points_issued","tenant":"acme","data":{"points":10}}`)
	for range 6 {
		<-good.came
	}
	b.goTo("/ui/t/acme/events/" + event)
	b.wantText("Attempt 1", "Attempt 6", "dead")
	good.respond(204, "")
	b.goTo("/ui/t/acme/deliveries?status=dead")
	b.clickText(`//table`, "Retry")
	<-good.came
	b.goTo("/ui/t/acme/events/" + event)
	b.wantText("delivered")
	rows.ok("C3", "five retries, then given up; a retry by hand is acknowledged with 204")
}
