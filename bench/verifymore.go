package bench

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The schemes besides standard and github, which are in verify.go because load goes through them.

// Form says how the scheme hmac signs. What is empty has the relay's default.
type Form struct {
	Hash, Encoding, Header, Prefix, Content, TimestampHeader string
}

// received is a request as a verifier sees it.
type received struct {
	header func(name string) []byte
	body   []byte
	method string
	target string // the URL as the sender wrote it
}

func (r *received) text(name string) string { return string(r.header(name)) }

// checkFunc says why a request is not acceptable, or nil.
type checkFunc func(r *received, now time.Time) error

// newCheck makes the checks of one scheme.
func newCheck(h Hook) (checkFunc, error) {
	switch h.Scheme {
	case "stripe":
		return textChecker(h.Secrets, checkStripe)
	case "shopify":
		return formChecker(Form{Header: "X-Shopify-Hmac-SHA256", Encoding: "base64"}, h.Secrets)
	case "hmac":
		return formChecker(h.Form, h.Secrets)
	case "standard-ed25519":
		keys, err := publicKeys(h.Secrets)
		return func(r *received, now time.Time) error { return checkV1a(keys, r, now) }, err
	case "rfc9421":
		return messageChecker(h)
	}
	return nil, fmt.Errorf("unknown signature scheme %q: want standard, standard-ed25519, github, stripe, shopify, hmac, rfc9421 or none", h.Scheme)
}

func textChecker(secrets []string, check func(secrets []string, r *received, now time.Time) error) (checkFunc, error) {
	if slices.Contains(secrets, "") {
		return nil, errors.New("secret is empty")
	}
	return func(r *received, now time.Time) error { return check(secrets, r, now) }, nil
}

func mac(h func() hash.Hash, key []byte, parts ...string) []byte {
	m := hmac.New(h, key)
	for _, p := range parts {
		m.Write([]byte(p))
	}
	return m.Sum(nil)
}

// recent wants Unix seconds near now.
func recent(name, text string, now time.Time) error {
	unix, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fmt.Errorf("%s %q is not a number of seconds", name, text)
	}
	if d := now.Sub(time.Unix(unix, 0)).Abs(); d > tolerance {
		return fmt.Errorf("%s is %s away from this clock, more than %s", name, d.Round(time.Second), tolerance)
	}
	return nil
}

func checkStripe(secrets []string, r *received, now time.Time) error {
	var at string
	var given []string
	for _, item := range strings.Split(r.text("Stripe-Signature"), ",") {
		switch name, value, _ := strings.Cut(item, "="); name {
		case "t":
			at = value
		case "v1":
			given = append(given, value)
		}
	}
	if at == "" || len(given) == 0 {
		return errors.New("Stripe-Signature is missing, or has no t or no v1")
	}
	if err := recent("the time in Stripe-Signature", at, now); err != nil {
		return err
	}
	for _, s := range secrets {
		want := hex.EncodeToString(mac(sha256.New, []byte(s), at, ".", string(r.body)))
		for _, g := range given {
			if hmac.Equal([]byte(g), []byte(want)) {
				return nil
			}
		}
	}
	return errors.New("no v1 in Stripe-Signature matches")
}

func formChecker(f Form, secrets []string) (checkFunc, error) {
	newHash := sha256.New
	switch f.Hash {
	case "", "sha256":
	case "sha512":
		newHash = sha512.New
	default:
		return nil, fmt.Errorf("hash %q: want sha256 or sha512", f.Hash)
	}
	encode := hex.EncodeToString
	switch f.Encoding {
	case "", "hex":
	case "base64":
		encode = base64.StdEncoding.EncodeToString
	default:
		return nil, fmt.Errorf("encoding %q: want hex or base64", f.Encoding)
	}
	if f.Header == "" {
		return nil, errors.New("the scheme hmac needs the name of the signature's header")
	}
	if f.Content == "" {
		f.Content = "{body}"
	}
	atHeader := f.TimestampHeader
	if atHeader == "" {
		atHeader = "webhook-timestamp"
	}
	return textChecker(secrets, func(secrets []string, r *received, now time.Time) error {
		given := r.text(f.Header)
		if given == "" {
			return fmt.Errorf("%s is missing", f.Header)
		}
		at := r.text(atHeader)
		if strings.Contains(f.Content, "{timestamp}") {
			if err := recent(atHeader, at, now); err != nil {
				return err
			}
		}
		signed := strings.NewReplacer("{id}", r.text("webhook-id"), "{timestamp}", at, "{body}", string(r.body)).Replace(f.Content)
		for _, s := range secrets {
			if hmac.Equal([]byte(given), []byte(f.Prefix+encode(mac(newHash, []byte(s), signed)))) {
				return nil
			}
		}
		return fmt.Errorf("%s does not match", f.Header)
	})
}

// publicKeys reads whpk_… and whsk_….
func publicKeys(secrets []string) (keys []ed25519.PublicKey, err error) {
	for _, s := range secrets {
		kind, text, _ := strings.Cut(s, "_")
		key, err := base64.StdEncoding.DecodeString(text)
		switch {
		case err == nil && kind == "whpk" && len(key) == ed25519.PublicKeySize:
			keys = append(keys, key)
		case err == nil && kind == "whsk" && (len(key) == ed25519.SeedSize || len(key) == ed25519.PrivateKeySize):
			keys = append(keys, ed25519.NewKeyFromSeed(key[:ed25519.SeedSize]).Public().(ed25519.PublicKey))
		default:
			return nil, errors.New("secret: want whpk_ (or whsk_) and the base64 of an Ed25519 key")
		}
	}
	return keys, nil
}

