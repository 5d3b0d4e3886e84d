package relay

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"reflect"

	"edgerelay/config"
	"edgerelay/relay/guard"
)

// reach is what the network guard is made of.
type reach struct {
	allow, deny []netip.Prefix
	proxy       config.Proxy
	proxyCA     stamp
	tenants     map[string][]netip.Prefix
}

func reachOf(c *config.Config) reach {
	r := reach{allow: c.Sender.AllowPrivateNetworks, deny: c.Sender.DenyNetworks, proxy: c.Sender.Proxy, proxyCA: stampOf(string(c.Sender.Proxy.CAFile)), tenants: map[string][]netip.Prefix{}}
	for _, t := range c.Tenants {
		if len(t.AllowPrivateNetworks) > 0 {
			r.tenants[t.ID] = t.AllowPrivateNetworks
		}
	}
	return r
}

// networks makes the guards of the configuration, or returns those that are in force if nothing about them has changed: every connection that
// is open was made with them.
func (b *builder) networks() {
	r := reachOf(b.cfg)
	var inForce *guard.Networks
	if b.old != nil {
		if inForce = b.old.networks; reflect.DeepEqual(r, b.old.reach) {
			b.out.reach, b.out.networks = r, inForce
			return
		}
	}
	o := guard.Options{Allow: r.allow, Deny: r.deny}
	if r.proxy.Enabled() {
		var err error
		if o.Proxy, err = proxyOf(&r.proxy); err != nil {
			b.problem("sender.proxy.ca_file", err)
		}
	}
	b.out.reach, b.out.networks = r, guard.NewNetworks(o, r.tenants, inForce)
}

func proxyOf(p *config.Proxy) (*guard.Proxy, error) {
	u, err := url.Parse(p.URL)
	if err != nil {
		return nil, err
	}
	o := guard.ProxyOptions{URL: u, Username: p.Username, Password: p.Password.Reveal(), ResolveThere: p.Resolve == "proxy", Bypass: p.Bypass}
	if p.CAFile != "" {
		text, err := os.ReadFile(string(p.CAFile))
		if err != nil {
			return nil, fmt.Errorf("read authorities: %w", err)
		}
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
		if !o.TLS.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read authorities %q: the file holds no certificate in PEM form", string(p.CAFile))
		}
	}
	return guard.NewProxy(o), nil
}
