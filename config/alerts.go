package config

import (
	"fmt"
	"net/mail"
	"net/url"
	"strings"
)

// Alerts is who is told by e-mail when deliveries fail, and how often.
type Alerts struct {
	SMTP         SMTP     `yaml:"smtp,omitempty" jsonschema_description:"The mail server. Absent = no e-mail is sent."`
	Recipients   []string `yaml:"recipients,omitempty" jsonschema_description:"Operators, who are told about every webhook of every tenant and about the queue. An entry may hold several addresses with commas between them."`
	MinInterval  Duration `yaml:"min_interval" min:"1s" max:"30d" jsonschema_description:"The least time between two e-mails to the same recipient. What happens meanwhile is in the next one."`
	MaxPerDay    int      `yaml:"max_per_day" jsonschema:"minimum=1,maximum=10000" jsonschema_description:"The most e-mails to one recipient on one day, in UTC. What is over it is in the first one of the next day."`
	OpenAfter    Duration `yaml:"open_after" min:"0s" max:"30d" jsonschema_description:"How long a receiver must fail before its webhook is reported as failing, and later as recovered."`
	DashboardURL string   `yaml:"dashboard_url,omitempty" jsonschema_description:"Address of the dashboard as recipients reach it; e-mails link to it. Absent = e-mails name the commands instead."`
}

// SMTP is a mail server.
type SMTP struct {
	Host     string   `yaml:"host,omitempty" jsonschema_description:"Name or address of the mail server."`
	Port     int      `yaml:"port,omitempty" jsonschema:"minimum=1,maximum=65535" jsonschema_description:"Its port. Absent = 587, or 465 with starttls: implicit."`
	Username string   `yaml:"username,omitempty" jsonschema_description:"User name. Absent = no authentication."`
	Password Secret   `yaml:"password,omitempty" jsonschema_description:"Password of the user."`
	From     string   `yaml:"from,omitempty" jsonschema_description:"Sender of the e-mails, as ops@example.com or edgerelay <ops@example.com>."`
	StartTLS string   `yaml:"starttls" jsonschema:"enum=required,enum=opportunistic,enum=implicit,enum=none" jsonschema_description:"required: nothing is said in plain text. opportunistic: TLS if the server offers it. implicit: TLS from the first byte. none: no TLS."`
	CAFile   Path     `yaml:"ca_file,omitempty" jsonschema_description:"PEM file with the authorities that the server's certificate may come from. Absent = those of the system."`
	Timeout  Duration `yaml:"timeout" min:"100ms" max:"5m" jsonschema_description:"How long the server may take for one e-mail."`
}

// Enabled says whether e-mails can be sent.
func (s *SMTP) Enabled() bool { return s.Host != "" }

// PortOrDefault is the server's port, with the default filled in.
func (s *SMTP) PortOrDefault() int {
	switch {
	case s.Port != 0:
		return s.Port
	case s.StartTLS == "implicit":
		return 465
	}
	return 587
}

// Addresses takes a list of recipients apart: its entries may hold several addresses with commas between them. Each address is there once.
func Addresses(list []string) (out []string, err error) {
	seen := map[string]bool{}
	for _, entry := range list {
		for _, one := range strings.Split(entry, ",") {
			one = strings.TrimSpace(one)
			if one == "" {
				continue
			}
			if !isAddress(one) {
				return nil, fmt.Errorf("%q is not an e-mail address", clip(one))
			}
			if key := strings.ToLower(one); !seen[key] {
				seen[key] = true
				out = append(out, one)
			}
		}
	}
	return out, nil
}

// isAddress wants local@domain and nothing around it.
func isAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Name == "" && a.Address == s && len(s) <= 254
}

// maxRecipients bounds how many are told about one webhook.
const maxRecipients = 50

func (c *Config) checkRecipients(path string, list []string) {
	for i, entry := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if got, err := Addresses([]string{entry}); err != nil {
			c.fault(at, "%s", err)
		} else if len(got) == 0 {
			c.fault(at, "is empty")
		}
	}
	if all, err := Addresses(list); err == nil && len(all) > maxRecipients {
		c.fault(path, "has %d addresses, at most %d are allowed: use a mailing list", len(all), maxRecipients)
	}
}

func (c *Config) checkAlerts() {
	a, s := &c.Alerts, &c.Alerts.SMTP
	c.checkRecipients("alerts.recipients", a.Recipients)
	if a.DashboardURL != "" {
		u, err := url.Parse(a.DashboardURL)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			c.fault("alerts.dashboard_url", "is not an address such as https://relay.example.com")
		}
	}
	if !s.Enabled() {
		for _, k := range []struct {
			key string
			set bool
		}{{"from", s.From != ""}, {"username", s.Username != ""}, {"port", s.Port != 0}} {
			if k.set {
				c.fault("alerts.smtp.host", "is missing: %s is given, but not which server", k.key)
				return
			}
		}
		if len(a.Recipients) > 0 {
			c.fault("alerts.smtp.host", "is missing: there are recipients, but no server to send e-mail with")
		}
		return
	}
	if strings.ContainsAny(s.Host, "/ :@") && !strings.Contains(s.Host, "::") {
		c.fault("alerts.smtp.host", "%q is not a host: write its name or address alone, and the port into port", clip(s.Host))
	}
	if s.From == "" {
		c.fault("alerts.smtp.from", "is missing: an e-mail has a sender")
	} else if a, err := mail.ParseAddress(s.From); err != nil || strings.ContainsAny(a.Name+a.Address, "\r\n") {
		c.fault("alerts.smtp.from", "is not an e-mail address, such as ops@example.com or edgerelay <ops@example.com>")
	}
	switch {
	case s.Username != "" && s.Password == "":
		c.fault("alerts.smtp.password", "is missing: the user name needs one")
	case s.Username == "" && s.Password != "":
		c.fault("alerts.smtp.username", "is missing: the password needs one")
	case s.Username != "" && s.StartTLS != "required" && s.StartTLS != "implicit" && !loopbackHost(s.Host):
		c.fault("alerts.smtp.starttls", "%s would send the password in plain text: use required or implicit", clip(s.StartTLS))
	}
}

func (c *Config) warnAlerts(warn warnFunc) {
	if c.Alerts.SMTP.Enabled() {
		if s := c.Alerts.SMTP.StartTLS; (s == "none" || s == "opportunistic") && !loopbackHost(c.Alerts.SMTP.Host) {
			warn("alerts.smtp.starttls", "lets e-mails travel in plain text")
		}
		return
	}
	for i := range c.Webhooks {
		if len(c.Webhooks[i].ErrorRecipients) > 0 { // one warning will do
			warn(fmt.Sprintf("webhooks[%d].error_recipients", i), "nobody is told, because there is no alerts.smtp.host")
			return
		}
	}
}
