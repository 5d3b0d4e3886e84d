package config

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// maxTransforms is how long a chain may be: each module has instances of its own, also while a draft is tried.
const maxTransforms = 32

// maxSecrets is how many signing secrets may be live at once: each makes the signature header longer.
const maxSecrets = 10

func (c *Config) checkWebhook(path string, w *Webhook) {
	c.checkName(path+".name", w.Name)
	if w.Tenant == "" {
		c.fault(path+".tenant", "is missing: several tenants are declared, say whose events it gets")
	} else {
		c.checkTenant(path, w.Tenant, w.Program)
	}
	c.checkEvents(path, w)
	c.checkRecipients(path+".error_recipients", w.ErrorRecipients)
	if w.URL != "" {
		c.checkURL(path+".url", w.URL, true)
	}
	c.checkMethod(path, w)
	c.checkSigning(path+".signing", &w.Signing)
	c.checkHeaders(path, w)
	if w.Authorization != "" {
		c.checkUseOfAuthorization(path, w)
	}
	c.checkWebhookTLS(path, w)
	if len(w.Transform) > maxTransforms {
		c.fault(path+".transform", "has %d entries, at most %d are allowed: each has memory of its own", len(w.Transform), maxTransforms)
	}
	for i := range w.Transform {
		c.checkTransform(fmt.Sprintf("%s.transform[%d]", path, i), &w.Transform[i])
	}
	if len(w.Secret) > maxSecrets {
		c.fault(path+".secret", "has %d secrets, at most %d are allowed: remove the oldest", len(w.Secret), maxSecrets)
	}
	if w.Payload.Root != "" && w.Payload.Type != "xml" {
		c.fault(path+".payload.root", "belongs to type xml, but the type is %s: remove it", clip(w.Payload.Type))
	} else if w.Payload.Root != "" && !xmlNameForm.MatchString(w.Payload.Root) {
		c.fault(path+".payload.root", "%q is not the name of an XML element", clip(w.Payload.Root))
	}
}

// checkMethod wants what goes into a body to have one.
func (c *Config) checkMethod(path string, w *Webhook) {
	if w.SendBody && w.Method != "DELETE" && len(w.Transform) == 0 { // a transform may make it a DELETE
		c.fault(path+".send_body", "is for method DELETE, but the method is %s: remove it", clip(w.Method))
	}
	if w.Method != "GET" {
		return
	}
	if t := w.Payload.Type; w.Payload.Body != nil && (t == "plain" || t == "raw") {
		c.fault(path+".payload.type", "makes a text, but a GET carries its payload as the query, which is made of an object: use json or form")
	}
	if w.Payload.Root != "" {
		c.fault(path+".payload.root", "is the root of a body, and a GET has none: remove it")
	}
}

// checkWebhookNames wants names unique within a tenant.
func (c *Config) checkWebhookNames() {
	names := map[string]*unique{}
	for i, w := range c.Webhooks {
		if names[w.Tenant] == nil {
			names[w.Tenant] = &unique{config: c, what: "name"}
		}
		names[w.Tenant].add(fmt.Sprintf("webhooks[%d].name", i), w.Name)
	}
}

func (c *Config) checkHeaders(path string, w *Webhook) {
	seen := unique{config: c, what: "header", fold: true}
	for _, h := range w.Headers {
		at := join(path+".headers", h.Name)
		c.checkHeaderName(at, h.Name, &w.Signing)
		seen.add(at, h.Name)
		if !validHeaderValue(h.Value) {
			c.fault(at, "contains a line break: a header value is one line")
		}
	}
}

// checkUseOfAuthorization wants the authorization to exist, to allow the webhook's URL, and to set no header that the webhook sets.
func (c *Config) checkUseOfAuthorization(path string, w *Webhook) {
	var names []string
	for i := range c.Authorizations {
		if a := &c.Authorizations[i]; a.Tenant == "" || a.Tenant == w.Tenant {
			names = append(names, a.Name)
		}
	}
	at := c.FindAuthorization(w.Tenant, w.Authorization)
	if at < 0 {
		c.checkKnown(path+".authorization", "authorization", w.Authorization, names)
		return
	}
	a := &c.Authorizations[at]
	if a.Endpoint != "" && !under(a.Endpoint, w.URL) {
		c.fault(path+".authorization", "authorization %q is only for URLs under its endpoint, which the webhook's url is not", clip(a.Name))
	}
	c.checkTLSOfAuthorization(path, w, a)
	sets := a.sets()
	c.checkSigningAndAuthorization(path+".signing", &w.Signing, a.Name, sets)
	for _, h := range w.Headers {
		if slices.ContainsFunc(sets, func(s string) bool { return strings.EqualFold(s, h.Name) }) {
			c.fault(join(path+".headers", h.Name), "header %s is set by authorization %q too: remove one of them", h.Name, clip(a.Name))
		}
	}
}

