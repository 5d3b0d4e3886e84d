package webhooks

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
)

// Authorization is a reusable, named set of credentials: headers, or a way to get an access token, or a client certificate. Make it with
// HeaderAuth, BasicAuth, BearerAuth, OAuth2Auth or CertificateAuth.
type Authorization struct {
	Name        string
	Endpoint    string // the credentials are for URLs below it only; "" = for every URL of the webhooks that name it
	Headers     []AuthHeader
	OAuth2      *OAuth2
	Certificate *Certificate

	endpoint *url.URL
}

// AuthHeader is one header of an Authorization. Printed or logged, it shows no value unless that is not secret.
type AuthHeader struct {
	Name   string
	Value  string
	Secret bool
}

// String shows the header without its secret.
func (h AuthHeader) String() string {
	if h.Secret {
		return h.Name + ": <secret>"
	}
	return h.Name + ": " + h.Value
}

// GoString is String, so that %#v is safe too.
func (h AuthHeader) GoString() string { return h.String() }

// LogValue is String, for slog.
func (h AuthHeader) LogValue() slog.Value { return slog.StringValue(h.String()) }

// MarshalText is String, so that an encoder that was not meant for secrets shows none.
func (h AuthHeader) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// HeaderAuth makes credentials that are headers as they are.
func HeaderAuth(name, endpoint string, headers ...AuthHeader) (*Authorization, error) {
	if len(headers) == 0 {
		return nil, fmt.Errorf("authorization %q has no headers", name)
	}
	for _, h := range headers {
		if err := CheckHeaderName(h.Name); err != nil {
			return nil, fmt.Errorf("authorization %q: %w", name, err)
		}
		if h.Value == "" || !validHeaderValue(h.Value) {
			return nil, fmt.Errorf("authorization %q: the value of header %q is empty or has control characters", name, h.Name)
		}
	}
	return newAuthorization(Authorization{Name: name, Endpoint: endpoint, Headers: headers})
}

func newAuthorization(a Authorization) (*Authorization, error) {
	if a.Endpoint == "" {
		return &a, nil
	}
	var err error
	if a.endpoint, err = parseEndpoint(a.Endpoint); err != nil {
		return nil, fmt.Errorf("authorization %q: endpoint: %w", a.Name, err)
	}
	return &a, nil
}

// BasicAuth makes credentials of RFC 7617.
func BasicAuth(name, endpoint, username, password string) (*Authorization, error) {
	if strings.Contains(username, ":") {
		return nil, fmt.Errorf("authorization %q: a user name cannot contain a colon", name)
	}
	if !validHeaderValue(username) || !validHeaderValue(password) {
		return nil, fmt.Errorf("authorization %q: user name or password has control characters", name)
	}
	v := "Basic " + base64.StdEncoding.EncodeToString([]byte(username+":"+password))
	return HeaderAuth(name, endpoint, AuthHeader{Name: "Authorization", Value: v, Secret: true})
}

// BearerAuth makes credentials of RFC 6750.
func BearerAuth(name, endpoint, token string) (*Authorization, error) {
	if token == "" || strings.ContainsAny(token, " \t") {
		return nil, fmt.Errorf("authorization %q: the token is empty or has white space in it", name)
	}
	return HeaderAuth(name, endpoint, AuthHeader{Name: "Authorization", Value: "Bearer " + token, Secret: true})
}

func validHeaderValue(v string) bool {
	for i := range len(v) {
		if c := v[i]; (c < 0x20 && c != '\t') || c == 0x7f {
			return false
		}
	}
	return true
}

func parseEndpoint(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("not a URL") // the parser's own words would repeat it, with a password in it perhaps
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("must begin with https:// or http://")
	case u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("must be scheme, host, port and path only")
	case hasDots(u.Path):
		return nil, errors.New("must have a plain path: no . or .. as a part of it, no backslash, no encoded %")
	}
	return u, nil
}

// Allows reports whether the credentials may be sent to rawURL: scheme, host and port are those of the endpoint, and the path lies below its
// path. Where a server could read the path differently (dots, backslashes, escaped slashes), the answer is no.
func (a *Authorization) Allows(rawURL string) bool {
	if a.Endpoint == "" {
		return true
	}
	u, err := url.Parse(rawURL)
	if err != nil || a.endpoint == nil || u.User != nil {
		return false
	}
	e := a.endpoint
	if u.Scheme != e.Scheme || !strings.EqualFold(u.Hostname(), e.Hostname()) || port(u) != port(e) {
		return false
	}
	below := strings.TrimSuffix(e.Path, "/")
	if below == "" {
		return true
	}
	if hasDots(u.Path) || strings.Contains(strings.ToLower(u.EscapedPath()), "%2f") {
		return false
	}
	rest, ok := strings.CutPrefix(u.Path, below)
	return ok && (rest == "" || rest[0] == '/')
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

// hasDots reports whether a decoded path has a part that some server might resolve to another directory.
func hasDots(path string) bool {
	if strings.ContainsAny(path, "\\%") { // a % that is left after decoding was encoded twice
		return true
	}
	for part := range strings.SplitSeq(path, "/") {
		if name, _, _ := strings.Cut(part, ";"); name == "." || name == ".." {
			return true
		}
	}
	return false
}
