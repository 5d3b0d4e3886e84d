package webhooks

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
)

// OAuth2 is how to get an access token by the client credentials grant (RFC 6749, 4.4). Printed or logged, it shows no secret.
type OAuth2 struct {
	TokenURL     string
	ClientID     string
	ClientSecret string
	Scopes       []string
	Params       []Param // further parameters of the token request
	InBody       bool    // id and secret go in the body, not as basic authentication
}

// Param is a parameter of a token request.
type Param struct{ Name, Value string }

// String says where the token comes from, and nothing else.
func (o *OAuth2) String() string {
	u, err := url.Parse(o.TokenURL)
	if err != nil {
		return "oauth2"
	}
	return "oauth2 by " + u.Host
}

// GoString is String, so that %#v is safe too.
func (o *OAuth2) GoString() string { return o.String() }

// LogValue is String, for slog.
func (o *OAuth2) LogValue() slog.Value { return slog.StringValue(o.String()) }

// MarshalText is String, so that an encoder that was not meant for secrets shows none.
func (o *OAuth2) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// OAuth2Auth makes credentials that are fetched when they are needed. The endpoint bounds where the tokens go; id and secret go to the token
// URL only.
func OAuth2Auth(name, endpoint string, o OAuth2) (*Authorization, error) {
	u, err := url.Parse(o.TokenURL)
	switch {
	case err != nil: // the parser's own words would repeat the URL
		err = errors.New("token_url is not a URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "":
		err = errors.New("token_url must be a http or https URL without user name and fragment")
	case o.ClientID == "" || o.ClientSecret == "":
		err = errors.New("client_id or client_secret is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("authorization %q: %w", name, err)
	}
	return newAuthorization(Authorization{Name: name, Endpoint: endpoint, OAuth2: &o})
}

// Form is the body of the token request.
func (o *OAuth2) Form() string {
	form := url.Values{"grant_type": {"client_credentials"}}
	for _, p := range o.Params {
		form.Add(p.Name, p.Value)
	}
	if len(o.Scopes) > 0 {
		form.Set("scope", strings.Join(o.Scopes, " "))
	}
	if o.InBody {
		form.Set("client_id", o.ClientID)
		form.Set("client_secret", o.ClientSecret)
	}
	return form.Encode()
}

// Certificate is what the relay proves itself with on TLS connections. The files are read when they are needed.
type Certificate struct {
	CertFile, KeyFile string
	CAFile            string // the authorities that the receiver's certificate may come from; "" = those of the system
}

// CertificateAuth makes credentials that are a client certificate.
func CertificateAuth(name, endpoint string, c Certificate) (*Authorization, error) {
	if c.CertFile == "" || c.KeyFile == "" {
		return nil, fmt.Errorf("authorization %q: a client certificate needs cert_file and key_file", name)
	}
	return newAuthorization(Authorization{Name: name, Endpoint: endpoint, Certificate: &c})
}
