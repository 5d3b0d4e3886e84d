package scenarios

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// attacks are texts that become scripts wherever somebody forgets what context they are in.
var attacks = []string{
	`<script>alert(1)</script>`, `"><script>alert(2)</script>`, `'><script>alert(3)</script>`, `</title><script>alert(4)</script>`, `</textarea><script>alert(5)</script>`,
	`</pre><script>alert(6)</script>`, `</script><script>alert(7)</script>`, `</style><script>alert(8)</script>`, `<img src=x onerror=alert(9)>`, `"><img src=x onerror=alert(10)>`,
	`' onmouseover='alert(11)`, `" onfocus="alert(12)" autofocus="`, `" autofocus onfocus=alert(13) x="`, `<svg onload=alert(14)>`, `<svg><script>alert(15)</script></svg>`,
	`<svg><animate onbegin=alert(16) attributeName=x dur=1s>`, `<math><mtext></form><form><mglyph><style></math><img src onerror=alert(17)>`, `<iframe srcdoc="<script>alert(18)</script>">`,
	`<iframe src=javascript:alert(19)>`, `<a href="javascript:alert(20)">x</a>`, `javascript:alert(21)`, `data:text/html,<script>alert(22)</script>`, `<object data="javascript:alert(23)">`,
	`<embed src="javascript:alert(24)">`, `<details open ontoggle=alert(25)>`, `<video><source onerror=alert(26)>`, `<body onload=alert(27)>`, `<input autofocus onfocus=alert(28)>`,
	`<select autofocus onfocus=alert(29)>`, `<marquee onstart=alert(30)>`, `<meta http-equiv=refresh content="0;url=javascript:alert(31)">`, `<base href="https://evil.example/">`,
	`<link rel=stylesheet href="data:text/css,*{display:none}">`, `<style>@import "https://evil.example/x.css"</style>`, `{{constructor.constructor("alert(35)")()}}`,
	`${alert(36)}`, `<!--><script>alert(37)</script>-->`, `<noscript><p title="</noscript><img src=x onerror=alert(38)>">`, "<scr\u0000ipt>alert(39)</scr\u0000ipt>",
	`<template><s><template><s><img src=x onerror=alert(40)></s></template></s></template>`,
}

