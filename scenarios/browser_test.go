package scenarios

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// chromium is one browser for all tests; each test has a tab of its own with its own cookies.
var chromium = sync.OnceValues(func() (context.Context, error) {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		return nil, fmt.Errorf("there is no Chromium: install the package chromium")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.Flag("disable-gpu", true), chromedp.Flag("lang", "en-US"),
		chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("hide-scrollbars", true))
	if os.Getuid() == 0 {
		opts = append(opts, chromedp.NoSandbox)
	}
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, stop := chromedp.NewContext(alloc)
	closeBrowser = func() { stop(); stopAlloc() }
	return ctx, chromedp.Run(ctx)
})

var closeBrowser = func() {}

// tab is one person's browser window.
type tab struct {
	t   *testing.T
	p   *program
	ctx context.Context

	mu     sync.Mutex
	alarms []string      // dialogs, reports of the content security policy, errors of scripts
	loads  chan struct{} // a page has come
}

// patience is how long one step may take on a machine that does much else.
const patience = 30 * time.Second

// open gives a tab that has not signed in. In CI a missing browser is a failure.
func open(t *testing.T, p *program) *tab {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a browser")
	}
	root, err := chromium()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	ctx, cancel := newWindow(t, root)
	t.Cleanup(cancel)
	b := &tab{t: t, p: p, ctx: ctx, loads: make(chan struct{}, 1)}
	chromedp.ListenTarget(ctx, b.hear)
	b.do(network.Enable(), log.Enable(), runtime.Enable(), page.Enable())
	b.size(1280, 900, false)
	t.Cleanup(func() {
		for _, a := range b.trouble() {
			t.Errorf("the browser reports: %s", a)
		}
	})
	return b
}

// newWindow is a window with cookies of its own.
func newWindow(t *testing.T, root context.Context) (context.Context, context.CancelFunc) {
	t.Helper()
	browser := cdp.WithExecutor(root, chromedp.FromContext(root).Browser)
	own, err := target.CreateBrowserContext().Do(browser)
	if err != nil {
		t.Fatal(err)
	}
	id, err := target.CreateTarget("about:blank").WithBrowserContextID(own).WithNewWindow(true).Do(browser)
	if err != nil {
		t.Fatal(err)
	}
	return chromedp.NewContext(root, chromedp.WithTargetID(id))
}

// hear collects what must not happen on any page.
func (b *tab) hear(ev any) {
	note := func(text string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.alarms = append(b.alarms, text)
	}
	switch e := ev.(type) {
	case *page.EventLoadEventFired:
		select {
		case b.loads <- struct{}{}:
		default:
		}
	case *page.EventJavascriptDialogOpening:
		note("a dialog opened: " + e.Message)
		go chromedp.Run(b.ctx, page.HandleJavaScriptDialog(false))
	case *log.EventEntryAdded:
		if e.Entry.Source == log.SourceSecurity || strings.Contains(e.Entry.Text, "Content Security Policy") || strings.Contains(e.Entry.Text, "TrustedHTML") {
			note("security: " + e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		note("a script failed: " + e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError {
			note(fmt.Sprintf("console: %s", e.Args[0].Value))
		}
	}
}

// trouble returns what was heard, once.
func (b *tab) trouble() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.alarms
	b.alarms = nil
	return out
}

// do runs actions, and fails the test when one cannot be done in time.
func (b *tab) do(actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	// The first Run makes the tab, which lives as long as its own context.
	if chromedp.FromContext(b.ctx).Target == nil {
		if err := chromedp.Run(b.ctx); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := chromedp.Run(ctx, actions...); err != nil {
		var at, text string
		shot := b.saveFailure()
		short, stop := context.WithTimeout(b.ctx, 5*time.Second)
		defer stop()
		chromedp.Run(short, chromedp.Location(&at), chromedp.Text("main", &text, chromedp.ByQuery))
		b.t.Fatalf("%v\nat %s\nthe page (%s) says:\n%s", err, at, shot, text)
	}
}

func (b *tab) saveFailure() string {
	var png []byte
	short, stop := context.WithTimeout(b.ctx, 5*time.Second)
	defer stop()
	if chromedp.Run(short, chromedp.CaptureScreenshot(&png)) != nil {
		return "no picture"
	}
	f, err := os.CreateTemp("", "edgerelay-failed-*.png")
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	f.Write(png)
	return f.Name()
}

func (b *tab) size(width, height int64, mobile bool) {
	b.t.Helper()
	b.do(emulation.SetDeviceMetricsOverride(width, height, 1, mobile))
}

// scheme makes the system prefer light or dark.
func (b *tab) scheme(name string) {
	b.t.Helper()
	b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}))
}

