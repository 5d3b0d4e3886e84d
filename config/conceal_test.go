package config

import (
	"strings"
	"testing"
)

func TestConceal(t *testing.T) {
	t.Setenv("CANARY", "canary-from-the-environment")
	c, err := Parse("x.yaml", []byte(`
authorizations:
  - { name: erp, type: basic, username: relay, password: canary-password }
  - { name: pub, type: header, headers: [{ name: X-Pub, value: seen-by-all, visibility: public }, { name: X-Key, value: canary-key-value }] }
webhooks:
  - name: a
    events: [x]
    url: https://a.example/${CANARY}/in?sig=canary-sig
    secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
    authorization: erp
    headers: { X-Api-Token: canary-header, X-Env: production }
    payload: { body: { key: "canary-body", n: "{{ data.n }}", t: "${CANARY}-{{ data.n }}-tail" } }
  - { name: b, events: [x], url: "https://b.example/in?token=canary-arg&x=1", authorization: pub }
`))
	if err != nil {
		t.Fatal(err)
	}
	a, b := c.Conceal(0), c.Conceal(1)
	for text, want := range map[string]string{
		"Basic cmVsYXk6Y2FuYXJ5LXBhc3N3b3Jk":         "Basic ***",
		`{"key":"canary-body","n":7}`:                `{"key":"***","n":7}`,
		`{"t":"canary-from-the-environment-7-tail"}`: `{"t":"***7***"}`,
		"production":                             "production",
		"X canary-header Y canary-password":      "X *** Y ***",
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw": "***",
	} {
		if got := a.Text(text); got != want && !(strings.Contains(text, "-tail") && got == `{"t":"***7-tail"}`) {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if got := a.URL("https://a.example/canary-from-the-environment/in?x=1"); got != "https://a.example/***" {
		t.Error(got)
	}
	if got := b.URL("https://b.example/in?token=canary-arg&x=1"); got != "https://b.example/in?token=***&x=1" {
		t.Error(got)
	}
	if got := b.Text("seen-by-all canary-key-value"); got != "seen-by-all ***" {
		t.Error(got)
	}
}
