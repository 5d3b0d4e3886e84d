package config

// WebhookTLS says how a receiver's certificate is checked.
type WebhookTLS struct {
	CAFile   Path `yaml:"ca_file,omitempty" jsonschema_description:"PEM file with the authorities that the receiver's certificate may come from, instead of those of the system. Read again when it changes."`
	Insecure bool `yaml:"insecure,omitempty" jsonschema_description:"Do not check the receiver's certificate at all."`
}

func (c *Config) checkWebhookTLS(path string, w *Webhook) {
	switch {
	case w.TLS == WebhookTLS{}:
	case plainHTTP(w.URL):
		c.fault(path+".tls", "is for https only, and the webhook's url is plain http: remove it")
	case w.TLS.CAFile != "" && w.TLS.Insecure:
		c.fault(path+".tls.insecure", "turns the check off that tls.ca_file is for: remove one of them")
	}
}

// checkTLSOfAuthorization checks what a client certificate asks of its webhook.
func (c *Config) checkTLSOfAuthorization(path string, w *Webhook, a *Authorization) {
	if a.Type != "mtls" {
		return
	}
	if plainHTTP(w.URL) {
		c.fault(path+".authorization", "authorization %q is a client certificate, which plain http cannot carry: use https", clip(a.Name))
	}
	if a.CAFile != "" && (w.TLS != WebhookTLS{}) {
		c.fault(path+".tls", "authorization %q has a ca_file already: remove one of them", clip(a.Name))
	}
}

func plainHTTP(text string) bool {
	u := fixedURL(text)
	return u != nil && u.Scheme == "http"
}
