package alert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"edgerelay/relay/event"
)

func decoded(t *testing.T, m *mail.Message) string {
	t.Helper()
	body := m.Body
	if strings.EqualFold(m.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// shelf is a Store in memory.
type shelf struct {
	mu     sync.Mutex
	values map[string][]byte
	err    error
}

func (s *shelf) Put(_ context.Context, key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if s.values == nil {
		s.values = map[string][]byte{}
	}
	if len(value) == 0 {
		delete(s.values, key)
	} else {
		s.values[key] = value
	}
	return nil
}

func (s *shelf) Scan(prefix string, fn func(string, []byte) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.values {
		if strings.HasPrefix(k, prefix) && !fn(k, v) {
			break
		}
	}
	return nil
}

// tally counts results and lets a test wait for one.
type tally struct {
	mu    sync.Mutex
	n     map[string]int
	mails chan string
}

func newTally() *tally { return &tally{n: map[string]int{}, mails: make(chan string, 1000)} }

func (c *tally) Mail(result string)  { c.add("mail " + result); c.mails <- result }
func (c *tally) Event(result string) { c.add("event " + result) }
func (c *tally) add(what string)     { c.mu.Lock(); defer c.mu.Unlock(); c.n[what]++ }
func (c *tally) of(what string) int  { c.mu.Lock(); defer c.mu.Unlock(); return c.n[what] }
func (c *tally) wait(t *testing.T, result string) {
	t.Helper()
	for deadline := time.After(20 * time.Second); ; {
		select {
		case got := <-c.mails:
			if got == result {
				return
			}
		case <-deadline:
			t.Fatalf("no e-mail was %s", result)
		}
	}
}

var (
	feed  = event.NamedWebhookID("acme", "feed")
	other = event.NamedWebhookID("acme", "other")
)

func deadNotice(i int) Notice {
	return Notice{Kind: Dead, At: time.Now(), ID: feed, Name: "feed", Tenant: "acme", Program: "summer", Reason: "status", Status: 500 + i%2, Detail: "the body said hunter2",
		Delivery: fmt.Sprintf("dl_%026d", i), Event: fmt.Sprintf("order-%d", i), Type: "order.paid", Attempts: 6}
}

func manage(t *testing.T, b *mailbox, store Store, c *tally, change func(*Options)) *Manager {
	t.Helper()
	mailer, err := NewMailer(b.smtp("required"))
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Settings: Settings{Mailer: mailer, MinInterval: time.Millisecond, MaxPerDay: 1000, DashboardURL: "https://relay.example/"},
		Recipients: func(id event.WebhookID) []string {
			if id == feed {
				return []string{"ops@example.com", "a@example.com"}
			}
			return nil
		}, Store: store, Counters: c, Log: slog.New(slog.DiscardHandler), State: func(event.WebhookID) (bool, bool) { return true, true }, Review: time.Millisecond, Gather: time.Millisecond, Backoff: 5 * time.Millisecond}
	if change != nil {
		change(&o)
	}
	m := Open(o)
	t.Cleanup(func() {
		select {
		case <-m.stop:
		default:
			m.Close(context.Background())
		}
	})
	return m
}

// TestMailToEachRecipient: an e-mail that is right in every part, over TLS, to each recipient.
func TestMailToEachRecipient(t *testing.T) {
	b, c := newMailbox(t, true), newTally()
	m := manage(t, b, &shelf{}, c, nil)
	n := deadNotice(7)
	n.Name, n.Reason, n.Status = "feed\r\nBcc: evil@example.com", "timeout", 0
	m.Notice(n)
	to := map[string]bool{}
	for range 2 {
		got := b.next()
		to[got.to] = true
		if !got.tls || got.from != "relay@example.com" {
			t.Errorf("from %s, TLS %v", got.from, got.tls)
		}
		for _, h := range []string{"Date", "Message-Id", "Auto-Submitted"} {
			if got.header.Get(h) == "" {
				t.Errorf("no %s", h)
			}
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(got.header.Get("Subject"))
		if err != nil || got.header.Get("Bcc") != "" || !strings.Contains(subject, "1 delivery failed") {
			t.Errorf("header %v", got.header)
		}
		for _, want := range []string{"tenant acme", "program summer", "order-7", "order.paid", "timeout", "6 attempts",
			"https://relay.example/ui/t/acme/deliveries/" + n.Delivery, "https://relay.example/ui/t/acme/webhooks/" + feed.String()} {
			if !strings.Contains(got.body, want) {
				t.Errorf("%q is missing in\n%s", want, got.body)
			}
		}
		if strings.Contains(got.body, "hunter2") {
			t.Errorf("the detail is in\n%s", got.body)
		}
	}
	if !to["ops@example.com"] || !to["a@example.com"] {
		t.Errorf("sent to %v", to)
	}
	c.wait(t, "sent")
}

// TestNoTLSNoMail: a server without STARTTLS gets nothing, and what was to be said is kept.
func TestNoTLSNoMail(t *testing.T) {
	b, c, s := newMailbox(t, false), newTally(), &shelf{}
	m := manage(t, b, s, c, nil)
	m.Notice(deadNotice(1))
	c.wait(t, "failed")
	c.wait(t, "failed")
	if b.count() != 0 {
		t.Error("an e-mail went out in plain text")
	}
	// The operator allows it.
	plain, err := NewMailer(b.smtp("opportunistic"))
	if err != nil {
		t.Fatal(err)
	}
	set := *m.settings.Load()
	set.Mailer = plain
	m.Update(set)
	if got := b.next(); got.tls || !strings.Contains(got.body, "order-1") {
		t.Errorf("%+v", got)
	}
}

// TestOutage: whatever the server does, what happened is in an e-mail once it works again, and Notice never waits.
func TestOutage(t *testing.T) {
	hang := make(chan struct{})
	faults := map[string]func(step, to string) error{
		"4xx sender":    func(step, _ string) error { return only(step == "mail", &smtp.SMTPError{Code: 451, Message: "later"}) },
		"4xx recipient": func(step, _ string) error { return only(step == "rcpt", &smtp.SMTPError{Code: 450, Message: "later"}) },
		"4xx data":      func(step, _ string) error { return only(step == "data", &smtp.SMTPError{Code: 452, Message: "full"}) },
		"5xx sender":    func(step, _ string) error { return only(step == "mail", &smtp.SMTPError{Code: 550, Message: "who?"}) },
		"slow":          func(step, _ string) error { <-hang; return errors.New("too late") },
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			b, c := newMailbox(t, true), newTally()
			if name == "slow" {
				c := sync.OnceFunc(func() { close(hang) })
				t.Cleanup(c)
			}
			m := manage(t, b, &shelf{}, c, func(o *Options) {
				if name == "slow" {
					short := b.smtp("required")
					short.Timeout = 300 * time.Millisecond
					o.Settings.Mailer, _ = NewMailer(short)
				}
			})
			b.fails(fault)
			for i := range 3 * inboxSize {
				m.Notice(deadNotice(i))
			}
			c.wait(t, "failed")
			m.Notice(deadNotice(99_999))
			b.fails(nil)
			got := b.next()
			if !strings.Contains(got.body, "given up between") || !strings.Contains(got.body, "HTTP 500") || len(got.body) > 4000 {
				t.Errorf("after the outage:\n%s", got.body)
			}
		})
	}
}

