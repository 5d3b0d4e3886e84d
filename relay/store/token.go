package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// The kinds of tokens.
const (
	Operator = "operator" // people and scripts, for the management API
	Ingress  = "ingress"  // producers, for the ingress
	Program  = "program"  // an integration of one program: it makes that program's webhooks
)

// Token is a credential that was made here. The token itself is not kept, only its hash.
type Token struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Kind      string    `json:"kind"`
	Hash      string    `json:"hash"` // SHA-256, hexadecimal
	Hint      string    `json:"hint"` // its last characters, for people
	Tenants   []string  `json:"tenants"`
	Role      string    `json:"role,omitempty"`
	Program   string    `json:"program,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
	UsedAt    time.Time `json:"used_at,omitzero"` // as stored; see Used

	used   atomic.Int64 // Unix seconds
	stored atomic.Int64 // what of it is stored
}

// Used is when the token was last used, zero = never.
func (t *Token) Used() time.Time {
	if n := t.used.Load(); n > 0 {
		return time.Unix(n, 0).UTC()
	}
	return time.Time{}
}

// Valid says whether the token is good at now.
func (t *Token) Valid(now time.Time) bool {
	return t.RevokedAt.IsZero() && (t.ExpiresAt.IsZero() || now.Before(t.ExpiresAt))
}

// prefixes let secret scanners tell what they have found.
var prefixes = map[string]string{Operator: "edgerelay_", Ingress: "edgerelay_in_", Program: "edgerelay_pr_"}

// NewToken returns a fresh token of 256 random bits. It ends in a checksum, so that a scanner can tell a token from something that looks like one.
func NewToken(kind string) string {
	var b [32]byte
	rand.Read(b[:]) // never fails
	body := prefixes[kind] + base64.RawURLEncoding.EncodeToString(b[:])
	return body + checksum(body)
}

func checksum(body string) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(body))) }

// LooksLikeToken says whether text is a token by its prefix and checksum.
func LooksLikeToken(text string) bool {
	n := len(text) - 8
	return n > 0 && strings.HasPrefix(text, "edgerelay_") && checksum(text[:n]) == text[n:]
}

// HashToken is what is kept of a token.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func (s *Store) loadToken(key string, value []byte) error {
	t := &Token{}
	if err := json.Unmarshal(value, t); err != nil {
		return fmt.Errorf("read %q: %w", key, err)
	}
	if !t.UsedAt.IsZero() {
		t.used.Store(t.UsedAt.Unix())
		t.stored.Store(t.UsedAt.Unix())
	}
	s.tokens[t.ID], s.hashes[t.Hash] = t, t
	return nil
}

func (t *Token) tenant() string {
	if len(t.Tenants) == 1 {
		return t.Tenants[0]
	}
	return "*"
}

func (t *Token) pair() (Pair, error) {
	copied := Token{ID: t.ID, Name: t.Name, Kind: t.Kind, Hash: t.Hash, Hint: t.Hint, Tenants: t.Tenants, Role: t.Role, Program: t.Program,
		CreatedAt: t.CreatedAt, CreatedBy: t.CreatedBy, ExpiresAt: t.ExpiresAt, RevokedAt: t.RevokedAt, UsedAt: t.Used()}
	value, err := json.Marshal(&copied)
	if err != nil {
		return Pair{}, fmt.Errorf("store token: %w", err)
	}
	return Pair{tokenPrefix + t.tenant() + "\x00" + t.ID, value}, nil
}

// PutToken keeps a token, or a change of it, durably.
func (s *Store) PutToken(ctx context.Context, t *Token, entry *Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	own, err := t.pair()
	if err != nil {
		return err
	}
	note, err := s.entry(entry)
	if err != nil {
		return err
	}
	if err := s.kv.PutAll(ctx, []Pair{own, note}); err != nil {
		return fmt.Errorf("store token: %w", err)
	}
	s.tokens[t.ID], s.hashes[t.Hash] = t, t
	return nil
}

// Revoked returns a copy of t that is revoked at now.
func (t *Token) Revoked(now time.Time) *Token {
	c := &Token{ID: t.ID, Name: t.Name, Kind: t.Kind, Hash: t.Hash, Hint: t.Hint, Tenants: t.Tenants, Role: t.Role, Program: t.Program,
		CreatedAt: t.CreatedAt, CreatedBy: t.CreatedBy, ExpiresAt: t.ExpiresAt, RevokedAt: now}
	c.used.Store(t.used.Load())
	return c
}

// Tokens lists the tokens in the order of their making.
func (s *Store) Tokens() []*Token {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*Token, 0, len(s.tokens))
	for _, t := range s.tokens {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *Token) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Token returns a token by its id, or nil.
func (s *Store) Token(id string) *Token {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tokens[id]
}

// usedEvery is how often it is stored that a token was used.
const usedEvery = 10 * time.Minute

// Authenticate returns the token that hashes to hash, if it is good, and notes that it was used. Looking a hash up tells an attacker nothing about the token.
func (s *Store) Authenticate(ctx context.Context, hash string) *Token {
	s.mu.RLock()
	t := s.hashes[hash]
	s.mu.RUnlock()
	now := s.now()
	if t == nil || !t.Valid(now) {
		return nil
	}
	t.used.Store(now.Unix())
	if last := t.stored.Load(); now.Unix()-last >= int64(usedEvery/time.Second) && t.stored.CompareAndSwap(last, now.Unix()) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if pair, err := t.pair(); err == nil && s.hashes[hash] == t { // not over a revocation that was faster
			_ = s.kv.PutAll(context.WithoutCancel(ctx), []Pair{pair}) // the time of use is no reason to refuse a request
		}
	}
	return t
}
