package sign

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The request of RFC 9421, appendix B.2.
var rfcRequest = Request{
	Method: "POST", Target: "https://example.com/foo?param=Value&Pet=dog", Body: []byte(`{"hello": "world"}`),
	Header: http.Header{"Date": {"Tue, 20 Apr 2021 02:07:55 GMT"}, "Content-Type": {"application/json"}, "Content-Length": {"18"}}.Get,
}

func rfcBase(t *testing.T, text string) []byte {
	t.Helper()
	inputs, err := parseInputs(text)
	if err != nil || len(inputs) != 1 {
		t.Fatalf("%v, %v", inputs, err)
	}
	base, err := inputs[0].base(&rfcRequest)
	if err != nil {
		t.Fatal(err)
	}
	return base
}

// RFC 9421, B.2.5.
func TestRFC9421VectorHMAC(t *testing.T) {
	base := rfcBase(t, `sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`)
	const wantBase = `"date": Tue, 20 Apr 2021 02:07:55 GMT
"@authority": example.com
"content-type": application/json
"@signature-params": ("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`
	if string(base) != wantBase {
		t.Errorf("base\n%s", base)
	}
	key, err := base64.StdEncoding.DecodeString("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")
	if err != nil {
		t.Fatal(err)
	}
	k := httpKey{mac: newHMACKey(sha256.New, key)}
	if got := base64.StdEncoding.EncodeToString(k.signature(new(Scratch), base)); got != "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=" {
		t.Errorf("got %s", got)
	}
}

// RFC 9421, B.2.6.
func TestRFC9421VectorEd25519(t *testing.T) {
	base := rfcBase(t, `sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`)
	der, err := base64.StdEncoding.DecodeString("MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	private := parsed.(ed25519.PrivateKey)
	k := httpKey{ed: edKey{private, private.Public().(ed25519.PublicKey)}}
	got := k.signature(new(Scratch), base)
	if text := base64.StdEncoding.EncodeToString(got); text != "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==" {
		t.Errorf("got %s", text)
	}
	if !k.matches(base, got) {
		t.Error("does not match itself")
	}
}

func TestContentDigestVectors(t *testing.T) {
	const d256 = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"
	const d512 = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"
	h := headersOf(t, mustNew(t, RFC9421, secretA), Message{Body: []byte(`{"hello": "world"}`)})
	if h.Get("Content-Digest") != d256 {
		t.Errorf("got %q", h.Get("Content-Digest"))
	}
	for value, want := range map[string]error{
		d256: nil, d512: nil, d256 + ", " + d512: nil, "md5=:AAAA:, " + d256: nil,
		"md5=:AAAA:": ErrMalformed, "": ErrMissingHeader, "sha-256=:AAAA:": ErrNoMatch, d256 + ",sha-512=:AAAA:": ErrNoMatch, "sha-256=X48": ErrMalformed,
	} {
		err := checkDigest(&Request{Header: one("content-digest", value), Body: []byte(`{"hello": "world"}`)})
		if !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", value, err, want)
		}
	}
}