// goTo opens a page of the dashboard and waits until it is there.
func (b *tab) goTo(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.p.admin+path), chromedp.WaitReady("#main", chromedp.ByQuery))
}

// signIn as the holder of a token.
func (b *tab) signIn(token string) {
	b.t.Helper()
	b.goTo("/ui/login")
	b.do(chromedp.SendKeys("input[name=token]", token, chromedp.ByQuery))
	b.click("button.primary")
}

// leave does what leads to another page, and waits for that.
func (b *tab) leave(action chromedp.Action) {
	b.t.Helper()
	for len(b.loads) > 0 {
		<-b.loads
	}
	b.do(action, chromedp.ActionFunc(func(ctx context.Context) error {
		select {
		case <-b.loads:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("no other page came: %w", ctx.Err())
		}
	}))
}

// click presses something that leads to another page, and waits for that.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.leave(chromedp.Click(selector, chromedp.ByQuery, chromedp.NodeVisible))
}

// clickText is click for the button or link with this text, inside of a part of the page.
func (b *tab) clickText(within, text string) {
	b.t.Helper()
	b.leave(b.pressing(within, text))
}

// press is clickText for something that stays on the page.
func (b *tab) press(within, text string) {
	b.t.Helper()
	b.do(b.pressing(within, text))
}

func (b *tab) pressing(within, text string) chromedp.Action {
	xpath := fmt.Sprintf(`//*[self::a or self::button or self::summary][contains(normalize-space(.), %q)]`, text)
	if within != "" {
		xpath = within + xpath
	}
	return chromedp.Click(xpath, chromedp.BySearch, chromedp.NodeVisible)
}

// fill puts a text into a field in the place of what was there.
func (b *tab) fill(selector, text string) {
	b.t.Helper()
	b.do(chromedp.WaitVisible(selector, chromedp.ByQuery), setting(selector, ""))
	if text != "" {
		b.do(chromedp.SendKeys(selector, text, chromedp.ByQuery))
	}
}

// setting puts a value into a field or a list of choices and says so, as a browser does.
func setting(selector, value string) chromedp.Action {
	return chromedp.Evaluate(fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.value = %q;
		for (const name of ["input", "change"]) e.dispatchEvent(new Event(name, {bubbles: true})); })()`, selector, value), nil)
}

// text is what a part of the page says.
func (b *tab) text(selector string) string {
	b.t.Helper()
	var s string
	b.do(chromedp.Text(selector, &s, chromedp.ByQuery))
	return s
}

// wantText checks that the page says something, and waits for it.
func (b *tab) wantText(texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		b.do(chromedp.Poll(fmt.Sprintf(`document.querySelector("main").innerText.includes(%q)`, text), nil))
	}
}

func (b *tab) lacksText(texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		if strings.Contains(b.text("main"), text) {
			b.t.Errorf("the page says %q", text)
		}
	}
}

// at is the path of the page that is shown.
func (b *tab) at() string {
	b.t.Helper()
	var s string
	b.do(chromedp.Location(&s))
	u, err := url.Parse(s)
	if err != nil {
		b.t.Fatal(err)
	}
	return u.Path
}
