package sign

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"
)

// hmacKey is an HMAC-SHA256 key with its states kept for reuse. Setting a state up costs two SHA-256 blocks and six allocations; after
// the first use, Reset only copies the keyed state back. A sync.Pool hands one to each worker without a shared lock.
type hmacKey struct {
	states sync.Pool // of hash.Hash
}

func newHMACKey(key []byte) *hmacKey {
	return &hmacKey{states: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
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
