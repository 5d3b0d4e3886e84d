package scenarios

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// Attempts come up as they happen, of the tenant that was chosen only.
func TestLive(t *testing.T) {
	w := newWorld(t)
	b := open(t, w.program)
	b.signIn(acmeToken)
	b.goTo("/ui/t/acme/live")
	b.wantText("Watching")
	w.send(`{"type":"recognition.complete","tenant":"zeta","data":{}}`)
	w.send(`{"type":"recognition.complete","tenant":"acme","data":{"points":1}}`)
	b.wantText("recognition.complete", "intranet-feed", "Watching, 1 seen")
	b.press(`//main`, "Stop")
	b.wantText("Stopped")
	b.goTo("/ui/t/acme/webhooks/" + w.feed + "/log")
	b.press(`//main`, "Watch live")
	b.wantText("Watching")
	var before, after int
	const lines = `document.querySelectorAll("[data-attempts] tr").length`
	b.do(chromedp.Evaluate(lines, &before))
	w.send(`{"type":"recognition.complete","tenant":"acme","data":{"points":2}}`)
	b.wantText("Watching, 1 seen")
	b.do(chromedp.Evaluate(lines, &after))
	if after != before+1 {
		t.Errorf("%d lines, then %d", before, after)
	}
}
