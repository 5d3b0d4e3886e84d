package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// shortToken is the length below which a bearer token can be guessed.
const shortToken = 16

// Warnings returns what is allowed but probably not meant. A relay with warnings starts.
func (c *Config) Warnings() Problems {
	var all Problems
	warn := func(path, format string, args ...any) {
		all = append(all, c.Problem(path, fmt.Sprintf(format, args...)))
	}
	if !loopback(c.Ingress.Listen) && !c.Ingress.TLS.Enabled() {
		warn("ingress.listen", "is open to other machines without TLS: add ingress.tls unless a proxy does it")
	}
	for i, t := range c.Ingress.Tokens {
		c.warnToken(warn, fmt.Sprintf("ingress.tokens[%d].token", i), t.Token)
	}
	for i, t := range c.Admin.Tokens {
		c.warnToken(warn, fmt.Sprintf("admin.tokens[%d].token", i), t.Token)
	}
	if c.ValidateEvents && !slices.ContainsFunc(c.EventTypes, func(t EventType) bool { return !t.Schema.IsZero() }) {
		warn("validate_events", "checks nothing, because no entry of event_types has a schema")
	}
	for i := range c.Authorizations {
		path := fmt.Sprintf("authorizations[%d]", i)
		c.warnURL(warn, path+".endpoint", c.Authorizations[i].Endpoint)
		c.warnURL(warn, path+".token_url", c.Authorizations[i].TokenURL)
		c.warnPrivate(warn, path+".token_url", c.Authorizations[i].TokenURL, "")
	}
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		path := fmt.Sprintf("webhooks[%d]", i)
		c.warnURL(warn, path+".url", w.URL)
		c.warnPrivate(warn, path+".url", w.URL, w.Tenant)
		if w.TLS.Insecure {
			warn(path+".tls.insecure", "turns the check of the receiver's certificate off: anybody on the way can read and change what is sent; use tls.ca_file instead")
		}
		if w.Signing.Scheme == "none" && len(w.Secret) > 0 {
			warn(path+".secret", "is not used, because signing.scheme is none")
		}
	}
	c.warnAlerts(warn)
	all.Sort()
	return all
}

type warnFunc func(path, format string, args ...any)

func (c *Config) warnToken(warn warnFunc, path string, token Secret) {
	if n := len(token.Reveal()); n < shortToken {
		warn(path, "has only %d characters and can be guessed: use at least %d random ones", n, shortToken)
	}
}

func (c *Config) warnURL(warn warnFunc, path, text string) {
	if u := fixedURL(text); u != nil && u.Scheme == "http" && !loopbackHost(u.Hostname()) {
		warn(path, "is plain http: everybody on the way can read and change what is sent; use https")
	}
}

// warnPrivate tells beforehand what the sender would refuse at every attempt.
func (c *Config) warnPrivate(warn warnFunc, path, text, tenant string) {
	u := fixedURL(text)
	if u == nil {
		return
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		if !loopbackHost(u.Hostname()) {
			return
		}
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	ip = ip.Unmap()
	private := ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified()
	if private && !c.mayReach(ip, tenant) {
		warn(path, "points to the private address %s, which the sender refuses: add %s to sender.allow_private_networks", ip, netip.PrefixFrom(ip, ip.BitLen()))
	}
}

// fixedURL parses text with its expressions blanked; nil when there is no URL.
func fixedURL(text string) *url.URL {
	fixed, _, _ := withoutTemplates(text)
	if strings.TrimSpace(fixed) == "" {
		return nil
	}
	u, err := url.Parse(fixed)
	if err != nil {
		return nil
	}
	return u
}
