package config

import (
	"regexp"
	"testing"
)

func TestWarnings(t *testing.T) {
	c := mustParse(t, `

ingress: { listen: "0.0.0.0:8080", tokens: [{ name: a, token: short }] }
admin: { tokens: [{ name: a, token: "123", tenants: ["*"] }] }
sender: { allow_private_networks: [192.168.7.0/24] }
authorizations: [{ name: a, type: bearer, token: t, endpoint: "http://a.example/" }, { name: o, type: oauth2, token_url: "http://10.1.1.1/", client_id: a, client_secret: b }]
webhooks:
  - { name: a, events: [x], url: "http://a.example/" }
  - { name: b, events: [x], url: "http://localhost:9000/" }
  - { name: c, events: [x], url: "https://192.168.8.1/" }
  - { name: d, events: [x], url: "https://192.168.7.1/{{ id }}" }
  - { name: e, events: [x], url: "https://a.example/", secret: s, signing: { scheme: none } }
  - { name: f, events: [x], url: "https://a.example/", tls: { insecure: true } }
`)
	want := `test.yaml:3:20: ingress.listen: is open to other machines without TLS: add ingress.tls unless a proxy does it
test.yaml:3:63: ingress.tokens[0].token: has only 5 characters and can be guessed: use at least 16 random ones
test.yaml:4:37: admin.tokens[0].token: has only 3 characters and can be guessed: use at least 16 random ones
test.yaml:6:63: authorizations[0].endpoint: is plain http: everybody on the way can read and change what is sent; use https
test.yaml:6:122: authorizations[1].token_url: is plain http: everybody on the way can read and change what is sent; use https
test.yaml:6:122: authorizations[1].token_url: points to the private address 10.1.1.1, which the sender refuses: add 10.1.1.1/32 to sender.allow_private_networks
test.yaml:8:34: webhooks[0].url: is plain http: everybody on the way can read and change what is sent; use https
test.yaml:9:34: webhooks[1].url: points to the private address 127.0.0.1, which the sender refuses: add 127.0.0.1/32 to sender.allow_private_networks
test.yaml:10:34: webhooks[2].url: points to the private address 192.168.8.1, which the sender refuses: add 192.168.8.1/32 to sender.allow_private_networks
test.yaml:12:64: webhooks[4].secret: is not used, because signing.scheme is none
test.yaml:13:73: webhooks[5].tls.insecure: turns the check of the receiver's certificate off: anybody on the way can read and change what is sent; use tls.ca_file instead`
	if got := c.Warnings().Error(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if got := Default().Warnings(); len(got) != 0 {
		t.Errorf("the defaults have warnings: %v", got)
	}
}

func TestStarter(t *testing.T) {
	c := mustParse(t, string(Starter()))
	if warnings := c.Warnings(); len(warnings) != 0 {
		t.Errorf("warnings: %v", warnings)
	}
	// Everything that is commented out must be right too: "# " goes away before keys and list items, prose stays a comment.
	all := regexp.MustCompile(`(?m)^( *)# ( *(?:- |[a-z_]+:(?: |$)).*)$`).ReplaceAllString(string(Starter()), "$1$2")
	for _, name := range []string{"SHOP_TOKEN", "ADMIN_TOKEN", "CRM_KEY", "FIRST_SECRET"} {
		t.Setenv(name, "value-of-"+name)
	}
	full, err := Parse("starter.yaml", []byte(all))
	if err != nil || len(full.Webhooks) != 2 || len(full.Authorizations) != 1 || len(full.Ingress.Tokens) != 1 || !full.Admin.TLS.Enabled() {
		t.Errorf("everything switched on: %v\n%s", err, all)
	}
}

func TestTemplatesInURLs(t *testing.T) {
	for text, want := range map[string]string{
		"https://a.example/": "https://a.example/", "a{{ b }}c": "axc", "{{a}}{{b}}": "xx", `/{{ "}}" + '\'}}' }}/`: "/x/",
		"/{{ `\\` }}/": "/x/", "/{{ {a: {b: 1}}.a.b }}/": "/x/", "}}": "}}", `{{ "{{" }}`: "x",
	} {
		if got, _, ok := withoutTemplates(text); !ok || got != want {
			t.Errorf("%s: %q, %v; want %q", text, got, ok, want)
		}
	}
	for _, text := range []string{"{{", "{{ a }", "{{ a }} {{", `{{ "}}`, `{{ "\`} {
		if got, _, ok := withoutTemplates(text); ok {
			t.Errorf("%s is taken for closed: %q", text, got)
		}
	}
}
