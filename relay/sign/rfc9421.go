package sign

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The headers of HTTP Message Signatures (RFC 9421) and of the digest of the body (RFC 9530).
const (
	HeaderContentDigest  = "Content-Digest"
	HeaderSignatureInput = "Signature-Input"
	HeaderHTTPSignature  = "Signature"
)

// The algorithms, as they are written in the configuration and in the parameter alg.
const (
	AlgorithmHMAC    = "hmac-sha256"
	AlgorithmEd25519 = "ed25519"
)

// profile is what we sign, and what a verifier wants to be signed at least. The content type is only there when the request has one.
var profile = []string{"@method", "@target-uri", "content-digest", contentType, HeaderID, HeaderTimestamp}

const contentType = "content-type"

// httpMessage signs the request: method, URL, digest and type of the body, id and timestamp. The signatures of the live keys are labelled
// sig1, sig2, …, the newest first; each has its own keyid.
type httpMessage struct {
	algorithm string
	keys      []httpKey
}

// httpKey has either mac or ed.
type httpKey struct {
	label string
	id    string
	mac   *hmacKey
	ed    edKey
}

func newRFC9421(spec *Spec, verifyOnly bool) (scheme, error) {
	s := &httpMessage{algorithm: spec.Algorithm}
	if s.algorithm == "" {
		s.algorithm = AlgorithmHMAC
	}
	if s.algorithm != AlgorithmHMAC && s.algorithm != AlgorithmEd25519 {
		return nil, &OptionError{"algorithm", "must be hmac-sha256 or ed25519"}
	}
	if len(spec.KeyIDs) > len(spec.Secrets) {
		return nil, &OptionError{"key_ids", fmt.Sprintf("has %d ids for %d secrets", len(spec.KeyIDs), len(spec.Secrets))}
	}
	for i, secret := range spec.Secrets {
		k, err := newHTTPKey(s.algorithm, secret, verifyOnly)
		if err != nil {
			return nil, fmt.Errorf("secret %d: %w", i+1, err)
		}
		k.label = "sig" + strconv.Itoa(i+1)
		if i < len(spec.KeyIDs) && spec.KeyIDs[i] != "" {
			k.id = spec.KeyIDs[i]
		}
		if !isKeyID(k.id) {
			return nil, &OptionError{"key_ids", "may hold only printable ASCII characters other than \" and \\"}
		}
		s.keys = append(s.keys, k)
	}
	return s, nil
}

func isKeyID(id string) bool {
	return !strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' })
}

// newHTTPKey reads a secret and derives the key's id from it: of an Ed25519 key its JWK thumbprint (RFC 8037, appendix A.3), of a shared
// secret eight bytes that say nothing about it.
func newHTTPKey(algorithm, secret string, verifyOnly bool) (k httpKey, err error) {
	if algorithm == AlgorithmEd25519 {
		if k.ed, err = decodeEdKey(secret, verifyOnly); err == nil {
			k.id = Thumbprint(k.ed.public)
		}
		return k, err
	}
	key, err := decodeSecret(secret)
	if err != nil {
		return k, err
	}
	k.mac = newHMACKey(sha256.New, key)
	k.id = hex.EncodeToString(k.mac.sum(nil, []byte("edgerelay key id"))[:8])
	return k, nil
}

