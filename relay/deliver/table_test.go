package deliver

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"edgerelay/relay/payload"
	"edgerelay/relay/webhooks"
)

// wire is a receiver that hands out each request as the bytes that came, and answers 200. With a config it speaks TLS.
func wire(t *testing.T, config *tls.Config) (addr string, got chan string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = ln.Addr().String()
	if config != nil {
		ln = tls.NewListener(ln, config)
	}
	t.Cleanup(func() { ln.Close() })
	got = make(chan string, 1)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				br := bufio.NewReader(conn)
				for {
					text, err := readRequest(br)
					if err != nil {
						return
					}
					if br.Buffered() > 0 {
						more, _ := br.Peek(br.Buffered())
						text += "AFTER THE END: " + string(more)
					}
					got <- text
					io.WriteString(conn, ok)
				}
			}()
		}
	}()
	return addr, got
}

// TestEveryMethodPayloadAndAuthorization compares what a real receiver gets, to the last byte, with what is put together here by hand: every
// method with every payload type, by definition and without, with every kind of authorization, signed, over a new connection and a kept one.
func TestEveryMethodPayloadAndAuthorization(t *testing.T) {
	const data = `{"n":1.50,"s":"a<b & \"c\"","l":[1,2],"z":null}`
	const envelope = `{"id":"we_1","type":"a.b","time":"2026-01-02T03:04:05Z","data":` + data + `}`
	const envelopeForm = `id=we_1&type=a.b&time=2026-01-02T03%3A04%3A05Z&data%5Bn%5D=1.50&data%5Bs%5D=a%3Cb+%26+%22c%22&data%5Bl%5D%5B%5D=1&data%5Bl%5D%5B%5D=2&data%5Bz%5D=`
	const object = `{"id":"{{ id }}","v":{"n":"{{ data.n }}","l":"{{ data.l }}"},"s":"<{{ data.s }}>","z":"{{ data.z }}"}`
	const objectForm = `id=we_1&v%5Bn%5D=1.50&v%5Bl%5D%5B%5D=1&v%5Bl%5D%5B%5D=2&s=%3Ca%3Cb+%26+%22c%22%3E&z=`
	payloads := []struct {
		spec              payload.Spec
		contentType, body string
		query             string // of a GET; "" = the configuration refuses that
	}{
		{payload.Spec{}, "application/json", envelope, envelopeForm},
		{payload.Spec{Type: "json", Body: []byte(object)}, "application/json", `{"id":"we_1","v":{"n":1.50,"l":[1,2]},"s":"<a<b & \"c\">","z":null}`, objectForm},
		{payload.Spec{Type: "xml"}, "application/xml; charset=utf-8", `<?xml version="1.0" encoding="UTF-8"?><event><id>we_1</id><type>a.b</type><time>2026-01-02T03:04:05Z</time>` +
			`<data><n>1.50</n><s>a&lt;b &amp; &quot;c&quot;</s><l>1</l><l>2</l><z nil="true"/></data></event>`, envelopeForm},
		{payload.Spec{Type: "xml", Body: []byte(object), Root: "order"}, "application/xml; charset=utf-8", `<?xml version="1.0" encoding="UTF-8"?><order><id>we_1</id>` +
			`<v><n>1.50</n><l>1</l><l>2</l></v><s>&lt;a&lt;b &amp; &quot;c&quot;&gt;</s><z nil="true"/></order>`, objectForm},
		{payload.Spec{Type: "plain"}, "text/plain; charset=utf-8", envelope, envelopeForm},
		{payload.Spec{Type: "plain", Body: []byte(`"{{ id }}: {{ data.s }}\r\n"`)}, "text/plain; charset=utf-8", "we_1: a<b & \"c\"\r\n", ""},
		{payload.Spec{Type: "form"}, "application/x-www-form-urlencoded", envelopeForm, envelopeForm},
		{payload.Spec{Type: "form", Body: []byte(object)}, "application/x-www-form-urlencoded", objectForm, objectForm},
		{payload.Spec{Type: "raw"}, "application/octet-stream", envelope, envelopeForm},
		{payload.Spec{Type: "raw", Body: []byte(`"{{ fromBase64('AP/+gAA=') }}"`)}, "application/octet-stream", "\x00\xff\xfe\x80\x00", ""},
	}
	authority := newAuthority(t, "ours")
	pair, err := tls.X509KeyPair(authority.issue(1))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key := authority.issue(2)
	files := webhooks.Certificate{CertFile: filepath.Join(dir, "c.pem"), KeyFile: filepath.Join(dir, "k.pem"), CAFile: filepath.Join(dir, "ca.pem")}
	for name, text := range map[string][]byte{files.CertFile: cert, files.KeyFile: key, files.CAFile: authority.pem()} {
		write(t, name, text, time.Now())
	}
	plainAddr, plain := wire(t, nil)
	tlsAddr, encrypted := wire(t, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.pool()})
	tokenServer := newTokenServer(t)

	for _, auth := range []struct {
		name   string
		make   func() (*webhooks.Authorization, error)
		header string // on the wire
	}{
		{"none", nil, ""},
		{"header", func() (*webhooks.Authorization, error) {
			return webhooks.HeaderAuth("a", "", webhooks.AuthHeader{Name: "X-Api-Key", Value: "k1", Secret: true}, webhooks.AuthHeader{Name: "x-client", Value: "relay"})
		}, "X-Api-Key: k1\r\nx-client: relay\r\n"},
		{"basic", func() (*webhooks.Authorization, error) { return webhooks.BasicAuth("a", "", "Aladdin", "open sesame") }, "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"},
		{"bearer", func() (*webhooks.Authorization, error) { return webhooks.BearerAuth("a", "", "tk-1") }, "Authorization: Bearer tk-1\r\n"},
		{"oauth2", func() (*webhooks.Authorization, error) {
			return webhooks.OAuth2Auth("a", "", *tokenServer.credentials())
		}, "Authorization: Bearer t%d\r\n"},
		{"mtls", func() (*webhooks.Authorization, error) { return webhooks.CertificateAuth("a", "", files) }, ""},
	} {
		for _, method := range methods {
			for _, sendBody := range []bool{false, true} {
				if sendBody && method != "DELETE" {
					continue
				}
				for i, p := range payloads {
					name := fmt.Sprintf("%s/%s/%s-%d/%v", auth.name, method, p.spec.Type, i, sendBody)
					if method == "GET" && p.query == "" {
						continue
					}
					addr, got, scheme := plainAddr, plain, "http://"
					if auth.name == "mtls" {
						addr, got, scheme = tlsAddr, encrypted, "https://"
					}
					r := newRig(t, scheme+addr+"/a//b%2Fc?k=v&e=%20", method, func(w *webhooks.Webhook) {
						w.Host, w.TLS, w.SendBody, w.Timeout = addr, auth.name == "mtls", sendBody, 5*time.Second
						var err error
						if w.Payload, err = payload.Compile(p.spec); err != nil {
							t.Fatalf("%s: %v", name, err)
						}
						if auth.make != nil {
							if w.Authorization, err = auth.make(); err != nil {
								t.Fatalf("%s: %v", name, err)
							}
						}
					})
					now := time.Unix(1_700_000_000, 0)
					r.d.opt.Now = func() time.Time { return now }
					target, body, entity := "/a//b%2Fc?k=v&e=%20", p.body, "Content-Type: "+p.contentType+"\r\n"
					switch {
					case method == "GET":
						target, body, entity = target+"&"+p.query, "", ""
					case method == "DELETE" && !sendBody:
						body, entity = "", ""
					}
					if method != "GET" {
						entity += "Content-Length: " + strconv.Itoa(len(body)) + "\r\n"
					}
					header := auth.header
					for attempt := range 2 {
						if r.settle(data); r.q.action != Ack {
							t.Fatalf("%s: %v %+v", name, r.q.action, r.q.failure)
						}
						if auth.name == "oauth2" && attempt == 0 {
							header = fmt.Sprintf(header, tokenServer.requests.Load())
						}
						want := method + " " + target + " HTTP/1.1\r\nUser-Agent: test/1\r\nHost: " + addr + "\r\n" + entity + header +
							"webhook-id: we_1\r\nwebhook-timestamp: 1700000000\r\nwebhook-signature: " + standardSignature("we_1.1700000000."+body) + "\r\n\r\n" + body
						if text := <-got; text != want {
							t.Errorf("%s, attempt %d:\ngot  %q\nwant %q", name, attempt+1, text, want)
						}
					}
					r.client.close()
				}
			}
		}
	}
}

// standardSignature is an implementation of Standard Webhooks of this test's own.
func standardSignature(content string) string {
	key, _ := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	mac := hmac.New(sha256.New, key)
	io.WriteString(mac, content)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// TestQueryThatIsNone: what cannot become a query is refused before anything is sent.
func TestQueryThatIsNone(t *testing.T) {
	_, got := wire(t, nil)
	for _, spec := range []payload.Spec{{Type: "plain", Body: []byte(`"{{ id }}"`)}, {Type: "json", Body: []byte(`["{{ id }}"]`)}} {
		r := newRig(t, "http://127.0.0.1:1/", "GET", func(w *webhooks.Webhook) {
			var err error
			if w.Payload, err = payload.Compile(spec); err != nil {
				t.Fatal(err)
			}
		})
		if r.settle(`1`); r.q.action != Bury || !strings.Contains(r.q.failure.Detail, "a form is made of a JSON object") {
			t.Errorf("%v %+v", r.q.action, r.q.failure)
		}
	}
	if len(got) > 0 {
		t.Error("something was sent")
	}
}