// Every text of every attack, wherever people or machines can put one, shown on every page: no script runs, the policy has nothing to report.
func TestNoScriptFromData(t *testing.T) {
	if len(attacks) != 40 {
		t.Fatalf("%d attacks", len(attacks))
	}
	turn := 0
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		turn++
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("X-Attack", strings.Map(printable, attacks[turn%len(attacks)]))
		w.WriteHeader([]int{200, 500}[turn%2])
		io.WriteString(w, strings.Join(attacks, "\n"))
	}))
	t.Cleanup(receiver.Close)
	p := run(t, "tenants: [ { id: acme, name: "+quoted(attacks[1])+", programs: [ { id: summer, name: "+quoted(attacks[8])+" } ] } ]\nretry: { schedule: [1ms] }\nhistory: { capture_body: 64KiB }\n")
	all := strings.Join(attacks, " ")
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	var hooks []string
	for i, a := range attacks {
		var made struct{ ID string }
		body := fmt.Sprintf(`{"name":%s,"description":%s,"tenant":"acme","events":["a.b"],"url":%s,"headers":{"X-Text":%s},"payload":{"body":{"text":%s,"n":"{{ data.text }}"}},"status":"active"}`,
			quote(fmt.Sprintf("%s %d", strings.Map(printable, a), i)), quote(strings.Map(printable, all)), quote(receiver.URL+"/x?q="+url.QueryEscape(a)), quote(strings.Map(printable, noBraces(a))), quote(noBraces(a)))
		if i == 0 {
			p.api(opsToken, "POST", "/api/v1/webhooks", body, &made)
			continue
		}
		if status := p.api(opsToken, "POST", "/api/v1/webhooks", body, nil); status != 201 {
			if i > 0 {
				continue // a text that no name may have is refused, which is as good
			}
			t.Fatalf("create: %d", status)
		}
		_ = made
	}
	var list struct{ Items []struct{ ID string } }
	p.api(opsToken, "GET", "/api/v1/webhooks?limit=100", "", &list)
	for _, h := range list.Items {
		hooks = append(hooks, h.ID)
	}
	if len(hooks) < 30 {
		t.Fatalf("only %d webhooks could be made", len(hooks))
	}
	p.api(opsToken, "POST", "/api/v1/authorizations", `{"name":"x","tenant":"acme","type":"header","endpoint":"https://a.example","headers":[{"name":"X-A","value":`+quote(attacks[0])+`,"visibility":"public"}]}`, nil)
	p.api(opsToken, "POST", "/api/v1/event-types", `{"name":"x.y","tenant":"acme","description":`+quote(all)+`,"example":{"x":`+quote(all)+`}}`, nil)
	p.api(opsToken, "POST", "/api/v1/tokens", `{"name":`+quote(attacks[1])+`,"tenants":["acme"],"role":"viewer"}`, nil)
	id := p.send(`{"type":"a.b","tenant":"acme","data":{"text":` + quote(all) + `}}`)

	b := open(t, p)
	b.signIn(opsToken)
	var ev struct{ Deliveries []struct{ ID string } }
	p.api(opsToken, "GET", "/api/v1/events/"+id, "", &ev)
	paths := []string{"/", "/webhooks", "/webhooks?search=" + url.QueryEscape(all[:900]), "/authorizations", "/events", "/events/" + id, "/events?search=" + url.QueryEscape(attacks[0]) + "&type=" + url.QueryEscape(attacks[1]),
		"/deliveries", "/deliveries?status=dead", "/live", "/settings", "/settings/tokens", "/settings/audit", "/settings/audit?actor=" + url.QueryEscape(attacks[1]), "/settings/config",
		"/playground?event=" + url.QueryEscape(all), "/playground?webhook=" + hooks[0], "/webhooks/new?event=" + url.QueryEscape(attacks[11]), "/jobs"}
	for _, h := range hooks[:8] {
		paths = append(paths, "/webhooks/"+h, "/webhooks/"+h+"/log", "/webhooks/"+h+"/edit", "/webhooks/"+h+"/delete", "/webhooks/"+h+"/versions")
	}
	for _, d := range ev.Deliveries[:min(8, len(ev.Deliveries))] {
		paths = append(paths, "/deliveries/"+d.ID)
	}
	quiet := func(where string) {
		t.Helper()
		for _, a := range b.trouble() {
			t.Errorf("%s: %s", where, a)
		}
	}
	for _, path := range paths {
		b.goTo("/ui/t/acme" + path)
		quiet(path)
	}
	for _, path := range []string{"/ui/t/" + url.PathEscape(attacks[0]) + "/", "/ui/" + url.PathEscape(attacks[8]), "/ui/tenants?search=" + url.QueryEscape(attacks[1]), "/ui/t/acme/webhooks/" + url.PathEscape(attacks[1])} {
		b.goTo(path)
		quiet(path)
	}
	// What the receiver answers, in a test; and every attack in every field of the form, which comes back with what is wrong.
	b.goTo("/ui/t/acme/webhooks/" + hooks[0])
	b.clickText(`//div[contains(@class,"head")]`, "Run test")
	quiet("test")
	var sent struct{ N int }
	b.goTo("/ui/t/acme/webhooks/new")
	for i, a := range attacks {
		b.do(chromedp.Evaluate(fmt.Sprintf(`(() => { for (const f of document.querySelectorAll('#hook input[type=text], #hook input:not([type]), #hook input[type=url], #hook textarea')) f.value = %s; })()`, quote(a)), nil))
		b.click("button[value=draft]")
		quiet(fmt.Sprintf("form with attack %d", i+1))
		sent.N++
	}
	t.Logf("%d attacks, %d webhooks made of them, %d pages, %d forms: no script ran", len(attacks), len(hooks), len(paths)+4, sent.N)
}

func printable(r rune) rune {
	if r < ' ' {
		return -1
	}
	return r
}

// noBraces keeps a text from being an expression of the relay's, which is checked before anything is stored.
func noBraces(s string) string { return strings.NewReplacer("{{", "{ {", "}}", "} }").Replace(s) }

func quoted(s string) string { b, _ := json.Marshal(s); return string(b) }