// TestRFC9421Independent takes our headers apart by hand and checks them with nothing of this package.
func TestRFC9421Independent(t *testing.T) {
	ed := Spec{Scheme: RFC9421, Secrets: []string{edOther, edSecret}, Algorithm: AlgorithmEd25519, KeyIDs: []string{"new"}}
	mac := Spec{Scheme: RFC9421, Secrets: []string{secretB, secretA}, KeyIDs: []string{"b", "a"}}
	public := func(seed []byte) ed25519.PublicKey { return ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey) }
	checkHMAC := func(key string) func(base, sig []byte) bool {
		return func(base, sig []byte) bool {
			m := hmac.New(sha256.New, []byte(strings.Repeat(key, 32)))
			m.Write(base)
			return hmac.Equal(m.Sum(nil), sig)
		}
	}
	for name, tt := range map[string]struct {
		spec   Spec
		ids    []string
		checks []func(base, sig []byte) bool
	}{
		"ed25519": {ed, []string{"new", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"}, []func(base, sig []byte) bool{
			func(base, sig []byte) bool {
				return ed25519.Verify(public([]byte("0123456789abcdef0123456789abcdef")), base, sig)
			},
			func(base, sig []byte) bool { return ed25519.Verify(public(edSeed), base, sig) }}},
		"hmac": {mac, []string{"b", "a"}, []func(base, sig []byte) bool{checkHMAC("b"), checkHMAC("a")}},
	} {
		s := mustBuild(t, tt.spec)
		for bodyName, body := range bodies {
			for _, contentType := range []string{"", "application/json"} {
				h := headersOf(t, s, Message{ID: []byte("we_1"), Unix: vectorUnix, Body: body, Method: []byte("PUT"),
					Target: []byte("https://a.example/x?y=1"), ContentType: []byte(contentType)})
				inputs := strings.Split(h.Get("Signature-Input"), ", ")
				for i, signature := range strings.Split(h.Get("Signature"), ", ") {
					parts := regexp.MustCompile(`^sig(\d)=:(.*):$`).FindStringSubmatch(signature)
					params, ok := strings.CutPrefix(inputs[i], fmt.Sprintf("sig%d=", i+1))
					if parts == nil || parts[1] != fmt.Sprint(i+1) || !ok || !strings.Contains(params, `;keyid="`+tt.ids[i]+`";`) {
						t.Fatalf("%s: %q, %q", name, signature, inputs[i])
					}
					sum := sha256.Sum256(body)
					base := "\"@method\": PUT\n\"@target-uri\": https://a.example/x?y=1\n\"content-digest\": sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":\n"
					if contentType != "" {
						base += "\"content-type\": application/json\n"
					}
					base += "\"webhook-id\": we_1\n\"webhook-timestamp\": 1614265330\n\"@signature-params\": " + params
					sig, err := base64.StdEncoding.DecodeString(parts[2])
					if err != nil || !tt.checks[i]([]byte(base), sig) {
						t.Errorf("%s, %s: signature %d is wrong for\n%s", name, bodyName, i+1, base)
					}
				}
			}
		}
	}
}

func TestVerifyRFC9421(t *testing.T) {
	s := mustBuild(t, Spec{Scheme: RFC9421, Secrets: []string{edOther, edSecret}, Algorithm: AlgorithmEd25519})
	old, err := NewVerifier(Spec{Scheme: RFC9421, Secrets: []string{edPublic}, Algorithm: AlgorithmEd25519})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(vectorUnix, 0)
	for name, tt := range map[string]struct {
		change func(r *received)
		want   error
	}{
		"valid":                    {func(*received) {}, nil},
		"299 s later":              {func(r *received) { r.now = now.Add(299 * time.Second) }, nil},
		"301 s later":              {func(r *received) { r.now = now.Add(301 * time.Second) }, ErrTimestamp},
		"another method":           {func(r *received) { r.Method = "PUT" }, ErrNoMatch},
		"another URL":              {func(r *received) { r.Target = "https://a.example/other" }, ErrNoMatch},
		"another body":             {func(r *received) { r.Body = []byte("[]") }, ErrNoMatch},
		"body and digest changed":  {func(r *received) { r.Body = []byte("[]"); r.h.Set("Content-Digest", digestOf("[]")) }, ErrNoMatch},
		"another id":               {func(r *received) { r.h.Set(HeaderID, "we_2") }, ErrNoMatch},
		"another type":             {func(r *received) { r.h.Set("Content-Type", "text/plain") }, ErrNoMatch},
		"type removed":             {func(r *received) { r.h.Del("Content-Type") }, ErrMissingHeader},
		"no input":                 {func(r *received) { r.h.Del("Signature-Input") }, ErrMissingHeader},
		"no signature":             {func(r *received) { r.h.Del("Signature") }, ErrMissingHeader},
		"other labels":             {func(r *received) { r.h.Set("Signature", "x=:AAAA:") }, ErrNoMatch},
		"empty signature":          {func(r *received) { r.h.Set("Signature", "sig1=::, sig2=::") }, ErrNoMatch},
		"malformed signature":      {func(r *received) { r.h.Set("Signature", "sig1=AAAA") }, ErrMalformed},
		"covers too little":        {func(r *received) { r.replace(` "content-digest"`, "") }, ErrMalformed},
		"another algorithm":        {func(r *received) { r.replace(`alg="ed25519"`, `alg="hmac-sha256"`) }, ErrMalformed},
		"created changed":          {func(r *received) { r.replace(`created=1614265330`, `created=1614265331`) }, ErrNoMatch},
		"no created":               {func(r *received) { r.replace(`;created=1614265330`, ``) }, ErrMalformed},
		"expired":                  {func(r *received) { r.replace(`;keyid`, `;expires=1614265329;keyid`) }, ErrTimestamp},
		"a component's parameter":  {func(r *received) { r.replace(`"webhook-id"`, `"webhook-id";sf`) }, ErrMalformed},
		"a component twice":        {func(r *received) { r.replace(`"webhook-id"`, `"webhook-id" "webhook-id"`) }, ErrMalformed},
		"an unknown component":     {func(r *received) { r.replace(`"webhook-id"`, `"webhook-id" "@status"`) }, ErrMalformed},
		"trailing comma":           {func(r *received) { r.h.Set("Signature-Input", r.h.Get("Signature-Input")+",") }, ErrMalformed},
		"huge input":               {func(r *received) { r.replace(`keyid="`, `keyid="`+strings.Repeat("k", 20<<10)) }, ErrMalformed},
		"relative URL, no method":  {func(r *received) { r.Method = "" }, errAny},
		"only whitespace as input": {func(r *received) { r.h.Set("Signature-Input", " ") }, ErrMalformed},
	} {
		m := Message{ID: []byte("we_1"), Unix: vectorUnix, Body: []byte("{}"), Method: []byte("POST"), Target: []byte("https://a.example/x"), ContentType: []byte("application/json")}
		h := headersOf(t, s, m)
		h.Set("Content-Type", "application/json")
		r := &received{Request: Request{Header: h.Get, Body: m.Body, Method: "POST", Target: "https://a.example/x"}, h: h, now: now}
		tt.change(r)
		for who, err := range map[string]error{"both keys": s.VerifyRequest(r.Request, r.now), "old public key": old.Verify(r.Request, r.now)} {
			if tt.want == errAny && err != nil {
				continue
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("%s, %s: got %v, want %v", name, who, err, tt.want)
			}
		}
	}
}

