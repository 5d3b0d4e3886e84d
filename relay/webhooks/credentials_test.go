package webhooks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestOAuth2ShowsNoSecret(t *testing.T) {
	a, err := OAuth2Auth("a", "", OAuth2{TokenURL: "https://id.example/token?key=CANARY", ClientID: "c", ClientSecret: "CANARY", Params: []Param{{"p", "CANARY"}}})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "auth", a.OAuth2)
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprint(a.OAuth2), fmt.Sprintf("%+v %#v", a.OAuth2, a.OAuth2), log.String(), string(text)} {
		if strings.Contains(shown, "CANARY") || !strings.Contains(shown, "id.example") {
			t.Errorf("shown: %s", shown)
		}
	}
}

func TestOAuth2Mistakes(t *testing.T) {
	for name, o := range map[string]OAuth2{
		"no URL":        {ClientID: "c", ClientSecret: "CANARY"},
		"not a URL":     {TokenURL: "https://CANARY\x7f", ClientID: "c", ClientSecret: "s"},
		"another kind":  {TokenURL: "ftp://id.example/", ClientID: "c", ClientSecret: "s"},
		"with password": {TokenURL: "https://u:CANARY@id.example/", ClientID: "c", ClientSecret: "s"},
		"fragment":      {TokenURL: "https://id.example/#CANARY", ClientID: "c", ClientSecret: "s"},
		"no id":         {TokenURL: "https://id.example/", ClientSecret: "CANARY"},
		"no secret":     {TokenURL: "https://id.example/", ClientID: "c"},
	} {
		if _, err := OAuth2Auth("a", "", o); err == nil || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := OAuth2Auth("a", "nowhere", OAuth2{TokenURL: "https://id.example/", ClientID: "c", ClientSecret: "s"}); err == nil {
		t.Error("an endpoint that is not a URL")
	}
	if _, err := CertificateAuth("a", "", Certificate{CertFile: "c"}); err == nil {
		t.Error("a certificate without its key")
	}
}
