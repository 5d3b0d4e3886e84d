// Package store keeps what people make through the API: webhooks, authorizations, event types, tokens, generated secrets, and the audit log of who did what.
//
// The relay opens one on top of its queue's small durable values and answers a request only after Apply has returned: what a change consists of (the object, the
// version before it, the audit entry, the note of an Idempotency-Key) is written in one transaction. Everything is in memory as well, so reading
// costs no disk. Objects never change; a new version is a new Object, so whoever compiles one can tell by the pointer whether it is still the same.
//
// Every key begins with the tenant (see keys.go), and every text that may hold a secret is sealed (see seal.go).
//
// It starts no goroutines and imports nothing of ours.
package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// KV is where values are kept.
type KV interface {
	// PutAll stores all values or none, durably; one without content is deleted.
	PutAll(ctx context.Context, values []Pair) error
	Scan(prefix string, fn func(key string, value []byte) bool) error
}

// Pair is a key with its value.
type Pair struct {
	Key   string
	Value []byte
}

// The kinds of objects: the lists of the configuration that they belong to.
const (
	Webhooks       = "webhooks"
	Authorizations = "authorizations"
	EventTypes     = "event_types"
)

// maxText is the longest definition. Sealed, in JSON, it must fit into a value of 64 KiB.
const maxText = 44 << 10

// MaxText is the longest definition that can be kept, in bytes.
const MaxText = maxText

// ErrTooLarge is wrapped when a definition is longer than MaxText.
var ErrTooLarge = errors.New("the definition is too long")

// Object is one version of something that was made. It is never changed.
type Object struct {
	Kind      string    `json:"kind"`
	Tenant    string    `json:"tenant"`
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Revision  int       `json:"revision"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by"`
	UpdatedAt time.Time `json:"updated_at"`
	UpdatedBy string    `json:"updated_by"`
	RetireAt  time.Time `json:"retire_at,omitzero"` // when all but the newest of its signing secrets go
	Text      Text      `json:"-"`                  // the definition as JSON, with its secrets
}

// Text is a definition. Printed or logged, it shows nothing.
type Text []byte

// String hides the text.
func (Text) String() string { return "***" }

// GoString hides the text.
func (Text) GoString() string { return "***" }

// LogValue hides the text.
func (Text) LogValue() slog.Value { return slog.StringValue("***") }

// MarshalJSON hides the text.
func (Text) MarshalJSON() ([]byte, error) { return []byte(`"***"`), nil }

// record is an Object as it is stored.
type record struct {
	Object
	Sealed []byte `json:"sealed"`
}

type nameKey struct{ kind, tenant, name string }

// Options of a Store.
type Options struct {
	KV  KV
	Key []byte // the master key, 32 bytes
	Now func() time.Time
}

// Store is open until the queue below it is closed.
type Store struct {
	kv   KV
	seal *sealer
	now  func() time.Time

	mu      sync.RWMutex
	objects map[string]*Object
	names   map[nameKey]*Object
	tokens  map[string]*Token
	hashes  map[string]*Token
	secrets map[string]string // by key
	replays map[string]*Replay
	lastAt  time.Time // of an audit entry
}

// Open reads everything. A master key that is not the one with which the store was made is an error that says so.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	seal, err := newSealer(o.Key)
	if err != nil {
		return nil, err
	}
	s := &Store{kv: o.KV, seal: seal, now: o.Now, objects: map[string]*Object{}, names: map[nameKey]*Object{}, tokens: map[string]*Token{}, hashes: map[string]*Token{},
		secrets: map[string]string{}, replays: map[string]*Replay{}}
	if err := s.checkKey(ctx); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		prefix string
		load   func(key string, value []byte) error
	}{{objectPrefix, s.loadObject}, {tokenPrefix, s.loadToken}, {secretPrefix, s.loadSecret}, {replayPrefix, s.loadReplay}} {
		var failed error
		if err := s.kv.Scan(part.prefix, func(key string, value []byte) bool {
			failed = part.load(key, value)
			return failed == nil
		}); err != nil || failed != nil {
			return nil, fmt.Errorf("open store: %w", errors.Join(err, failed))
		}
	}
	return s, nil
}

