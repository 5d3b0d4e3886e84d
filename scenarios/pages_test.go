package scenarios

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// mostWeight is what a page may weigh, everything that it loads included, uncompressed.
const mostWeight = 150_000

// Each page's weight, and whether anything moves while it comes.
func TestWeightAndShift(t *testing.T) {
	w := newWorld(t)
	b := open(t, w.program)
	b.signIn(opsToken)
	heaviest, at := 0.0, ""
	for _, pg := range w.pages() {
		b.goTo("/ui/t/acme" + pg.path)
		var got struct{ Weight, Shift float64 }
		b.do(chromedp.Evaluate(`({
			Weight: [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')].reduce((n, e) => n + e.decodedBodySize, 0),
			Shift: (() => { const o = new PerformanceObserver(() => {}); o.observe({type: 'layout-shift', buffered: true}); return o.takeRecords().reduce((n, e) => n + e.value, 0); })()})`, &got))
		if got.Weight > heaviest {
			heaviest, at = got.Weight, pg.name
		}
		if got.Weight > mostWeight || got.Weight == 0 {
			t.Errorf("%s weighs %.0f bytes", pg.name, got.Weight)
		}
		if got.Shift > 0.01 {
			t.Errorf("%s: the layout shifts by %.3f", pg.name, got.Shift)
		}
	}
	t.Logf("the heaviest page is %s with %.0f bytes", at, heaviest)
}

// Nothing that can be seen is wider than a phone.
func TestPhone(t *testing.T) {
	w := newWorld(t)
	b := open(t, w.program)
	b.signIn(opsToken)
	b.size(390, 844, true)
	for _, pg := range w.pages() {
		b.goTo("/ui/t/acme" + pg.path)
		var width int
		b.do(chromedp.Evaluate(`document.documentElement.scrollWidth`, &width))
		if width > 390 {
			t.Errorf("%s is %d wide", pg.name, width)
		}
	}
}

// tabTo presses Tab until what has the focus fits, as somebody without a mouse does.
func (b *tab) tabTo(condition string) {
	b.t.Helper()
	for range 120 {
		var there bool
		b.do(chromedp.KeyEvent(kb.Tab), chromedp.Evaluate(fmt.Sprintf(`(e => !!e && (%s))(document.activeElement)`, condition), &there))
		if there {
			return
		}
	}
	b.t.Fatalf("Tab never reached %s", condition)
}

// Sign in, create, test and publish a webhook without a mouse.
func TestKeyboardOnly(t *testing.T) {
	w := newWorld(t)
	b := open(t, w.program)
	b.goTo("/ui/login")
	b.do(chromedp.KeyEvent(acmeToken))
	b.leave(chromedp.KeyEvent(kb.Enter))
	b.tabTo(`e.textContent.trim() === "Webhooks"`)
	b.leave(chromedp.KeyEvent(kb.Enter))
	b.tabTo(`e.textContent.trim() === "Create webhook"`)
	b.leave(chromedp.KeyEvent(kb.Enter))
	b.tabTo(`e.id === "name"`)
	b.do(chromedp.KeyEvent("by-keyboard"))
	b.tabTo(`e.value === "recognition.complete"`)
	b.do(chromedp.KeyEvent(" "))
	b.tabTo(`e.id === "url"`)
	b.do(chromedp.KeyEvent(w.good.URL + "/keyboard"))
	b.tabTo(`e.value === "test"`)
	b.leave(chromedp.KeyEvent(kb.Enter))
	b.wantText("The test was received.")
	b.tabTo(`e.value === "draft"`)
	b.leave(chromedp.KeyEvent(kb.Enter))
	b.wantText("is saved as a draft")
	b.tabTo(`e.textContent.trim() === "Publish"`)
	b.leave(chromedp.KeyEvent(kb.Enter))
	b.wantText("The webhook is active")
	w.send(`{"type":"recognition.complete","tenant":"acme","data":{}}`)
	for g := range w.good.came {
		if strings.HasPrefix(g.Path, "/keyboard") && g.Header.Get("Webhook-Test") == "" {
			return
		}
	}
}
