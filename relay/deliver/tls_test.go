package deliver

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
)

// authority is a CA of the test.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t, cert, key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// issue makes a certificate for 127.0.0.1 and for clients.
func (a *authority) issue(serial int64) (certPEM, keyPEM []byte) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "leaf"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
}

// tlsReceiver is an HTTPS receiver with a certificate of a. With clients, it wants a certificate of theirs, whose number it remembers.
func tlsReceiver(t *testing.T, a, clients *authority) (url string, serial *atomic.Int64) {
	t.Helper()
	serial = new(atomic.Int64)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		serial.Store(-1)
		if len(r.TLS.PeerCertificates) > 0 {
			serial.Store(r.TLS.PeerCertificates[0].SerialNumber.Int64())
		}
	}))
	pair, err := tls.X509KeyPair(a.issue(100))
	if err != nil {
		t.Fatal(err)
	}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	if clients != nil {
		s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, clients.pool()
	}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL, serial
}

func write(t testing.TB, name string, text []byte, modified time.Time) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(name, modified, modified); err != nil {
		t.Fatal(err)
	}
}

func tlsRig(t *testing.T, url string, change func(*webhooks.Webhook)) *rig {
	t.Helper()
	return newRig(t, url, "POST", func(w *webhooks.Webhook) {
		w.Host, w.TLS = strings.TrimPrefix(url, "https://"), true
		w.Timeout = 5 * time.Second
		change(w)
	})
}

func TestReceiversCertificate(t *testing.T) {
	dir := t.TempDir()
	own, other := newAuthority(t, "own"), newAuthority(t, "other")
	url, serial := tlsReceiver(t, own, nil)
	ownFile, otherFile := filepath.Join(dir, "own.pem"), filepath.Join(dir, "other.pem")
	write(t, ownFile, own.pem(), time.Now())
	write(t, otherFile, other.pem(), time.Now())
	for name, tt := range map[string]struct {
		change func(*webhooks.Webhook)
		good   bool
	}{
		"the system's authorities": {func(*webhooks.Webhook) {}, false},
		"its authority":            {func(w *webhooks.Webhook) { w.CAFile = ownFile }, true},
		"another authority":        {func(w *webhooks.Webhook) { w.CAFile = otherFile }, false},
		"not checked":              {func(w *webhooks.Webhook) { w.Insecure = true }, true},
		"another name": {func(w *webhooks.Webhook) {
			w.CAFile = ownFile
			w.Host = strings.Replace(w.Host, "127.0.0.1", "localhost", 1)
		}, false},
	} {
		serial.Store(0)
		r := tlsRig(t, url, tt.change)
		r.settle("1")
		if tt.good && r.q.action != Ack || !tt.good && r.q.failure.Reason != queue.ReasonTLS || (serial.Load() != 0) != tt.good {
			t.Errorf("%s: %v %+v", name, r.q.action, r.q.failure)
		}
	}
}

// TestLeastVersion: a receiver that speaks nothing newer than TLS 1.1 is not sent to, whatever the webhook says about certificates.
func TestLeastVersion(t *testing.T) {
	ca := newAuthority(t, "own")
	file := filepath.Join(t.TempDir(), "own.pem")
	write(t, file, ca.pem(), time.Now())
	pair, err := tls.X509KeyPair(ca.issue(100))
	if err != nil {
		t.Fatal(err)
	}
	for most, good := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		addr, got := wire(t, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS10, MaxVersion: most})
		go func() {
			for range got {
			}
		}()
		for _, change := range []func(*webhooks.Webhook){func(w *webhooks.Webhook) { w.CAFile = file }, func(w *webhooks.Webhook) { w.Insecure = true }, func(*webhooks.Webhook) {}} {
			r := tlsRig(t, "https://"+addr, change)
			trusts := r.target.Webhook.CAFile != "" || r.target.Webhook.Insecure
			if r.settle("1"); (r.q.action == Ack) != (good && trusts) || r.q.action != Ack && r.q.failure.Reason != queue.ReasonTLS {
				t.Errorf("%s: %v %+v", tls.VersionName(most), r.q.action, r.q.failure)
			}
			r.client.close()
		}
	}
}

