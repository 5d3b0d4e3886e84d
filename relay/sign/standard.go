package sign

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The headers of Standard Webhooks. The relay sends the first two with every request, whatever the scheme.
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
	v1     = "v1,"
	v1Len  = len(v1) + 44 // base64 of 32 bytes
	v1a    = "v1a,"
	v1aLen = len(v1a) + 88 // base64 of 64 bytes
)

func newStandard(spec *Spec, _ bool) (scheme, error) {
	s := &standard{}
	for i, secret := range spec.Secrets {
		key, err := decodeSecret(secret)
		if err != nil {
			return nil, fmt.Errorf("secret %d: %w", i+1, err)
		}
		s.keys = append(s.keys, newHMACKey(sha256.New, key))
	}
	return s, nil
}

var dot = []byte{'.'}

func (s *standard) sign(dst []Header, sc *Scratch, m Message) []Header {
	buf, idEnd, tsEnd := sc.begin(&m, len(s.keys)*(v1Len+1))
	for i, k := range s.keys {
		if i > 0 {
			buf = append(buf, ' ')
		}
		buf = append(buf, v1...)
		sc.sum = k.sum(sc.sum[:0], buf[:idEnd], dot, buf[idEnd:tsEnd], dot, m.Body)
		buf = base64.StdEncoding.AppendEncode(buf, sc.sum)
	}
	return sc.end(dst, buf, idEnd, tsEnd)
}

// begin puts id and timestamp into the buffer. It makes room for everything first: the header values are views, so the buffer must not
// move while it is filled.
func (sc *Scratch) begin(m *Message, signatures int) (buf []byte, idEnd, tsEnd int) {
	buf = slices.Grow(sc.buf[:0], len(m.ID)+20+signatures)
	buf = append(buf, m.ID...)
	idEnd = len(buf)
	buf = strconv.AppendInt(buf, m.Unix, 10)
	return buf, idEnd, len(buf)
}

// end makes the three headers of what begin and its caller have put into buf.
func (sc *Scratch) end(dst []Header, buf []byte, idEnd, tsEnd int) []Header {
	sc.buf = buf
	return append(dst,
		Header{HeaderID, buf[:idEnd:idEnd]},
		Header{HeaderTimestamp, buf[idEnd:tsEnd:tsEnd]},
		Header{HeaderSignature, buf[tsEnd:]})
}

func (s *standard) verify(r *Request, now time.Time) error {
	id, ts, sigs, err := readStandard(r, now)
	if err != nil {
		return err
	}
	for _, k := range s.keys {
		sum := k.sum(nil, []byte(id), dot, []byte(ts), dot, r.Body)
		want := base64.StdEncoding.AppendEncode([]byte(v1), sum)
		for sig := range strings.SplitSeq(sigs, " ") {
			if subtle.ConstantTimeCompare([]byte(sig), want) == 1 {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: %s", ErrNoMatch, HeaderSignature)
}

// readStandard returns the three headers, the timestamp checked.
func readStandard(r *Request, now time.Time) (id, ts, sigs string, err error) {
	if id, err = need(r, HeaderID); err != nil {
		return
	}
	if ts, err = need(r, HeaderTimestamp); err != nil {
		return
	}
	if sigs, err = need(r, HeaderSignature); err != nil {
		return
	}
	// A dot in the id would let somebody move the borders between id, timestamp and body of a message that was signed once.
	if strings.Contains(id, ".") {
		return "", "", "", fmt.Errorf("%w: %s contains a dot", ErrMalformed, HeaderID)
	}
	return id, ts, sigs, checkTimestamp(HeaderTimestamp, ts, now)
}

func need(r *Request, name string) (string, error) {
	value := r.Header(name)
	if value == "" {
		return "", fmt.Errorf("%w: %s", ErrMissingHeader, name)
	}
	return value, nil
}

// checkTimestamp wants Unix seconds that are not far from now. where says what they were read from.
func checkTimestamp(where, text string, now time.Time) error {
	unix, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(unix, 10) != text {
		return fmt.Errorf("%w: %s is not a whole number of seconds", ErrMalformed, where)
	}
	if age := now.Sub(time.Unix(unix, 0)); age > Tolerance || age < -Tolerance {
		return ErrTimestamp
	}
	return nil
}

// standardEd is Standard Webhooks 1.0.0 with asymmetric keys: v1a,base64(Ed25519(key, id "." timestamp "." body)), one per live key.
type standardEd struct {
	keys []edKey
}

func newEd25519(spec *Spec, verifyOnly bool) (scheme, error) {
	s := &standardEd{}
	for i, secret := range spec.Secrets {
		key, err := decodeEdKey(secret, verifyOnly)
		if err != nil {
			return nil, fmt.Errorf("secret %d: %w", i+1, err)
		}
		s.keys = append(s.keys, key)
	}
	return s, nil
}

func (s *standardEd) sign(dst []Header, sc *Scratch, m Message) []Header {
	buf, idEnd, tsEnd := sc.begin(&m, len(s.keys)*(v1aLen+1))
	sc.text = append(append(append(append(append(sc.text[:0], buf[:idEnd]...), '.'), buf[idEnd:tsEnd]...), '.'), m.Body...)
	for i, k := range s.keys {
		if i > 0 {
			buf = append(buf, ' ')
		}
		buf = base64.StdEncoding.AppendEncode(append(buf, v1a...), ed25519.Sign(k.private, sc.text))
	}
	sc.shrink()
	return sc.end(dst, buf, idEnd, tsEnd)
}

// shrink lets go of a text that an unusually large body has left behind.
func (sc *Scratch) shrink() {
	if cap(sc.text) > 256<<10 {
		sc.text = nil
	}
}

func (s *standardEd) verify(r *Request, now time.Time) error {
	id, ts, sigs, err := readStandard(r, now)
	if err != nil {
		return err
	}
	text := slices.Concat([]byte(id), dot, []byte(ts), dot, r.Body)
	for sig := range strings.SplitSeq(sigs, " ") {
		encoded, ok := strings.CutPrefix(sig, v1a)
		if !ok || strings.ContainsAny(encoded, "\r\n") {
			continue
		}
		given, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err != nil || len(given) != ed25519.SignatureSize {
			continue
		}
		for _, k := range s.keys {
			if ed25519.Verify(k.public, text, given) {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: %s", ErrNoMatch, HeaderSignature)
}
