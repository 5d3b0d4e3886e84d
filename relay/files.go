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

// Generated signing secrets are in the store. Earlier versions had a file for each, named by the webhook's id, which is taken over when it is found. What is still
// a file is the public half of a private key, for the receiver.
const (
	privateSuffix = ".ed25519"
	publicSuffix  = ".pub"
)

// keptPath is where earlier versions kept the generated secret of a webhook; beside it is the public half of a private key.
func keptPath(dataDir string, id event.WebhookID, spec sign.Spec) string {
	path := filepath.Join(dataDir, secretsDir, id.String())
	if spec.Asymmetric() {
		path += privateSuffix
	}
	return path
}

// readKept reads such a file; "" = there is none.
func readKept(path string) (string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read kept secret: %w", err)
	}
	value := strings.TrimSpace(string(b))
	if value == "" {
		return "", fmt.Errorf("read %s: the file is empty; remove it to have a new one made", path)
	}
	return value, nil
}

// writePublic writes the public half of a private key into a file, for the receiver.
func writePublic(dataDir string, id event.WebhookID, secret string) error {
	public, err := sign.PublicKey(secret)
	if err != nil {
		return fmt.Errorf("read the signing key of %s: %w", id, err)
	}
	dir := filepath.Join(dataDir, secretsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make secrets directory: %w", err)
	}
	// No sync: this file can be made of the other half at any time, and is, at every load.
	if err := os.WriteFile(filepath.Join(dir, id.String()+privateSuffix+publicSuffix), []byte(public+"\n"), 0o644); err != nil {
		return fmt.Errorf("keep public key: %w", err)
	}
	return nil
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
