package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Proxy is the way out where there is no direct one.
type Proxy struct {
	URL      string   `yaml:"url,omitempty" jsonschema_description:"The proxy, as http://HOST:PORT or https://HOST:PORT. It must know CONNECT. Absent = no proxy; the environment is never looked at."`
	Username string   `yaml:"username,omitempty" jsonschema_description:"For basic authentication with the proxy."`
	Password Secret   `yaml:"password,omitempty" jsonschema_description:"For basic authentication with the proxy."`
	CAFile   Path     `yaml:"ca_file,omitempty" jsonschema_description:"PEM file with the authorities that the certificate of an https proxy may come from. Absent = those of the system."`
	Resolve  string   `yaml:"resolve,omitempty" jsonschema:"enum=relay,enum=proxy" jsonschema_description:"Who finds the address of a name. relay: the relay does, checks it, and tells the proxy the address. proxy: the proxy gets the name, and must itself refuse what may not be reached. Absent = relay."`
	Bypass   []string `yaml:"bypass,omitempty,flow" merge:"whole" jsonschema_description:"Hosts to connect to directly: names, .suffixes, addresses, networks in CIDR notation."`
}

// Enabled says whether there is one.
func (p *Proxy) Enabled() bool { return p.URL != "" }

func (c *Config) checkNetworks() {
	p := &c.Sender.Proxy
	const path = "sender.proxy"
	if p.URL == "" {
		if c.index.has(path) && !c.report.below(path) {
			c.fault(path, "needs url, the proxy's address")
		}
	} else if u, err := url.Parse(p.URL); err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		c.fault(path+".url", "is not the address of a proxy: write http://HOST:PORT or https://HOST:PORT")
	} else {
		switch {
		case u.User != nil:
			c.fault(path+".url", "must not contain a user name or password: use username and password")
		case u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
			c.fault(path+".url", "must be scheme, host and port only")
		}
		if p.CAFile != "" && u.Scheme != "https" {
			c.fault(path+".ca_file", "is for a proxy with https, and this one is plain http: remove it")
		}
	}
	if p.Username == "" && p.Password.Reveal() != "" {
		c.fault(path+".password", "needs a username beside it")
	}
	if strings.Contains(p.Username, ":") {
		c.fault(path+".username", "contains a colon, which HTTP basic authentication cannot carry")
	}
	for i, b := range p.Bypass {
		_, errPrefix := netip.ParsePrefix(b)
		_, errAddr := netip.ParseAddr(b)
		if errPrefix != nil && errAddr != nil && (b == "" || strings.ContainsAny(b, "/:*@ ")) {
			c.fault(fmt.Sprintf("%s.bypass[%d]", path, i), "is no host: write a name, a .suffix, an address, or a network in CIDR notation")
		}
	}
	for i, t := range c.Tenants {
		for j, n := range t.AllowPrivateNetworks {
			if slices.ContainsFunc(onlyForAll, n.Overlaps) {
				c.fault(fmt.Sprintf("tenants[%d].allow_private_networks[%d]", i, j),
					"holds loopback, link-local or unspecified addresses, behind which this machine and its cloud have services of their own: list it in sender.allow_private_networks if it is meant")
			}
		}
	}
}

// onlyForAll are networks that a tenant alone cannot be granted.
var onlyForAll = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("168.63.129.16/32"), netip.MustParsePrefix("::/127"), netip.MustParsePrefix("::ffff:0:0/96"), netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("fd00:ec2::254/128")}

// mayReach says whether the sender may connect to ip for a tenant; "" = for whichever of them has been granted most.
func (c *Config) mayReach(ip netip.Addr, tenant string) bool {
	has := func(p netip.Prefix) bool { return p.Contains(ip) }
	if slices.ContainsFunc(c.Sender.DenyNetworks, has) {
		return false
	}
	return slices.ContainsFunc(c.Sender.AllowPrivateNetworks, has) || slices.ContainsFunc(c.Tenants, func(t Tenant) bool {
		return (tenant == "" || t.ID == tenant) && slices.ContainsFunc(t.AllowPrivateNetworks, has)
	})
}
