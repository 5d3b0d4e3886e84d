package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// maxName is the longest name and id, in bytes: stored records keep their lengths in one byte.
const maxName = 255

var (
	idForm        = regexp.MustCompile(`^[A-Za-z0-9_.:-]+$`)
	eventTypeForm = regexp.MustCompile(`^[A-Za-z0-9_.:/-]+$`)
	patternForm   = regexp.MustCompile(`^[A-Za-z0-9_.:/*-]+$`)
	headerForm    = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$") // token of RFC 9110
	xmlNameForm   = regexp.MustCompile(`^[\pL_][\pL\pN._-]*$`)
)

// operationalPrefix is how the types of the relay's own events begin.
const operationalPrefix = "edgerelay."

// checkID checks the id of a tenant or program.
func (c *Config) checkID(path, id string) {
	if id != "" && (len(id) > maxName || !idForm.MatchString(id)) {
		c.fault(path, "%q is not an id: use up to %d letters, digits and _ . : -", clip(id), maxName)
	}
}

// checkName checks a name that people give.
func (c *Config) checkName(path, name string) {
	switch {
	case len(name) > maxName:
		c.fault(path, "is longer than %d bytes", maxName)
	case strings.TrimSpace(name) != name:
		c.fault(path, "begins or ends with a space")
	case strings.ContainsFunc(name, unicode.IsControl):
		c.fault(path, "contains a line break or a tab")
	}
}

// checkEvents checks the patterns of one webhook against the catalogue.
func (c *Config) checkEvents(path string, w *Webhook) {
	if len(w.Events) == 0 {
		c.fault(path+".events", `is empty: list event types, or "*" for all of them`)
	}
	for i, pattern := range w.Events {
		at := fmt.Sprintf("%s.events[%d]", path, i)
		if pattern == "" {
			continue
		}
		if len(pattern) > maxName || !patternForm.MatchString(pattern) {
			c.fault(at, "%q is not an event type or pattern: use up to %d letters, digits and _ . : / - and * for any run of characters", clip(pattern), maxName)
			continue
		}
		c.checkCatalogue(at, pattern, w)
	}
}

func (c *Config) checkCatalogue(path, pattern string, w *Webhook) {
	if strings.HasPrefix(pattern, operationalPrefix) {
		return // the relay's own events are in no catalogue
	}
	matches := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$").MatchString
	var known []string
	found := false
	for _, t := range c.EventTypes {
		if t.Tenant != "" && t.Tenant != w.Tenant {
			continue
		}
		known = append(known, t.Name)
		if !matches(t.Name) {
			continue
		}
		found = true
		if w.Program != "" && t.Scope == "global" {
			c.fault(path, "takes in event type %s, whose scope is global: only a webhook without a program may subscribe to it", t.Name)
			return
		}
	}
	if c.StrictEventTypes && len(known) > 0 && !found {
		c.fault(path, "unknown event type %q%s (strict_event_types is on)", pattern, suggest(pattern, known))
	}
}

// reservedHeaders belong to HTTP itself or to the relay. A name that ends in - stands for all that begin with it.
var reservedHeaders = []string{
	"host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect", "proxy-",
	"webhook-",
}

// checkHeaderName checks the name of a header that goes out; signing is that of the webhook, nil when there is none.
func (c *Config) checkHeaderName(path, name string, signing *Signing) {
	if name == "" {
		return
	}
	if len(name) > maxName || !headerForm.MatchString(name) {
		c.fault(path, "%q is not a header name: use letters, digits and -", clip(name))
		return
	}
	is := func(reserved string) bool {
		if strings.HasSuffix(reserved, "-") {
			return strings.HasPrefix(strings.ToLower(name), reserved)
		}
		return strings.EqualFold(name, reserved)
	}
	if slices.ContainsFunc(reservedHeaders, is) {
		c.fault(path, "header %s is reserved: the relay sets it itself", name)
	} else if signing != nil && slices.ContainsFunc(signing.headers(), is) {
		c.fault(path, "header %s is reserved for the signature: choose another name, or another signing.scheme", name)
	}
}

func validHeaderValue(value string) bool { return !strings.ContainsAny(value, "\r\n\x00") }

// unique reports names that are used twice, over all files.
type unique struct {
	config *Config
	what   string
	hidden bool // the name is a secret
	fold   bool // upper and lower case are the same
	first  map[string]string
}

func (u *unique) add(path, name string) {
	if name == "" {
		return
	}
	key := name
	if u.fold {
		key = strings.ToLower(name)
	}
	first, used := u.first[key]
	switch {
	case !used && u.first == nil:
		u.first = map[string]string{key: path}
	case !used:
		u.first[key] = path
	default:
		p := u.config.Problem(first, "")
		shown := fmt.Sprintf(" %q", clip(name))
		if u.hidden {
			shown = ""
		}
		u.config.fault(path, "%s%s is used twice: first at %s:%d:%d", u.what, shown, p.File, p.Line, p.Col)
	}
}
