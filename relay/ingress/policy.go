package ingress

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"

	"edgerelay/relay/catalogue"
	"edgerelay/relay/event"
	"edgerelay/relay/webhooks"
)

// Policy says who may send what. It is plain configuration; SetPolicy turns it into what requests are checked with.
type Policy struct {
	Tokens  []Token  // none = everybody may send
	Closed  bool     // nobody may send without a token, even if there is none: there were some
	Tenants []string // the configured ones: with exactly one, events need not name it

	// EventTypes are the types that something is asked of: with Strict all that there are, else those with a Schema.
	EventTypes []EventType
	Strict     bool // every other type is refused

	Rates map[string]Rate // of the events of a tenant; a tenant that is not there has no limit
}

// EventType is a type of events.
type EventType struct {
	Name   string
	Tenant string            // whose; "" = every tenant's
	Schema *catalogue.Schema // what the data must fit; nil = it is not checked
}

// Token is one producer's credential.
type Token struct {
	Name    string
	Token   string
	Hash    string    // instead of Token: its SHA-256, hexadecimal
	Expires time.Time // zero = never
	Tenant  string    // "" = every tenant
	Program string    // "" = every program
}

// String shows the token's name, never the token.
func (t Token) String() string { return "token " + t.Name }

// GoString is String, so that %#v is safe too.
func (t Token) GoString() string { return t.String() }

// LogValue is String, for slog.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText is String, so that an encoder that was not meant for secrets shows none.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// producer is whom a request comes from; empty fields allow everything.
type producer struct {
	name            string // of its token, for the log
	tenant, program []byte
	expires         time.Time // zero = never
}

// policy is a compiled Policy. It never changes.
type policy struct {
	// producers are found by the SHA-256 of their token. Whoever measures how long a look-up takes learns something about hashes, and
	// from a hash there is no way back to a token.
	producers map[[sha256.Size]byte]*producer
	open      *producer                     // for requests without a token; nil = there must be one
	tenant    []byte                        // of events that name none; nil = they must
	types     map[typeKey]*catalogue.Schema // nil = nothing is asked
	strict    bool
	gauges    map[string]*gauge // nil = no tenant has a limit
}

type typeKey struct{ tenant, name string }

// compile makes what requests are checked with; old is what they are checked with now, or nil.
func (p Policy) compile(old *policy) (*policy, error) {
	c := &policy{producers: make(map[[sha256.Size]byte]*producer, len(p.Tokens))}
	switch len(p.Tenants) {
	case 0:
		c.tenant = []byte("default")
	case 1:
		c.tenant = []byte(p.Tenants[0])
	}
	if len(p.Tokens) == 0 && !p.Closed {
		c.open = &producer{}
	}
	for _, t := range p.Tokens {
		key := sha256.Sum256([]byte(t.Token))
		if t.Hash != "" {
			if n, err := hex.Decode(key[:], []byte(t.Hash)); err != nil || n != len(key) {
				return nil, fmt.Errorf("ingress token %q: its hash is not one", t.Name)
			}
		}
		switch {
		case t.Token == "" && t.Hash == "":
			return nil, fmt.Errorf("ingress token %q is empty", t.Name)
		case c.producers[key] != nil:
			return nil, fmt.Errorf("ingress token %q has the same value as another one", t.Name)
		case len(t.Tenant) > 255 || len(t.Program) > 255:
			return nil, fmt.Errorf("ingress token %q: tenant and program can have at most 255 bytes", t.Name)
		}
		c.producers[key] = &producer{t.Name, []byte(t.Tenant), []byte(t.Program), t.Expires}
	}
	c.strict, c.gauges = p.Strict, gauges(p.Rates, old)
	if len(p.EventTypes) > 0 {
		c.types = make(map[typeKey]*catalogue.Schema, len(p.EventTypes))
	}
	for _, t := range p.EventTypes {
		c.types[typeKey{t.Tenant, t.Name}] = t.Schema
	}
	return c, nil
}

// authenticate finds the producer of an Authorization header, or nil.
func (p *policy) authenticate(header []byte) *producer {
	if p.open != nil {
		return p.open
	}
	const scheme = "Bearer "
	if !hasPrefixFold(header, scheme) {
		return nil
	}
	who := p.producers[sha256.Sum256(bytes.TrimLeft(header[len(scheme):], " "))]
	if who != nil && !who.expires.IsZero() && !time.Now().Before(who.expires) {
		return nil
	}
	return who
}

// place decides which tenant and program an event belongs to: the token's word holds, the event may only repeat it.
func (p *policy) place(who *producer, f *event.Fields) (tenant, program []byte, _ problem) {
	tenant, program = f.Tenant, f.Program
	if len(who.tenant) > 0 {
		if tenant != nil && !bytes.Equal(tenant, who.tenant) {
			return nil, nil, problem{kind: kindForbidden, detail: fmt.Sprintf("the event says tenant %q, the token belongs to another one", tenant)}
		}
		tenant = who.tenant
	}
	if len(who.program) > 0 {
		if program != nil && !bytes.Equal(program, who.program) {
			return nil, nil, problem{kind: kindForbidden, detail: fmt.Sprintf("the event says program %q, the token belongs to another one", program)}
		}
		program = who.program
	}
	if tenant == nil {
		tenant = p.tenant
	}
	if tenant == nil {
		return nil, nil, problem{kind: kindTenantRequired, detail: `there are several tenants: add the member "tenant"`}
	}
	return tenant, program, problem{}
}

// fits decides whether the event's type, and its data, are taken.
func (p *policy) fits(tenant []byte, f *event.Fields) problem {
	if len(f.Type) >= len(webhooks.OperationalPrefix) && string(f.Type[:len(webhooks.OperationalPrefix)]) == webhooks.OperationalPrefix {
		return problem{kind: kindReservedType, detail: fmt.Sprintf("event types that begin with %s are the relay's own", webhooks.OperationalPrefix)}
	}
	if p.types == nil && !p.strict {
		return problem{}
	}
	schema, known := p.types[typeKey{"", string(f.Type)}]
	if !known {
		schema, known = p.types[typeKey{string(tenant), string(f.Type)}]
	}
	if !known && p.strict {
		return problem{kind: kindUnknownType, detail: fmt.Sprintf("event type %q is not configured, and strict_event_types is on", f.Type)}
	}
	if schema == nil {
		return problem{}
	}
	if wrong := schema.Check(f.Data); wrong != nil {
		return problem{kind: kindSchema, detail: fmt.Sprintf("the data of event type %q does not fit its schema: %s", f.Type, wrong[0]), violations: wrong}
	}
	return problem{}
}
