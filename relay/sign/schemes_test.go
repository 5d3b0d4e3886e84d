package sign

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v82/webhook"
)

func mustBuild(t testing.TB, spec Spec) *Signer {
	t.Helper()
	s, err := Build(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The key of RFC 8032, 7.1, test 1, and a second one.
var (
	edSeed, _ = hex.DecodeString("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
	edSecret  = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg=="
	edShort   = "whsk_" + base64.StdEncoding.EncodeToString(edSeed)
	edPublic  = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
	edOther   = "whsk_" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
)

// fullHMAC is the configurable scheme with all its options.
var fullHMAC = Spec{Scheme: HMAC, Secrets: []string{"new", "old"}, HMAC: HMACOptions{Hash: "sha512", Encoding: "base64", Header: "X-Sig",
	Prefix: "v0=", Content: "v0:{timestamp}:{id}:{body}", TimestampHeader: "X-Sent"}}

func TestEd25519Vector(t *testing.T) {
	const want = "v1a,fldxM4gAKugP6nnt1hdz3sgGfZ6d99nzrMFnZOELIxbzEHoVmAb2ADpkJK7zgPePmPsle0zV9jSeGlHFG2NVAw=="
	m := Message{ID: []byte(vectorID), Unix: vectorUnix, Body: []byte(vectorBody)}
	for _, secret := range []string{edSecret, edShort} {
		h := headersOf(t, mustNew(t, StandardEd25519, secret), m)
		if h.Get(HeaderSignature) != want || h.Get(HeaderID) != vectorID || h.Get(HeaderTimestamp) != "1614265330" {
			t.Errorf("got %v", h)
		}
		public, err := PublicKey(secret)
		if err != nil || public != edPublic {
			t.Errorf("public key %q, %v", public, err)
		}
		for _, key := range []string{edSecret, edShort, edPublic} {
			if err := Verify(StandardEd25519, []string{key}, h.Get, m.Body, time.Unix(vectorUnix, 0)); err != nil {
				t.Errorf("verify: %v", err)
			}
		}
	}
}

// No official library verifies v1a, so crypto/ed25519 does, for every body and both keys of a rotation.
func TestEd25519Rotation(t *testing.T) {
	now := time.Unix(vectorUnix, 0)
	s := mustNew(t, StandardEd25519, edOther, edSecret)
	for name, body := range bodies {
		h := headersOf(t, s, Message{ID: []byte("we_1"), Unix: vectorUnix, Body: body})
		sigs := strings.Split(h.Get(HeaderSignature), " ")
		if len(sigs) != 2 {
			t.Fatalf("%s: %q", name, sigs)
		}
		for i, seed := range [][]byte{[]byte("0123456789abcdef0123456789abcdef"), edSeed} {
			sig, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(sigs[i], "v1a,"))
			public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
			if err != nil || !ed25519.Verify(public, fmt.Appendf(nil, "we_1.%d.%s", vectorUnix, body), sig) {
				t.Errorf("%s: signature %d is wrong", name, i)
			}
		}
		for _, key := range []string{edPublic, edOther} {
			if err := Verify(StandardEd25519, []string{key}, h.Get, body, now); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := Verify(StandardEd25519, []string{edPublic}, h.Get, append([]byte("x"), body...), now); !errors.Is(err, ErrNoMatch) {
			t.Errorf("%s, changed: %v", name, err)
		}
		if err := Verify(StandardEd25519, []string{edPublic}, h.Get, body, now.Add(301*time.Second)); !errors.Is(err, ErrTimestamp) {
			t.Errorf("%s, old: %v", name, err)
		}
	}
}

func TestStripeVector(t *testing.T) {
	h := headersOf(t, mustNew(t, Stripe, "whsec_test_secret"), Message{Unix: 1492774577, Body: []byte(`{"id":"evt_test_webhook","object":"event"}`)})
	const want = "t=1492774577,v1=88a022085c6bdb887b02cb26ff76dd681234d9675c0f22844059f55552a8883a"
	if got := h.Get("Stripe-Signature"); got != want {
		t.Errorf("got %q", got)
	}
}

// What we sign Stripe's library accepts, with each key of a rotation, and what it signs we accept.
func TestStripeAgainstOfficialLibrary(t *testing.T) {
	now := time.Now()
	s := mustNew(t, Stripe, "whsec_new", "whsec_old")
	for name, body := range bodies {
		value := headersOf(t, s, Message{Unix: now.Unix(), Body: body}).Get(HeaderStripe)
		for _, secret := range []string{"whsec_new", "whsec_old"} {
			if err := webhook.ValidatePayload(body, value, secret); err != nil {
				t.Errorf("%s: stripe-go refuses ours: %v", name, err)
			}
		}
		if webhook.ValidatePayload(body, value, "whsec_third") == nil {
			t.Errorf("%s: stripe-go accepts the wrong secret", name)
		}
		theirs := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: "whsec_old", Timestamp: now})
		if err := s.Verify(one("stripe-signature", theirs.Header), body, now); err != nil {
			t.Errorf("%s: we refuse theirs: %v", name, err)
		}
	}
}

func one(name, value string) func(string) string {
	return func(n string) string {
		if n == name {
			return value
		}
		return ""
	}
}

func TestVerifyStripe(t *testing.T) {
	const good = "88a022085c6bdb887b02cb26ff76dd681234d9675c0f22844059f55552a8883a"
	for name, tt := range map[string]struct {
		value string
		later time.Duration
		want  error
	}{
		"valid":                 {value: "t=1492774577,v1=" + good},
		"several, last valid":   {value: "t=1492774577,v1=00,v1=zz,v1=" + good},
		"another scheme first":  {value: "t=1492774577,v0=00,v1=" + good},
		"only another scheme":   {value: "t=1492774577,v0=" + good, want: ErrNoMatch},
		"299 s later":           {value: "t=1492774577,v1=" + good, later: 299 * time.Second},
		"301 s later":           {value: "t=1492774577,v1=" + good, later: 301 * time.Second, want: ErrTimestamp},
		"no timestamp":          {value: "v1=" + good, want: ErrMalformed},
		"two timestamps":        {value: "t=1492774577,t=1492774577,v1=" + good, want: ErrMalformed},
		"another timestamp":     {value: "t=1492774578,v1=" + good, want: ErrNoMatch},
		"timestamp not decimal": {value: "t=01492774577,v1=" + good, want: ErrMalformed},
		"truncated":             {value: "t=1492774577,v1=" + good[:62], want: ErrNoMatch},
		"absent":                {want: ErrMissingHeader},
	} {
		now := time.Unix(1492774577, 0).Add(tt.later)
		err := Verify(Stripe, []string{"whsec_test_secret"}, one("stripe-signature", tt.value), []byte(`{"id":"evt_test_webhook","object":"event"}`), now)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
}

func TestShopify(t *testing.T) {
	s := mustNew(t, Shopify, "hush", "older")
	const want = "kxsFTgDOlihbs91PqCBFjROWdTQGkFF0NzCvVuvOLsU="
	if got := headersOf(t, s, Message{Body: []byte(`{"foo":"bar"}`)}).Get("X-Shopify-Hmac-Sha256"); got != want {
		t.Errorf("got %q", got)
	}
	for name, body := range bodies {
		mac := hmac.New(sha256.New, []byte("older"))
		mac.Write(body)
		value := base64.StdEncoding.EncodeToString(mac.Sum(nil))
		if err := s.Verify(one("x-shopify-hmac-sha256", value), body, time.Time{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Verify(one("x-shopify-hmac-sha256", strings.TrimRight(value, "=")), body, time.Time{}); !errors.Is(err, ErrNoMatch) {
			t.Errorf("%s, padding stripped: %v", name, err)
		}
	}
}

func TestConfiguredHMAC(t *testing.T) {
	s := mustBuild(t, fullHMAC)
	now := time.Unix(vectorUnix, 0)
	for name, body := range bodies {
		h := headersOf(t, s, Message{ID: []byte("we_1"), Unix: vectorUnix, Body: body})
		mac := hmac.New(sha512.New, []byte("new"))
		fmt.Fprintf(mac, "v0:%d:we_1:%s", vectorUnix, body)
		if want := "v0=" + base64.StdEncoding.EncodeToString(mac.Sum(nil)); h.Get("X-Sig") != want || h.Get("X-Sent") != fmt.Sprint(vectorUnix) || len(h) != 2 {
			t.Errorf("%s: got %v, want %s", name, h, want)
		}
		h.Set(HeaderID, "we_1") // which the relay sends with every request
		if err := s.Verify(h.Get, body, now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Verify(h.Get, body, now.Add(301*time.Second)); !errors.Is(err, ErrTimestamp) {
			t.Errorf("%s, old: %v", name, err)
		}
		h.Set(HeaderID, "we_2")
		if err := s.Verify(h.Get, body, now); !errors.Is(err, ErrNoMatch) {
			t.Errorf("%s, other id: %v", name, err)
		}
		h.Set(HeaderID, "we.1")
		if err := s.Verify(h.Get, body, now); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s, dot in the id: %v", name, err)
		}
	}
	old := fullHMAC
	old.Secrets = []string{"old"}
	h := headersOf(t, mustBuild(t, old), Message{ID: []byte("we_1"), Unix: vectorUnix})
	h.Set(HeaderID, "we_1")
	if err := s.Verify(h.Get, nil, now); err != nil {
		t.Errorf("older secret: %v", err)
	}
}

func TestConfiguredHMACMistakes(t *testing.T) {
	for name, tt := range map[string]struct {
		option string
		change func(*HMACOptions)
	}{
		"no header":              {"header", func(o *HMACOptions) { o.Header = "" }},
		"header with a colon":    {"header", func(o *HMACOptions) { o.Header = "X-Sig:" }},
		"hash":                   {"hash", func(o *HMACOptions) { o.Hash = "md5" }},
		"encoding":               {"encoding", func(o *HMACOptions) { o.Encoding = "base32" }},
		"prefix with line break": {"prefix", func(o *HMACOptions) { o.Prefix = "a\r\nb" }},
		"timestamp header":       {"timestamp_header", func(o *HMACOptions) { o.TimestampHeader = "a b" }},
		"the same header":        {"timestamp_header", func(o *HMACOptions) { o.TimestampHeader = "x-sig" }},
		"content without body":   {"content", func(o *HMACOptions) { o.Content = "{id}" }},
		"body twice":             {"content", func(o *HMACOptions) { o.Content = "{body}{body}" }},
		"unknown placeholder":    {"content", func(o *HMACOptions) { o.Content = "{body}{url}" }},
		"open brace":             {"content", func(o *HMACOptions) { o.Content = "{body}{" }},
	} {
		spec := fullHMAC
		tt.change(&spec.HMAC)
		_, err := Build(spec)
		var wrong *OptionError
		if !errors.As(err, &wrong) || wrong.Option != tt.option {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestEd25519Keys(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString
	for name, tt := range map[string]struct {
		secret string
		want   string
	}{
		"shared secret":  {secretA, "must begin with whsk_"},
		"public key":     {edPublic, "this is the public key"},
		"31 bytes":       {"whsk_" + b64(make([]byte, 31)), "31 bytes"},
		"halves differ":  {"whsk_" + b64(append(append([]byte{}, edSeed...), make([]byte, 32)...)), "do not belong together"},
		"no padding":     {strings.TrimRight(edSecret, "="), "lost its padding"},
		"not base64":     {"whsk_!", "not standard base64"},
		"empty":          {"whsk_", "0 bytes"},
		"with line feed": {edSecret + "\n", "line break"},
	} {
		_, err := New(StandardEd25519, []string{tt.secret})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := NewVerifier(Spec{Scheme: StandardEd25519, Secrets: []string{"whpk_" + b64(make([]byte, 31))}}); err == nil {
		t.Error("a public key of 31 bytes is accepted")
	}
}

// The secret that is generated for a scheme is one that the scheme takes.
func TestNewSecretOfEveryScheme(t *testing.T) {
	for _, scheme := range Schemes() {
		for _, algorithm := range []string{"", AlgorithmEd25519} {
			spec := Spec{Scheme: scheme, Algorithm: algorithm, HMAC: fullHMAC.HMAC}
			spec.Secrets = []string{spec.NewSecret()}
			if _, err := Build(spec); err != nil {
				t.Errorf("%s %s: %v", scheme, algorithm, err)
			}
			if _, err := PublicKey(spec.Secrets[0]); (err == nil) != spec.Asymmetric() {
				t.Errorf("%s %s: public key: %v", scheme, algorithm, err)
			}
		}
	}
}

// Ed25519 itself costs what it costs: the message in one piece is ours.
func TestEd25519Allocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := mustNew(t, StandardEd25519, edSecret)
	var sc Scratch
	dst := make([]Header, 0, 4)
	m := Message{ID: []byte(vectorID), Unix: vectorUnix, Body: make([]byte, 4<<10)}
	if n := testing.AllocsPerRun(100, func() { dst = s.Sign(dst[:0], &sc, m) }); n > 3 {
		t.Errorf("%v allocations per signature, the budget is 3", n)
	}
}

func FuzzVerifySchemes(f *testing.F) {
	f.Add("t=1614265330,v1=00", "v1a,AAAA", `sig1=("@method");created=1614265330`, "sig1=:AAAA:", "sha-256=:AAAA:", "body")
	f.Add("t=,v1=,", "v1a, ", `sig1=();;`, "sig1=::", "=", "")
	now := time.Unix(vectorUnix, 0)
	signers := []*Signer{mustNew(f, Stripe, "s"), mustNew(f, StandardEd25519, edSecret), mustNew(f, RFC9421, secretA), mustBuild(f, fullHMAC)}
	f.Fuzz(func(t *testing.T, stripeSig, standardSig, in, sig, digest, body string) {
		h := map[string]string{"stripe-signature": stripeSig, HeaderSignature: standardSig, HeaderID: "we_1", HeaderTimestamp: fmt.Sprint(vectorUnix),
			"signature-input": in, "signature": sig, "content-digest": digest, "x-sig": stripeSig, "x-sent": fmt.Sprint(vectorUnix)}
		r := Request{Header: func(n string) string { return h[n] }, Body: []byte(body), Method: http.MethodPost, Target: "https://a.example/"}
		for _, s := range signers {
			if s.VerifyRequest(r, now) == nil {
				t.Errorf("accepted without the secret: %q", h)
			}
		}
	})
}
