package scenarios

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// shotsDir is where the pictures of the documentation go: go test ./scenarios -run TestScreenshots -shots ../docs/dashboard
var shotsDir = flag.String("shots", "", "write pictures of every page into this directory")

// shoot takes pictures of a page: light, dark, and on a phone.
func (b *tab) shoot(name string) {
	b.t.Helper()
	if *shotsDir == "" {
		return
	}
	take := func(suffix string) {
		var png []byte
		b.do(chromedp.FullScreenshot(&png, 100))
		if err := os.WriteFile(filepath.Join(*shotsDir, name+suffix+".png"), png, 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
	b.scheme("light")
	take("")
	b.scheme("dark")
	take("-dark")
	b.scheme("light")
	b.size(390, 844, true)
	take("-phone")
	b.size(1280, 900, false)
}

func TestScreenshots(t *testing.T) {
	if *shotsDir == "" {
		t.Skip("-shots is not set")
	}
	if err := os.MkdirAll(*shotsDir, 0o755); err != nil {
		t.Fatal(err)
	}
	p := run(t, `
tenants:
  - { id: acme, name: Acme Rewards, programs: [ { id: summer, name: Summer 26 } ] }
  - { id: zeta, name: Zeta Loyalty }
webhooks:
  - { name: intranet-feed, description: Shows recognitions on the intranet, tenant: acme, events: [recognition.complete, "object.*"], url: "http://127.0.0.1:9/hooks" }
  - { name: billing, tenant: acme, events: ["order.*"], url: "http://127.0.0.1:9/billing", method: PUT, status: paused }
  - { name: crm, tenant: acme, program: summer, events: ["member.*"], url: "http://127.0.0.1:9/crm", status: draft }
`)
	b := open(t, p)
	b.goTo("/ui/login")
	b.shoot("login")
	b.signIn(opsToken)
	b.shoot("tenants")
	for range 12 {
		p.send(`{"type":"recognition.complete","tenant":"acme","data":{"points":10}}`)
	}
	for name, path := range map[string]string{"overview": "/", "webhooks": "/webhooks"} {
		b.goTo("/ui/t/acme" + path)
		b.shoot(name)
	}
}