func checkV1a(keys []ed25519.PublicKey, r *received, now time.Time) error {
	id, at := r.text("webhook-id"), r.text("webhook-timestamp")
	if id == "" || at == "" {
		return errors.New("webhook-id or webhook-timestamp is missing")
	}
	if err := recent("webhook-timestamp", at, now); err != nil {
		return err
	}
	signed := slices.Concat([]byte(id+"."+at+"."), r.body)
	for _, entry := range strings.Fields(r.text("webhook-signature")) {
		text, ok := strings.CutPrefix(entry, "v1a,")
		signature, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil {
			continue
		}
		for _, k := range keys {
			if ed25519.Verify(k, signed, signature) {
				return nil
			}
		}
	}
	return errors.New("no v1a signature in webhook-signature matches")
}

// mustCover is what a signature of a request has to cover, besides the content type where there is one.
var mustCover = []string{"@method", "@target-uri", "content-digest", "webhook-id", "webhook-timestamp"}

// messageChecker verifies HTTP Message Signatures (RFC 9421) as far as webhooks use them: plain components without parameters.
func messageChecker(h Hook) (checkFunc, error) {
	var valid func(base string, signature []byte) bool
	switch h.Algorithm {
	case "ed25519":
		keys, err := publicKeys(h.Secrets)
		if err != nil {
			return nil, err
		}
		valid = func(base string, signature []byte) bool {
			return slices.ContainsFunc(keys, func(k ed25519.PublicKey) bool { return ed25519.Verify(k, []byte(base), signature) })
		}
	case "", "hmac-sha256":
		var keys [][]byte
		for _, s := range h.Secrets {
			key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "whsec_"))
			if err != nil || len(key) < 24 {
				return nil, errors.New("secret: want whsec_ and the base64 of 24 to 64 bytes")
			}
			keys = append(keys, key)
		}
		valid = func(base string, signature []byte) bool {
			return slices.ContainsFunc(keys, func(k []byte) bool { return hmac.Equal(mac(sha256.New, k, base), signature) })
		}
	default:
		return nil, fmt.Errorf("algorithm %q: want hmac-sha256 or ed25519", h.Algorithm)
	}
	return func(r *received, now time.Time) error {
		sum := sha256.Sum256(r.body)
		if want := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"; r.text("Content-Digest") != want {
			return fmt.Errorf("Content-Digest is %q, that of the body is %q", r.text("Content-Digest"), want)
		}
		inputs, signatures := members(r.text("Signature-Input")), members(r.text("Signature"))
		if len(inputs) == 0 || len(signatures) == 0 {
			return errors.New("Signature-Input or Signature is missing")
		}
		err := errors.New("no signature in Signature belongs to Signature-Input")
		for label, input := range inputs {
			encoded, ok := strings.CutPrefix(signatures[label], ":")
			signature, bad := base64.StdEncoding.DecodeString(strings.TrimSuffix(encoded, ":"))
			if !ok || bad != nil {
				continue
			}
			var base string
			if base, err = signatureBase(r, input, now); err != nil {
				continue
			}
			if valid(base, signature) {
				return nil
			}
			err = fmt.Errorf("the signature %s does not match", label)
		}
		return err
	}, nil
}

// members cuts a dictionary of structured fields (RFC 8941) at its commas, as far as they are not in quotes or brackets.
func members(text string) map[string]string {
	all := map[string]string{}
	quoted, depth, from := false, 0, 0
	for i := 0; i <= len(text); i++ {
		if i < len(text) {
			switch c := text[i]; {
			case c == '"':
				quoted = !quoted
			case quoted:
			case c == '(':
				depth++
			case c == ')':
				depth--
			}
			if text[i] != ',' || quoted || depth > 0 {
				continue
			}
		}
		if label, value, ok := strings.Cut(strings.TrimSpace(text[from:i]), "="); ok {
			all[label] = value
		}
		from = i + 1
	}
	return all
}

// signatureBase builds what was signed, and wants it to cover enough and to be recent.
func signatureBase(r *received, input string, now time.Time) (string, error) {
	list, params, ok := strings.Cut(strings.TrimPrefix(input, "("), ")")
	if !ok || !strings.HasPrefix(input, "(") {
		return "", errors.New("Signature-Input is malformed")
	}
	var base strings.Builder
	covered := map[string]bool{}
	for _, quoted := range strings.Fields(list) {
		name, err := strconv.Unquote(quoted)
		if err != nil {
			return "", fmt.Errorf("Signature-Input covers %s, which this receiver does not know", quoted)
		}
		value := r.text(name)
		switch {
		case name == "@method":
			value = r.method
		case name == "@target-uri":
			value = r.target
		case strings.HasPrefix(name, "@"):
			return "", fmt.Errorf("Signature-Input covers %s, which this receiver does not know", name)
		}
		covered[name] = true
		fmt.Fprintf(&base, "%q: %s\n", name, value)
	}
	for _, name := range mustCover {
		if !covered[name] {
			return "", fmt.Errorf("Signature-Input does not cover %s", name)
		}
	}
	if len(bytes.TrimSpace(r.header("Content-Type"))) > 0 && !covered["content-type"] {
		return "", errors.New("Signature-Input does not cover content-type")
	}
	created := ""
	for _, p := range strings.Split(params, ";") {
		if text, ok := strings.CutPrefix(p, "created="); ok {
			created = text
		}
	}
	if err := recent("created of the signature", created, now); err != nil {
		return "", err
	}
	return base.String() + `"@signature-params": ` + input, nil
}
