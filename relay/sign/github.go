package sign

import (
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// HeaderGitHub is GitHub's signature header. The older X-Hub-Signature (SHA-1) is neither sent nor accepted.
const HeaderGitHub = "X-Hub-Signature-256"

const (
	gitHubLower  = "x-hub-signature-256"
	gitHubPrefix = "sha256="
)

// gitHub signs the body alone: "sha256=" hex(HMAC-SHA256(secret as text, body)). There is no timestamp, so nothing here stops a replay.
// The header has room for one signature: the newest secret signs; any live one is accepted.
type gitHub struct {
	keys []*hmacKey
}

func newGitHub(secrets []string) (scheme, error) {
	g := &gitHub{}
	for i, secret := range secrets {
		if secret == "" {
			return nil, fmt.Errorf("secret %d is empty", i+1)
		}
		g.keys = append(g.keys, newHMACKey([]byte(secret)))
	}
	return g, nil
}

func (g *gitHub) sign(dst []Header, sc *Scratch, m Message) []Header {
	sc.sum = g.keys[0].sum(sc.sum[:0], m.Body)
	sc.buf = hex.AppendEncode(append(sc.buf[:0], gitHubPrefix...), sc.sum)
	return append(dst, Header{HeaderGitHub, sc.buf})
}

func (g *gitHub) verify(get func(name string) string, body []byte, _ time.Time) error {
	value := get(gitHubLower)
	if value == "" {
		return fmt.Errorf("%w: %s", ErrMissingHeader, gitHubLower)
	}
	if !strings.HasPrefix(value, gitHubPrefix) {
		return fmt.Errorf("%w: %s does not begin with %s", ErrMalformed, gitHubLower, gitHubPrefix)
	}
	for _, k := range g.keys {
		want := hex.AppendEncode([]byte(gitHubPrefix), k.sum(nil, body))
		if subtle.ConstantTimeCompare([]byte(value), want) == 1 {
			return nil
		}
	}
	return fmt.Errorf("%w: %s", ErrNoMatch, gitHubLower)
}