// Thumbprint is the name of an Ed25519 public key by RFC 7638.
func Thumbprint(public ed25519.PublicKey) string {
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + base64.RawURLEncoding.EncodeToString(public) + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// signature makes the key's signature of a base; the HMAC of it lies in sc.
func (k *httpKey) signature(sc *Scratch, base []byte) []byte {
	if k.mac == nil {
		return ed25519.Sign(k.ed.private, base)
	}
	sc.sum = k.mac.sum(sc.sum[:0], base)
	return sc.sum
}

func (k *httpKey) matches(base, signature []byte) bool {
	if k.mac == nil {
		return len(signature) == ed25519.SignatureSize && ed25519.Verify(k.ed.public, base, signature)
	}
	return hmac.Equal(k.mac.sum(nil, base), signature)
}

func (s *httpMessage) sign(dst []Header, sc *Scratch, m Message) []Header {
	buf := append(sc.buf[:0], m.ID...)
	idEnd := len(buf)
	buf = strconv.AppendInt(buf, m.Unix, 10)
	tsEnd := len(buf)
	digest := sha256.Sum256(m.Body)
	buf = append(base64.StdEncoding.AppendEncode(append(buf, "sha-256=:"...), digest[:]), ':')
	digestEnd := len(buf)

	base := sc.text[:0]
	base = appendLine(base, "@method", m.Method)
	base = appendLine(base, "@target-uri", m.Target)
	base = appendLine(base, "content-digest", buf[tsEnd:digestEnd])
	if len(m.ContentType) > 0 {
		base = appendLine(base, contentType, m.ContentType)
	}
	base = appendLine(base, HeaderID, buf[:idEnd])
	base = appendLine(base, HeaderTimestamp, buf[idEnd:tsEnd])
	base = append(base, paramsLine...)
	lines := len(base)

	for i := range s.keys { // each signs the same lines, then its own parameters
		k := &s.keys[i]
		base = s.appendParams(base[:lines], &m, k)
		buf = appendLabel(buf, i, k.label)
		buf = append(base64.StdEncoding.AppendEncode(append(buf, ':'), k.signature(sc, base)), ':')
	}
	signaturesEnd := len(buf)
	for i := range s.keys {
		buf = appendLabel(buf, i, s.keys[i].label)
		buf = s.appendParams(buf, &m, &s.keys[i])
	}
	sc.buf, sc.text = buf, base
	return append(dst,
		Header{HeaderID, buf[:idEnd:idEnd]},
		Header{HeaderTimestamp, buf[idEnd:tsEnd:tsEnd]},
		Header{HeaderContentDigest, buf[tsEnd:digestEnd:digestEnd]},
		Header{HeaderSignatureInput, buf[signaturesEnd:]},
		Header{HeaderHTTPSignature, buf[digestEnd:signaturesEnd:signaturesEnd]})
}

// appendLabel begins the i-th member of a list of signatures.
func appendLabel(dst []byte, i int, label string) []byte {
	if i > 0 {
		dst = append(dst, ", "...)
	}
	return append(append(dst, label...), '=')
}

// appendParams appends what k covers and how: ("@method" …);created=…;keyid="…";alg="…".
func (s *httpMessage) appendParams(dst []byte, m *Message, k *httpKey) []byte {
	dst = append(dst, '(')
	for i, name := range profile {
		if name == contentType && len(m.ContentType) == 0 {
			continue
		}
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(append(append(dst, '"'), name...), '"')
	}
	dst = strconv.AppendInt(append(dst, ");created="...), m.Unix, 10)
	dst = append(append(append(dst, `;keyid="`...), k.id...), `";alg="`...)
	return append(append(dst, s.algorithm...), '"')
}

func (s *httpMessage) verify(r *Request, now time.Time) error {
	if r.Method == "" || r.Target == "" {
		return errors.New("this scheme covers the request's method and URL: they are needed to verify it")
	}
	text, err := need(r, strings.ToLower(HeaderSignatureInput))
	if err != nil {
		return err
	}
	inputs, err := parseInputs(text)
	if err != nil {
		return err
	}
	if text, err = need(r, strings.ToLower(HeaderHTTPSignature)); err != nil {
		return err
	}
	signatures, err := parseBytes(text)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrMalformed, strings.ToLower(HeaderHTTPSignature), err)
	}
	// One good signature is enough; of several bad ones the last is the one that is told about.
	err = fmt.Errorf("%w: %s", ErrNoMatch, strings.ToLower(HeaderHTTPSignature))
	for i := range inputs {
		in := &inputs[i]
		signature, ok := signatures[in.label]
		if !ok {
			continue
		}
		if err = s.verifyOne(r, in, signature, now); err == nil {
			return checkDigest(r)
		}
	}
	return err
}

// verifyOne checks one signature: that it covers enough, is recent, and was made with one of the keys.
func (s *httpMessage) verifyOne(r *Request, in *input, signature []byte, now time.Time) error {
	for _, name := range profile {
		if !slices.Contains(in.components, name) && (name != contentType || r.Header(contentType) != "") {
			return fmt.Errorf("%w: the signature %s does not cover %s", ErrMalformed, in.label, name)
		}
	}
	if alg, ok := in.text("alg"); ok && alg != s.algorithm {
		return fmt.Errorf("%w: the signature %s is not %s", ErrMalformed, in.label, s.algorithm)
	}
	created, _ := in.param("created")
	if err := checkTimestamp("created of "+in.label, created, now); err != nil {
		return err
	}
	if expires, ok := in.param("expires"); ok {
		at, err := strconv.ParseInt(expires, 10, 64)
		if err != nil || now.Unix() > at {
			return fmt.Errorf("%w: the signature %s has expired", ErrTimestamp, in.label)
		}
	}
	base, err := in.base(r)
	if err != nil {
		return err
	}
	for i := range s.keys {
		if s.keys[i].matches(base, signature) {
			return nil
		}
	}
	return fmt.Errorf("%w: %s", ErrNoMatch, strings.ToLower(HeaderHTTPSignature))
}

// checkDigest compares every digest of the body that we know with the body. It needs one.
func checkDigest(r *Request) error {
	name := strings.ToLower(HeaderContentDigest)
	text, err := need(r, name)
	if err != nil {
		return err
	}
	digests, err := parseBytes(text)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrMalformed, name, err)
	}
	sum256, sum512 := sha256.Sum256(r.Body), sha512.Sum512(r.Body)
	known := 0
	for algorithm, want := range map[string][]byte{"sha-256": sum256[:], "sha-512": sum512[:]} {
		given, ok := digests[algorithm]
		if !ok {
			continue
		}
		if known++; !hmac.Equal(given, want) {
			return fmt.Errorf("%w: %s is not that of the body", ErrNoMatch, name)
		}
	}
	if known == 0 {
		return fmt.Errorf("%w: %s has neither sha-256 nor sha-512", ErrMalformed, name)
	}
	return nil
}
