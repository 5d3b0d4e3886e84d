package alert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// mailbox is a mail server in this process. fault decides what goes wrong.
type mailbox struct {
	t      *testing.T
	server *smtp.Server
	addr   *net.TCPAddr
	ln     net.Listener
	ca     string // file

	mu       sync.Mutex
	fault    func(step, to string) error // steps: mail, rcpt, data
	received []received
	arrived  chan received
}

type received struct {
	from, to string
	header   mail.Header
	body     string
	tls      bool
}

// newMailbox starts one. secure = it offers STARTTLS.
func newMailbox(t *testing.T, secure bool) *mailbox {
	b := &mailbox{t: t, arrived: make(chan received, 100)}
	b.server = smtp.NewServer(b)
	b.server.Domain, b.server.ReadTimeout, b.server.WriteTimeout = "mail.test", 20*time.Second, 20*time.Second
	b.server.AllowInsecureAuth = true
	b.server.ErrorLog = quiet{}
	if secure {
		cert, pemText := certificate(t)
		b.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
		b.ca = filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(b.ca, pemText, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.listen("127.0.0.1:0")
	t.Cleanup(func() { b.server.Close() })
	return b
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func (b *mailbox) listen(addr string) {
	b.t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		b.t.Fatal(err)
	}
	b.addr, b.ln = ln.Addr().(*net.TCPAddr), ln
	go b.server.Serve(ln)
}

// smtp is how to reach b.
func (b *mailbox) smtp(starttls string) SMTP {
	return SMTP{Host: "127.0.0.1", Port: b.addr.Port, From: "edgerelay <relay@example.com>", StartTLS: starttls, CAFile: b.ca, Timeout: 10 * time.Second}
}

func (b *mailbox) fails(fault func(step, to string) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = fault
}

func (b *mailbox) ask(step, to string) error {
	b.mu.Lock()
	f := b.fault
	b.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(step, to)
}

// next waits for an e-mail.
func (b *mailbox) next() received {
	b.t.Helper()
	select {
	case r := <-b.arrived:
		return r
	case <-time.After(20 * time.Second):
		b.t.Fatal("no e-mail came")
		return received{}
	}
}

func (b *mailbox) count() int { b.mu.Lock(); defer b.mu.Unlock(); return len(b.received) }

// NewSession implements smtp.Backend.
func (b *mailbox) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, secure := c.TLSConnectionState()
	return &session{b: b, tls: secure}, nil
}

type session struct {
	b        *mailbox
	tls      bool
	from, to string
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return s.b.ask("mail", "")
}
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return s.b.ask("rcpt", to)
}
func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.b.ask("data", s.to); err != nil {
		return err
	}
	m, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		s.b.t.Errorf("not an e-mail: %v\n%s", err, text)
		return err
	}
	got := received{from: s.from, to: s.to, header: m.Header, body: decoded(s.b.t, m), tls: s.tls}
	s.b.mu.Lock()
	s.b.received = append(s.b.received, got)
	s.b.mu.Unlock()
	s.b.arrived <- got
	return nil
}
func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// certificate makes one for 127.0.0.1.
func certificate(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
