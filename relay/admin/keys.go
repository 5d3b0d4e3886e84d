package admin

import "context"

// Key is a public key of a webhook's signatures, as a JSON Web Key.
type Key struct {
	Type      string `json:"kty" doc:"OKP."`
	Curve     string `json:"crv" doc:"Ed25519."`
	X         string `json:"x" doc:"The public key, base64url."`
	ID        string `json:"kid" doc:"What signatures call it: the keyid of RFC 9421. Unless one is configured, the key's thumbprint."`
	Use       string `json:"use" doc:"sig."`
	Algorithm string `json:"alg" doc:"EdDSA."`
}

// keySet is a JWKS (RFC 7517).
type keySet struct {
	Keys []Key `json:"keys" doc:"The live keys; of each webhook the newest first."`
}

type keysInput struct {
	Webhook string `query:"webhook" doc:"Only this webhook's keys." example:"wh_00000000000000000000000000"`
}

func (s *Server) keyRoutes() []route {
	return []route{
		operation(op{method: "GET", path: "/.well-known/jwks.json", id: "list-keys", tag: "relay",
			summary: "The public keys with which receivers verify signatures",
			about: "Of the webhooks whose signatures are made with Ed25519. While a key is being replaced both are there. It is open to everybody: " +
				"public keys are no secret, and nothing else is shown. A webhook that does not exist, or that signs with a shared secret, has no keys."}, s.listKeys),
	}
}

func (s *Server) listKeys(_ context.Context, c *call, in *keysInput) (keySet, error) {
	set := keySet{Keys: []Key{}}
	seen := map[Key]bool{}
	for _, k := range s.opts.Keys(in.Webhook) {
		if !seen[k] {
			seen[k] = true
			set.Keys = append(set.Keys, k)
		}
	}
	c.header.Set("Cache-Control", "public, max-age=300")
	return set, nil
}
