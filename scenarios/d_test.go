package scenarios

import (
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// A loyalty platform: authorizations, every method and payload type, publish and unpublish.
func TestD(t *testing.T) {
	rows := expect(t, "D1", "D2", "D3", "D4", "D5", "D6", "D7")
	good := newReceiver(t)
	p := run(t, `
tenants: [ { id: acme } ]
retry: { schedule: [] }
event_types: [ { name: member.joined, example: { name: Grace, points: 3 } } ]
`)
	b := open(t, p)
	b.signIn(acmeToken)
	b.goTo("/ui/t/acme/webhooks")
	b.clickText(`//main//nav`, "Authorizations")
	b.wantText("No authorizations yet")
	rows.ok("D1", "two tabs")

	authorize := func(name string, fill func()) {
		b.goTo("/ui/t/acme/authorizations/new")
		b.fill("#name", name)
		b.fill("#endpoint", good.URL+"/api")
		fill()
		b.clickText(`//form`, "Create authorization")
		b.wantText(name)
	}
	const secretValue, publicValue = "key-that-nobody-sees", "everybody-may-see"
	authorize("key", func() { b.fill("#header", "X-Api-Key"); b.fill("#value", secretValue) })
	authorize("open", func() {
		b.fill("#header", "X-Client")
		b.fill("#value", publicValue)
		b.do(setting("#visibility", "public"))
	})
	authorize("login", func() {
		b.do(setting("#type", "basic"))
		b.fill("#username", "relay")
		b.fill("#password", "pass-that-nobody-sees")
	})
	for name, sees := range map[string]string{"key": "", "open": publicValue, "login": "relay"} {
		b.goTo("/ui/t/acme/authorizations")
		b.menu2(name, "Edit")
		var html string
		b.do(chromedp.OuterHTML("main", &html, chromedp.ByQuery))
		want(t, !strings.Contains(html, "nobody-sees") && strings.Contains(html, sees), "%s: the page shows %s", name, html)
	}
	rows.ok("D2", "header (secret, public) and basic; secret values are never shown again, public ones are")

	create := func(name, path, method, payload, body, root, auth string) string {
		b.goTo("/ui/t/acme/webhooks/new")
		b.fill("#name", name)
		b.fill("#description", "made by "+name)
		b.do(chromedp.Click(`input[name=events][value="member.joined"]`, chromedp.ByQuery), setting("select[name=method]", method))
		b.fill("#url", good.URL+path)
		b.fill("#headers", "X-Env: test")
		b.do(chromedp.Evaluate(`document.querySelectorAll("details.section").forEach(d => d.open = true)`, nil), setting("#payload_type", payload),
			setting("#payload_body", body), setting("#root", root))
		if auth != "" {
			b.do(chromedp.Click("input[name=use_authorization]", chromedp.ByQuery), setting("select[name=authorization]", auth))
		}
		b.do(setting("#log", "errors"))
		b.click("button[value=draft]")
		return b.text("main")
	}
	text := create("elsewhere", "/other", "POST", "json", "", "", "key")
	want(t, strings.Contains(text, "Nothing was saved"), "credentials go elsewhere: %s", text)
	rows.ok("D7", "the endpoint of an authorization bounds where it is sent")

	const fields = `{"name": "{{ data.name }}", "points": "{{ data.points }}"}`
	shapes := map[string]func(got) bool{
		"POST json": func(g got) bool {
			return member(t, g.Body, "points") == 3.0 && g.Header.Get("X-Api-Key") == secretValue
		},
		"PUT xml": func(g got) bool {
			return strings.Contains(g.Body, "<member>") && strings.Contains(g.Body, "<points>3</points>")
		},
		"PATCH plain": func(g got) bool { return g.Body == "Grace has 3" },
		"POST form": func(g got) bool {
			v, err := url.ParseQuery(g.Body)
			return err == nil && v.Get("points") == "3" && v.Get("name") == "Grace"
		},
		"DELETE json": func(g got) bool { return g.Body == "" },
		"GET json":    func(g got) bool { return strings.Contains(g.Path, "points=3") },
	}
	var ids []string
	for _, shape := range []string{"POST json", "PUT xml", "PATCH plain", "POST form", "DELETE json", "GET json"} {
		method, payload, _ := strings.Cut(shape, " ")
		body, root, auth := fields, "", ""
		switch payload {
		case "plain":
			body = "{{ data.name }} has {{ data.points }}"
		case "xml":
			root = "member"
		}
		if shape == "POST json" {
			auth = "key"
		}
		create(shape, "/api/"+strings.ReplaceAll(shape, " ", "-"), method, payload, body, root, auth)
		b.wantText("is saved as a draft", "draft", "A draft gets no events")
		id := b.hookAt()
		ids = append(ids, id)
		p.send(`{"type":"member.joined","tenant":"acme","data":{"name":"Nobody","points":0}}`) // drafts get nothing
		b.clickText(`//div[contains(@class,"head")]`, "Publish")
		b.wantText("The webhook is active")
		p.send(`{"type":"member.joined","tenant":"acme","data":{"name":"Grace","points":3}}`)
		g := <-good.came
		want(t, g.Method == method && g.Header.Get("X-Env") == "test" && shapes[shape](g), "%s: %s %s %v %q", shape, g.Method, g.Path, g.Header, g.Body)
		b.press(`//div[contains(@class,"head")]//details`, "")
		b.clickText(`//div[contains(@class,"head")]`, "Unpublish")
		b.wantText("The webhook is a draft again")
	}
	rows.ok("D3", "every field, all five methods, all four payload types")

	b.goTo("/ui/t/acme/webhooks/" + ids[0])
	b.press(`//div[contains(@class,"head")]//details`, "")
	b.clickText(`//div[contains(@class,"head")]`, "Duplicate")
	b.wantText("draft copy", "draft")
	want(t, b.hookAt() != ids[0], "the copy is the original")
	b.press(`//div[contains(@class,"head")]//details`, "")
	b.clickText(`//div[contains(@class,"head")]`, "Delete")
	b.clickText(`//form`, "Delete webhook")
	b.wantText("The webhook is deleted")
	rows.ok("D4", "draft, publish, unpublish, duplicate, delete")

	b.goTo("/ui/t/acme/webhooks/" + ids[0])
	b.clickText(`//div[contains(@class,"head")]`, "Publish")
	p.send(`{"type":"member.joined","tenant":"acme","data":{"name":"Grace","points":3}}`)
	<-good.came
	good.respond(500, "no")
	failed := p.send(`{"type":"member.joined","tenant":"acme","data":{"name":"Grace","points":4}}`)
	<-good.came
	b.goTo("/ui/t/acme/events/" + failed)
	b.wantText("Attempt 1")
	b.goTo("/ui/t/acme/webhooks/" + ids[0] + "/log")
	b.wantText("failed attempts only", "500")
	var lines int
	b.do(chromedp.Evaluate(`document.querySelectorAll("[data-attempts] tr").length`, &lines))
	want(t, lines == 1, "%d attempts are in the log", lines)
	rows.ok("D5", "log only errors keeps the failed call alone")

	for query, n := range map[string]int{"?search=put": 1, "?method=GET": 1, "?status=active": 1, "?event=member.joined": 6, "?status=draft": 5, "?event=none.such": 0} {
		b.goTo("/ui/t/acme/webhooks" + query)
		var rowsShown int
		b.do(chromedp.Evaluate(`document.querySelectorAll("main tbody tr").length`, &rowsShown))
		want(t, rowsShown == n, "%s shows %d webhooks, want %d", query, rowsShown, n)
	}
	rows.ok("D6", "filters by name, event, status, method")
}

// menu2 is menu for lists whose names are no links.
func (b *tab) menu2(name, item string) {
	b.t.Helper()
	row := `//tr[.//strong[normalize-space(.)="` + name + `"]]`
	b.do(chromedp.Click(row+`//summary`, chromedp.BySearch, chromedp.NodeVisible))
	b.clickText(row, item)
}
