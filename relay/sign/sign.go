// Package sign proves to a receiver who sent a webhook, and checks the same proof on what others send to us.
//
// The sending side builds a Signer once per webhook and calls Sign on every attempt; the receiving side calls Verify. Everything here is a
// pure function of its arguments: the time is passed in, nothing is logged, and no error ever contains a secret.
// It is a leaf: it imports nothing of ours and starts no goroutines.
//
// A scheme is one small file with a type that implements scheme, and one line in the table below. What the schemes sign:
//
//	standard, standard-ed25519   id.timestamp.body      Standard Webhooks, v1 and v1a
//	stripe                       timestamp.body
//	github, shopify              body
//	hmac                         as configured
//	rfc9421                      the request: method, URL, Content-Digest, Content-Type, id and timestamp
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
	Standard        = "standard"         // Standard Webhooks 1.0.0, symmetric (v1)
	StandardEd25519 = "standard-ed25519" // Standard Webhooks 1.0.0, asymmetric (v1a)
	GitHub          = "github"           // X-Hub-Signature-256
	Stripe          = "stripe"           // Stripe-Signature
	Shopify         = "shopify"          // X-Shopify-Hmac-SHA256
	HMAC            = "hmac"             // one header, its form as configured
	RFC9421         = "rfc9421"          // HTTP Message Signatures with Content-Digest
	None            = "none"             // no signature
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

// Message is what is signed: the event's id, the time of this attempt in Unix seconds, and the exact bytes of the body. The rest is for
// signers that cover the whole request (CoversRequest); the others do not look at it.
type Message struct {
	ID   []byte
	Unix int64
	Body []byte

	Method      []byte
	Target      []byte // the absolute URL, as it is sent
	ContentType []byte // empty = the request has none
}

// Request is what a receiver checks. Header returns the value of a header, "" when absent; it is asked by lower-case names and must not
// care about case (http.Header.Get does not). Method and Target (the absolute URL that the sender used) are for rfc9421 only.
type Request struct {
	Header func(name string) string
	Body   []byte
	Method string
	Target string
}

// Scratch holds the bytes of the last signed headers. Each worker owns one and uses it again for every attempt.
type Scratch struct {
	buf   []byte   // header values
	sum   []byte   // the last HMAC; here and not on the stack, because it passes through the hash.Hash interface
	text  []byte   // what is signed, where it must lie in one piece
	parts [][]byte // what is signed, where it need not
}

// Spec says how to sign. Only the scheme and the secrets are needed by all of them.
type Spec struct {
	Scheme  string
	Secrets []string // the live ones, newest first

	HMAC      HMACOptions // of the scheme hmac
	Algorithm string      // of the scheme rfc9421: AlgorithmHMAC (also when empty) or AlgorithmEd25519
	KeyIDs    []string    // of the scheme rfc9421: the keyid of each secret, in their order; absent ones are derived from the keys
}

// OptionError is a mistake in one of the options of a scheme, not in its secrets.
type OptionError struct {
	Option string // as it is written in the configuration
	Msg    string
}

// Error names the option and the mistake.
func (e *OptionError) Error() string { return e.Option + " " + e.Msg }

// scheme is what one way of signing has to offer. Its methods may be called from any goroutine.
type scheme interface {
	// sign appends the headers for m to dst; their values lie in sc.buf.
	sign(dst []Header, sc *Scratch, m Message) []Header
	verify(r *Request, now time.Time) error
}

// schemes makes a scheme of its spec. Secrets and options are checked there. For verifying only, a public key may stand for a private one.
var schemes = map[string]func(spec *Spec, verifyOnly bool) (scheme, error){
	Standard:        newStandard,
	StandardEd25519: newEd25519,
	GitHub:          newGitHub,
	Stripe:          newStripe,
	Shopify:         newShopify,
	HMAC:            newHMAC,
	RFC9421:         newRFC9421,
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
	scheme  scheme
	request bool
}

// New makes a Signer of a scheme without options. secrets are the live ones, newest first: during a rotation the old one stays in the
// list, so that receivers that know only one of the two keep accepting. For the scheme "none" the Signer is nil, whatever the secrets.
func New(scheme string, secrets []string) (*Signer, error) {
	return Build(Spec{Scheme: scheme, Secrets: secrets})
}

// Build is New for every scheme, options included.
func Build(spec Spec) (*Signer, error) { return build(&spec, false) }

func build(spec *Spec, verifyOnly bool) (*Signer, error) {
	if spec.Scheme == None {
		return nil, nil
	}
	makeScheme, ok := schemes[spec.Scheme]
	if !ok {
		return nil, fmt.Errorf("unknown signing scheme %q: known are %s", spec.Scheme, strings.Join(Schemes(), ", "))
	}
	if len(spec.Secrets) == 0 {
		return nil, fmt.Errorf("signing scheme %q needs a secret", spec.Scheme)
	}
	s, err := makeScheme(spec, verifyOnly)
	if err != nil {
		return nil, fmt.Errorf("signing scheme %q: %w", spec.Scheme, err)
	}
	return &Signer{scheme: s, request: spec.Scheme == RFC9421}, nil
}

// CoversRequest says whether Sign needs the method, the target and the content type of the message too.
func (s *Signer) CoversRequest() bool { return s != nil && s.request }

// Sign appends the headers that prove m to dst. Their values point into sc and are valid until sc's next use.
func (s *Signer) Sign(dst []Header, sc *Scratch, m Message) []Header {
	if s == nil {
		return dst
	}
	return s.scheme.sign(dst, sc, m)
}

// Verify checks that the headers prove body, at the time now; see Request for get. One match of any signature with any secret is
// enough. A scheme that covers the request needs VerifyRequest.
func (s *Signer) Verify(get func(name string) string, body []byte, now time.Time) error {
	return s.VerifyRequest(Request{Header: get, Body: body}, now)
}

// VerifyRequest checks that the headers of r prove the rest of it, at the time now.
func (s *Signer) VerifyRequest(r Request, now time.Time) error {
	if s == nil {
		return errors.New("verify: nothing is signed with scheme \"none\"")
	}
	return s.scheme.verify(&r, now)
}

// Verifier checks signatures, and cannot make any: public keys are enough for it.
type Verifier struct{ signer *Signer }

// NewVerifier makes a Verifier. Of the asymmetric schemes it takes public keys (whpk_…) and private ones.
func NewVerifier(spec Spec) (*Verifier, error) {
	s, err := build(&spec, true)
	if err != nil {
		return nil, err
	}
	return &Verifier{s}, nil
}

// Verify checks that the headers of r prove the rest of it, at the time now.
func (v *Verifier) Verify(r Request, now time.Time) error { return v.signer.VerifyRequest(r, now) }

// Verify is NewVerifier and its Verify in one, for callers that check once.
func Verify(scheme string, secrets []string, get func(name string) string, body []byte, now time.Time) error {
	v, err := NewVerifier(Spec{Scheme: scheme, Secrets: secrets})
	if err != nil {
		return err
	}
	return v.Verify(Request{Header: get, Body: body}, now)
}
