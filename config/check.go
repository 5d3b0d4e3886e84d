package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// check reports everything that the decoder cannot see at a single value. It looks at a tree in which parts may be missing because
// of mistakes that are reported already: what is empty is not checked again.
func (c *Config) check() {
	c.checkListeners()
	c.checkAlerts()
	c.checkTracing()
	c.checkHistory()
	c.checkTenants()
	c.checkTokens()
	c.checkEventTypes()
	c.checkAuthorizations()
	c.checkNetworks()
	for i := range c.Webhooks {
		c.checkWebhook(fmt.Sprintf("webhooks[%d]", i), &c.Webhooks[i])
	}
	c.checkWebhookNames()
	if c.DataDir == "" {
		c.fault("data_dir", "is empty")
	}
	if !validHeaderValue(c.Sender.UserAgent) {
		c.fault("sender.user_agent", "contains a line break: a header value is one line")
	}
}

func (c *Config) checkListeners() {
	ingress := c.checkListen("ingress.listen", c.Ingress.Listen)
	admin := c.checkListen("admin.listen", c.Admin.Listen)
	c.checkTLS("ingress.tls", c.Ingress.TLS)
	c.checkTLS("admin.tls", c.Admin.TLS)
	if ingress && !loopback(c.Ingress.Listen) && len(c.Ingress.Tokens) == 0 {
		c.fault("ingress.listen", "is open to other machines without a token: add ingress.tokens, or listen on 127.0.0.1")
	}
	if admin && !loopback(c.Admin.Listen) && !(c.Admin.TLS.Enabled() && len(c.Admin.Tokens) > 0) {
		c.fault("admin.listen", "is open to other machines: add admin.tls and admin.tokens, or listen on 127.0.0.1")
	}
	if ingress && admin && c.Ingress.Listen == c.Admin.Listen && !strings.HasSuffix(c.Admin.Listen, ":0") {
		path, other := "admin.listen", "ingress.listen"
		if !c.index.has(path) {
			path, other = other, path
		}
		c.fault(path, "is the address of %s too: give each its own port", other)
	}
}

// checkListen says whether address can be listened on.
func (c *Config) checkListen(path, address string) bool {
	host, port, err := net.SplitHostPort(address)
	if n, convErr := strconv.Atoi(port); err != nil || convErr != nil || n < 0 || n > 65535 || strings.ContainsAny(host, " /") {
		c.fault(path, "is not an address: write host:port, such as 127.0.0.1:8080")
		return false
	}
	return true
}

// loopback says whether only this machine can reach address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && loopbackHost(host)
}

func loopbackHost(host string) bool {
	if strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func (c *Config) checkTLS(path string, t TLS) {
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		c.fault(path+".key_file", "is missing: a certificate needs its key")
	case t.CertFile == "" && t.KeyFile != "":
		c.fault(path+".cert_file", "is missing: a key needs its certificate")
	}
}

func (c *Config) checkTenants() {
	tenants := unique{config: c, what: "tenant"}
	for i, t := range c.Tenants {
		path := fmt.Sprintf("tenants[%d]", i)
		c.checkID(path+".id", t.ID)
		tenants.add(path+".id", t.ID)
		programs := unique{config: c, what: "program"}
		for j, p := range t.Programs {
			at := fmt.Sprintf("%s.programs[%d].id", path, j)
			c.checkID(at, p.ID)
			programs.add(at, p.ID)
		}
	}
}

func (c *Config) checkTokens() {
	producers := unique{config: c, what: "name"}
	values := unique{config: c, what: "token", hidden: true}
	for i, t := range c.Ingress.Tokens {
		path := fmt.Sprintf("ingress.tokens[%d]", i)
		c.checkName(path+".name", t.Name)
		producers.add(path+".name", t.Name)
		values.add(path+".token", t.Token.Reveal())
		c.checkTenant(path, t.Tenant, t.Program)
	}
	operators := unique{config: c, what: "name"}
	for i, t := range c.Admin.Tokens {
		path := fmt.Sprintf("admin.tokens[%d]", i)
		c.checkName(path+".name", t.Name)
		operators.add(path+".name", t.Name)
		values.add(path+".token", t.Token.Reveal())
		if len(t.Tenants) == 0 {
			c.fault(path+".tenants", `is empty: list tenant ids, or "*" for all of them`)
		}
		for j, id := range t.Tenants {
			if id != "*" {
				c.checkTenantID(fmt.Sprintf("%s.tenants[%d]", path, j), id)
			}
		}
	}
}

// checkTenant checks the keys tenant and program of whatever is at path.
func (c *Config) checkTenant(path, tenant, program string) {
	c.checkTenantID(path+".tenant", tenant)
	if program == "" {
		return
	}
	c.checkID(path+".program", program)
	if tenant == "" {
		if tenant = c.defaultTenant; tenant == "" {
			c.fault(path+".tenant", "is missing: a program belongs to a tenant, and several tenants are declared")
			return
		}
	}
	for _, t := range c.Tenants {
		if t.ID != tenant || len(t.Programs) == 0 {
			continue
		}
		var known []string
		for _, p := range t.Programs {
			known = append(known, p.ID)
		}
		c.checkKnown(path+".program", fmt.Sprintf("program of tenant %s", tenant), program, known)
	}
}

func (c *Config) checkTenantID(path, id string) {
	if id == "" {
		return
	}
	c.checkID(path, id)
	if len(c.Tenants) == 0 {
		return
	}
	var known []string
	for _, t := range c.Tenants {
		known = append(known, t.ID)
	}
	c.checkKnown(path, "tenant", id, known)
}

// checkKnown reports a reference to something that is not declared.
func (c *Config) checkKnown(path, what, name string, known []string) {
	for _, k := range known {
		if k == name {
			return
		}
	}
	c.fault(path, "unknown %s %q%s", what, clip(name), suggest(name, known))
}
