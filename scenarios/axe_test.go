package scenarios

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

const axeVersion = "4.10.3"

// axe is the script of axe-core, as npm has it.
var axe = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "edgerelay-tests")
	tgz := filepath.Join(dir, "axe-core-"+axeVersion+".tgz")
	if _, err := os.Stat(tgz); err != nil {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
		cmd := exec.Command("npm", "pack", "--silent", "axe-core@"+axeVersion)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("npm pack axe-core: %w: %s", err, out)
		}
	}
	text, err := os.ReadFile(tgz)
	if err != nil {
		return "", err
	}
	gz, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return "", err
	}
	for r := tar.NewReader(gz); ; {
		h, err := r.Next()
		if err != nil {
			return "", errors.Join(err, errors.New("there is no axe.min.js in the package"))
		}
		if h.Name == "package/axe.min.js" {
			script, err := io.ReadAll(r)
			return string(script), err
		}
	}
})

// violation is what axe finds.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct{ HTML string }
}

// audit returns what axe finds on the page that is shown.
func (b *tab) audit(script, rules string) (all []violation) {
	b.t.Helper()
	var text string
	b.do(chromedp.Evaluate(script, nil), chromedp.Evaluate(`axe.run(document, {resultTypes: ['violations']`+rules+`}).then(r => JSON.stringify(r.violations))`, &text,
		func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		b.t.Fatal(err)
	}
	return all
}

// Every page, light and dark: nothing that keeps people with disabilities out.
func TestAxe(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	script, err := axe()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	w := newWorld(t)
	b := open(t, w.program)
	pages, minor := 0, 0
	look := func(name string) {
		for _, scheme := range []string{"light", "dark"} {
			b.scheme(scheme)
			pages++
			rules := ""
			if scheme == "dark" { // the same page in other colours
				rules = ", runOnly: ['color-contrast', 'link-in-text-block']"
			}
			for _, v := range b.audit(script, rules) {
				if v.Impact != "serious" && v.Impact != "critical" {
					minor++
					t.Logf("%s, %s: %s %s: %s", name, scheme, v.Impact, v.ID, v.Nodes[0].HTML)
					continue
				}
				t.Errorf("%s, %s: %s %s (%s): %s", name, scheme, v.Impact, v.ID, v.Help, v.Nodes[0].HTML)
			}
		}
	}
	b.goTo("/ui/login")
	look("login")
	b.signIn(opsToken)
	look("tenants")
	for _, pg := range w.pages() {
		b.goTo("/ui/t/acme" + pg.path)
		if pg.then != nil {
			pg.then(b)
		}
		look(pg.name)
	}
	t.Logf("%d looks at pages, %d lesser findings", pages, minor)
}