// under says whether target has the scheme, host and port of endpoint and a path below its path. Of a target with {{ }} only what
// comes before counts, because the rest may become anything.
func under(endpoint, target string) bool {
	fixed, _, _ := strings.Cut(target, "{{")
	e, err1 := url.Parse(endpoint)
	t, err2 := url.Parse(fixed)
	if err1 != nil || err2 != nil {
		return true // each is a mistake of its own
	}
	if e.Scheme != t.Scheme || !strings.EqualFold(e.Hostname(), t.Hostname()) || port(e) != port(t) {
		return false
	}
	base := strings.TrimSuffix(e.EscapedPath(), "/")
	rest, ok := strings.CutPrefix(t.EscapedPath(), base)
	exact := rest == "" && (base == "" || fixed == target || strings.Contains(fixed, "?"))
	return ok && (exact || strings.HasPrefix(rest, "/"))
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "http" {
		return "80"
	}
	return "443"
}

// checkURL checks where requests may go. Its messages do not repeat the URL, which may hold a secret.
func (c *Config) checkURL(path, text string, templates bool) {
	fixed, rest, ok := withoutTemplates(text)
	switch {
	case !ok:
		c.fault(path, "{{ without a closing }}")
		return
	case rest && !templates:
		c.fault(path, "must not contain {{ }}: it is fixed")
		return
	case strings.ContainsFunc(fixed, func(r rune) bool { return unicode.IsControl(r) || r == ' ' }):
		c.fault(path, "contains a space or a control character: write %%20 for a space")
		return
	}
	if head, _, _ := strings.Cut(text, "{{"); rest && !hostEnds(head) {
		c.fault(path, "{{ }} may stand only after the host, in path and query")
		return
	}
	u, err := url.Parse(fixed)
	if err != nil {
		c.fault(path, "is not a URL: write one such as https://example.com/hooks")
		return
	}
	c.checkURLParts(path, u)
	if strings.Contains(fixed, "#") {
		c.fault(path, "must not have a fragment (#…), which is never sent: write %%23 for the character #")
	}
}

func (c *Config) checkURLParts(path string, u *url.URL) {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		c.fault(path, "must begin with https:// or http://")
	case u.User != nil:
		c.fault(path, "must not contain a user name or password: use an authorization")
	case u.Hostname() == "":
		c.fault(path, "has no host: write https://HOST/…")
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r > unicode.MaxASCII || r == '%' }):
		c.fault(path, "has a host that is not plain ASCII: write its xn-- form")
	case u.Port() != "" && !validPort(u.Port()), strings.HasSuffix(u.Host, ":"):
		c.fault(path, "has a port that is not between 1 and 65535")
	case hasDotSegment(u.EscapedPath()):
		c.fault(path, "must not contain the path segments . and ..")
	case u.Scheme == "http" && c.Policy.RequireHTTPS:
		c.fault(path, "is plain http, which policy.require_https forbids: use https, or turn the policy off")
	}
}

func validPort(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= 1 && n <= 65535
}

func hasDotSegment(path string) bool {
	for segment := range strings.SplitSeq(strings.ReplaceAll(strings.ToLower(path), "%2e", "."), "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// hostEnds says whether the host is complete in head, the text before the first {{.
func hostEnds(head string) bool {
	_, rest, ok := strings.Cut(head, "://")
	return ok && strings.ContainsAny(rest, "/?")
}

// withoutTemplates replaces every {{ … }} by a letter, so that the rest can be read as a URL. found says whether there was one;
// ok is false when one is not closed.
func withoutTemplates(text string) (fixed string, found, ok bool) {
	for {
		head, tail, open := strings.Cut(text, "{{")
		if !open {
			return fixed + text, found, true
		}
		end := templateEnd(tail)
		if end < 0 {
			return "", found, false
		}
		fixed, text, found = fixed+head+"x", tail[end+2:], true
	}
}

// templateEnd finds the }} that ends the expression at the start of text: not one in quotes, nor that of an object in an object.
func templateEnd(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '"', '\'', '`':
			for i++; i < len(text) && text[i] != c; i++ {
				if text[i] == '\\' && c != '`' {
					i++
				}
			}
		case '{':
			depth++
		case '}':
			if depth == 0 && strings.HasPrefix(text[i:], "}}") {
				return i
			}
			depth = max(depth-1, 0)
		}
	}
	return -1
}
