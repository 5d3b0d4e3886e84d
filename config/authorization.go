package config

import (
	"fmt"
	"slices"
	"strings"
)

// Authorization is a named set of credentials. Which keys go with which type is in the table below.
type Authorization struct {
	ID           string       `yaml:"-"` // of one that was made through the API; "" = it comes from a file
	Name         string       `yaml:"name" jsonschema:"required" jsonschema_description:"The name that webhooks use."`
	Tenant       string       `yaml:"tenant,omitempty" jsonschema_description:"Only webhooks of this tenant may use the credentials. Absent = those of every tenant."`
	Type         string       `yaml:"type" jsonschema:"required,enum=header,enum=basic,enum=bearer,enum=oauth2,enum=mtls" jsonschema_description:"header, basic, bearer: headers that stay the same. oauth2: an access token that the relay gets by the client credentials grant. mtls: a client certificate."`
	Endpoint     string       `yaml:"endpoint,omitempty" jsonschema_description:"Only webhooks whose URL lies under this one may use the credentials. Absent = any webhook."`
	Headers      []AuthHeader `yaml:"headers,omitempty" jsonschema_description:"For type header: the headers to add."`
	Username     string       `yaml:"username,omitempty" jsonschema_description:"For type basic."`
	Password     Secret       `yaml:"password,omitempty" jsonschema_description:"For type basic."`
	Token        Secret       `yaml:"token,omitempty" jsonschema_description:"For type bearer."`
	TokenURL     string       `yaml:"token_url,omitempty" jsonschema_description:"For type oauth2: where tokens come from. The network guard applies to it as to every webhook."`
	ClientID     string       `yaml:"client_id,omitempty" jsonschema_description:"For type oauth2."`
	ClientSecret Secret       `yaml:"client_secret,omitempty" jsonschema_description:"For type oauth2."`
	Scopes       []string     `yaml:"scopes,omitempty,flow" merge:"whole" jsonschema_description:"For type oauth2: what to ask for. Absent = what the server gives by itself."`
	Params       Headers      `yaml:"params,omitempty" jsonschema_description:"For type oauth2: further parameters of the token request, such as audience, by name."`
	AuthStyle    string       `yaml:"auth_style,omitempty" jsonschema:"enum=header,enum=body" jsonschema_description:"For type oauth2: whether client_id and client_secret go as basic authentication or in the body. Absent = header."`
	CertFile     Path         `yaml:"cert_file,omitempty" jsonschema_description:"For type mtls: PEM file with the client certificate and its chain. Read again when it changes."`
	KeyFile      Path         `yaml:"key_file,omitempty" jsonschema_description:"For type mtls: PEM file with the certificate's private key."`
	CAFile       Path         `yaml:"ca_file,omitempty" jsonschema_description:"For type mtls: PEM file with the authorities that the receiver's certificate may come from. Absent = those of the system."`
}

// AuthHeader is a header of an authorization.
type AuthHeader struct {
	Name       string `yaml:"name" jsonschema:"required" jsonschema_description:"Name of the header."`
	Value      Secret `yaml:"value" jsonschema:"required" jsonschema_description:"Value of the header."`
	Visibility string `yaml:"visibility" jsonschema:"enum=secret,enum=public" jsonschema_description:"public: the value may be shown to operators."`
}

// credentials lists the keys of each type of authorization: those that must be given, and those that may. No other is allowed.
var credentials = []struct {
	kind           string
	needs, accepts []string
}{
	{"header", []string{"headers"}, nil},
	{"basic", []string{"username", "password"}, nil},
	{"bearer", []string{"token"}, nil},
	{"oauth2", []string{"token_url", "client_id", "client_secret"}, []string{"scopes", "params", "auth_style"}},
	{"mtls", []string{"cert_file", "key_file"}, []string{"ca_file"}},
}

