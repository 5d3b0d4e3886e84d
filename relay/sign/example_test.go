package sign_test

import (
	"fmt"
	"net/http"
	"time"

	"edgerelay/relay/sign"
)

func Example() {
	// The sender: one Signer per webhook, one Scratch per worker.
	signer, err := sign.New(sign.Standard, []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
	if err != nil {
		fmt.Println(err)
		return
	}
	var scratch sign.Scratch
	body := []byte(`{"test": 2432232314}`)
	headers := http.Header{}
	for _, h := range signer.Sign(nil, &scratch, sign.Message{ID: []byte("msg_p5jXN8AQM9LWM0D4loKWxJek"), Unix: 1614265330, Body: body}) {
		headers.Set(h.Name, string(h.Value))
		fmt.Printf("%s: %s\n", h.Name, h.Value)
	}

	// The receiver, ten seconds later.
	now := time.Unix(1614265340, 0)
	fmt.Println(sign.Verify(sign.Standard, []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, headers.Get, body, now))
	fmt.Println(sign.Verify(sign.Standard, []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, headers.Get, []byte("{}"), now))
	// Output:
	// webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek
	// webhook-timestamp: 1614265330
	// webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=
	// <nil>
	// no signature matches: webhook-signature
}

func ExampleNew_github() {
	signer, err := sign.New(sign.GitHub, []string{"It's a Secret to Everybody"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, h := range signer.Sign(nil, new(sign.Scratch), sign.Message{Body: []byte("Hello, World!")}) {
		fmt.Printf("%s: %s\n", h.Name, h.Value)
	}
	// Output:
	// X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17
}
