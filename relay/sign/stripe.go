package sign

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// HeaderStripe is Stripe's signature header.
const HeaderStripe = "Stripe-Signature"

const stripeLower = "stripe-signature"

// stripe writes "t=" timestamp ",v1=" hex(HMAC-SHA256(secret as text, timestamp "." body)), one v1 per live secret, newest first. The
// whole text of the secret is the key, a whsec_ in front of it included.
type stripe struct {
	keys []*hmacKey
}

func newStripe(spec *Spec, _ bool) (scheme, error) {
	keys, err := textKeys(sha256.New, spec.Secrets)
	return &stripe{keys}, err
}

func (s *stripe) sign(dst []Header, sc *Scratch, m Message) []Header {
	buf := slices.Grow(sc.buf[:0], 22+len(s.keys)*(4+2*sha256.Size))
	buf = strconv.AppendInt(append(buf, "t="...), m.Unix, 10)
	end := len(buf)
	for _, k := range s.keys {
		sc.sum = k.sum(sc.sum[:0], buf[2:end], dot, m.Body)
		buf = hex.AppendEncode(append(buf, ",v1="...), sc.sum)
	}
	sc.buf = buf
	return append(dst, Header{HeaderStripe, buf})
}

func (s *stripe) verify(r *Request, now time.Time) error {
	value, err := need(r, stripeLower)
	if err != nil {
		return err
	}
	var timestamp string
	var given [][]byte
	for pair := range strings.SplitSeq(value, ",") {
		name, text, _ := strings.Cut(pair, "=")
		switch name {
		case "t":
			if timestamp != "" {
				return fmt.Errorf("%w: %s has two timestamps", ErrMalformed, stripeLower)
			}
			timestamp = text
		case "v1": // other schemes, such as v0, prove nothing
			if sum, err := hex.DecodeString(text); err == nil {
				given = append(given, sum)
			}
		}
	}
	if err := checkTimestamp("t in "+stripeLower, timestamp, now); err != nil {
		return err
	}
	for _, k := range s.keys {
		want := k.sum(nil, []byte(timestamp), dot, r.Body)
		if slices.ContainsFunc(given, func(sum []byte) bool { return hmac.Equal(sum, want) }) {
			return nil
		}
	}
	return fmt.Errorf("%w: %s", ErrNoMatch, stripeLower)
}
