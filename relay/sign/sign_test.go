package sign

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// The vector that the official libraries assert too.
const (
	vectorSecret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID     = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorUnix   = 1614265330
	vectorBody   = `{"test": 2432232314}`
	vectorSig    = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

var (
	secretA = "whsec_" + base64.StdEncoding.EncodeToString([]byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"))
	secretB = "whsec_" + base64.StdEncoding.EncodeToString([]byte("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"))
)

func mustNew(t testing.TB, scheme string, secrets ...string) *Signer {
	t.Helper()
	s, err := New(scheme, secrets)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// headersOf signs m and returns what a receiver would see.
func headersOf(t testing.TB, s *Signer, m Message) http.Header {
	t.Helper()
	h := http.Header{}
	for _, x := range s.Sign(nil, new(Scratch), m) {
		h.Set(x.Name, string(x.Value))
	}
	return h
}

func TestStandardVector(t *testing.T) {
	for _, secret := range []string{vectorSecret, "whsec_" + vectorSecret} {
		m := Message{ID: []byte(vectorID), Unix: vectorUnix, Body: []byte(vectorBody)}
		got := mustNew(t, Standard, secret).Sign(nil, new(Scratch), m)
		want := []Header{
			{"webhook-id", []byte(vectorID)},
			{"webhook-timestamp", []byte("1614265330")},
			{"webhook-signature", []byte(vectorSig)},
		}
		if fmt.Sprintf("%s", got) != fmt.Sprintf("%s", want) {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}

func TestGitHubVector(t *testing.T) {
	s := mustNew(t, GitHub, "It's a Secret to Everybody")
	got := s.Sign(nil, new(Scratch), Message{Body: []byte("Hello, World!")})
	const want = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	if len(got) != 1 || got[0].Name != "X-Hub-Signature-256" || string(got[0].Value) != want {
		t.Errorf("got %s", got)
	}
}

var bodies = map[string][]byte{
	"object":    []byte(vectorBody),
	"empty":     nil,
	"one byte":  {'x'},
	"NUL":       []byte("a\x00b\x00"),
	"dots":      []byte("1614265330.{}..."),
	"not UTF-8": {0xff, 0xfe, 0xc0, 0xaf},
	"large":     bytes.Repeat([]byte("0123456789abcdef"), 1<<14),
}

// What we sign the official library accepts, what it signs we accept, and the two texts are the same.
func TestStandardAgainstOfficialLibrary(t *testing.T) {
	official, err := standardwebhooks.NewWebhook(secretA)
	if err != nil {
		t.Fatal(err)
	}
	s := mustNew(t, Standard, secretA)
	now := time.Now() // the official library reads the clock itself
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			ours := headersOf(t, s, Message{ID: []byte("we_1"), Unix: now.Unix(), Body: body})
			if err := official.Verify(body, ours); err != nil {
				t.Errorf("official library refuses ours: %v", err)
			}
			theirs, err := official.Sign("we_1", now, body)
			if err != nil {
				t.Fatal(err)
			}
			if got := ours.Get(HeaderSignature); got != theirs {
				t.Errorf("ours %q, theirs %q", got, theirs)
			}
			h := http.Header{}
			h.Set(HeaderID, "we_1")
			h.Set(HeaderTimestamp, fmt.Sprint(now.Unix()))
			h.Set(HeaderSignature, theirs)
			if err := s.Verify(h.Get, body, now); err != nil {
				t.Errorf("we refuse theirs: %v", err)
			}
			if err := s.Verify(h.Get, append([]byte("x"), body...), now); !errors.Is(err, ErrNoMatch) {
				t.Errorf("changed body: %v", err)
			}
		})
	}
}

// During a rotation both kinds of receiver accept: the one that knows only the old secret and the one that knows only the new one.
func TestStandardRotation(t *testing.T) {
	now := time.Now()
	m := Message{ID: []byte("we_1"), Unix: now.Unix(), Body: []byte("{}")}
	both := headersOf(t, mustNew(t, Standard, secretB, secretA), m)
	newest := headersOf(t, mustNew(t, Standard, secretB), m).Get(HeaderSignature)
	oldest := headersOf(t, mustNew(t, Standard, secretA), m).Get(HeaderSignature)
	if got := both.Get(HeaderSignature); got != newest+" "+oldest {
		t.Errorf("signatures %q, want newest first", got)
	}
	for name, secret := range map[string]string{"new only": secretB, "old only": secretA} {
		official, _ := standardwebhooks.NewWebhook(secret)
		if err := official.Verify(m.Body, both); err != nil {
			t.Errorf("%s, official library: %v", name, err)
		}
		if err := Verify(Standard, []string{secret}, both.Get, m.Body, now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerifyStandard(t *testing.T) {
	now := time.Unix(vectorUnix, 0)
	tests := map[string]struct {
		id, ts, sig string
		now         time.Time
		want        error
	}{
		"valid":                      {sig: vectorSig},
		"only the last is valid":     {sig: "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA= " + vectorSig},
		"only the first is valid":    {sig: vectorSig + " v1,AAAA"},
		"unknown version first":      {sig: "v2,xyz v1a,fldxM4gAKugP6nnt " + vectorSig},
		"two spaces between":         {sig: "v1,AAAA  " + vectorSig},
		"unknown version only":       {sig: "v2" + vectorSig[2:], want: ErrNoMatch},
		"padding stripped":           {sig: strings.TrimRight(vectorSig, "="), want: ErrNoMatch},
		"no version":                 {sig: vectorSig[3:], want: ErrNoMatch},
		"wrong signature":            {sig: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA=", want: ErrNoMatch},
		"other id":                   {id: "msg_2", sig: vectorSig, want: ErrNoMatch},
		"299 s old":                  {sig: vectorSig, now: now.Add(299 * time.Second)},
		"301 s old":                  {sig: vectorSig, now: now.Add(301 * time.Second), want: ErrTimestamp},
		"299 s early":                {sig: vectorSig, now: now.Add(-299 * time.Second)},
		"301 s early":                {sig: vectorSig, now: now.Add(-301 * time.Second), want: ErrTimestamp},
		"no signature":               {want: ErrMissingHeader},
		"timestamp not a number":     {ts: "soon", sig: vectorSig, want: ErrMalformed},
		"timestamp with a sign":      {ts: "+1614265330", sig: vectorSig, want: ErrMalformed},
		"timestamp with a fraction":  {ts: "1614265330.0", sig: vectorSig, want: ErrMalformed},
		"timestamp out of range":     {ts: "99999999999999999999", sig: vectorSig, want: ErrMalformed},
		"timestamp far in the past":  {ts: "-9223372036854775808", sig: vectorSig, want: ErrTimestamp},
		"timestamp far ahead":        {ts: "9223372036854775807", sig: vectorSig, want: ErrTimestamp},
		"dot in the id":              {id: "msg.1", sig: vectorSig, want: ErrMalformed},
		"signature is only a space":  {sig: " ", want: ErrNoMatch},
		"several in one, by a comma": {sig: vectorSig + "," + vectorSig, want: ErrNoMatch},
	}
	s := mustNew(t, Standard, vectorSecret)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			h.Set("WEBHOOK-ID", or(tt.id, vectorID)) // upper-case on the wire: names do not care
			h.Set("WEBHOOK-TIMESTAMP", or(tt.ts, "1614265330"))
			h.Set("WEBHOOK-SIGNATURE", tt.sig)
			at := tt.now
			if at.IsZero() {
				at = now
			}
			if err := s.Verify(h.Get, []byte(vectorBody), at); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	if err := Verify(Standard, []string{secretA}, header(vectorID, "1614265330", vectorSig), []byte(vectorBody), now); !errors.Is(err, ErrNoMatch) {
		t.Errorf("wrong secret: %v", err)
	}
	if err := Verify(Standard, []string{secretA, vectorSecret}, header(vectorID, "1614265330", vectorSig), []byte(vectorBody), now); err != nil {
		t.Errorf("second secret: %v", err)
	}
}

// The bytes of a signed message could be cut differently if an id were allowed to hold a dot.
func TestVerifyRefusesMovedBorders(t *testing.T) {
	now := time.Unix(vectorUnix, 0)
	s := mustNew(t, Standard, secretA)
	h := headersOf(t, s, Message{ID: []byte("m"), Unix: vectorUnix, Body: []byte("1614265331.evil")})
	err := s.Verify(header("m.1614265330", "1614265331", h.Get(HeaderSignature)), []byte("evil"), now)
	if !errors.Is(err, ErrMalformed) {
		t.Errorf("got %v", err)
	}
}

func header(id, ts, sig string) func(string) string {
	return func(name string) string {
		return map[string]string{HeaderID: id, HeaderTimestamp: ts, HeaderSignature: sig}[name]
	}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func TestGitHubAgainstCryptoHMAC(t *testing.T) {
	const secret = "whsec_is-only-text-here"
	s := mustNew(t, GitHub, secret, "older")
	for name, body := range bodies {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		want := "sha256=" + hex.EncodeToString(mac.Sum(nil))
		h := headersOf(t, s, Message{ID: []byte("we_1"), Unix: 1, Body: body})
		if got := h.Get("X-Hub-Signature-256"); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestVerifyGitHub(t *testing.T) {
	sign := func(secret, body string) string {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		return "sha256=" + hex.EncodeToString(mac.Sum(nil))
	}
	tests := map[string]struct {
		value string
		want  error
	}{
		"newest secret": {value: sign("new", "body")},
		"older secret":  {value: sign("old", "body")},
		"wrong secret":  {value: sign("other", "body"), want: ErrNoMatch},
		"wrong body":    {value: sign("new", "Body"), want: ErrNoMatch},
		"upper-case":    {value: "sha256=" + strings.ToUpper(sign("new", "body")[7:]), want: ErrNoMatch},
		"truncated":     {value: sign("new", "body")[:70], want: ErrNoMatch},
		"SHA-1":         {value: "sha1=2fd4e1c67a2d28fced849ee1bb76e7391b93eb12", want: ErrMalformed},
		"absent":        {want: ErrMissingHeader},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			h.Set("X-HUB-SIGNATURE-256", tt.value)
			err := Verify(GitHub, []string{"new", "old"}, h.Get, []byte("body"), time.Unix(0, 0))
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestNewErrors(t *testing.T) {
	b64 := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	tests := map[string]struct {
		scheme string
		secret []string
		want   string // "" = no error
	}{
		"unknown scheme":       {"rot13", []string{"x"}, `unknown signing scheme "rot13": known are github, hmac, none, rfc9421, shopify, standard, standard-ed25519, stripe`},
		"no secret":            {Standard, nil, `signing scheme "standard" needs a secret`},
		"23 bytes":             {Standard, []string{b64(23)}, "decodes to 23 bytes, it must be 24 to 64"},
		"24 bytes":             {Standard, []string{b64(24)}, ""},
		"64 bytes":             {Standard, []string{b64(64)}, ""},
		"65 bytes":             {Standard, []string{b64(65)}, "decodes to 65 bytes"},
		"second is wrong":      {Standard, []string{secretA, "whsec_"}, "secret 2: the secret decodes to 0 bytes"},
		"padding stripped":     {Standard, []string{strings.TrimRight(secretA, "=")}, "lost its padding"},
		"URL alphabet":         {Standard, []string{"whsec_" + strings.Repeat("_-", 16)}, "not standard base64"},
		"line break":           {Standard, []string{secretA + "\n"}, "line break"},
		"Ed25519 key":          {Standard, []string{"whsk_" + b64(64)}, "symmetric secret begins with whsec_"},
		"GitHub, any text":     {GitHub, []string{"x"}, ""},
		"GitHub, empty secret": {GitHub, []string{"x", ""}, "secret 2 is empty"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := New(tt.scheme, tt.secret)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q in it", err, tt.want)
			}
			for _, s := range tt.secret {
				if len(s) > 10 && strings.Contains(err.Error(), s[6:]) {
					t.Errorf("the error shows the secret: %v", err)
				}
			}
		})
	}
}

func TestNone(t *testing.T) {
	s, err := New(None, nil)
	if s != nil || err != nil {
		t.Fatalf("got %v, %v", s, err)
	}
	if got := s.Sign(nil, new(Scratch), Message{}); got != nil {
		t.Errorf("got %v", got)
	}
	if err := Verify(None, nil, http.Header{}.Get, nil, time.Unix(0, 0)); err == nil {
		t.Error("an unsigned request must not count as verified")
	}
}

func TestNewSecret(t *testing.T) {
	a, b := NewSecret(), NewSecret()
	if a == b || !strings.HasPrefix(a, "whsec_") || len(a) != len("whsec_")+44 {
		t.Errorf("got %q and %q", a, b)
	}
	mustNew(t, Standard, a, b)
}

// One Scratch is used for many messages; one Signer by many goroutines.
func TestSignConcurrently(t *testing.T) {
	s := mustNew(t, Standard, secretB, secretA)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			var sc Scratch
			var dst []Header
			for i := range 200 {
				m := Message{ID: fmt.Appendf(nil, "we_%d_%d", g, i), Unix: int64(i), Body: bytes.Repeat([]byte{'x'}, i)}
				dst = s.Sign(dst[:0], &sc, m)
				get := header(string(dst[0].Value), string(dst[1].Value), string(dst[2].Value))
				if err := s.Verify(get, m.Body, time.Unix(int64(i), 0)); err != nil {
					t.Errorf("goroutine %d, message %d: %v", g, i, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

var raceEnabled bool // set by race_test.go

func TestSignAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector a sync.Pool throws things away on purpose")
	}
	for name, s := range map[string]*Signer{
		"standard, one key":  mustNew(t, Standard, secretA),
		"standard, two keys": mustNew(t, Standard, secretB, secretA),
		"github":             mustNew(t, GitHub, "secret"),
		"stripe, two keys":   mustNew(t, Stripe, "new", "old"),
		"shopify":            mustNew(t, Shopify, "hush"),
		"hmac":               mustBuild(t, fullHMAC),
		"rfc9421, two keys":  mustNew(t, RFC9421, secretB, secretA),
	} {
		var sc Scratch
		dst := make([]Header, 0, 5)
		m := Message{ID: []byte("we_01jf2wkmvcfw6ts1qmgzya291c"), Unix: vectorUnix, Body: []byte(vectorBody),
			Method: []byte("POST"), Target: []byte("https://a.example/hooks"), ContentType: []byte("application/json")}
		if n := testing.AllocsPerRun(1000, func() { dst = s.Sign(dst[:0], &sc, m) }); n > 0 {
			t.Errorf("%s: %v allocations per signature, the budget is 0", name, n)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(vectorID, "1614265330", vectorSig, vectorBody, "sha256=00")
	f.Add("", "", " , ,v1,", "", "sha256=")
	f.Add("a.b", "-1", "v1,"+strings.Repeat("A", 43)+"=", "x", "")
	signers := []*Signer{mustNew(f, Standard, secretA, secretB), mustNew(f, GitHub, "secret")}
	now := time.Unix(vectorUnix, 0)
	f.Fuzz(func(t *testing.T, id, ts, sig, body, hub string) {
		get := func(name string) string {
			return map[string]string{HeaderID: id, HeaderTimestamp: ts, HeaderSignature: sig, strings.ToLower(HeaderGitHub): hub}[name]
		}
		for _, s := range signers {
			if s.Verify(get, []byte(body), now) == nil {
				t.Errorf("accepted without the secret: %q %q %q %q %q", id, ts, sig, body, hub)
			}
		}
		if strings.Contains(id, ".") {
			return
		}
		// What we sign ourselves is always accepted, whatever the body.
		h := headersOf(t, signers[0], Message{ID: []byte("we_1"), Unix: vectorUnix, Body: []byte(body)})
		if err := signers[0].Verify(h.Get, []byte(body), now); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkSign(b *testing.B) {
	s := mustNew(b, Standard, secretA)
	for _, size := range []int{256, 1 << 10, 16 << 10} {
		b.Run(fmt.Sprintf("body=%d", size), func(b *testing.B) {
			var sc Scratch
			dst := make([]Header, 0, 4)
			m := Message{ID: []byte(vectorID), Unix: vectorUnix, Body: make([]byte, size)}
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				dst = s.Sign(dst[:0], &sc, m)
			}
		})
	}
}
