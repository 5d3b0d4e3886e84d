// Package webhooks is step 3 of the walk: which webhooks an event goes to. It holds what a webhook is, once everything about it has been
// compiled, and the Table that finds the matching ones.
//
// The wiring builds Webhooks from the configuration and puts them into a Table, which never changes afterwards: a reload builds a new one and
// swaps an atomic pointer. The ingress calls Match before it stores an event, the sending side calls Get. The package may import event,
// payload and sign, nothing that does I/O, and starts no goroutines.
package webhooks

import (
	"fmt"
	"strings"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/payload"
	"edgerelay/relay/sign"
)

// Status says whether a webhook takes part.
type Status string

// The states of a webhook. Only an active one gets new events; a paused one keeps what it has.
const (
	StatusDraft  Status = "draft"
	StatusActive Status = "active"
	StatusPaused Status = "paused"
)

// Where a webhook comes from: a file, and then it cannot be edited through the API, or the API.
const (
	OriginFile = "file"
	OriginAPI  = "api"
)

// Webhook is a subscription: which events go where, in which shape, with which credentials. It is read-only once it is in a Table.
type Webhook struct {
	ID          event.WebhookID
	Name        string
	Description string
	Tenant      string
	Program     string // "" = global: every event of the tenant
	Origin      string // OriginFile or OriginAPI

	Events []string        // patterns; '*' stands for any run of characters
	Filter *payload.Filter // nil = every event

	URL           *payload.Template
	Host          string // host:port of the URL, which never depends on the event
	TLS           bool   // the URL is https
	CAFile        string // the authorities that the receiver's certificate may come from; "" = those of the system
	Insecure      bool   // the receiver's certificate is not checked
	Method        string
	SendBody      bool // of a DELETE: it has a body too
	Headers       []Header
	Authorization *Authorization // nil = none
	Signer        *sign.Signer   // nil = the requests are not signed
	Scheme        string         // the name of the Signer's scheme
	Payload       *payload.Definition

	Retry       RetryPolicy
	Timeout     time.Duration // of one attempt
	Concurrency int           // attempts at the same time, at most
	Rate        RateLimit     // attempts in a span of time, at most
	Ordered     bool          // deliveries are made strictly one after the other,
	OrderKey    *payload.Key  // among events with the same key; nil = all of them
	Status      Status
	LogErrors   bool // the history keeps failed attempts only
	Hold        bool // while it is paused, new events wait for it instead of passing it by

	Recipients []string // e-mail addresses of those who are told when it fails
}

// Header is a configured header of the outgoing request.
type Header struct {
	Name  string
	Value *payload.Template
}

// RateLimit is one attempt every Every on average, Burst at once. The zero value is no limit.
type RateLimit struct {
	Every time.Duration
	Burst int
}

// RetryPolicy says when a failed delivery is tried again: after Schedule[0], then Schedule[1], …; after the last it is dead.
type RetryPolicy struct {
	Schedule []time.Duration
	Jitter   float64 // each wait is changed by up to this part of itself, in both directions
}

// reservedHeaders, and all that begin with proxy- or webhook-, are decided by HTTP itself or by the relay; a configuration that could set them could split requests or forge identities.
var reservedHeaders = map[string]bool{
	"connection": true, "content-length": true, "expect": true, "host": true, "keep-alive": true,
	"te": true, "trailer": true, "transfer-encoding": true, "upgrade": true,
}

// CheckHeaderName reports why name cannot be configured as a header of the outgoing request, or nil.
func CheckHeaderName(name string) error {
	if name == "" {
		return fmt.Errorf("header name is empty")
	}
	lower := make([]byte, len(name))
	for i := range len(name) {
		c := name[i]
		if !tokenByte(c) {
			return fmt.Errorf("header name %q has the character %q, which HTTP does not allow", name, c)
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	if reservedHeaders[string(lower)] || strings.HasPrefix(string(lower), "proxy-") || strings.HasPrefix(string(lower), "webhook-") {
		return fmt.Errorf("header %q is set by the relay itself", name)
	}
	return nil
}

// tokenByte is RFC 9110's tchar.
func tokenByte(c byte) bool {
	switch c {
	case '!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~':
		return true
	}
	return c-'0' <= 9 || c-'A' < 26 || c-'a' < 26
}