var errAny = errors.New("any error")

// received is a request at its receiver.
type received struct {
	Request
	h   http.Header
	now time.Time
}

// replace changes the input of every signature.
func (r *received) replace(old, text string) {
	r.h.Set("Signature-Input", strings.ReplaceAll(r.h.Get("Signature-Input"), old, text))
}

func digestOf(body string) string {
	sum := sha512.Sum512([]byte(body))
	return "sha-512=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

func TestRFC9421Mistakes(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Spec)
		want   string
	}{
		"algorithm":       {func(s *Spec) { s.Algorithm = "rsa" }, "algorithm must be"},
		"too many ids":    {func(s *Spec) { s.KeyIDs = []string{"a", "b"} }, "2 ids for 1 secrets"},
		"quote in an id":  {func(s *Spec) { s.KeyIDs = []string{`a"b`} }, "key_ids may hold only"},
		"private for MAC": {func(s *Spec) { s.Secrets = []string{edSecret} }, "Ed25519 key"},
		"MAC for private": {func(s *Spec) { s.Algorithm = AlgorithmEd25519 }, "must begin with whsk_"},
	} {
		spec := Spec{Scheme: RFC9421, Secrets: []string{secretA}}
		tt.change(&spec)
		if _, err := Build(spec); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// The derived components of RFC 9421, 2.2, as its own examples have them.
func TestComponents(t *testing.T) {
	r := Request{Method: "POST", Target: "https://www.EXAMPLE.com:443/path?param=value", Header: http.Header{}.Get}
	for name, want := range map[string]string{
		"@method": "POST", "@target-uri": "https://www.EXAMPLE.com:443/path?param=value", "@authority": "www.example.com", "@scheme": "https",
		"@request-target": "/path?param=value", "@path": "/path", "@query": "?param=value",
	} {
		if got, err := component(&r, name); got != want || err != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	for target, want := range map[string]string{"http://a.example:8080": "a.example:8080", "http://a.example:80/": "a.example", "https://[::1]:443/": "[::1]"} {
		r.Target = target
		if got, err := component(&r, "@authority"); got != want || err != nil {
			t.Errorf("%s: got %q, %v", target, got, err)
		}
		if path, _ := component(&r, "@path"); path != "/" {
			t.Errorf("%s: path %q", target, path)
		}
	}
}