func only(yes bool, err error) error {
	if yes {
		return err
	}
	return nil
}

// TestDown: nobody listens; later the server is there.
func TestDown(t *testing.T) {
	b, c := newMailbox(t, true), newTally()
	m := manage(t, b, &shelf{}, c, nil)
	addr := b.addr.String()
	b.server.Close()
	b.ln.Close() // Serve may not have begun
	m.Notice(deadNotice(1))
	c.wait(t, "failed")
	c.wait(t, "failed")
	again := &mailbox{t: t, ca: b.ca, arrived: b.arrived}
	again.server = smtp.NewServer(again)
	again.server.TLSConfig, again.server.ErrorLog = b.server.TLSConfig, quiet{}
	again.listen(addr)
	t.Cleanup(func() { again.server.Close() })
	if got := b.next(); !strings.Contains(got.body, "order-1") {
		t.Errorf("%s", got.body)
	}
}

// TestUnknownRecipient: who does not exist is given up, the others are told.
func TestUnknownRecipient(t *testing.T) {
	b, c := newMailbox(t, true), newTally()
	b.fails(func(step, to string) error {
		return only(step == "rcpt" && to == "a@example.com", &smtp.SMTPError{Code: 550, Message: "no such user"})
	})
	m := manage(t, b, &shelf{}, c, nil)
	m.Notice(deadNotice(1))
	if got := b.next(); got.to != "ops@example.com" {
		t.Errorf("sent to %s", got.to)
	}
	for c.of("mail rejected") == 0 {
		<-c.mails
	}
	if n := c.of("mail failed"); n != 0 {
		t.Errorf("%d tries of what is refused for good", n)
	}
}

