package relay

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"edgerelay/relay/event"
	"edgerelay/relay/sign"
)

// What the relay makes for itself and keeps in the data directory, one small file each, mode 0600.
const (
	queueDir     = "queue"
	cacheDir     = "transform-cache"
	secretsDir   = "secrets"
	adminKeyFile = "admin.token"
)

// The kept secret of a webhook is in a file named by its id. A private key has a file of its own, because the scheme may be changed to and
// fro, and beside it is the public half for the receiver.
const (
	privateSuffix = ".ed25519"
	publicSuffix  = ".pub"
)

// keptSecret returns the signing secret that was generated for a webhook, making it the first time. fresh says that it was.
func keptSecret(dataDir string, id event.WebhookID, spec sign.Spec) (secret, path string, fresh bool, err error) {
	dir := filepath.Join(dataDir, secretsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", "", false, fmt.Errorf("make secrets directory: %w", err)
	}
	path = filepath.Join(dir, id.String())
	if spec.Asymmetric() {
		path += privateSuffix
	}
	secret, fresh, err = keep(path, spec.NewSecret)
	if err != nil || !spec.Asymmetric() {
		return secret, path, fresh, err
	}
	public, err := sign.PublicKey(secret)
	if err != nil {
		return "", "", false, fmt.Errorf("read %s: %w", path, err)
	}
	// No sync: this file can be made of the other at any time, and is, at every load.
	if err := os.WriteFile(path+publicSuffix, []byte(public+"\n"), 0o644); err != nil {
		return "", "", false, fmt.Errorf("keep public key: %w", err)
	}
	return secret, path, fresh, nil
}

// keep reads the one-line file at path, or makes it with what generate returns.
func keep(path string, generate func() string) (value string, fresh bool, err error) {
	b, err := os.ReadFile(path)
	if err == nil {
		if value = strings.TrimSpace(string(b)); value == "" {
			return "", false, fmt.Errorf("read %s: the file is empty; remove it to have a new one made", path)
		}
		return value, false, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", false, fmt.Errorf("read kept secret: %w", err)
	}
	value = generate()
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return "", false, fmt.Errorf("keep secret: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(value + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return "", false, fmt.Errorf("keep secret: %w", err)
	}
	return value, true, nil
}
