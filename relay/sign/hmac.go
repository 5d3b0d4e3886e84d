package sign

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"
	"time"
)

// HMACOptions are the options of the scheme hmac: one header with one signature.
type HMACOptions struct {
	Hash            string // sha256 (also when empty) or sha512
	Encoding        string // hex (also when empty), lower-case, or base64
	Header          string // the signature's header
	Prefix          string // what stands before the signature
	Content         string // what is signed: text with {body}, which is needed, {id} and {timestamp}; "" = the body alone
	TimestampHeader string // a header to send the attempt's time in, as Unix seconds, besides webhook-timestamp; "" = none
}

// The headers of the presets. GitHub's older X-Hub-Signature (SHA-1) is neither sent nor accepted.
const (
	HeaderGitHub  = "X-Hub-Signature-256"
	HeaderShopify = "X-Shopify-Hmac-SHA256"
)

// newGitHub signs the body alone: there is no timestamp, so nothing here stops a replay.
func newGitHub(spec *Spec, _ bool) (scheme, error) {
	return makeHMAC(HMACOptions{Header: HeaderGitHub, Prefix: "sha256="}, spec.Secrets)
}

// newShopify signs the body alone, too.
func newShopify(spec *Spec, _ bool) (scheme, error) {
	return makeHMAC(HMACOptions{Header: HeaderShopify, Encoding: "base64"}, spec.Secrets)
}

func newHMAC(spec *Spec, _ bool) (scheme, error) { return makeHMAC(spec.HMAC, spec.Secrets) }

// configuredHMAC signs with the secret's text as the key. The header has room for one signature: the newest secret signs; any live one
// is accepted.
type configuredHMAC struct {
	keys      []*hmacKey
	header    string
	lower     string // header, to ask for it
	prefix    string
	base64    bool
	content   []contentPart
	timestamp string // header of the timestamp, "" = none
}

// contentPart is a piece of what is signed: a text, or what the letter stands for (i: id, t: timestamp, b: body).
type contentPart struct {
	text []byte
	what byte
}

func makeHMAC(o HMACOptions, secrets []string) (scheme, error) {
	s := &configuredHMAC{header: o.Header, lower: strings.ToLower(o.Header), prefix: o.Prefix, timestamp: o.TimestampHeader}
	var newHash func() hash.Hash
	switch o.Hash {
	case "", "sha256":
		newHash = sha256.New
	case "sha512":
		newHash = sha512.New
	default:
		return nil, &OptionError{"hash", "must be sha256 or sha512"}
	}
	switch o.Encoding {
	case "", "hex":
	case "base64":
		s.base64 = true
	default:
		return nil, &OptionError{"encoding", "must be hex or base64"}
	}
	if err := s.checkHeaders(); err != nil {
		return nil, err
	}
	var err error
	if s.content, err = parseContent(o.Content); err != nil {
		return nil, err
	}
	s.keys, err = textKeys(newHash, secrets)
	return s, err
}

func (s *configuredHMAC) checkHeaders() error {
	switch {
	case s.header == "":
		return &OptionError{"header", "is missing: the scheme hmac needs the name of the signature's header"}
	case !isToken(s.header):
		return &OptionError{"header", "is not the name of a header"}
	case s.timestamp != "" && !isToken(s.timestamp):
		return &OptionError{"timestamp_header", "is not the name of a header"}
	case strings.EqualFold(s.timestamp, s.header):
		return &OptionError{"timestamp_header", "is the header of the signature too"}
	case strings.ContainsFunc(s.prefix, func(r rune) bool { return r < ' ' || r > '~' }):
		return &OptionError{"prefix", "may hold only printable ASCII characters"}
	}
	return nil
}

// isToken says whether a text can be the name of a header (RFC 9110, 5.6.2).
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// parseContent cuts the template of what is signed into its parts.
func parseContent(text string) ([]contentPart, error) {
	if text == "" {
		text = "{body}"
	}
	var parts []contentPart
	whole := text
	for text != "" {
		literal, rest, found := strings.Cut(text, "{")
		if literal != "" {
			parts = append(parts, contentPart{text: []byte(literal)})
		}
		if !found {
			break
		}
		name, rest, closed := strings.Cut(rest, "}")
		if !closed || name != "id" && name != "timestamp" && name != "body" {
			return nil, &OptionError{"content", "has a { that begins none of {id}, {timestamp} and {body}"}
		}
		parts = append(parts, contentPart{what: name[0]})
		text = rest
	}
	if n := strings.Count(whole, "{body}"); n != 1 {
		return nil, &OptionError{"content", "must have {body} in it, once"}
	}
	return parts, nil
}

func (s *configuredHMAC) sign(dst []Header, sc *Scratch, m Message) []Header {
	buf := slices.Grow(sc.buf[:0], 20+len(s.prefix)+2*sha512.Size)
	buf = strconv.AppendInt(buf, m.Unix, 10)
	at := len(buf)
	sc.parts = s.parts(sc.parts[:0], m.ID, buf[:at:at], m.Body)
	sc.sum = s.keys[0].sum(sc.sum[:0], sc.parts...)
	clear(sc.parts) // they must not keep the body alive
	buf = s.encode(append(buf, s.prefix...), sc.sum)
	sc.buf = buf
	if s.timestamp != "" {
		dst = append(dst, Header{s.timestamp, buf[:at:at]})
	}
	return append(dst, Header{s.header, buf[at:]})
}

// parts appends what is signed to dst.
func (s *configuredHMAC) parts(dst [][]byte, id, timestamp, body []byte) [][]byte {
	for i := range s.content {
		switch p := &s.content[i]; p.what {
		case 'i':
			dst = append(dst, id)
		case 't':
			dst = append(dst, timestamp)
		case 'b':
			dst = append(dst, body)
		default:
			dst = append(dst, p.text)
		}
	}
	return dst
}

func (s *configuredHMAC) encode(dst, sum []byte) []byte {
	if s.base64 {
		return base64.StdEncoding.AppendEncode(dst, sum)
	}
	return hex.AppendEncode(dst, sum)
}

func (s *configuredHMAC) verify(r *Request, now time.Time) error {
	value, err := need(r, s.lower)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(value, s.prefix) {
		return fmt.Errorf("%w: %s does not begin with %s", ErrMalformed, s.lower, s.prefix)
	}
	id, timestamp, err := s.readSigned(r, now)
	if err != nil {
		return err
	}
	parts := s.parts(nil, []byte(id), []byte(timestamp), r.Body)
	for _, k := range s.keys {
		if subtle.ConstantTimeCompare([]byte(value), s.encode([]byte(s.prefix), k.sum(nil, parts...))) == 1 {
			return nil
		}
	}
	return fmt.Errorf("%w: %s", ErrNoMatch, s.lower)
}

// readSigned returns the id and the timestamp, as far as they are signed.
func (s *configuredHMAC) readSigned(r *Request, now time.Time) (id, timestamp string, err error) {
	for _, p := range s.content {
		switch {
		case p.what == 'i' && id == "":
			if id, err = need(r, HeaderID); err == nil && !isToken(id) || strings.Contains(id, ".") {
				// An id with a separator in it would let somebody move the borders of what was signed once.
				err = fmt.Errorf("%w: %s has characters that no id has", ErrMalformed, HeaderID)
			}
		case p.what == 't' && timestamp == "":
			name := HeaderTimestamp
			if s.timestamp != "" {
				name = strings.ToLower(s.timestamp)
			}
			if timestamp, err = need(r, name); err == nil {
				err = checkTimestamp(name, timestamp, now)
			}
		}
		if err != nil {
			return "", "", err
		}
	}
	return id, timestamp, nil
}
