package scenarios

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// An app builder: topics with wildcards, an invoice in another service's shape, by a definition and by a transform.
func TestE(t *testing.T) {
	rows := expect(t, "E1", "E2", "E3", "E4", "E5")
	good := newReceiver(t)
	p := run(t, `
tenants: [ { id: acme } ]
event_types:
  - { name: object.created, description: An object was created, example: { object: order, id: 1, total: 29.9, changes: { total: 29.9 } } }
  - { name: object.updated, example: { object: order, id: 1 } }
  - { name: object.deleted, example: { object: order, id: 1 } }
  - { name: object.send, example: { object: form, id: 2 } }
`)
	b := open(t, p)
	b.signIn(acmeToken)
	b.goTo("/ui/t/acme/webhooks/new")
	b.wantText("object.created", "object.updated", "object.deleted", "object.send")
	b.fill("#name", "objects")
	b.fill("#description", "All objects")
	b.fill("#other", "object.*")
	b.fill("#url", good.URL+"/objects")
	b.wantText("Without https, anybody on the way can read the events.")
	b.click("button[value=publish]")
	b.wantText("is active", "object.*")
	id := b.hookAt()
	rows.ok("E1", "name, description, address, topics, a wildcard")

	p.send(`{"type":"object.updated","tenant":"acme","data":{"object":"order","id":1,"changes":{"total":31}}}`)
	g := <-good.came
	want(t, member(t, g.Body, "type") == "object.updated" && member(t, g.Body, "data", "object") == "order" && member(t, g.Body, "data", "changes", "total") == 31.0 &&
		member(t, g.Body, "time") != nil, "body %s", g.Body)
	rows.ok("E2", "object, what was changed, time")

	strict := run(t, "tenants: [ { id: acme } ]\npolicy: { require_https: true }\n")
	s := open(t, strict)
	s.signIn(acmeToken)
	s.goTo("/ui/t/acme/webhooks/new")
	s.fill("#name", "plain")
	s.fill("#other", "x")
	s.fill("#url", "http://example.com/hooks")
	s.click("button[value=publish]")
	s.wantText("Nothing was saved", "https")
	rows.ok("E4", "http is refused under the policy, and warned of without it")

	b.goTo("/ui/t/acme/webhooks/" + id + "/edit")
	b.fill("#name", "orders")
	b.fill("#other", "")
	b.do(chromedp.Click(`input[name=events][value="object.created"]`, chromedp.ByQuery))
	b.fill("#url", good.URL+"/invoices")
	b.do(chromedp.Evaluate(`document.querySelectorAll("details.section").forEach(d => d.open = true)`, nil),
		setting("#payload_body", `{"invoice": {"number": "{{ data.id }}", "amount": "{{ data.total }}"}}`))
	b.click("button[value=preview]")
	b.wantText(`"amount": 29.9`)
	b.click("button[value=save]")
	b.wantText("Saved.", "orders", "object.created")
	p.send(`{"type":"object.deleted","tenant":"acme","data":{"object":"order","id":1}}`)
	p.send(`{"type":"object.created","tenant":"acme","data":{"object":"order","id":7,"total":12.5}}`)
	g = <-good.came
	want(t, g.Path == "/invoices" && member(t, g.Body, "invoice", "number") == 7.0 && member(t, g.Body, "invoice", "amount") == 12.5, "%s %s", g.Path, g.Body)

	// The same by a transform: the plugin flatten, chosen in the form and configured by its own fields.
	b.goTo("/ui/t/acme/webhooks/" + id + "/edit")
	b.do(chromedp.Evaluate(`document.querySelectorAll("details.section").forEach(d => d.open = true)`, nil), setting("#payload_body", ""),
		setting("select[name=transform_plugin]", "flatten"))
	b.wantText("Step 2")
	b.click("button[value=save]")
	b.wantText("Saved.", "flatten")
	p.send(`{"type":"object.created","tenant":"acme","data":{"object":"order","id":8,"customer":{"name":"Ada"}}}`)
	g = <-good.came
	want(t, strings.Contains(g.Body, `"data.customer.name":"Ada"`) || strings.Contains(g.Body, `"customer.name":"Ada"`) || strings.Contains(g.Body, `customer_name":"Ada"`), "flattened: %s", g.Body)
	rows.ok("E5", "the invoice's shape by a definition, and by a WASM transform: "+g.Body)

	b.goTo("/ui/t/acme/webhooks")
	b.menu("orders", "Set inactive")
	b.wantText("The webhook is inactive")
	b.menu("orders", "Delete")
	b.clickText(`//form`, "Delete webhook")
	b.wantText("No webhooks yet")
	rows.ok("E3", "name, address and topics edited, deactivated, deleted")
}
