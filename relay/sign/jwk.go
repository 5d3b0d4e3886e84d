package sign

import (
	"crypto/ed25519"
	"encoding/base64"
)

// JWK is an Ed25519 public key as receivers' libraries read it (RFC 8037).
type JWK struct {
	Type      string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	ID        string `json:"kid"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
}

// PublicKeys lists the public halves of the live keys, newest first; of schemes with shared secrets there are none.
func (s *Signer) PublicKeys() (keys []JWK) {
	if s == nil {
		return nil
	}
	switch sc := s.scheme.(type) {
	case *standardEd:
		for _, k := range sc.keys {
			keys = append(keys, newJWK(k.public, Thumbprint(k.public)))
		}
	case *httpMessage:
		for _, k := range sc.keys {
			if k.mac == nil {
				keys = append(keys, newJWK(k.ed.public, k.id))
			}
		}
	}
	return keys
}

func newJWK(public ed25519.PublicKey, id string) JWK {
	return JWK{Type: "OKP", Curve: "Ed25519", X: base64.RawURLEncoding.EncodeToString(public), ID: id, Use: "sig", Algorithm: "EdDSA"}
}
