package relay

import (
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
	"os"
	"path/filepath"
	"testing"
	"time"
)

// selfSigned writes a certificate with this number, and its key.
func selfSigned(t *testing.T, certFile, keyFile string, serial int64, modified time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "relay"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
}

// TestListenersCertificateIsRenewed: a listener shows the new certificate soon after its files have changed, and goes on with the old one while they
// are of no use. It speaks nothing older than TLS 1.2.
func TestListenersCertificateIsRenewed(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	now := time.Now()
	selfSigned(t, certFile, keyFile, 1, now)
	c, err := newCertificate(certFile, keyFile, slog.New(slog.DiscardHandler), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln = tls.NewListener(ln, c.config())
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.(*tls.Conn).Handshake()
			conn.Close()
		}
	}()
	shown := func(most uint16) int64 {
		conn, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: most})
		if err != nil {
			return 0
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	step := func(what string, wait time.Duration, want int64) {
		t.Helper()
		now = now.Add(wait)
		if got := shown(tls.VersionTLS13); got != want {
			t.Errorf("%s: certificate %d, want %d", what, got, want)
		}
	}
	step("at first", 0, 1)
	selfSigned(t, certFile, keyFile, 2, now.Add(time.Second))
	step("changed, not looked yet", lookEvery/2, 1)
	step("looked", lookEvery, 2)
	if err := os.WriteFile(keyFile, []byte("half a ke"), 0o600); err != nil {
		t.Fatal(err)
	}
	step("a key that is being written", lookEvery, 2)
	selfSigned(t, certFile, keyFile, 3, now.Add(time.Minute))
	step("written", lookEvery, 3)
	os.Remove(certFile)
	step("gone", lookEvery, 3)
	if got := shown(tls.VersionTLS12); got != 3 {
		t.Errorf("TLS 1.2: %d", got)
	}
	if got := shown(tls.VersionTLS11); got != 0 {
		t.Errorf("TLS 1.1: %d", got)
	}
	if _, err := newCertificate(certFile, keyFile, slog.New(slog.DiscardHandler), time.Now); err == nil {
		t.Error("a certificate that is not there is accepted")
	}
}
