package deliver

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"edgerelay/relay/sign"
	"edgerelay/relay/webhooks"
)

// TestEverySchemeVerifies sends with every scheme and method to a real server, which verifies what has come over the wire: the exact body,
// and for rfc9421 the exact URL. Id and time go with every request.
func TestEverySchemeVerifies(t *testing.T) {
	type request struct {
		sign.Request
		header http.Header
	}
	got := make(chan request, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- request{sign.Request{Header: r.Header.Get, Body: body, Method: r.Method, Target: "http://" + r.Host + r.RequestURI}, r.Header}
	}))
	defer server.Close()
	const text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	for _, spec := range []sign.Spec{
		{Scheme: sign.None},
		{Scheme: sign.Standard, Secrets: []string{text, sign.NewSecret()}},
		{Scheme: sign.StandardEd25519, Secrets: []string{sign.NewPrivateKey()}},
		{Scheme: sign.GitHub, Secrets: []string{text}},
		{Scheme: sign.Stripe, Secrets: []string{text, "older"}},
		{Scheme: sign.Shopify, Secrets: []string{text}},
		{Scheme: sign.HMAC, Secrets: []string{text}, HMAC: sign.HMACOptions{Header: "X-Sig", Content: "{id}.{timestamp}.{body}", TimestampHeader: "X-Time"}},
		{Scheme: sign.RFC9421, Secrets: []string{text}},
		{Scheme: sign.RFC9421, Secrets: []string{sign.NewPrivateKey()}, Algorithm: sign.AlgorithmEd25519},
	} {
		signer, err := sign.Build(spec)
		if err != nil {
			t.Fatal(err)
		}
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "GET"} {
			for _, path := range []string{"", "/a//b%2Fc/../?x=1&y=%20", "/{{ type }}?q={{ data.q }}"} {
				r := newRig(t, server.URL+path, method, func(w *webhooks.Webhook) { w.Signer = signer })
				for attempt := range 2 { // the second one uses what was prepared for the first
					r.settle(`{"q":"a & b/ä"}`)
					if r.q.action != Ack {
						t.Fatalf("%s %s %s: %v %+v", spec.Scheme, method, path, r.q.action, r.q.failure)
					}
					in := <-got
					if in.header.Get("webhook-id") != "we_1" || in.header.Get("webhook-timestamp") == "" {
						t.Errorf("%s %s %s, attempt %d: id or timestamp is missing: %v", spec.Scheme, method, path, attempt+1, in.header)
					}
					if signer == nil {
						continue
					}
					if err := signer.VerifyRequest(in.Request, time.Now()); err != nil {
						t.Errorf("%s %s %s, attempt %d: %v", spec.Scheme, method, path, attempt+1, err)
					}
				}
			}
		}
	}
}
