package cli

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"edgerelay/relay/sign"
)

// TestListenVerifiesEveryScheme: what `sign` prints as headers, `listen` accepts, and what was changed it answers with 401.
func TestListenVerifiesEveryScheme(t *testing.T) {
	private := sign.NewPrivateKey()
	public, err := sign.PublicKey(private)
	if err != nil {
		t.Fatal(err)
	}
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	form := []string{"--signature-header", "X-Sig", "--prefix", "v0=", "--hash", "sha512", "--encoding", "base64", "--content", "{id}:{timestamp}:{body}", "--timestamp-header", "X-Time"}
	for _, c := range []struct {
		scheme, secret, known string
		more                  []string
	}{
		{"standard", secret, secret, nil}, {"standard-ed25519", private, public, nil}, {"github", secret, secret, nil}, {"stripe", secret, secret, nil}, {"shopify", secret, secret, nil},
		{"hmac", secret, secret, form}, {"rfc9421", secret, secret, nil}, {"rfc9421", private, public, []string{"--algorithm", "ed25519"}},
	} {
		t.Run(c.scheme, func(t *testing.T) {
			l := startListen(t, append([]string{"--scheme", c.scheme, "--secret", c.known}, c.more...)...)
			args := append([]string{"sign", "--scheme", c.scheme, "--secret", c.secret, "--data", `{"a":1}`}, c.more...)
			if c.scheme == "rfc9421" {
				args = append(args, "--url", l.url+"/x?y=z", "--content-type", "application/json")
			}
			root := newRoot(commands()...)
			var out bytes.Buffer
			root.SetOut(&out)
			if code := execute(root, args); code != 0 {
				t.Fatalf("sign: exit code %d", code)
			}
			for body, want := range map[string]int{`{"a":1}`: 200, `{"a":2}`: 401} {
				req, err := http.NewRequest("POST", l.url+"/x?y=z", strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", "application/json")
				for line := range strings.Lines(out.String()) {
					name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
					req.Header.Set(name, value)
				}
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != want {
					t.Errorf("%s: %d, want %d", body, resp.StatusCode, want)
				}
			}
		})
	}
}
