package scenarios

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/emersion/go-smtp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"net"
)

// rows are the behaviours that a scenario must show. Each is marked where it was seen; one that was not fails the test.
type rows struct {
	t    *testing.T
	seen map[string]bool
}

func expect(t *testing.T, ids ...string) *rows {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a browser")
	}
	r := &rows{t, map[string]bool{}}
	for _, id := range ids {
		r.seen[id] = false
	}
	t.Cleanup(func() {
		for id, seen := range r.seen {
			if !seen && !t.Failed() && !t.Skipped() {
				t.Errorf("%s was not shown", id)
			}
		}
	})
	return r
}

// ok marks a behaviour as shown.
func (r *rows) ok(id, what string) {
	r.t.Helper()
	if _, known := r.seen[id]; !known {
		r.t.Errorf("%s is no row of this scenario", id)
	}
	r.seen[id] = true
	r.t.Logf("%s ok: %s", id, what)
}

// want fails at once when something is not so.
func want(t *testing.T, ok bool, format string, args ...any) {
	t.Helper()
	if !ok {
		t.Fatalf(format, args...)
	}
}

// verified checks a signature with the Standard Webhooks library, as a receiver does.
func verified(t *testing.T, g got, secret string) {
	t.Helper()
	wh, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatalf("secret: %v", err)
	}
	if err := wh.Verify([]byte(g.Body), g.Header); err != nil {
		t.Fatalf("signature of %s: %v", g.Path, err)
	}
}

// hookAt is the id of the webhook whose page is shown.
func (b *tab) hookAt() string {
	b.t.Helper()
	m := regexp.MustCompile(`/webhooks/(wh_\w+)`).FindStringSubmatch(b.at())
	if m == nil {
		b.t.Fatalf("%s is not the page of a webhook", b.at())
	}
	return m[1]
}

// mail is one e-mail that arrived.
type mail struct {
	To   []string
	Text string
}

// mailServer is a real SMTP server on a port of its own.
type mailServer struct {
	addr string
	came chan mail
}

func newMailServer(t *testing.T) *mailServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mailServer{addr: ln.Addr().String(), came: make(chan mail, 100)}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &mailSession{server: m}, nil }))
	s.Domain = "mail.test"
	var serving sync.WaitGroup
	serving.Go(func() { s.Serve(ln) })
	t.Cleanup(func() {
		ln.Close() // a server that is closed before it has begun to serve does not know its listener
		s.Close()
		serving.Wait()
	})
	return m
}

type mailSession struct {
	server *mailServer
	to     []string
}

func (s *mailSession) Mail(string, *smtp.MailOptions) error { return nil }

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

func (s *mailSession) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	select {
	case s.server.came <- mail{s.to, string(text)}:
	default:
	}
	return err
}

func (s *mailSession) Reset() { s.to = nil }

func (s *mailSession) Logout() error { return nil }

// readable undoes the encoding of a mail's text as far as a look at it needs.
func (m mail) readable() string {
	head, body, _ := strings.Cut(m.Text, "\r\n\r\n")
	if strings.Contains(strings.ToLower(head), "base64") {
		if plain, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\r\n", "")); err == nil {
			return head + "\n" + string(plain)
		}
	}
	return strings.ReplaceAll(m.Text, "=\r\n", "")
}

// member reads one member of a JSON body.
func member(t *testing.T, body string, path ...string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	return v
}

// menu opens the row menu of a webhook in the list and chooses an item.
func (b *tab) menu(name, item string) {
	b.t.Helper()
	row := `//tr[.//a[normalize-space(.)="` + name + `"]]`
	b.do(chromedp.Click(row+`//summary`, chromedp.BySearch, chromedp.NodeVisible))
	b.clickText(row, item)
}