func (c *Config) checkAuthorizations() {
	shared := unique{config: c, what: "name"} // by every tenant
	for i := range c.Authorizations {
		if a := &c.Authorizations[i]; a.Tenant == "" {
			shared.add(fmt.Sprintf("authorizations[%d].name", i), a.Name)
		}
	}
	own := map[string]*unique{}
	for i := range c.Authorizations {
		a := &c.Authorizations[i]
		path := fmt.Sprintf("authorizations[%d]", i)
		switch {
		case a.Tenant == "":
		case shared.first[a.Name] != "":
			shared.add(path+".name", a.Name)
		default:
			if own[a.Tenant] == nil {
				own[a.Tenant] = &unique{config: c, what: "name"}
			}
			own[a.Tenant].add(path+".name", a.Name)
		}
		c.checkAuthorization(path, a)
	}
}

func (c *Config) checkAuthorization(path string, a *Authorization) {
	c.checkName(path+".name", a.Name)
	c.checkTenantID(path+".tenant", a.Tenant)
	if a.Endpoint != "" {
		c.checkURL(path+".endpoint", a.Endpoint, false)
	}
	c.checkCredentials(path, a)
	c.checkTokenRequest(path, a)
}

// FindAuthorization returns the index of the authorization that a webhook of this tenant means by name, or -1.
func (c *Config) FindAuthorization(tenant, name string) int {
	return slices.IndexFunc(c.Authorizations, func(a Authorization) bool { return a.Name == name && (a.Tenant == "" || a.Tenant == tenant) })
}

func (c *Config) checkCredentials(path string, a *Authorization) {
	empty := map[string]bool{"headers": len(a.Headers) == 0, "username": a.Username == "", "password": a.Password == "", "token": a.Token == "",
		"token_url": a.TokenURL == "", "client_id": a.ClientID == "", "client_secret": a.ClientSecret == "", "cert_file": a.CertFile == "", "key_file": a.KeyFile == ""}
	for _, kind := range credentials {
		for _, key := range slices.Concat(kind.needs, kind.accepts) {
			needed := slices.Contains(kind.needs, key)
			switch at := path + "." + key; {
			case kind.kind == a.Type && needed && !c.index.has(at):
				c.fault(at, "is missing: an authorization of type %s needs %s", a.Type, enumerate(kind.needs))
			case kind.kind == a.Type && needed && empty[key]:
				c.fault(at, "is empty")
			case kind.kind != a.Type && c.index.has(at) && a.Type != "":
				c.fault(at, "belongs to type %s, but the type is %s: remove it", kind.kind, clip(a.Type))
			}
		}
	}
	if !validHeaderValue(a.Username) || strings.Contains(a.Username, ":") {
		c.fault(path+".username", "contains a colon or a line break, which HTTP basic authentication cannot carry")
	}
	seen := unique{config: c, what: "header", fold: true}
	for i, h := range a.Headers {
		at := fmt.Sprintf("%s.headers[%d].name", path, i)
		c.checkHeaderName(at, h.Name, nil)
		seen.add(at, h.Name)
	}
}

// enumerate writes "a", "a and b" or "a, b and c".
func enumerate(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// tokenParams are the parameters of a token request that have keys of their own.
var tokenParams = map[string]string{"grant_type": "", "scope": "scopes", "client_id": "client_id", "client_secret": "client_secret"}

func (c *Config) checkTokenRequest(path string, a *Authorization) {
	if a.TokenURL != "" {
		c.checkURL(path+".token_url", a.TokenURL, false)
	}
	for i, scope := range a.Scopes {
		if scope == "" || strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			c.fault(fmt.Sprintf("%s.scopes[%d]", path, i), "is not a scope: write each scope as an entry of the list")
		}
	}
	for _, p := range a.Params {
		switch key, reserved := tokenParams[p.Name]; {
		case reserved && key == "":
			c.fault(join(path+".params", p.Name), "is set by the relay itself")
		case reserved:
			c.fault(join(path+".params", p.Name), "has a key of its own: use %s", key)
		}
	}
}

// sets lists the headers that the credentials are sent in.
func (a *Authorization) sets() []string {
	switch a.Type {
	case "header":
		var names []string
		for _, h := range a.Headers {
			names = append(names, h.Name)
		}
		return names
	case "mtls":
		return nil
	}
	return []string{"Authorization"}
}
