package relay

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-smtp"
)

// postbox is a mail server that takes everything.
type postbox struct {
	mu    sync.Mutex
	mails []string // recipient, a line end, and the text
}

func (p *postbox) NewSession(*smtp.Conn) (smtp.Session, error) { return &letter{box: p}, nil }

func (p *postbox) find(parts ...string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
next:
	for _, m := range p.mails {
		for _, part := range parts {
			if !strings.Contains(m, part) {
				continue next
			}
		}
		return true
	}
	return false
}

type letter struct {
	box *postbox
	to  string
}

func (l *letter) Mail(string, *smtp.MailOptions) error      { return nil }
func (l *letter) Rcpt(to string, _ *smtp.RcptOptions) error { l.to = to; return nil }
func (l *letter) Reset()                                    {}
func (l *letter) Logout() error                             { return nil }
func (l *letter) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	l.box.mu.Lock()
	defer l.box.mu.Unlock()
	l.box.mails = append(l.box.mails, l.to+"\n"+strings.ReplaceAll(string(text), "=\r\n", ""))
	return err
}

// TestAlertsEndToEnd: a webhook whose deliveries die, then whose receiver is down for a while, then gone: its recipients hear of each.
func TestAlertsEndToEnd(t *testing.T) {
	box := &postbox{}
	mails := smtp.NewServer(box)
	mails.Domain = "mail.test"
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go mails.Serve(ln)
	defer mails.Close()
	var status atomic.Int64
	status.Store(422)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(status.Load()))
		fmt.Fprint(w, "answer-canary")
	}))
	defer srv.Close()
	text := fmt.Sprintf(`alerts: { smtp: { host: 127.0.0.1, port: %d, from: relay@example.com, starttls: none }, min_interval: 1s, open_after: 0s, recipients: [root@example.com] }
webhooks: [ { name: feed, events: ['*'], url: '%s/x?key=url-canary', retry: { schedule: [10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 1s, 1s, 1s, 1s], jitter: 0 }, error_recipients: ['ops@example.com, a@example.com'] } ]
`, ln.Addr().(*net.TCPAddr).Port, srv.URL)
	r := start(t, t.TempDir(), strings.Replace(text, "schedule: [10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 10ms, 1s, 1s, 1s, 1s]", "schedule: []", 1))
	id := r.send(`{"type":"order.paid","data":"data-canary"}`)
	r.dead(1)
	for _, to := range []string{"ops@example.com", "a@example.com", "root@example.com"} {
		r.eventually("an e-mail about the delivery to "+to, func() bool { return box.find(to+"\n", "feed: 1 delivery failed", id, "HTTP 422", "dl_") })
	}
	status.Store(503)
	if err := r.Reload(context.Background(), r.load(text)); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		r.send(`{"type":"order.paid","data":1}`)
	}
	r.eventually("an e-mail about the receiver", func() bool { return box.find("ops@example.com\n", "Failing since") })
	status.Store(200)
	r.eventually("an e-mail about the recovery", func() bool { return box.find("ops@example.com\n", "Works again since") })
	status.Store(410)
	r.send(`{"type":"order.paid","data":1}`)
	r.eventually("an e-mail about the end", func() bool { return box.find("ops@example.com\n", "Disabled at", "410") })
	if box.find("canary") {
		t.Error("an e-mail holds what it must not")
	}
	if !box.find("feed is failing") && !box.find("Failing since") {
		t.Error("no subject says that it fails")
	}
}
