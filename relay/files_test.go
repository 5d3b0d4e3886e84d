package relay

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgerelay/config"
	"edgerelay/relay/event"
	"edgerelay/relay/sign"
	"edgerelay/relay/store"
	"edgerelay/relay/webhooks"
)

// Each kind of secret is made once and then kept, sealed; the public half of a private key lies in a file, and is there again if it was removed. Plain files
// of earlier versions are taken over, and then they are gone.
func TestKeptSecretOfEachKind(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "data")
	old := &webhooks.Webhook{ID: event.NamedWebhookID("default", "old"), Name: "old", Tenant: "default"}
	plain := sign.Spec{Scheme: sign.Standard}.NewSecret()
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, secretsDir), 0o700), os.WriteFile(keptPath(dir, old.ID, sign.Spec{Scheme: sign.Standard}), []byte(plain+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	w := &webhooks.Webhook{ID: event.NamedWebhookID("default", "w"), Name: "w", Tenant: "default"}
	seen := map[string]bool{}
	r := start(t, base, "")
	if secret, fresh, err := r.keptSecret(old, sign.Spec{Scheme: sign.Standard}); secret != plain || fresh || err != nil {
		t.Errorf("taken over: fresh %v, %v", fresh, err)
	}
	if _, err := os.Stat(keptPath(dir, old.ID, sign.Spec{Scheme: sign.Standard})); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the plain file is still there: %v", err)
	}
	for _, spec := range []sign.Spec{{Scheme: sign.Standard}, {Scheme: sign.StandardEd25519}} {
		secret, fresh, err := r.keptSecret(w, spec)
		if err != nil || !fresh || seen[secret] {
			t.Fatalf("%s: %v, fresh %v", spec.Scheme, err, fresh)
		}
		seen[secret] = true
		if _, err := sign.New(spec.Scheme, []string{secret}); err != nil {
			t.Errorf("%s: %v", spec.Scheme, err)
		}
		publicFile := keptPath(dir, w.ID, spec) + publicSuffix
		os.Remove(publicFile)
		again, fresh, err := r.keptSecret(w, spec)
		if err != nil || fresh || again != secret {
			t.Errorf("%s: not kept: %v, fresh %v", spec.Scheme, err, fresh)
		}
		public, err := os.ReadFile(publicFile)
		if !spec.Asymmetric() {
			if err == nil {
				t.Errorf("%s: a public key of a shared secret", spec.Scheme)
			}
			continue
		}
		if want, _ := sign.PublicKey(secret); err != nil || strings.TrimSpace(string(public)) != want {
			t.Errorf("%s: public key %q, %v", spec.Scheme, public, err)
		}
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	again := start(t, base, "")
	if secret, fresh, err := again.keptSecret(old, sign.Spec{Scheme: sign.Standard}); secret != plain || fresh || err != nil {
		t.Errorf("after a restart: fresh %v, %v", fresh, err)
	}
	if err := again.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "master.key"), []byte(strings.Repeat("A", 43)+"=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse("test.yaml", []byte("data_dir: "+dir+"\ningress: { listen: '127.0.0.1:0' }\nadmin: { listen: '127.0.0.1:0' }\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), Options{Config: c, Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, store.ErrKey) {
		t.Errorf("another master key: %v", err)
	}
}

// TestCheckLocatesSigningMistakes: what only the signing code can judge is reported where it is written.
func TestCheckLocatesSigningMistakes(t *testing.T) {
	for name, tt := range map[string]struct{ signing, secret, want string }{
		"content without body":    {`{ scheme: hmac, header: X-Sig, content: "{id}" }`, "s", `7:54: webhooks[0].signing.content: must have {body} in it, once`},
		"no header":               {`{ scheme: hmac }`, "s", `7:14: webhooks[0].signing.header: is missing: the scheme hmac needs the name of the signature's header`},
		"key of the wrong kind":   {`{ scheme: standard-ed25519 }`, "s", `6:13: webhooks[0].secret: signing scheme "standard-ed25519": secret 1: this is not an Ed25519 key: it must begin with whsk_`},
		"more key ids than keys":  {`{ scheme: rfc9421, key_ids: [a, b] }`, sign.NewSecret(), `7:42: webhooks[0].signing.key_ids: has 2 ids for 1 secrets`},
		"nothing wrong":           {`{ scheme: stripe }`, "s", ""},
		"a generated private key": {`{ scheme: rfc9421, algorithm: ed25519 }`, `""`, ""},
	} {
		text := "data_dir: " + t.TempDir() + "\nwebhooks:\n  - name: w\n    events: [x]\n    url: https://a.example/\n    secret: " + tt.secret + "\n    signing: " + tt.signing + "\n"
		c, err := config.Parse(filepath.Join(t.TempDir(), "c.yaml"), []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		problems := Check(t.Context(), c)
		if tt.want == "" && len(problems) > 0 || tt.want != "" && (len(problems) != 1 || !strings.HasSuffix(problems.Error(), tt.want)) {
			t.Errorf("%s: got %v", name, problems)
		}
	}
}

// TestCheckLocatesAuthorizationMistakes: files that cannot be used are found before anything starts.
func TestCheckLocatesAuthorizationMistakes(t *testing.T) {
	dir := t.TempDir()
	text := "data_dir: " + t.TempDir() + `
authorizations:
  - { name: m, type: mtls, cert_file: none.pem, key_file: none.key }
  - { name: o, type: oauth2, endpoint: "https://a.example/x", token_url: "https://id.example/", client_id: c, client_secret: s }
webhooks:
  - { name: a, events: [x], url: "https://a.example/", tls: { ca_file: none.pem } }
  - { name: b, events: [x], url: "https://a.example/x/y", authorization: o }
`
	c, err := config.Parse(filepath.Join(dir, "c.yaml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	problems := Check(t.Context(), c)
	if len(problems) != 2 || problems[0].Path != "authorizations[0]" || problems[1].Path != "webhooks[0].tls.ca_file" || problems[1].Line != 6 {
		t.Errorf("got %v", problems)
	}
}
