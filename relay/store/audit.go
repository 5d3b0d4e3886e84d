package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Entry is one line of the audit log. What is in Before and After has lost its secrets already.
type Entry struct {
	ID     string          `json:"id"`
	At     time.Time       `json:"at"`
	Actor  string          `json:"actor"` // name of the token
	Role   string          `json:"role,omitempty"`
	Tenant string          `json:"tenant,omitempty"`
	Action string          `json:"action"` // such as create, update, publish, secret.read
	Kind   string          `json:"kind"`
	Object string          `json:"object,omitempty"`
	Name   string          `json:"name,omitempty"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// maxEntry bounds what an entry keeps of definitions.
const maxEntry = 48 << 10

// entry gives e its time and id. Store.mu is held.
func (s *Store) entry(e *Entry) (Pair, error) {
	at := s.now().UTC()
	if !at.After(s.lastAt) {
		at = s.lastAt.Add(1)
	}
	s.lastAt = at
	e.At = at
	order := fmt.Sprintf("%016x", math.MaxInt64-at.UnixNano())
	e.ID = fmt.Sprintf("%x", at.UnixNano())
	if len(e.Before)+len(e.After) > maxEntry {
		e.Before, e.After = json.RawMessage(`"too long"`), json.RawMessage(`"too long"`)
	}
	value, err := json.Marshal(e)
	if err != nil {
		return Pair{}, fmt.Errorf("write audit entry: %w", err)
	}
	return Pair{auditPrefix + e.Tenant + "\x00" + order, value}, nil
}

// Note writes an audit entry durably.
func (s *Store) Note(ctx context.Context, e *Entry) error {
	return s.Apply(ctx, Change{Entries: []*Entry{e}})
}

// Audit returns entries, the newest first, of the tenants (nil = all) before the time before (zero = now), at most limit. keep says which.
func (s *Store) Audit(tenants []string, before time.Time, limit int, keep func(*Entry) bool) (page []*Entry, err error) {
	prefixes := []string{auditPrefix}
	if tenants != nil {
		prefixes = nil
		for _, t := range tenants {
			prefixes = append(prefixes, auditPrefix+t+"\x00")
		}
	}
	for _, prefix := range prefixes {
		var failed error
		found := 0
		err := s.kv.Scan(prefix, func(key string, value []byte) bool {
			var e Entry
			if failed = json.Unmarshal(value, &e); failed != nil {
				failed = fmt.Errorf("read %q: %w", key, failed)
				return false
			}
			if (before.IsZero() || e.At.Before(before)) && keep(&e) {
				page = append(page, &e)
				found++
			}
			return tenants == nil || found < limit // within a tenant they come in order
		})
		if err = errors.Join(err, failed); err != nil {
			return nil, fmt.Errorf("read audit log: %w", err)
		}
		if len(page) > 4*limit {
			page = newest(page, limit)
		}
	}
	return newest(page, limit), nil
}

func newest(page []*Entry, limit int) []*Entry {
	slices.SortFunc(page, func(a, b *Entry) int { return cmp.Compare(b.At.UnixNano(), a.At.UnixNano()) })
	return page[:min(len(page), limit)]
}

// Replay is what was answered to a request with an Idempotency-Key.
type Replay struct {
	Tenant string    `json:"tenant"`
	Key    string    `json:"key"`  // hash of the token's name and the key
	Body   string    `json:"body"` // hash of the request
	Object string    `json:"object"`
	At     time.Time `json:"at"`
}

// replayTime is how long an Idempotency-Key is remembered.
const replayTime = 24 * time.Hour

func (r *Replay) key() string { return replayPrefix + r.Tenant + "\x00" + r.Key }

func (r *Replay) pair() (Pair, error) {
	value, err := json.Marshal(r)
	if err != nil {
		return Pair{}, fmt.Errorf("store idempotency key: %w", err)
	}
	return Pair{r.key(), value}, nil
}

func (s *Store) loadReplay(key string, value []byte) error {
	var r Replay
	if err := json.Unmarshal(value, &r); err != nil {
		return fmt.Errorf("read %q: %w", key, err)
	}
	s.replays[key] = &r
	return nil
}

// Replayed returns what a key was answered with in the last day, or nil.
func (s *Store) Replayed(tenant, key string) *Replay {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r := s.replays[(&Replay{Tenant: tenant, Key: key}).key()]
	if r == nil || s.now().Sub(r.At) > replayTime {
		return nil
	}
	return r
}

// forgetReplays deletes some that are old. Store.mu is held.
func (s *Store) forgetReplays() (pairs []Pair) {
	for key, r := range s.replays {
		if s.now().Sub(r.At) > replayTime {
			delete(s.replays, key)
			if pairs = append(pairs, Pair{Key: key}); len(pairs) >= 100 {
				break
			}
		}
	}
	return pairs
}
