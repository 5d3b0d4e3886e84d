package alert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/wneessen/go-mail"
)

// SMTP is a mail server, with the keys of alerts.smtp.
type SMTP struct {
	Host, Username, Password, From string
	Port                           int
	StartTLS                       string // required, opportunistic, implicit, none
	CAFile                         string
	Timeout                        time.Duration
}

// mailer sends over SMTP, a connection per e-mail.
type mailer struct {
	s     SMTP
	roots *x509.CertPool
}

// NewMailer checks s and returns a Mailer for it. It does not connect.
func NewMailer(s SMTP) (Mailer, error) {
	m := &mailer{s: s}
	if s.CAFile != "" {
		text, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read authorities of the mail server: %w", err)
		}
		m.roots = x509.NewCertPool()
		if !m.roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read authorities of the mail server: %s has no certificate", s.CAFile)
		}
	}
	_, err := m.client()
	return m, err
}

func (m *mailer) client(more ...mail.Option) (*mail.Client, error) {
	s := &m.s
	options := []mail.Option{mail.WithPort(s.Port), mail.WithTimeout(s.Timeout),
		mail.WithTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.Host, RootCAs: m.roots})}
	switch s.StartTLS {
	case "implicit":
		options = append(options, mail.WithSSL())
	case "opportunistic":
		options = append(options, mail.WithTLSPolicy(mail.TLSOpportunistic))
	case "none":
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if s.Username != "" {
		auth := mail.SMTPAuthAutoDiscover
		if s.StartTLS == "none" || s.StartTLS == "opportunistic" {
			auth = mail.SMTPAuthPlainNoEnc // to this machine only: the config sees to it
		}
		options = append(options, mail.WithSMTPAuth(auth), mail.WithUsername(s.Username), mail.WithPassword(s.Password))
	}
	c, err := mail.NewClient(s.Host, append(options, more...)...)
	if err != nil {
		return nil, fmt.Errorf("set up the mail server: %w", err)
	}
	return c, nil
}

// Send implements Mailer.
func (m *mailer) Send(ctx context.Context, e Mail) error {
	var options []mail.Option
	if m.s.StartTLS != "implicit" { // there the library's own dialer tells it that the connection is safe
		options = append(options, mail.WithDialContextFunc(func(dial context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(dial, network, address)
			if err == nil {
				context.AfterFunc(ctx, func() { conn.Close() }) // the library minds ctx only until it is connected
			}
			return conn, err
		}))
	}
	c, err := m.client(options...)
	if err != nil {
		return err
	}
	msg := mail.NewMsg()
	if err := msg.From(m.s.From); err != nil {
		return fmt.Errorf("sender: %w", err)
	}
	if err := msg.To(e.To); err != nil {
		return fmt.Errorf("%w: %w", ErrRejected, err)
	}
	msg.Subject(e.Subject)
	msg.SetDate()
	msg.SetMessageID()
	msg.SetUserAgent("edgerelay")
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: nobody answers with a holiday note
	msg.SetGenHeader("X-Auto-Response-Suppress", "All")
	msg.SetBodyString(mail.TypeTextPlain, e.Text)
	err = c.DialAndSendWithContext(ctx, msg)
	if err == nil || msg.IsDelivered() {
		return nil
	}
	var se *mail.SendError
	if errors.As(err, &se) && se.ErrorCode() >= 500 && (se.Reason == mail.ErrSMTPRcptTo || se.Reason == mail.ErrSMTPDataClose) {
		return fmt.Errorf("%w: %w", ErrRejected, err)
	}
	return err
}

// TestMail is what `edgerelay alerts test` sends.
func TestMail(to, dashboard string) Mail {
	text := "This is a test of the alerts of edgerelay. Nothing is wrong.\n"
	if dashboard != "" {
		text += "\n  " + dashboard + "\n"
	}
	return Mail{To: to, Subject: "[edgerelay] test", Text: text}
}