func (s *Store) loadObject(key string, value []byte) error {
	o, err := s.decode(key, value)
	if err != nil {
		return err
	}
	s.put(o)
	return nil
}

func (s *Store) decode(key string, value []byte) (*Object, error) {
	var r record
	if err := json.Unmarshal(value, &r); err != nil {
		return nil, fmt.Errorf("read %q: %w", key, err)
	}
	text, err := s.seal.open(r.Sealed, r.Tenant, r.Kind, r.ID, "definition")
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", r.Kind, r.ID, err)
	}
	r.Object.Text = text
	return &r.Object, nil
}

func (s *Store) encode(o *Object) ([]byte, error) {
	if len(o.Text) > maxText {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are kept", ErrTooLarge, len(o.Text), maxText)
	}
	value, err := json.Marshal(record{*o, s.seal.seal(o.Text, o.Tenant, o.Kind, o.ID, "definition")})
	if err != nil {
		return nil, fmt.Errorf("store %s %s: %w", o.Kind, o.ID, err)
	}
	return value, nil
}

func (s *Store) put(o *Object) {
	if old := s.objects[o.ID]; old != nil {
		delete(s.names, nameKey{old.Kind, old.Tenant, old.Name})
	}
	s.objects[o.ID] = o
	s.names[nameKey{o.Kind, o.Tenant, o.Name}] = o
}

// Get returns an object, or nil.
func (s *Store) Get(id string) *Object {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.objects[id]
}

// Find returns the object of this name, or nil.
func (s *Store) Find(kind, tenant, name string) *Object {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.names[nameKey{kind, tenant, name}]
}

// All returns the objects of a kind in the order of their ids, which is that of their making.
func (s *Store) All(kind string) []*Object {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []*Object
	for _, o := range s.objects {
		if o.Kind == kind {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b *Object) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Change is one change and what goes with it.
type Change struct {
	Old     *Object // nil = it is made
	New     *Object // nil = it is deleted
	Entries []*Entry
	Replay  *Replay
}

// Apply makes the change durable and returns then. The version before it is kept.
func (s *Store) Apply(ctx context.Context, c Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var pairs []Pair
	if c.New != nil {
		value, err := s.encode(c.New)
		if err != nil {
			return err
		}
		pairs = append(pairs, Pair{objectKey(c.New), value})
	} else if c.Old != nil {
		pairs = append(pairs, Pair{Key: objectKey(c.Old)})
	}
	if c.Old != nil {
		value, err := s.encode(c.Old)
		if err != nil {
			return err
		}
		pairs = append(pairs, Pair{versionKey(c.Old, c.Old.Revision), value})
		if c.Old.Revision > keepVersions {
			pairs = append(pairs, Pair{Key: versionKey(c.Old, c.Old.Revision-keepVersions)})
		}
	}
	for _, e := range c.Entries {
		pair, err := s.entry(e)
		if err != nil {
			return err
		}
		pairs = append(pairs, pair)
	}
	if c.Replay != nil {
		pair, err := c.Replay.pair()
		if err != nil {
			return err
		}
		pairs = append(pairs, pair)
		pairs = append(pairs, s.forgetReplays()...)
	}
	if err := s.kv.PutAll(ctx, pairs); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if c.New != nil {
		s.put(c.New)
	} else if c.Old != nil {
		delete(s.objects, c.Old.ID)
		delete(s.names, nameKey{c.Old.Kind, c.Old.Tenant, c.Old.Name})
	}
	if c.Replay != nil {
		s.replays[c.Replay.key()] = c.Replay
	}
	return nil
}

// keepVersions is how many earlier versions of an object are kept.
const keepVersions = 50

// Versions returns the earlier versions of an object, the newest first.
func (s *Store) Versions(o *Object) (all []*Object, err error) {
	var failed error
	err = s.kv.Scan(versionsOf(o), func(key string, value []byte) bool {
		var v *Object
		if v, failed = s.decode(key, value); failed == nil {
			all = append(all, v)
		}
		return failed == nil
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("read versions: %w", err)
	}
	slices.Reverse(all)
	return all, nil
}

// Load puts an object into memory as if it had been read. It is for tests of large numbers.
func (s *Store) Load(o *Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(o)
}