// TestRestart: what was not sent before the end is sent by the next process, also when the first is killed.
func TestRestart(t *testing.T) {
	for _, killed := range []bool{false, true} {
		b, c, s := newMailbox(t, true), newTally(), &shelf{}
		b.fails(func(string, string) error { return &smtp.SMTPError{Code: 421, Message: "no"} })
		m := manage(t, b, s, c, nil)
		for i := range 10 {
			m.Notice(deadNotice(i))
		}
		c.wait(t, "failed")
		c.wait(t, "failed") // between the two it was stored, for storing comes first
		left := s
		if killed {
			left = &shelf{values: map[string][]byte{}}
			s.Scan("", func(k string, v []byte) bool { left.values[k] = v; return true })
		}
		if err := m.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		b.fails(nil)
		if len(left.values) != 2 {
			t.Fatalf("killed %v: %d values left", killed, len(left.values))
		}
		next := manage(t, b, left, newTally(), nil)
		if got := b.next(); !strings.Contains(got.body, "deliveries given up") && !strings.Contains(got.body, "delivery given up") {
			t.Errorf("killed %v:\n%s", killed, got.body)
		}
		next.Close(context.Background())
	}
}

// TestStoreDown: alerts go on without a store.
func TestStoreDown(t *testing.T) {
	b := newMailbox(t, true)
	m := manage(t, b, &shelf{err: errors.New("disk")}, newTally(), nil)
	m.Notice(deadNotice(1))
	b.next()
	b.next()
}

// TestCloseDoesNotWaitForAServerThatHangs.
func TestCloseDoesNotWaitForAServerThatHangs(t *testing.T) {
	b, c, s := newMailbox(t, true), newTally(), &shelf{}
	hang, asked := make(chan struct{}), make(chan struct{}, 10)
	defer close(hang)
	b.fails(func(string, string) error { asked <- struct{}{}; <-hang; return nil })
	m := manage(t, b, s, c, nil)
	m.Notice(deadNotice(1))
	<-asked
	if err := m.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(s.values) != 2 {
		t.Errorf("%d recipients stored", len(s.values))
	}
}

// TestRecoveredAfterARestart: who was told by one process that a webhook fails hears from the next that it works again, once.
func TestRecoveredAfterARestart(t *testing.T) {
	b, s := newMailbox(t, true), &shelf{}
	m := manage(t, b, s, newTally(), nil)
	m.Notice(Notice{Kind: Failing, At: time.Now(), ID: feed, Name: "feed", Tenant: "acme", Reason: "timeout"})
	b.next()
	b.next()
	if err := m.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	next := manage(t, b, s, newTally(), nil)
	for range 2 {
		if got := b.next(); !strings.Contains(got.body, "Works again") {
			t.Errorf("%s", got.body)
		}
	}
	next.Close(context.Background())
	if s.values[failingKey] != nil {
		t.Errorf("still stored: %s", s.values[failingKey])
	}
	last := manage(t, b, s, newTally(), func(o *Options) {
		o.State = func(event.WebhookID) (bool, bool) { t.Error("asked again"); return false, false }
	})
	last.Close(context.Background())
}

// TestCloseAtAnyMoment: whatever the Manager is about to do when it is closed, nothing is forgotten.
func TestCloseAtAnyMoment(t *testing.T) {
	b := newMailbox(t, true)
	b.fails(func(string, string) error { return &smtp.SMTPError{Code: 421, Message: "no"} })
	for i := range 100 {
		s := &shelf{}
		m := manage(t, b, s, newTally(), nil)
		for range i % 7 {
			m.Notice(deadNotice(i))
		}
		if err := m.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if want := min(i%7, 1) * 2; len(s.values) != want {
			t.Fatalf("run %d: %d recipients stored, want %d", i, len(s.values), want)
		}
	}
}
