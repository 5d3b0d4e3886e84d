package webhooks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestAuthorizations(t *testing.T) {
	basic, err := BasicAuth("erp", "", "Aladdin", "open sesame") // the example of RFC 7617
	if err != nil {
		t.Fatal(err)
	}
	if h := basic.Headers[0]; h.Name != "Authorization" || h.Value != "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==" || !h.Secret {
		t.Errorf("basic: %s %s", h.Name, h.Value)
	}
	bearer, err := BearerAuth("crm", "https://crm.example", "mF_9.B5f-4.1JqM")
	if err != nil {
		t.Fatal(err)
	}
	if h := bearer.Headers[0]; h.Name != "Authorization" || h.Value != "Bearer mF_9.B5f-4.1JqM" || !h.Secret {
		t.Errorf("bearer: %s %s", h.Name, h.Value)
	}
}

func TestAuthorizationRefuses(t *testing.T) {
	header := func(name, value string) func() error {
		return func() error { _, err := HeaderAuth("a", "", AuthHeader{Name: name, Value: value}); return err }
	}
	endpoint := func(e string) func() error {
		return func() error { _, err := BearerAuth("a", e, "canary"); return err }
	}
	cases := map[string]func() error{
		"no headers":              func() error { _, err := HeaderAuth("a", ""); return err },
		"empty name":              header("", "v"),
		"space in the name":       header("X Key", "v"),
		"line break in the name":  header("X\r\nKey", "v"),
		"host":                    header("hOsT", "v"),
		"content length":          header("Content-Length", "0"),
		"the relay's signature":   header("Webhook-Signature", "v1,x"),
		"the relay's test mark":   header("webhook-test", "true"),
		"a proxy's credentials":   header("Proxy-Authorization", "Basic canary"),
		"empty value":             header("X-Key", ""),
		"line break in the value": header("X-Key", "canary\r\nX-Other: 1"),
		"NUL in the value":        header("X-Key", "canary\x00"),
		"colon in the user name":  func() error { _, err := BasicAuth("a", "", "u:canary", "canary"); return err },
		"line break in a password": func() error {
			_, err := BasicAuth("a", "", "u", "canary\n")
			return err
		},
		"empty token":           func() error { _, err := BearerAuth("a", "", ""); return err },
		"space in the token":    func() error { _, err := BearerAuth("a", "", "canary canary"); return err },
		"relative endpoint":     endpoint("crm.example"),
		"endpoint of ftp":       endpoint("ftp://crm.example"),
		"endpoint, no host":     endpoint("https:///path"),
		"endpoint with user":    endpoint("https://u:canary@crm.example"),
		"endpoint with query":   endpoint("https://crm.example/?canary"),
		"endpoint with a part":  endpoint("https://crm.example/#canary"),
		"endpoint with dots":    endpoint("https://crm.example/a/../b"),
		"endpoint not parsable": endpoint("https://u:canary@[::1"),
	}
	for name, f := range cases {
		t.Run(name, func(t *testing.T) {
			err := f()
			if err == nil {
				t.Fatal("accepted")
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

func TestAllows(t *testing.T) {
	cases := []struct {
		endpoint, url string
		want          bool
	}{
		{"", "https://anything.example/x", true},
		{"https://crm.example", "https://crm.example", true},
		{"https://crm.example", "https://crm.example/", true},
		{"https://crm.example", "https://crm.example/a/b?c=d", true},
		{"https://crm.example/", "https://crm.example/a", true},
		{"https://crm.example", "https://CRM.example:443/a", true},
		{"https://crm.example:443", "https://crm.example/a", true},
		{"http://crm.example", "http://crm.example:80/a", true},
		{"https://crm.example", "http://crm.example/a", false},
		{"https://crm.example", "https://crm.example:8443/a", false},
		{"https://crm.example", "https://crm.example.evil.example/a", false},
		{"https://crm.example", "https://evil.example/https://crm.example", false},
		{"https://crm.example", "https://crm.example@evil.example/", false},
		{"https://crm.example", "https://user@crm.example/", false},
		{"https://crm.example", "https://sub.crm.example/", false},
		{"https://crm.example", "//crm.example/", false},
		{"https://crm.example", "https://crm.example\\@evil.example/", false},
		{"https://crm.example", ":", false},
		{"https://crm.example/api", "https://crm.example/api", true},
		{"https://crm.example/api", "https://crm.example/api/v1?x=1", true},
		{"https://crm.example/api/", "https://crm.example/api/v1", true},
		{"https://crm.example/api/", "https://crm.example/api", true},
		{"https://crm.example/api", "https://crm.example/apis", false},
		{"https://crm.example/api", "https://crm.example/", false},
		{"https://crm.example/api", "https://crm.example/API", false},
		{"https://crm.example/api", "https://crm.example/api/../admin", false},
		{"https://crm.example/api", "https://crm.example/api/%2e%2e/admin", false},
		{"https://crm.example/api", "https://crm.example/api/..%2fadmin", false},
		{"https://crm.example/api", "https://crm.example/api/%252e%252e/admin", false},
		{"https://crm.example/api", "https://crm.example/api/..%5cadmin", false},
		{"https://crm.example/api", "https://crm.example/api/..;/admin", false},
		{"https://crm.example/api", "https://crm.example/api%2fadmin", false},
		{"https://[::1]:9000", "https://[::1]:9000/x", true},
	}
	for _, c := range cases {
		a, err := HeaderAuth("a", c.endpoint, AuthHeader{Name: "X-Key", Value: "v"})
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Allows(c.url); got != c.want {
			t.Errorf("endpoint %q, url %q: %v, want %v", c.endpoint, c.url, got, c.want)
		}
	}
	if (&Authorization{Endpoint: "https://crm.example"}).Allows("https://crm.example/") {
		t.Error("an authorization that no constructor has checked allows something")
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	a, err := BearerAuth("crm", "https://crm.example", "canary")
	if err != nil {
		t.Fatal(err)
	}
	a.Headers = append(a.Headers, AuthHeader{Name: "X-Env", Value: "prod"})
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "header", a.Headers[0], "authorization", a, "headers", a.Headers)
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]string{"%v": fmt.Sprintf("%v %v", a, *a), "%+v": fmt.Sprintf("%+v", *a), "%#v": fmt.Sprintf("%#v", *a),
		"slog": log.String(), "json": string(text)} {
		if strings.Contains(s, "canary") || !strings.Contains(s, "prod") {
			t.Errorf("%s: %s", name, s)
		}
	}
}
