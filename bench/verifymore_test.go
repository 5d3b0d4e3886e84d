package bench

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"edgerelay/relay/sign"
)

// Vectors from the services and specifications themselves.
func TestVectorsOfOtherSchemes(t *testing.T) {
	const public = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=" // RFC 8032, test 1
	for _, c := range []struct {
		hook    Hook
		headers map[string]string
		body    string
		unix    int64
	}{
		{Hook{Scheme: "stripe", Secrets: []string{"whsec_test_secret"}},
			map[string]string{"Stripe-Signature": "t=1492774577,v1=88a022085c6bdb887b02cb26ff76dd681234d9675c0f22844059f55552a8883a,v0=x"}, `{"id":"evt_test_webhook","object":"event"}`, 1492774577},
		{Hook{Scheme: "shopify", Secrets: []string{"hush"}}, map[string]string{"X-Shopify-Hmac-SHA256": "kxsFTgDOlihbs91PqCBFjROWdTQGkFF0NzCvVuvOLsU="}, `{"foo":"bar"}`, 0},
		{Hook{Scheme: "hmac", Secrets: []string{"It's a Secret to Everybody"}, Form: Form{Header: "X-Hub-Signature-256", Prefix: "sha256="}},
			map[string]string{"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}, "Hello, World!", 0},
		{Hook{Scheme: "standard-ed25519", Secrets: []string{public}}, map[string]string{"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
			"webhook-signature": "v1,x v1a,fldxM4gAKugP6nnt1hdz3sgGfZ6d99nzrMFnZOELIxbzEHoVmAb2ADpkJK7zgPePmPsle0zV9jSeGlHFG2NVAw=="}, `{"test": 2432232314}`, 1614265330},
	} {
		v, err := newVerifier(c.hook)
		if err != nil {
			t.Fatal(err)
		}
		r := &received{header: func(name string) []byte { return []byte(c.headers[name]) }, body: []byte(c.body)}
		if err := v.check(r, time.Unix(c.unix, 0)); err != nil {
			t.Errorf("%s: %v", c.hook.Scheme, err)
		}
		r.body = append(r.body, ' ')
		if v.check(r, time.Unix(c.unix, 0)) == nil {
			t.Errorf("%s: another body is accepted", c.hook.Scheme)
		}
	}
}

// hooks has one of every scheme, with what signs for it. The public half is what an asymmetric receiver knows.
func hooks(t *testing.T) (specs []sign.Spec, all []Hook) {
	t.Helper()
	old, private := "whsec_AAAQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", sign.NewPrivateKey()
	public, err := sign.PublicKey(private)
	if err != nil {
		t.Fatal(err)
	}
	shared := []string{vectorSecret, old}
	form := Form{Hash: "sha512", Encoding: "base64", Header: "X-Sig", Prefix: "v0=", Content: "v0:{timestamp}:{id}:{body}", TimestampHeader: "X-Time"}
	add := func(spec sign.Spec, h Hook) {
		h.Scheme = spec.Scheme
		if h.Secrets == nil {
			h.Secrets = spec.Secrets[:1]
		}
		specs, all = append(specs, spec), append(all, h)
	}
	for _, scheme := range []string{"standard", "stripe", "github", "shopify"} {
		add(sign.Spec{Scheme: scheme, Secrets: shared}, Hook{})
	}
	add(sign.Spec{Scheme: "standard", Secrets: shared}, Hook{Secrets: []string{old}})
	add(sign.Spec{Scheme: "stripe", Secrets: shared}, Hook{Secrets: []string{old}})
	add(sign.Spec{Scheme: "hmac", Secrets: shared, HMAC: sign.HMACOptions(form)}, Hook{Form: form})
	add(sign.Spec{Scheme: "hmac", Secrets: shared, HMAC: sign.HMACOptions{Header: "X-Sig"}}, Hook{Form: Form{Header: "X-Sig"}})
	add(sign.Spec{Scheme: "standard-ed25519", Secrets: []string{sign.NewPrivateKey(), private}}, Hook{Secrets: []string{public}})
	add(sign.Spec{Scheme: "standard-ed25519", Secrets: []string{private}}, Hook{Secrets: []string{private}})
	add(sign.Spec{Scheme: "rfc9421", Secrets: shared}, Hook{Secrets: []string{old}})
	add(sign.Spec{Scheme: "rfc9421", Algorithm: "ed25519", Secrets: []string{private, sign.NewPrivateKey()}}, Hook{Secrets: []string{public}, Algorithm: "ed25519"})
	return specs, all
}

// TestEverySchemeIsVerified: what the relay's signer makes is accepted by this package's own code, which shares nothing with it; what somebody
// has changed is not, as far as the scheme covers it.
func TestEverySchemeIsVerified(t *testing.T) {
	specs, all := hooks(t)
	now := time.Unix(1_700_000_000, 0)
	for i, spec := range specs {
		s, err := sign.Build(spec)
		if err != nil {
			t.Fatal(err)
		}
		v, err := newVerifier(all[i])
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("%d %s", i, spec.Scheme)
		signed := func() (*received, map[string]string) {
			m := sign.Message{ID: []byte("we_1"), Unix: now.Unix(), Body: []byte(`{"a":1}`), Method: []byte("PUT"), Target: []byte("http://h:1/a?b=c"), ContentType: []byte("application/json")}
			headers := map[string]string{"webhook-id": "we_1", "webhook-timestamp": "1700000000", "content-type": "application/json"}
			for _, h := range s.Sign(nil, new(sign.Scratch), m) {
				headers[strings.ToLower(h.Name)] = string(h.Value)
			}
			return &received{header: func(n string) []byte { return []byte(headers[strings.ToLower(n)]) }, body: m.Body, method: "PUT", target: string(m.Target)}, headers
		}
		timed := spec.Scheme != "github" && spec.Scheme != "shopify" && (spec.Scheme != "hmac" || spec.HMAC.Content != "")
		withID := timed && spec.Scheme != "stripe"
		whole := spec.Scheme == "rfc9421"
		for _, c := range []struct {
			what   string
			change func(r *received, h map[string]string, at *time.Time)
			bad    bool
		}{
			{"nothing", func(*received, map[string]string, *time.Time) {}, false},
			{"the body", func(r *received, _ map[string]string, _ *time.Time) { r.body = []byte(`{"a":2}`) }, true},
			{"the id", func(_ *received, h map[string]string, _ *time.Time) { h["webhook-id"] = "we_2" }, withID},
			{"an hour later", func(_ *received, _ map[string]string, at *time.Time) { *at = at.Add(time.Hour) }, timed},
			{"an hour earlier", func(_ *received, _ map[string]string, at *time.Time) { *at = at.Add(-time.Hour) }, timed},
			{"299 seconds later", func(_ *received, _ map[string]string, at *time.Time) { *at = at.Add(299 * time.Second) }, false},
			{"the method", func(r *received, _ map[string]string, _ *time.Time) { r.method = "DELETE" }, whole},
			{"the URL", func(r *received, _ map[string]string, _ *time.Time) { r.target += "x" }, whole},
			{"the content type", func(_ *received, h map[string]string, _ *time.Time) { h["content-type"] = "text/plain" }, whole},
			{"no headers", func(_ *received, h map[string]string, _ *time.Time) { clear(h) }, true},
			{"what is covered", func(_ *received, h map[string]string, _ *time.Time) {
				h["signature-input"] = strings.ReplaceAll(h["signature-input"], ` "@target-uri"`, "")
			}, whole},
		} {
			r, headers := signed()
			at := now
			c.change(r, headers, &at)
			if err := v.check(r, at); (err != nil) != c.bad {
				t.Errorf("%s, changed: %s: %v", name, c.what, err)
			}
		}
	}
}

func TestSecretsOfOtherSchemes(t *testing.T) {
	for _, h := range []Hook{{Scheme: "stripe"}, {Scheme: "stripe", Secrets: []string{""}}, {Scheme: "hmac", Secrets: []string{"x"}}, {Scheme: "standard-ed25519", Secrets: []string{vectorSecret}},
		{Scheme: "hmac", Secrets: []string{"x"}, Form: Form{Header: "X", Hash: "md5"}}, {Scheme: "hmac", Secrets: []string{"x"}, Form: Form{Header: "X", Encoding: "rot13"}},
		{Scheme: "rfc9421", Secrets: []string{"x"}}, {Scheme: "rfc9421", Secrets: []string{vectorSecret}, Algorithm: "rsa"}, {Scheme: "rfc9421", Algorithm: "ed25519", Secrets: []string{vectorSecret}}} {
		if _, err := newVerifier(h); err == nil {
			t.Errorf("%+v is accepted", h)
		}
	}
}

// Whatever a request says, the verifier of signatures of requests neither panics nor accepts it.
func FuzzSignatureInput(f *testing.F) {
	f.Add(`sig1=("@method" "@target-uri" "content-digest" "webhook-id" "webhook-timestamp");created=1;keyid="a"`, `sig1=:AAAA:, sig2=:BB==:`)
	f.Add(`a=("x;y"), b=(`, `a=`)
	v, err := newVerifier(Hook{Scheme: "rfc9421", Secrets: []string{vectorSecret}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, input, signature string) {
		r := &received{header: func(name string) []byte {
			return []byte(map[string]string{"Signature-Input": input, "Signature": signature, "Content-Digest": "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"}[name])
		}}
		if v.check(r, time.Unix(1, 0)) == nil {
			t.Errorf("accepted %q %q", input, signature)
		}
	})
}
