package scenarios

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// A recognition platform: an administrator creates a webhook, tests it, and is told by e-mail when it fails.
func TestA(t *testing.T) {
	rows := expect(t, "A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8")
	good, mails := newReceiver(t), newMailServer(t)
	host, port, _ := net.SplitHostPort(mails.addr)
	p := run(t, fmt.Sprintf(`
tenants: [ { id: acme, name: Acme } ]
retry: { schedule: [10ms] }
alerts: { smtp: { host: %s, port: %s, from: relay@example.com, starttls: none }, min_interval: 1s }
event_types: [ { name: recognition.complete, description: A recognition was sent, example: { giver: { name: Ada }, points: 50 } } ]
`, host, port))
	b := open(t, p)
	b.signIn(acmeToken)
	b.clickText(`//nav`, "Webhooks")
	b.wantText("No webhooks yet")
	b.clickText(`//main`, "Create webhook")
	b.wantText("Create webhook", "Event types")
	rows.ok("A1", "the list teaches when it is empty, and opens the form")

	b.fill("#name", "intranet")
	b.do(chromedp.Click(`input[name=events][value="recognition.complete"]`, chromedp.ByQuery))
	b.fill("#url", good.URL+"/feed")
	b.wantText("Without https, anybody on the way can read the events.")
	b.do(chromedp.Click("#generate", chromedp.ByQuery))
	var secret string
	b.do(chromedp.Value("#secret", &secret, chromedp.ByQuery))
	want(t, strings.HasPrefix(secret, "whsec_"), "generated secret %q", secret)
	b.fill("#error_recipients", "ops@example.com, it@example.com")
	rows.ok("A2", "name, event from the catalogue, address")

	b.click("button[value=test]")
	b.wantText("The test was received.", "200 OK")
	g := <-good.came
	want(t, g.Header.Get("Webhook-Test") == "true", "headers %v", g.Header)
	want(t, member(t, g.Body, "data", "giver", "name") == "Ada", "body %s", g.Body)
	verified(t, g, secret)

	b.click("button[value=publish]")
	b.wantText("is active")
	id := b.hookAt()
	b.clickText(`//dl[@class="kv"]`, "Reveal")
	b.wantText(secret)
	rows.ok("A3", "the secret is generated, shown again on the details page, and verifies a request")

	p.send(`{"type":"recognition.complete","tenant":"acme","data":{"points":7}}`)
	g = <-good.came
	verified(t, g, secret)
	want(t, g.Header.Get("Webhook-Test") == "", "a real event is marked as a test")
	b.goTo("/ui/t/acme/webhooks/" + id + "/log")
	b.wantText("recognition.complete", "200", " ms")
	rows.ok("A8", "the log shows how long it took: "+strings.TrimSpace(b.text("tbody td.num")))

	b.goTo("/ui/t/acme/webhooks")
	b.menu("intranet", "Run test")
	b.wantText("The test was received.")
	g = <-good.came
	want(t, g.Header.Get("Webhook-Test") == "true", "headers %v", g.Header)
	rows.ok("A6", "a test from the form before saving, and from the list")

	b.goTo("/ui/t/acme/webhooks")
	b.menu("intranet", "Set inactive")
	b.wantText("The webhook is inactive", "paused")
	p.send(`{"type":"recognition.complete","tenant":"acme","data":{"points":8}}`) // dropped, as the document says
	b.menu("intranet", "Set active")
	b.wantText("The webhook is active")
	p.send(`{"type":"recognition.complete","tenant":"acme","data":{"points":9}}`)
	g = <-good.came
	want(t, member(t, g.Body, "data", "points") == 9.0, "after the pause came %s", g.Body)
	rows.ok("A5", "inactive drops events, active delivers them")

	good.respond(500, "broken")
	p.send(`{"type":"recognition.complete","tenant":"acme","data":{"points":10,"note":"hush-hush"}}`)
	<-good.came
	<-good.came
	told := map[string]bool{}
	for len(told) < 2 {
		m := <-mails.came
		for _, to := range m.To {
			told[to] = true
		}
		want(t, strings.Contains(m.readable(), "intranet"), "mail %s", m.readable())
		want(t, !strings.Contains(m.readable(), "hush-hush") && !strings.Contains(m.readable(), secret), "the mail shows too much: %s", m.readable())
	}
	want(t, told["ops@example.com"] && told["it@example.com"], "told %v", told)
	rows.ok("A4", "both recipients got a report, without body and secret")

	b.goTo("/ui/t/acme/webhooks")
	b.menu("intranet", "Edit")
	b.fill("#description", "On the intranet")
	b.click("button[value=save]")
	b.wantText("Saved.", "On the intranet")
	b.goTo("/ui/t/acme/webhooks")
	b.menu("intranet", "View details")
	b.goTo("/ui/t/acme/webhooks")
	b.menu("intranet", "Delete")
	b.clickText(`//form`, "Delete webhook")
	b.wantText("The webhook is deleted", "No webhooks yet")
	rows.ok("A7", "every item of the row's menu")
}
