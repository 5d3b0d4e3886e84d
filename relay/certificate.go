package relay

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is that of a listener, read again once its files have changed: a renewed one needs neither a restart nor a reload. Files that cannot
// be read any more, or are just being written, leave the last good one in force.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu      sync.Mutex // guards what follows
	pair    *tls.Certificate
	stamps  [2]stamp
	checked time.Time
}

// stamp tells whether a file has changed.
type stamp struct {
	modified time.Time
	size     int64
}

// lookEvery is how often changes are looked for, at handshakes.
const lookEvery = time.Minute

func newCertificate(certFile, keyFile string, log *slog.Logger, now func() time.Time) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log, now: now, checked: now()}
	c.stamps = c.stat()
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("load certificate: %w", err)
	}
	c.pair = &pair
	return c, nil
}

// config is the TLS side of a listener.
func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil }}
}

func (c *certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if now.Before(c.checked.Add(lookEvery)) {
		return c.pair
	}
	c.checked = now
	stamps := c.stat() // older than what is read: a change meanwhile is seen the next time
	if stamps == c.stamps {
		return c.pair
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		c.log.Warn("cannot read the changed certificate of a listener; the old one stays in use", "error", err)
		return c.pair
	}
	c.pair, c.stamps = &pair, stamps
	c.log.Info("a listener's certificate was renewed", "file", c.certFile)
	return c.pair
}

func (c *certificate) stat() (stamps [2]stamp) {
	for i, name := range []string{c.certFile, c.keyFile} {
		stamps[i] = stampOf(name)
	}
	return stamps
}

func stampOf(name string) stamp {
	info, err := os.Stat(name)
	if name == "" || err != nil {
		return stamp{}
	}
	return stamp{info.ModTime(), info.Size()}
}
