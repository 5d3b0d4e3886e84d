package deliver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"edgerelay/relay/guard"
	"edgerelay/relay/webhooks"
)

// tlsFiles is the TLS side of a webhook that differs from the default: a client certificate, authorities of its own, or no check at all.
// The files are read when the webhook is loaded, and again, when a connection is made, once they have changed; so a renewed certificate
// needs no reload. Connections that are open keep the old one until they are closed, which is after maxConnLife at the latest.
type tlsFiles struct {
	cert, key, ca string // "" = none
	insecure      bool
	host          string
	log           *slog.Logger
	now           func() time.Time

	mu      sync.Mutex // guards what follows
	config  *tls.Config
	stamps  [3]fileStamp
	checked time.Time
}

// checkFilesEvery is how often changes are looked for.
const checkFilesEvery = time.Minute

// fileStamp tells whether a file has changed.
type fileStamp struct {
	modified time.Time
	size     int64
}

// newTLSFiles returns nil when the default will do.
func newTLSFiles(w *webhooks.Webhook, log *slog.Logger, now func() time.Time) *tlsFiles {
	f := &tlsFiles{ca: w.CAFile, insecure: w.Insecure, log: log, now: now}
	f.host, _, _ = net.SplitHostPort(w.Host)
	if a := w.Authorization; a != nil && a.Certificate != nil {
		f.cert, f.key = a.Certificate.CertFile, a.Certificate.KeyFile
		if f.ca == "" {
			f.ca = a.Certificate.CAFile
		}
	}
	if !w.TLS || f.cert == "" && f.ca == "" && !f.insecure {
		return nil
	}
	return f
}

// CheckTLSFiles says whether the files can be used; each name may be "".
func CheckTLSFiles(cert, key, ca string) error {
	_, err := (&tlsFiles{cert: cert, key: key, ca: ca}).load()
	return err
}

// load reads the files.
func (f *tlsFiles) load() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: f.host, InsecureSkipVerify: f.insecure}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, fmt.Errorf("read client certificate %q and its key %q: %w", f.cert, f.key, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if f.ca != "" {
		text, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, fmt.Errorf("read authorities: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read authorities %q: the file holds no certificate in PEM form", f.ca)
		}
	}
	return c, nil
}

// current returns what the next connection is made with. Files that cannot be read any more, or are just being written, leave the last
// good ones in force.
func (f *tlsFiles) current() (*tls.Config, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if f.config != nil && now.Before(f.checked.Add(checkFilesEvery)) {
		return f.config, nil
	}
	f.checked = now
	stamps := f.stat()
	if f.config != nil && stamps == f.stamps {
		return f.config, nil
	}
	next, err := f.load()
	switch {
	case err == nil:
		f.config, f.stamps = next, stamps // stamps are older than what was read: a change meanwhile is seen the next time
	case f.config == nil:
		return nil, &filesError{err}
	default:
		f.log.Warn("cannot read changed TLS files; the old ones stay in use", "error", err)
	}
	return f.config, nil
}

func (f *tlsFiles) stat() (stamps [3]fileStamp) {
	for i, name := range []string{f.cert, f.key, f.ca} {
		if info, err := os.Stat(name); name != "" && err == nil {
			stamps[i] = fileStamp{info.ModTime(), info.Size()}
		}
	}
	return stamps
}

// filesError is our own trouble, not the receiver's.
type filesError struct{ err error }

func (e *filesError) Error() string { return e.err.Error() }

// useFiles makes c encrypt its connections with f, which may be nil.
func (c *client) useFiles(f *tlsFiles, g *guard.Guard) {
	if f != nil {
		c.http.DialTimeout = func(addr string, timeout time.Duration) (net.Conn, error) { return f.dial(g, addr, timeout) }
	}
}

// dial makes a connection that is encrypted already.
func (f *tlsFiles) dial(g *guard.Guard, addr string, timeout time.Duration) (net.Conn, error) {
	config, err := f.current()
	if err != nil {
		return nil, err
	}
	plain, err := dial(g, addr, timeout)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), guard.Timeout)
	defer cancel()
	conn := tls.Client(plain, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		plain.Close()
		return nil, err
	}
	return conn, nil
}
