package bench

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"sync"
	"time"
)

// tolerance is how far a timestamp may be from now (Standard Webhooks).
const tolerance = 300 * time.Second

// verifier checks signatures of one scheme. It is the receiver's own and shares no code with relay/sign.
type verifier struct {
	scheme string
	other  checkFunc    // of schemes that are not here, nil = scheme is
	keys   []*sync.Pool // of hash.Hash: one HMAC state per key and concurrent request
}

func newVerifier(h Hook) (v *verifier, err error) {
	scheme, secrets := h.Scheme, h.Secrets
	v = &verifier{scheme: scheme}
	switch {
	case scheme == "", scheme == "none":
		v.scheme = "none"
		return v, nil
	case scheme == "standard", scheme == "github":
	default:
		if v.other, err = newCheck(h); err != nil {
			return nil, err
		}
	}
	if len(secrets) == 0 {
		return nil, fmt.Errorf("scheme %s needs a secret", scheme)
	}
	if v.other != nil {
		return v, nil
	}
	for _, s := range secrets {
		key := []byte(s)
		if scheme == "standard" {
			var err error
			if key, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "whsec_")); err != nil || len(key) < 24 || len(key) > 64 {
				return nil, errors.New("secret: want whsec_ and the base64 of 24 to 64 bytes")
			}
		}
		if len(key) == 0 {
			return nil, errors.New("secret is empty")
		}
		v.keys = append(v.keys, &sync.Pool{New: func() any { return hmac.New(sha256.New, key) }})
	}
	return v, nil
}

// check says why a request is not acceptable, or nil.
func (v *verifier) check(r *received, now time.Time) error {
	header, body := r.header, r.body
	if v.other != nil {
		return v.other(r, now)
	}
	switch v.scheme {
	case "standard":
		return v.checkStandard(header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"), body, now)
	case "github":
		return v.checkGitHub(header("X-Hub-Signature-256"), body)
	}
	return nil
}

func (v *verifier) checkStandard(id, timestamp, signatures, body []byte, now time.Time) error {
	if len(id) == 0 || len(timestamp) == 0 || len(signatures) == 0 {
		return errors.New("webhook-id, webhook-timestamp or webhook-signature is missing")
	}
	unix, err := strconv.ParseInt(string(timestamp), 10, 64)
	if err != nil {
		return fmt.Errorf("webhook-timestamp %q is not a number of seconds", timestamp)
	}
	if d := now.Sub(time.Unix(unix, 0)); d > tolerance || d < -tolerance {
		return fmt.Errorf("webhook-timestamp is %s away from this clock, more than %s", d.Abs().Round(time.Second), tolerance)
	}
	for sig := range bytes.FieldsSeq(signatures) {
		encoded, ok := bytes.CutPrefix(sig, []byte("v1,"))
		if !ok {
			continue // a version of the future
		}
		given, err := base64.StdEncoding.Strict().AppendDecode(nil, encoded)
		if err == nil && v.matches(given, id, []byte{'.'}, timestamp, []byte{'.'}, body) {
			return nil
		}
	}
	return errors.New("no signature in webhook-signature matches")
}

func (v *verifier) checkGitHub(signature, body []byte) error {
	encoded, ok := bytes.CutPrefix(signature, []byte("sha256="))
	if !ok {
		return errors.New("X-Hub-Signature-256 is missing or does not begin with sha256=")
	}
	given, err := hex.AppendDecode(nil, encoded)
	if err != nil || !v.matches(given, body) {
		return errors.New("X-Hub-Signature-256 does not match")
	}
	return nil
}

// matches compares with every key in constant time.
func (v *verifier) matches(given []byte, parts ...[]byte) bool {
	var sum [sha256.Size]byte
	for _, pool := range v.keys {
		mac := pool.Get().(hash.Hash)
		mac.Reset()
		for _, p := range parts {
			mac.Write(p)
		}
		equal := hmac.Equal(mac.Sum(sum[:0]), given)
		pool.Put(mac)
		if equal {
			return true
		}
	}
	return false
}

// envelopeHead reads id and time from the start of the relay's default body, {"id":"…","type":"…","time":"…"; no general parser, because
// these values need no escapes, and a body of another shape simply has no such head.
func envelopeHead(body []byte) (id, eventTime []byte, ok bool) {
	rest := body
	member := func(prefix string) []byte {
		var found bool
		if rest, found = bytes.CutPrefix(rest, []byte(prefix)); !found {
			return nil
		}
		i := bytes.IndexByte(rest, '"')
		if i <= 0 {
			return nil
		}
		v := rest[:i]
		rest = rest[i:]
		return v
	}
	if id = member(`{"id":"`); id == nil {
		return nil, nil, false
	}
	if member(`","type":"`) == nil {
		return nil, nil, false
	}
	eventTime = member(`","time":"`)
	return id, eventTime, eventTime != nil
}

func envelopeTime(body []byte) (time.Time, bool) {
	_, text, ok := envelopeHead(body)
	if !ok {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, string(text))
	return t, err == nil
}
