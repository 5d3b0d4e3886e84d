package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// keySize is the length of a master key.
const keySize = 32

// ErrKey is wrapped when the master key is not the one with which the store was sealed.
var ErrKey = errors.New("the master key is not the one that the store was sealed with")

// sealer seals texts with AES-256-GCM under a key that is derived from the master key. To whom, and what, a text belongs is authenticated with it, so a sealed
// text cannot be moved to another tenant, object or field.
type sealer struct {
	aead  cipher.AEAD
	print string // by which the master key is recognised
}

func newSealer(master []byte) (*sealer, error) {
	if len(master) != keySize {
		return nil, fmt.Errorf("the master key has %d bytes, want %d", len(master), keySize)
	}
	key, err := hkdf.Key(sha256.New, master, nil, "edgerelay store seal v1", keySize)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	check, err := hkdf.Key(sha256.New, master, nil, "edgerelay store print v1", 12)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	return &sealer{aead, base64.RawURLEncoding.EncodeToString(check)}, nil
}

// bound is what a sealed text belongs to.
func bound(parts []string) []byte { return []byte("v1\x00" + strings.Join(parts, "\x00")) }

func (s *sealer) seal(text []byte, belongs ...string) []byte {
	return s.aead.Seal(nil, nil, text, bound(belongs))
}

func (s *sealer) open(sealed []byte, belongs ...string) ([]byte, error) {
	text, err := s.aead.Open(nil, nil, sealed, bound(belongs))
	if err != nil {
		return nil, errors.New("the sealed text cannot be opened: it was changed, or belongs elsewhere")
	}
	return text, nil
}

// checkKey compares the master key with the one that the store knows, which is the first that it ever saw.
func (s *Store) checkKey(ctx context.Context) error {
	var known string
	if err := s.kv.Scan(checkKeyName, func(_ string, value []byte) bool { known = string(value); return false }); err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	switch known {
	case s.seal.print:
		return nil
	case "":
		return s.kv.PutAll(ctx, []Pair{{checkKeyName, []byte(s.seal.print)}})
	}
	return ErrKey
}

// Where the master key comes from: the environment variable, the file that the other one names, systemd's credential, or a file in the data directory.
const (
	keyEnv        = "EDGERELAY_MASTER_KEY"
	keyFileEnv    = "EDGERELAY_MASTER_KEY_FILE"
	keyCredential = "edgerelay-master-key"
	keyFile       = "master.key"
)

// MasterKey finds the master key, or makes one and keeps it in the data directory, readable for its owner only. from says where it is.
func MasterKey(dataDir string) (key []byte, from string, err error) {
	if text := os.Getenv(keyEnv); text != "" {
		key, err = parseKey(text)
		return key, "$" + keyEnv, err
	}
	path := os.Getenv(keyFileEnv)
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); path == "" && dir != "" {
		if _, err := os.Stat(filepath.Join(dir, keyCredential)); err == nil {
			path = filepath.Join(dir, keyCredential)
		}
	}
	made := path == ""
	if made {
		path = filepath.Join(dataDir, keyFile)
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && made {
		return makeKey(path)
	}
	if err != nil {
		return nil, path, fmt.Errorf("read master key: %w", err)
	}
	key, err = parseKey(strings.TrimSpace(string(text)))
	return key, path, err
}

func parseKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != keySize {
		return nil, errors.New("the master key is not 32 bytes in base64: make one with  head -c 32 /dev/urandom | base64")
	}
	return key, nil
}

// makeKey writes a new key, durably, before anything is sealed with it.
func makeKey(path string) ([]byte, string, error) {
	key := make([]byte, keySize)
	rand.Read(key)                                          // never fails
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return nil, path, fmt.Errorf("keep master key: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Link(tmp.Name(), path) // never over one that is there
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, path, fmt.Errorf("keep master key: %w", err)
	}
	return key, path, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
