package config

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"gopkg.in/yaml.v3"
)

// redacted is what every secret looks like to the outside.
const redacted = "***"

// Secret is a text that must not be seen: whatever prints it prints ***. Only Reveal returns it.
type Secret string

// Reveal returns the secret itself. Its callers are the places where secrets are used; there should be few.
func (s Secret) Reveal() string { return string(s) }

// String returns *** (or nothing when there is no secret).
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString keeps %#v from showing the secret.
func (s Secret) GoString() string { return s.String() }

// Format keeps every other verb, such as %x, from showing the secret.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// MarshalJSON prints the redacted form.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// MarshalText prints the redacted form.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalYAML prints the redacted form.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// LogValue prints the redacted form.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

func (s *Secret) parseText(text string) error {
	switch {
	case text == redacted:
		return errors.New("is only the redacted form of a secret: put the secret itself here, or ${VAR}")
	case strings.ContainsAny(text, "\r\n\x00"):
		return errors.New("contains a line break or NUL: a secret is one line")
	}
	*s = Secret(text)
	return nil
}

// Secrets is one secret or a list of them, the newest first.
type Secrets []Secret

// Reveal returns the secrets themselves, the newest first.
func (s Secrets) Reveal() []string {
	var plain []string
	for _, secret := range s {
		plain = append(plain, secret.Reveal())
	}
	return plain
}

// MarshalYAML prints one secret as a scalar and several as a list.
func (s Secrets) MarshalYAML() (any, error) {
	if len(s) == 1 {
		return s[0], nil
	}
	return []Secret(s), nil
}

func (s *Secrets) decodeNode(d *decoder, path string, n *yaml.Node) {
	if n.Kind == yaml.SequenceNode {
		for i, item := range n.Content {
			var one Secret
			d.value(fmt.Sprintf("%s[%d]", path, i), item, &one)
			*s = append(*s, one)
		}
		return
	}
	var one Secret
	if d.value(path, n, &one); one != "" {
		*s = Secrets{one}
	}
}
