package sign

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"
)

// TestPublicKeys: the key of RFC 8037, appendix A.2, with the thumbprint of A.3, and what is signed verifies with what is published.
func TestPublicKeys(t *testing.T) {
	const private = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg=="
	const x, thumbprint = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
	for _, c := range []struct {
		spec Spec
		ids  []string
	}{
		{Spec{Scheme: StandardEd25519, Secrets: []string{private, NewPrivateKey()}}, []string{thumbprint, ""}},
		{Spec{Scheme: RFC9421, Algorithm: AlgorithmEd25519, Secrets: []string{private, NewPrivateKey()}, KeyIDs: []string{"new", "old"}}, []string{"new", "old"}},
		{Spec{Scheme: RFC9421, Algorithm: AlgorithmEd25519, Secrets: []string{private}}, []string{thumbprint}},
		{Spec{Scheme: RFC9421, Secrets: []string{NewSecret()}}, nil},
		{Spec{Scheme: Standard, Secrets: []string{NewSecret()}}, nil},
		{Spec{Scheme: None}, nil},
	} {
		s, err := Build(c.spec)
		if err != nil {
			t.Fatal(err)
		}
		keys := s.PublicKeys()
		if len(keys) != len(c.ids) {
			t.Fatalf("%s: %d keys, want %d", c.spec.Scheme, len(keys), len(c.ids))
		}
		for i, k := range keys {
			if c.ids[i] != "" && k.ID != c.ids[i] || i == 0 && k.X != x {
				t.Errorf("%s: %+v", c.spec.Scheme, k)
			}
		}
	}
	s, _ := Build(Spec{Scheme: StandardEd25519, Secrets: []string{private}})
	text, err := json.Marshal(s.PublicKeys()[0])
	if err != nil || string(text) != `{"kty":"OKP","crv":"Ed25519","x":"`+x+`","kid":"`+thumbprint+`","use":"sig","alg":"EdDSA"}` {
		t.Errorf("%s %v", text, err)
	}
	public, err := base64.RawURLEncoding.DecodeString(x)
	if err != nil {
		t.Fatal(err)
	}
	var sc Scratch
	at := time.Unix(1614265330, 0)
	headers := s.Sign(nil, &sc, Message{ID: []byte("msg_1"), Unix: at.Unix(), Body: []byte("{}")})
	signature, err := base64.StdEncoding.DecodeString(string(headers[2].Value)[len("v1a,"):])
	if err != nil || !ed25519.Verify(public, []byte("msg_1.1614265330.{}"), signature) {
		t.Errorf("what is published does not verify: %v", err)
	}
}
