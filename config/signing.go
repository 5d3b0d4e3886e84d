package config

import (
	"slices"
	"strings"
)

// Signing says how requests are signed. Which keys go with which scheme is in the table below.
type Signing struct {
	Scheme          string   `yaml:"scheme" jsonschema:"enum=standard,enum=standard-ed25519,enum=github,enum=stripe,enum=shopify,enum=hmac,enum=rfc9421,enum=none" jsonschema_description:"standard and standard-ed25519: the headers of Standard Webhooks. github, stripe, shopify: the header of that service. hmac: a header as configured here. rfc9421: HTTP Message Signatures with Content-Digest."`
	Header          string   `yaml:"header,omitempty" jsonschema_description:"For scheme hmac, where it is required: name of the signature's header."`
	Prefix          string   `yaml:"prefix,omitempty" jsonschema_description:"For scheme hmac: what stands before the signature in its header."`
	Hash            string   `yaml:"hash,omitempty" jsonschema:"enum=sha256,enum=sha512" jsonschema_description:"For scheme hmac. Absent = sha256."`
	Encoding        string   `yaml:"encoding,omitempty" jsonschema:"enum=hex,enum=base64" jsonschema_description:"For scheme hmac. Absent = hex."`
	Content         string   `yaml:"content,omitempty" jsonschema_description:"For scheme hmac: what is signed, a text with {body} and, if wanted, {id} and {timestamp}. Absent = the body."`
	TimestampHeader string   `yaml:"timestamp_header,omitempty" jsonschema_description:"For scheme hmac: a header for the attempt's time in Unix seconds, besides webhook-timestamp."`
	Algorithm       string   `yaml:"algorithm,omitempty" jsonschema:"enum=hmac-sha256,enum=ed25519" jsonschema_description:"For scheme rfc9421. Absent = hmac-sha256."`
	KeyIDs          []string `yaml:"key_ids,omitempty,flow" merge:"whole" jsonschema_description:"For scheme rfc9421: the keyid of each secret, in their order. Absent = derived from the keys."`
}

// signingKeys says which scheme each key belongs to; scheme itself belongs to all.
var signingKeys = []struct{ scheme, key string }{
	{"hmac", "header"}, {"hmac", "prefix"}, {"hmac", "hash"}, {"hmac", "encoding"}, {"hmac", "content"}, {"hmac", "timestamp_header"},
	{"rfc9421", "algorithm"}, {"rfc9421", "key_ids"},
}

// checkSigning reports keys of another scheme, and headers that are not free. What a scheme makes of its keys is checked when the webhook
// is compiled.
func (c *Config) checkSigning(path string, s *Signing) {
	for _, k := range signingKeys {
		if at := path + "." + k.key; k.scheme != s.Scheme && c.index.has(at) {
			c.fault(at, "belongs to scheme %s, but the scheme is %s: remove it", k.scheme, clip(s.Scheme))
		}
	}
	if s.Scheme == "hmac" {
		c.checkHeaderName(path+".header", s.Header, nil)
		c.checkHeaderName(path+".timestamp_header", s.TimestampHeader, nil)
	}
}

// headers lists the headers that the scheme sets, besides those that are always reserved.
func (s *Signing) headers() []string {
	switch s.Scheme {
	case "github":
		return []string{"X-Hub-Signature-256"}
	case "stripe":
		return []string{"Stripe-Signature"}
	case "shopify":
		return []string{"X-Shopify-Hmac-SHA256"}
	case "rfc9421":
		return []string{"Content-Digest", "Signature-Input", "Signature"}
	case "hmac":
		return slices.DeleteFunc([]string{s.Header, s.TimestampHeader}, func(name string) bool { return name == "" })
	}
	return nil
}

// checkSigningAndAuthorization wants no header to be set by both.
func (c *Config) checkSigningAndAuthorization(path string, s *Signing, authorization string, sets []string) {
	for _, name := range s.headers() {
		if slices.ContainsFunc(sets, func(set string) bool { return strings.EqualFold(set, name) }) {
			c.fault(path, "header %s is set by authorization %q too, but scheme %s needs it for the signature", name, clip(authorization), s.Scheme)
		}
	}
}
