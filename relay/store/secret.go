package store

import (
	"context"
	"fmt"
	"strings"
)

// Generated signing secrets are kept beside the definitions, because those of webhooks that come from files have no definition here.

func (s *Store) loadSecret(key string, value []byte) error {
	parts := strings.Split(strings.TrimPrefix(key, secretPrefix), "\x00")
	if len(parts) != 3 {
		return fmt.Errorf("read %q: not the key of a secret", key)
	}
	text, err := s.seal.open(value, parts[0], Webhooks, parts[1], parts[2])
	if err != nil {
		return fmt.Errorf("read secret of webhook %s: %w", parts[1], err)
	}
	s.secrets[key] = string(text)
	return nil
}

// Secret returns the kept secret of a webhook, or "".
func (s *Store) Secret(tenant, webhook, field string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.secrets[secretKey(tenant, webhook, field)]
}

// SetSecret keeps a secret durably; "" forgets it.
func (s *Store) SetSecret(ctx context.Context, tenant, webhook, field, secret string, entries ...*Entry) error {
	key := secretKey(tenant, webhook, field)
	pairs := []Pair{{Key: key}}
	if secret != "" {
		pairs[0].Value = s.seal.seal([]byte(secret), tenant, Webhooks, webhook, field)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		pair, err := s.entry(e)
		if err != nil {
			return err
		}
		pairs = append(pairs, pair)
	}
	if err := s.kv.PutAll(ctx, pairs); err != nil {
		return fmt.Errorf("store secret: %w", err)
	}
	if secret == "" {
		delete(s.secrets, key)
	} else {
		s.secrets[key] = secret
	}
	return nil
}
