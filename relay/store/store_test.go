package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// memory is a KV: the queue behind it has its own tests.
type memory struct {
	m    map[string][]byte
	fail error
}

func (k *memory) PutAll(_ context.Context, pairs []Pair) error {
	if k.fail != nil {
		return k.fail
	}
	for _, p := range pairs {
		if len(p.Value) == 0 {
			delete(k.m, p.Key)
		} else {
			k.m[p.Key] = bytes.Clone(p.Value)
		}
	}
	return nil
}

func (k *memory) Scan(prefix string, fn func(string, []byte) bool) error {
	for _, key := range slices.Sorted(maps.Keys(k.m)) {
		if strings.HasPrefix(key, prefix) && !fn(key, k.m[key]) {
			return nil
		}
	}
	return nil
}

func open(t *testing.T, kv KV, key []byte) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{KV: kv, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newKey() []byte {
	key := make([]byte, keySize)
	rand.Read(key)
	return key
}

func webhook(tenant, name string, revision int) *Object {
	return &Object{Kind: Webhooks, Tenant: tenant, ID: "wh_" + name, Name: name, Revision: revision, Text: Text(fmt.Sprintf(`{"name":%q,"secret":"CANARY","n":%d}`, name, revision))}
}

func TestObjectsSurviveAndKeepTheirVersions(t *testing.T) {
	kv, key := &memory{m: map[string][]byte{}}, newKey()
	s := open(t, kv, key)
	old := webhook("acme", "w", 1)
	if err := s.Apply(t.Context(), Change{New: old, Entries: []*Entry{{Tenant: "acme", Action: "create"}}}); err != nil {
		t.Fatal(err)
	}
	for n := 2; n <= keepVersions+10; n++ {
		next := webhook("acme", "w", n)
		if err := s.Apply(t.Context(), Change{Old: old, New: next}); err != nil {
			t.Fatal(err)
		}
		old = next
	}
	s = open(t, kv, key)
	o := s.Find(Webhooks, "acme", "w")
	versions, err := s.Versions(o)
	if err != nil || o.Revision != keepVersions+10 || len(versions) != keepVersions || versions[0].Revision != keepVersions+9 || string(o.Text) != string(old.Text) {
		t.Errorf("%+v, %d versions, %v", o, len(versions), err)
	}
	for k, v := range kv.m {
		if bytes.Contains(v, []byte("CANARY")) {
			t.Errorf("%q is not sealed", k)
		}
		if prefix, rest, _ := strings.Cut(k, "/"); prefix != "store" && !strings.HasPrefix(rest, "acme\x00") {
			t.Errorf("key %q does not begin with the tenant", k)
		}
	}
	if err := s.Apply(t.Context(), Change{Old: o}); err != nil || s.Get(o.ID) != nil || s.Find(Webhooks, "acme", "w") != nil {
		t.Errorf("deleted: %v", err)
	}
}

// What is sealed for one tenant, object or field opens nowhere else.
func TestSealedTextsAreBound(t *testing.T) {
	kv, key := &memory{m: map[string][]byte{}}, newKey()
	s := open(t, kv, key)
	if err := s.Apply(t.Context(), Change{New: webhook("acme", "w", 1)}); err != nil {
		t.Fatal(err)
	}
	if err := s.SetSecret(t.Context(), "acme", "wh_w", "secret", "CANARY"); err != nil {
		t.Fatal(err)
	}
	moved := &memory{m: maps.Clone(kv.m)}
	for k, v := range kv.m {
		if strings.HasPrefix(k, objectPrefix) {
			delete(moved.m, k)
			moved.m[strings.Replace(k, "acme", "zeta", 1)] = bytes.Replace(v, []byte(`"acme"`), []byte(`"zeta"`), 1)
		}
	}
	if _, err := Open(t.Context(), Options{KV: moved, Key: key}); err == nil {
		t.Error("a definition was moved to another tenant")
	}
	moved = &memory{m: maps.Clone(kv.m)}
	moved.m[secretKey("zeta", "wh_w", "secret")] = kv.m[secretKey("acme", "wh_w", "secret")]
	if _, err := Open(t.Context(), Options{KV: moved, Key: key}); err == nil {
		t.Error("a secret was moved to another tenant")
	}
	if _, err := Open(t.Context(), Options{KV: kv, Key: newKey()}); !errors.Is(err, ErrKey) {
		t.Errorf("another master key: %v", err)
	}
}

// A write that fails leaves everything as it was.
func TestFailedWriteChangesNothing(t *testing.T) {
	kv := &memory{m: map[string][]byte{}}
	s := open(t, kv, newKey())
	kv.fail = errors.New("disk")
	if err := s.Apply(t.Context(), Change{New: webhook("acme", "w", 1)}); err == nil || s.Get("wh_w") != nil {
		t.Errorf("%v, %v", err, s.Get("wh_w"))
	}
}

func TestTokens(t *testing.T) {
	now := time.Now()
	kv, key := &memory{m: map[string][]byte{}}, newKey()
	s, err := Open(t.Context(), Options{KV: kv, Key: key, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	token := NewToken(Operator)
	tk := &Token{ID: "tk_1", Name: "n", Kind: Operator, Hash: HashToken(token), Tenants: []string{"acme"}, ExpiresAt: now.Add(time.Hour)}
	if err := s.PutToken(t.Context(), tk, &Entry{Action: "create"}); err != nil {
		t.Fatal(err)
	}
	if s.Authenticate(t.Context(), HashToken(token)) == nil || s.Authenticate(t.Context(), HashToken(token+"x")) != nil || tk.Used().IsZero() {
		t.Error("not authenticated")
	}
	s = open(t, kv, key)
	if used := s.Token("tk_1").Used(); used.Unix() != now.Unix() {
		t.Errorf("last use after a restart: %v", used)
	}
	now = now.Add(2 * time.Hour)
	if s2, _ := Open(t.Context(), Options{KV: kv, Key: key, Now: func() time.Time { return now }}); s2.Authenticate(t.Context(), HashToken(token)) != nil {
		t.Error("an expired token is good")
	}
	if err := s.PutToken(t.Context(), s.Token("tk_1").Revoked(now), &Entry{Action: "revoke"}); err != nil {
		t.Fatal(err)
	}
	if s.Authenticate(t.Context(), HashToken(token)) != nil || open(t, kv, key).Authenticate(t.Context(), HashToken(token)) != nil {
		t.Error("a revoked token is good")
	}
	for k, v := range kv.m {
		if bytes.Contains(v, []byte(token)) {
			t.Errorf("%q has the token", k)
		}
	}
	if !LooksLikeToken(token) || LooksLikeToken(token[:len(token)-1]+"x") || LooksLikeToken("edgerelay_") {
		t.Error("checksums do not tell tokens")
	}
}

func TestAuditPages(t *testing.T) {
	s := open(t, &memory{m: map[string][]byte{}}, newKey())
	for n := range 10 {
		for _, tenant := range []string{"acme", "zeta"} {
			if err := s.Note(t.Context(), &Entry{Tenant: tenant, Action: fmt.Sprint(n)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	every := func(*Entry) bool { return true }
	first, err := s.Audit([]string{"acme"}, time.Time{}, 4, every)
	if err != nil || len(first) != 4 || first[0].Action != "9" || first[3].Action != "6" {
		t.Fatalf("%v %v", first, err)
	}
	rest, err := s.Audit([]string{"acme"}, first[3].At, 100, every)
	if err != nil || len(rest) != 6 || rest[0].Action != "5" {
		t.Errorf("%v %v", rest, err)
	}
	all, err := s.Audit(nil, time.Time{}, 100, every)
	if err != nil || len(all) != 20 || all[0].Tenant != "zeta" {
		t.Errorf("%d %v", len(all), err)
	}
}
