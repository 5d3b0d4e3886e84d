package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// reload prints c, puts new secrets in the place of the redacted ones, and wants the same config back.
func reload(t *testing.T, c *Config) {
	t.Helper()
	first, err := c.Print()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	text := string(first)
	for strings.Contains(text, `'***'`) || strings.Contains(text, `"***"`) {
		n++
		text = strings.Replace(strings.Replace(text, `"***"`, `'***'`, 1), `'***'`, fmt.Sprintf("secret-number-%d", n), 1)
	}
	again, err := Parse("printed.yaml", []byte(text))
	if err != nil {
		t.Fatalf("what Print made does not load: %v\n%s", err, text)
	}
	second, err := again.Print()
	if err != nil {
		t.Fatal(err)
	}
	a, b := strings.Split(string(first), "\n"), strings.Split(string(second), "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("line %d of\n%s\nis after loading that: %q", i+1, first, b[i])
		}
	}
}

// canary stands for every secret in the tests; nothing that is printed may contain it.
const canary = "CANARY-5ecret"

func TestPrintShowsNoSecrets(t *testing.T) {
	t.Setenv("EDGERELAY_TEST_CANARY", canary)
	c := mustParse(t, `
ingress: { tokens: [{ name: a, token: CANARY-5ecret-1 }] }
admin: { tokens: [{ name: a, token: CANARY-5ecret-2, tenants: ["*"] }] }
authorizations:
  - { name: h, type: header, headers: [{ name: X-Key, value: CANARY-5ecret }, { name: X-Open, value: shown, visibility: public }] }
  - { name: b, type: basic, username: u, password: CANARY-5ecret }
  - { name: t, type: bearer, token: CANARY-5ecret }
  - { name: o, type: oauth2, token_url: "https://id.example/token?key=CANARY-5ecret", client_id: relay, client_secret: CANARY-5ecret, params: { x: "${EDGERELAY_TEST_CANARY}", audience: api } }
webhooks:
  - name: w
    events: [x]
    url: "https://a.example/?token=CANARY-5ecret&page=2&key={{ data.key }}"
    headers: { X-Env: prod, X-Auth-Token: CANARY-5ecret, X-From-Env: "${EDGERELAY_TEST_CANARY}" }
    secret: [CANARY-5ecret, "${EDGERELAY_TEST_CANARY}"]
    payload: { body: { a: "${EDGERELAY_TEST_CANARY}", token: "{{ data.token }}", n: [1, 2.50] } }
    transform: [{ wasm: m.wasm, config: { api_key: CANARY-5ecret, nested: { password: [CANARY-5ecret] }, fields: [email] } }]
  - { name: v, events: [x], url: "https://hooks.example/${EDGERELAY_TEST_CANARY}", secret: CANARY-5ecret }
`)
	printed, err := c.Print()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(printed), canary) {
		t.Errorf("secret printed:\n%s", printed)
	}
	for _, want := range []string{
		"value: shown", "X-Env: prod", "page=2&key={{ data.key }}", `token: '{{ data.token }}'`, "2.50", "- email",
		"url: https://hooks.example/***", "client_id: relay", "audience: api", "?token=***&page=2",
	} {
		if !strings.Contains(string(printed), want) {
			t.Errorf("%s is missing in:\n%s", want, printed)
		}
	}
	if _, err := Parse("printed.yaml", printed); err == nil || !strings.Contains(err.Error(), "is only the redacted form of a secret") {
		t.Errorf("a redacted config loads as if *** were the secret: %v", err)
	}
}

func TestSecretNeverPrints(t *testing.T) {
	secret := Secret(canary)
	holder := struct {
		S Secret
		L Secrets
		P *Secret
	}{secret, Secrets{secret, secret}, &secret}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", secret, "holder", holder)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", secret, "holder", holder)
	asJSON, _ := json.Marshal(holder)
	asYAML, _ := yaml.Marshal(holder)
	text, _ := secret.MarshalText()
	all := []string{log.String(), string(asJSON), string(asYAML), string(text), fmt.Sprint(secret), secret.String(), secret.GoString()}
	for _, verb := range []string{"%s", "%v", "%+v", "%#v", "%q", "%x", "%X", "%d"} {
		all = append(all, fmt.Sprintf(verb, secret), fmt.Sprintf(verb, holder.L), fmt.Sprintf(verb, holder))
	}
	for i, printed := range all {
		if strings.Contains(printed, canary) || strings.Contains(strings.ToLower(printed), fmt.Sprintf("%x", canary)) {
			t.Errorf("way %d shows the secret: %s", i, printed)
		}
	}
	if secret.Reveal() != canary || Secret("").String() != "" {
		t.Error("Reveal, or the empty secret, is wrong")
	}
}

func TestMessagesShowNoSecrets(t *testing.T) {
	t.Setenv("EDGERELAY_TEST_CANARY", canary+"\n")
	problems := strings.Join(problemsOf(t, `
ingress: { listen: "${EDGERELAY_TEST_CANARY}", max_body: "${EDGERELAY_TEST_CANARY}", tokens: [{ name: a, token: "${EDGERELAY_TEST_CANARY}" }] }
queue: { durability: "${EDGERELAY_TEST_CANARY}" }
webhooks:
  - { name: w, events: [x], url: "http://u:CANARY-5ecret@x/#CANARY-5ecret", secret: "CANARY-5ecret\n", headers: { X-A: "CANARY-5ecret\n" } }
`), "\n")
	if strings.Contains(problems, canary) || strings.Count(problems, "\n") < 5 {
		t.Errorf("messages:\n%s", problems)
	}
}
