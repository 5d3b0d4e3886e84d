package sign

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"
)

// The prefixes of keys as text (Standard Webhooks). What follows is base64 with padding.
const (
	secretPrefix  = "whsec_" // shared secret of 24 to 64 bytes
	privatePrefix = "whsk_"  // Ed25519: the seed of 32 bytes, or seed and public key, 64 bytes
	publicPrefix  = "whpk_"  // Ed25519: the public key, 32 bytes
)

// hmacKey is an HMAC key with its states kept for reuse. Setting a state up costs two blocks of the hash and six allocations; after
// the first use, Reset only copies the keyed state back. A sync.Pool hands one to each worker without a shared lock.
type hmacKey struct {
	states sync.Pool // of hash.Hash
}

func newHMACKey(newHash func() hash.Hash, key []byte) *hmacKey {
	return &hmacKey{states: sync.Pool{New: func() any { return hmac.New(newHash, key) }}}
}

// textKeys makes keys of secrets that are used as they are written.
func textKeys(newHash func() hash.Hash, secrets []string) ([]*hmacKey, error) {
	var keys []*hmacKey
	for i, secret := range secrets {
		if secret == "" {
			return nil, fmt.Errorf("secret %d is empty", i+1)
		}
		keys = append(keys, newHMACKey(newHash, []byte(secret)))
	}
	return keys, nil
}

// sum appends the HMAC of the parts, one after the other, to dst.
func (k *hmacKey) sum(dst []byte, parts ...[]byte) []byte {
	h := k.states.Get().(hash.Hash)
	h.Reset()
	for _, p := range parts {
		h.Write(p)
	}
	dst = h.Sum(dst)
	k.states.Put(h)
	return dst
}

// decodeSecret reads whsec_<base64> or the base64 alone. Its errors say what is wrong, never what was given.
func decodeSecret(secret string) ([]byte, error) {
	if strings.HasPrefix(secret, privatePrefix) || strings.HasPrefix(secret, publicPrefix) {
		return nil, errors.New("this is an Ed25519 key (whsk_, whpk_); a symmetric secret begins with whsec_")
	}
	key, err := decodeBase64(strings.TrimPrefix(secret, secretPrefix), secretPrefix)
	if err != nil {
		return nil, err
	}
	if len(key) < 24 || len(key) > 64 {
		return nil, fmt.Errorf("the secret decodes to %d bytes, it must be 24 to 64", len(key))
	}
	return key, nil
}

func decodeBase64(text, prefix string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") { // the decoder would skip them
		return nil, errors.New("the secret contains a line break")
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		if _, err := base64.RawStdEncoding.DecodeString(text); err == nil {
			return nil, errors.New("the base64 of the secret has lost its padding (=)")
		}
		return nil, fmt.Errorf("the secret is not standard base64, after %s", prefix)
	}
	return key, nil
}

// edKey is an Ed25519 key. private is nil when only the public half is known.
type edKey struct {
	private ed25519.PrivateKey
	public  ed25519.PublicKey
}

// decodeEdKey reads whsk_<base64>; for verifying only also whpk_<base64>.
func decodeEdKey(secret string, verifyOnly bool) (edKey, error) {
	if text, ok := strings.CutPrefix(secret, publicPrefix); ok {
		if !verifyOnly {
			return edKey{}, errors.New("this is the public key (whpk_); signing needs the private one, which begins with whsk_")
		}
		key, err := decodeBase64(text, publicPrefix)
		if err == nil && len(key) != ed25519.PublicKeySize {
			err = fmt.Errorf("the public key decodes to %d bytes, it must be 32", len(key))
		}
		return edKey{public: key}, err
	}
	text, ok := strings.CutPrefix(secret, privatePrefix)
	if !ok {
		return edKey{}, errors.New("this is not an Ed25519 key: it must begin with whsk_")
	}
	key, err := decodeBase64(text, privatePrefix)
	if err != nil {
		return edKey{}, err
	}
	if len(key) != ed25519.SeedSize && len(key) != ed25519.PrivateKeySize {
		return edKey{}, fmt.Errorf("the private key decodes to %d bytes, it must be 32 or 64", len(key))
	}
	private := ed25519.NewKeyFromSeed(key[:ed25519.SeedSize])
	if len(key) == ed25519.PrivateKeySize && !bytes.Equal(key, private) {
		return edKey{}, errors.New("the two halves of the private key do not belong together")
	}
	return edKey{private, private.Public().(ed25519.PublicKey)}, nil
}

// NewSecret returns a new random secret of 32 bytes, whsec_….
func NewSecret() string {
	var key [32]byte
	rand.Read(key[:]) // never fails (crypto/rand, since Go 1.24)
	return secretPrefix + base64.StdEncoding.EncodeToString(key[:])
}

// NewPrivateKey returns a new random Ed25519 key, whsk_….
func NewPrivateKey() string {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic("BUG: the system's random numbers failed: " + err.Error())
	}
	return privatePrefix + base64.StdEncoding.EncodeToString(private)
}

// PublicKey returns the public half (whpk_…) of a private key (whsk_…).
func PublicKey(secret string) (string, error) {
	key, err := decodeEdKey(secret, true)
	if err != nil {
		return "", err
	}
	return publicPrefix + base64.StdEncoding.EncodeToString(key.public), nil
}

// Asymmetric says whether the scheme's secrets are private keys, of which the receiver gets the public half.
func (s Spec) Asymmetric() bool {
	return s.Scheme == StandardEd25519 || s.Scheme == RFC9421 && s.Algorithm == AlgorithmEd25519
}

// NewSecret returns a new random secret of the kind that the scheme wants.
func (s Spec) NewSecret() string {
	if s.Asymmetric() {
		return NewPrivateKey()
	}
	return NewSecret()
}
