package scenarios

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// A partner dashboard: a global and a channel operator, global webhooks and those of programs, a locked endpoint.
func TestB(t *testing.T) {
	rows := expect(t, "B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9")
	good := newReceiver(t)
	p := run(t, `
tenants:
  - { id: acme, name: Acme Rewards, programs: [ { id: summer, name: Summer 26 } ] }
  - { id: "12345", name: Northwind }
policy: { lock_endpoint: true }
event_types:
  - { name: order.created, example: { id: 1 } }
  - { name: month.closed, scope: global, example: { month: 5 } }
`)
	channel := open(t, p)
	channel.signIn(acmeToken)
	want(t, channel.at() == "/ui/t/acme/", "a channel operator lands at %s", channel.at())
	channel.goTo("/ui/t/12345/webhooks")
	channel.wantText("404")
	channel.trouble() // the browser notes the 404, which is what was wanted

	b := open(t, p)
	b.signIn(opsToken)
	want(t, b.at() == "/ui/tenants", "a global operator lands at %s", b.at())
	b.fill("input[type=search]", "12345")
	b.clickText(`//form[@role="search"]`, "Search")
	b.wantText("Northwind")
	b.lacksText("Acme Rewards")
	b.fill("input[type=search]", "acme rew")
	b.clickText(`//form[@role="search"]`, "Search")
	b.clickText(`//table`, "Acme Rewards")
	want(t, b.at() == "/ui/t/acme/", "chose %s", b.at())
	rows.ok("B1", "search by id and by name; another tenant's address answers 404")

	b.clickText(`//nav`, "Webhooks")
	b.clickText(`//main`, "Create webhook")
	b.fill("#name", "partner")
	b.click("button[value=publish]")
	b.wantText("Some fields need another look")
	b.fill("#url", good.URL+"/partner")
	b.do(chromedp.Click(`input[name=events][value="month.closed"]`, chromedp.ByQuery))
	b.do(chromedp.Click("#generate", chromedp.ByQuery))
	var secret string
	b.do(chromedp.Value("#secret", &secret, chromedp.ByQuery))
	b.click("button[value=publish]")
	b.wantText("is active")
	id := b.hookAt()
	b.goTo("/ui/t/acme/webhooks")
	b.wantText("partner")
	rows.ok("B6", "address and secret are asked for, and the new webhook is on the dashboard")

	program := `{"name":"shop","kind":"program","tenants":["acme"],"program":"summer"}`
	var token struct{ Token string }
	p.api(opsToken, "POST", "/api/v1/tokens", program, &token)
	linked := `{"name":"programme","events":["order.created"],"url":"` + good.URL + `/programme"}`
	want(t, p.api(token.Token, "POST", "/api/v1/programs/summer/webhooks", linked, nil) == 201, "the program's own endpoint does not make a webhook")
	want(t, p.api(token.Token, "POST", "/api/v1/webhooks", linked, nil) == 403, "a program's token makes other webhooks")
	refused := p.api(token.Token, "POST", "/api/v1/programs/summer/webhooks", strings.NewReplacer("order.created", "month.closed", `"programme"`, `"other"`).Replace(linked), nil)
	want(t, refused == 422, "a linked webhook subscribes to a global type: %d", refused)
	rows.ok("B5", "an event type for global webhooks only is refused for a linked one")
	b.goTo("/ui/t/acme/webhooks")
	var global, bound string
	b.do(chromedp.Text(`//section[.//h2="Global webhooks"]`, &global, chromedp.BySearch), chromedp.Text(`//section[.//h2="Linked program webhooks"]`, &bound, chromedp.BySearch))
	want(t, strings.Contains(global, "partner") && !strings.Contains(global, "programme") && strings.Contains(bound, "programme"), "sections %q and %q", global, bound)
	rows.ok("B2", "two sections")

	b.menu("programme", "Edit")
	var locked bool
	b.do(chromedp.Evaluate(`document.getElementById("url").disabled && document.getElementById("secret").disabled`, &locked))
	want(t, locked, "address and secret can be edited")
	b.fill("#other", "order.created, order.paid")
	b.click("button[value=save]")
	b.wantText("Saved.", "order.paid")
	rows.ok("B7", "the same form, with address and secret disabled")
	p.send(`{"type":"order.paid","tenant":"acme","program":"summer","data":{"n":1}}`)
	g := <-good.came
	want(t, g.Path == "/programme", "came to %s", g.Path)
	b.goTo("/ui/t/acme/webhooks")
	b.menu("programme", "Event log")
	b.wantText("order.paid", "200")
	b.goTo("/ui/t/acme/webhooks")
	b.menu("programme", "Delete")
	b.clickText(`//form`, "Delete webhook")
	b.wantText("The webhook is deleted")
	rows.ok("B4", "a linked webhook is updated, has a log, and is deleted")

	event := p.send(`{"type":"month.closed","tenant":"acme","data":{"month":5}}`)
	g = <-good.came
	verified(t, g, secret)
	b.goTo("/ui/t/acme/events")
	b.wantText("month.closed")
	b.fill("input[name=id]", event)
	b.clickText(`//form[@role="search"]`, "Find")
	b.wantText("Journey", "Accepted", "Durable", "partner", "Attempt 1")
	b.clickText(`//main`, "Attempt 1")
	b.wantText("POST "+good.URL+"/partner", `"month": 5`, "200 OK", "thanks")
	rows.ok("B8", "found by id; what was sent, the attempt, and the answer")

	b.goTo("/ui/t/acme/webhooks/" + id + "/edit")
	b.fill("#description", "for the partner")
	b.click("button[value=save]")
	b.wantText("Saved.")
	rows.ok("B3", "a global webhook is created, updated, has a log")
	b.goTo("/ui/t/acme/webhooks")
	b.menu("partner", "Delete")
	b.clickText(`//form`, "Delete webhook")
	b.wantText("No webhooks yet")
	rows.ok("B9", "deleted from the menu")
}
