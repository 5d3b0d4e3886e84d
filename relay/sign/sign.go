// Package sign proves to a receiver who sent a webhook, and checks the same proof on what others send to us.
//
// The sending side builds a Signer once per webhook and calls Sign on every attempt; the receiving side calls Verify. Everything here is a
// pure function of its arguments: the time is passed in, nothing is logged, and no error ever contains a secret.
// It is a leaf: it imports nothing of ours and starts no goroutines.
//
// A scheme is one small file with a type that implements scheme, and one line in the table below.
package sign

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The names of the schemes, as they are written in the configuration.
const (
	Standard = "standard" // Standard Webhooks 1.0.0, symmetric (v1)
	GitHub   = "github"   // X-Hub-Signature-256
	None     = "none"     // no signature
)

// Tolerance is how far a timestamp may lie from the receiver's clock, either way.
const Tolerance = 300 * time.Second

// Why a signature was refused. Verify wraps one of these; all of them mean "do not trust this request".
var (
	ErrMissingHeader = errors.New("missing signature header")
	ErrMalformed     = errors.New("malformed signature header")
	ErrTimestamp     = errors.New("timestamp is outside the tolerance of 300 seconds")
	ErrNoMatch       = errors.New("no signature matches")
)

// Header is one header to send. Name is a constant; Value is a view of the Scratch that Sign was given.
type Header struct {
	Name  string
	Value []byte
}

// Message is what is signed: the event's id, the time of this attempt in Unix seconds, and the exact bytes of the body.
type Message struct {
	ID   []byte
	Unix int64
	Body []byte
}

// Scratch holds the bytes of the last signed headers. Each worker owns one and uses it again for every attempt.
type Scratch struct {
	buf []byte
	sum []byte // the last HMAC; here and not on the stack, because it passes through the hash.Hash interface
}

// scheme is what one way of signing has to offer. Its methods may be called from any goroutine.
type scheme interface {
	// sign appends the headers for m to dst; their values lie in sc.buf.
	sign(dst []Header, sc *Scratch, m Message) []Header
	// verify checks the headers that get returns (asked by lower-case name) against the body.
	verify(get func(name string) string, body []byte, now time.Time) error
}

// schemes makes a scheme of its secrets, newest first. The secrets are checked there.
var schemes = map[string]func(secrets []string) (scheme, error){
	Standard: newStandard,
	GitHub:   newGitHub,
}

// Schemes lists every name that New accepts, sorted.
func Schemes() []string {
	names := []string{None}
	for name := range schemes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Signer signs with one scheme and its live secrets. It may be used from any goroutine; a nil Signer signs nothing.
type Signer struct {
	scheme scheme
}

// New makes a Signer. secrets are the live ones, newest first: during a rotation the old one stays in the list, so that receivers
// that know only one of the two keep accepting. For the scheme "none" the Signer is nil, whatever the secrets.
func New(scheme string, secrets []string) (*Signer, error) {
	if scheme == None {
		return nil, nil
	}
	makeScheme, ok := schemes[scheme]
	if !ok {
		return nil, fmt.Errorf("unknown signing scheme %q: known are %s", scheme, strings.Join(Schemes(), ", "))
	}
	if len(secrets) == 0 {
		return nil, fmt.Errorf("signing scheme %q needs a secret", scheme)
	}
	s, err := makeScheme(secrets)
	if err != nil {
		return nil, fmt.Errorf("signing scheme %q: %w", scheme, err)
	}
	return &Signer{scheme: s}, nil
}

// Sign appends the headers that prove m to dst. Their values point into sc and are valid until sc's next use.
func (s *Signer) Sign(dst []Header, sc *Scratch, m Message) []Header {
	if s == nil {
		return dst
	}
	return s.scheme.sign(dst, sc, m)
}

// Verify checks that the headers prove body, at the time now. get returns the value of a header, "" when absent; it is asked by
// lower-case names and must not care about case (http.Header.Get does not). One match of any signature with any secret is enough.
func (s *Signer) Verify(get func(name string) string, body []byte, now time.Time) error {
	if s == nil {
		return errors.New("verify: nothing is signed with scheme \"none\"")
	}
	return s.scheme.verify(get, body, now)
}

// Verify is New and Signer.Verify in one, for callers that check once.
func Verify(scheme string, secrets []string, get func(name string) string, body []byte, now time.Time) error {
	s, err := New(scheme, secrets)
	if err != nil {
		return err
	}
	return s.Verify(get, body, now)
}