func TestClientCertificate(t *testing.T) {
	dir := t.TempDir()
	servers, clients := newAuthority(t, "servers"), newAuthority(t, "clients")
	url, serial := tlsReceiver(t, servers, clients)
	files := webhooks.Certificate{CertFile: filepath.Join(dir, "c.pem"), KeyFile: filepath.Join(dir, "k.pem"), CAFile: filepath.Join(dir, "ca.pem")}
	at := time.Now().Add(-time.Hour)
	put := func(number int64) {
		cert, key := clients.issue(number)
		at = at.Add(time.Second)
		write(t, files.CertFile, cert, at)
		write(t, files.KeyFile, key, at)
	}
	put(1)
	write(t, files.CAFile, servers.pem(), at)
	if err := CheckTLSFiles(files.CertFile, files.KeyFile, files.CAFile); err != nil {
		t.Fatal(err)
	}
	a, err := webhooks.CertificateAuth("m", "", files)
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	c := newClock()
	r := tlsRig(t, url, func(w *webhooks.Webhook) { w.Authorization = a })
	r.d.opt.Now, r.d.opt.Log = c.now, slog.New(slog.NewTextHandler(&logged, nil))
	r.client = r.d.clientLocked(r.target.Webhook)
	expect := func(step string, number int64) {
		t.Helper()
		serial.Store(0)
		r.client.http.CloseIdleConnections() // the files are looked at when a connection is made
		r.settle("1")
		if r.q.action != Ack || serial.Load() != number {
			t.Errorf("%s: certificate %d, %v %+v", step, serial.Load(), r.q.action, r.q.failure)
		}
	}
	expect("first", 1)
	put(2)
	expect("renewed, but it is too early to look", 1)
	c.add(checkFilesEvery)
	expect("renewed", 2)
	at = at.Add(time.Second)
	write(t, files.CertFile, []byte("half a cert"), at)
	c.add(checkFilesEvery)
	expect("damaged", 2)
	if !strings.Contains(logged.String(), "cannot read changed TLS files") || strings.Contains(logged.String(), "half a cert") {
		t.Errorf("log: %s", logged.String())
	}
	put(3)
	c.add(checkFilesEvery)
	expect("repaired", 3)
	os.Remove(files.KeyFile)
	c.add(checkFilesEvery)
	expect("removed", 3)

	r = tlsRig(t, url, func(w *webhooks.Webhook) { w.CAFile = files.CAFile })
	serial.Store(0)
	r.settle("1")
	if r.q.action != Retry || serial.Load() != 0 {
		t.Errorf("without a certificate: %v %+v", r.q.action, r.q.failure)
	}
}

func TestTLSFilesThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t, "a")
	cert, key := a.issue(1)
	_, otherKey := a.issue(2)
	name := func(n string) string { return filepath.Join(dir, n) }
	write(t, name("cert"), cert, time.Now())
	write(t, name("key"), key, time.Now())
	write(t, name("other"), otherKey, time.Now())
	write(t, name("text"), []byte("TEXT-CANARY"), time.Now())
	for what, files := range map[string][3]string{
		"no such certificate":  {name("none"), name("key"), ""},
		"no such key":          {name("cert"), name("none"), ""},
		"key of another":       {name("cert"), name("other"), ""},
		"text":                 {name("text"), name("key"), ""},
		"no such authorities":  {"", "", name("none")},
		"no authority in it":   {"", "", name("text")},
		"a key as authorities": {"", "", name("key")},
	} {
		if err := CheckTLSFiles(files[0], files[1], files[2]); err == nil || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := CheckTLSFiles("", "", ""); err != nil {
		t.Error(err)
	}
	// Files that were removed between the load and the first connection are our trouble: nothing is counted.
	w := &webhooks.Webhook{Host: "127.0.0.1:1", TLS: true, CAFile: name("none")}
	_, err := newTLSFiles(w, slog.New(slog.DiscardHandler), time.Now).dial(allowing(), w.Host, time.Second)
	if o := classify(err); !o.Ours || o.Reason != queue.ReasonTLS {
		t.Errorf("%+v", o)
	}
}
