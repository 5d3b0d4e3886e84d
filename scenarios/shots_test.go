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
		var height int64
		width := int64(1280)
		if suffix == "-phone" {
			width = 390
		}
		b.do(chromedp.Evaluate(`document.documentElement.scrollHeight`, &height))
		b.size(width, max(height, 800), suffix == "-phone") // what sticks to the window's edge is then at the page's edge
		b.do(chromedp.CaptureScreenshot(&png))
		b.size(width, 844, suffix == "-phone")
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
	w := newWorld(t)
	b := open(t, w.program)
	b.goTo("/ui/login")
	b.shoot("login")
	b.signIn(opsToken)
	b.shoot("tenants")
	for _, pg := range w.pages() {
		b.goTo("/ui/t/acme" + pg.path)
		if pg.then != nil {
			pg.then(b)
		}
		b.shoot(pg.name)
	}
}
