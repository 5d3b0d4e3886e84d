package sign

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The headers of Standard Webhooks.
const (
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp"
	HeaderSignature = "webhook-signature"
)

// standard is Standard Webhooks 1.0.0 with symmetric keys. The signature is
//
//	v1,base64(HMAC-SHA256(key, id "." timestamp "." body))
//
// and the header lists one per live key, newest first, separated by spaces.
type standard struct {
	keys []*hmacKey
}

const (
	secretPrefix = "whsec_"
	v1           = "v1,"
	v1Len        = len(v1) + 44 // base64 of 32 bytes
)

func newStandard(secrets []string) (scheme, error) {
	s := &standard{}
	for i, secret := range secrets {
		key, err := decodeSecret(secret)
		if err != nil {
			return nil, fmt.Errorf("secret %d: %w", i+1, err)
		}
		s.keys = append(s.keys, newHMACKey(key))
	}
	return s, nil
}

// decodeSecret reads whsec_<base64> or the base64 alone. Its errors say what is wrong, never what was given.
func decodeSecret(secret string) ([]byte, error) {
	if strings.HasPrefix(secret, "whsk_") || strings.HasPrefix(secret, "whpk_") {
		return nil, errors.New("this is an Ed25519 key (whsk_, whpk_); a symmetric secret begins with whsec_")
	}
	text := strings.TrimPrefix(secret, secretPrefix)
	if strings.ContainsAny(text, "\r\n") { // the decoder would skip them
		return nil, errors.New("the secret contains a line break")
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		if _, err := base64.RawStdEncoding.DecodeString(text); err == nil {
			return nil, errors.New("the base64 of the secret has lost its padding (=)")
		}
		return nil, errors.New("the secret is not standard base64, optionally after whsec_")
	}
	if len(key) < 24 || len(key) > 64 {
		return nil, fmt.Errorf("the secret decodes to %d bytes, it must be 24 to 64", len(key))
	}
	return key, nil
}

// NewSecret returns a new random secret of 32 bytes, whsec_….
func NewSecret() string {
	var key [32]byte
	rand.Read(key[:]) // never fails (crypto/rand, since Go 1.24)
	return secretPrefix + base64.StdEncoding.EncodeToString(key[:])
}

var dot = []byte{'.'}

func (s *standard) sign(dst []Header, sc *Scratch, m Message) []Header {
	// Room for everything first: the header values are views, so the buffer must not move while it is filled.
	buf := slices.Grow(sc.buf[:0], len(m.ID)+20+len(s.keys)*(v1Len+1))
	buf = append(buf, m.ID...)
	idEnd := len(buf)
	buf = strconv.AppendInt(buf, m.Unix, 10)
	tsEnd := len(buf)
	for i, k := range s.keys {
		if i > 0 {
			buf = append(buf, ' ')
		}
		buf = append(buf, v1...)
		sc.sum = k.sum(sc.sum[:0], buf[:idEnd], dot, buf[idEnd:tsEnd], dot, m.Body)
		buf = base64.StdEncoding.AppendEncode(buf, sc.sum)
	}
	sc.buf = buf
	return append(dst,
		Header{HeaderID, buf[:idEnd:idEnd]},
		Header{HeaderTimestamp, buf[idEnd:tsEnd:tsEnd]},
		Header{HeaderSignature, buf[tsEnd:]})
}

func (s *standard) verify(get func(name string) string, body []byte, now time.Time) error {
	id, ts, sigs := get(HeaderID), get(HeaderTimestamp), get(HeaderSignature)
	for _, h := range [...]struct{ name, value string }{{HeaderID, id}, {HeaderTimestamp, ts}, {HeaderSignature, sigs}} {
		if h.value == "" {
			return fmt.Errorf("%w: %s", ErrMissingHeader, h.name)
		}
	}
	// A dot in the id would let somebody move the borders between id, timestamp and body of a message that was signed once.
	if strings.Contains(id, ".") {
		return fmt.Errorf("%w: %s contains a dot", ErrMalformed, HeaderID)
	}
	unix, err := strconv.ParseInt(ts, 10, 64)
	if err != nil || strconv.FormatInt(unix, 10) != ts {
		return fmt.Errorf("%w: %s is not a whole number of seconds", ErrMalformed, HeaderTimestamp)
	}
	if age := now.Sub(time.Unix(unix, 0)); age > Tolerance || age < -Tolerance {
		return ErrTimestamp
	}
	for _, k := range s.keys {
		sum := k.sum(nil, []byte(id), dot, []byte(ts), dot, body)
		want := base64.StdEncoding.AppendEncode([]byte(v1), sum)
		for sig := range strings.SplitSeq(sigs, " ") {
			if subtle.ConstantTimeCompare([]byte(sig), want) == 1 {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: %s", ErrNoMatch, HeaderSignature)
}
