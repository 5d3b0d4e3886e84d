package deliver

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stripe/stripe-go/v82/webhook"

	"edgerelay/bench"
	"edgerelay/relay/payload"
	"edgerelay/relay/sign"
	"edgerelay/relay/webhooks"
)

// TestReceiversVerify sends with every scheme, method and payload type to receivers that check the signature of what comes over the wire with
// their own code: Standard Webhooks' and Stripe's libraries, and for every scheme the test receiver, which shares nothing with the relay's signer.
// While a secret is being replaced, receivers that know only the older one accept too, where the scheme has room for two signatures.
func TestReceiversVerify(t *testing.T) {
	const text, older = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	private, olderPrivate := sign.NewPrivateKey(), sign.NewPrivateKey()
	public, err := sign.PublicKey(olderPrivate)
	if err != nil {
		t.Fatal(err)
	}
	form := bench.Form{Hash: "sha512", Encoding: "base64", Header: "X-Sig", Prefix: "v0=", Content: "{id}.{timestamp}.{body}", TimestampHeader: "X-Time"}
	shared, keys := []string{text, older}, []string{private, olderPrivate}
	cases := []struct {
		spec sign.Spec
		hook bench.Hook
	}{
		{sign.Spec{Scheme: sign.Standard, Secrets: shared}, bench.Hook{Secrets: shared[1:]}},
		{sign.Spec{Scheme: sign.StandardEd25519, Secrets: keys}, bench.Hook{Secrets: []string{public}}},
		{sign.Spec{Scheme: sign.GitHub, Secrets: shared}, bench.Hook{Secrets: shared[:1]}},
		{sign.Spec{Scheme: sign.Stripe, Secrets: shared}, bench.Hook{Secrets: shared[1:]}},
		{sign.Spec{Scheme: sign.Shopify, Secrets: shared}, bench.Hook{Secrets: shared[:1]}},
		{sign.Spec{Scheme: sign.HMAC, Secrets: shared, HMAC: sign.HMACOptions(form)}, bench.Hook{Secrets: shared[:1], Form: form}},
		{sign.Spec{Scheme: sign.RFC9421, Secrets: shared}, bench.Hook{Secrets: shared[1:]}},
		{sign.Spec{Scheme: sign.RFC9421, Secrets: keys, Algorithm: sign.AlgorithmEd25519}, bench.Hook{Secrets: []string{public}, Algorithm: "ed25519"}},
	}
	library, err := standardwebhooks.NewWebhook(older)
	if err != nil {
		t.Fatal(err)
	}
	libraries := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && r.Header.Get("Stripe-Signature") != "" {
			err = webhook.ValidatePayload(body, r.Header.Get("Stripe-Signature"), older)
		} else if err == nil {
			err = library.Verify(body, r.Header)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
		}
	}))
	defer libraries.Close()
	kinds := []string{payload.JSON, payload.XML, payload.Plain, payload.Form, payload.Raw}
	if testing.Short() {
		kinds = kinds[:1]
	}
	for _, c := range cases {
		signer, err := sign.Build(c.spec)
		if err != nil {
			t.Fatal(err)
		}
		c.hook.Name, c.hook.Scheme = "w", c.spec.Scheme
		ours, err := bench.Start(bench.Options{Hooks: []bench.Hook{c.hook}})
		if err != nil {
			t.Fatal(err)
		}
		urls := []string{ours.URL("w") + "?x=1&y=%20", ours.URL("w") + "?q={{ data.q }}"}
		if c.spec.Scheme == sign.Standard || c.spec.Scheme == sign.Stripe {
			urls = append(urls, libraries.URL+"/x")
		}
		for _, url := range urls {
			for _, method := range methods {
				for _, kind := range kinds {
					r := newRig(t, url, method, func(w *webhooks.Webhook) {
						w.Signer = signer
						if w.Payload, err = payload.Compile(payload.Spec{Type: kind}); err != nil {
							t.Fatal(err)
						}
					})
					for attempt := range 2 {
						if r.settle(`{"q":"a & b/ä","z":null}`); r.q.action != Ack {
							t.Errorf("%s %s %s %s, attempt %d: %+v: %s", c.spec.Scheme, method, kind, url, attempt+1, r.q.failure, r.w.response.Body())
						}
					}
					r.client.close()
				}
			}
		}
		if n := ours.Snapshot(); n.BadSignatures > 0 || n.Delivered != int64(2*2*len(methods)*len(kinds)) {
			t.Errorf("%s: %+v", c.spec.Scheme, n)
		}
		ours.Close(t.Context())
	}
}
