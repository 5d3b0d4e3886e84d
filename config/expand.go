package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxSecretFile bounds what ${file:…} reads.
const maxSecretFile = 1 << 20

var variable = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)(?:(:-|:\?)(?s:(.*)))?$`)

// expand replaces ${VAR}, ${VAR:-default}, ${VAR:?message} and ${file:/path} in the text of one scalar, and $$ by $. It works on
// values after parsing, so what a variable holds can never become YAML. changed says whether anything was looked up.
// Any other $ stays as it is, and so does {{ }}.
func expand(text, dir string) (result string, changed bool, err error) {
	if !strings.Contains(text, "$") {
		return text, false, nil
	}
	var b strings.Builder
	for {
		at := strings.IndexByte(text, '$')
		if at < 0 || at+1 == len(text) {
			b.WriteString(text)
			return b.String(), changed, nil
		}
		b.WriteString(text[:at])
		switch text[at+1] {
		case '$':
			b.WriteByte('$')
			text = text[at+2:]
		case '{':
			name, rest, ok := strings.Cut(text[at+2:], "}")
			if !ok {
				return "", false, fmt.Errorf("${ without a closing }: close it, or write $${ for the text ${")
			}
			value, err := lookUp(name, dir)
			if err != nil {
				return "", false, err
			}
			b.WriteString(value)
			text, changed = rest, true
		default:
			b.WriteByte('$')
			text = text[at+1:]
		}
	}
}

// lookUp resolves the inside of one ${…}. Its errors name the variable, never its value.
func lookUp(name, dir string) (string, error) {
	if path, ok := strings.CutPrefix(name, "file:"); ok {
		return readSecretFile(path, dir)
	}
	m := variable.FindStringSubmatch(name)
	if m == nil {
		return "", fmt.Errorf("${%s} is not understood: write ${VAR}, ${VAR:-default}, ${VAR:?message} or ${file:/path}", name)
	}
	value, set := os.LookupEnv(m[1])
	switch {
	case m[2] == ":-" && value == "":
		return m[3], nil
	case m[2] == ":?" && value == "":
		return "", fmt.Errorf("variable %s is not set: %s", m[1], m[3])
	case !set:
		return "", fmt.Errorf("variable %s is not set: set it, or write ${%s:-default}", m[1], m[1])
	case !utf8.ValidString(value):
		return "", fmt.Errorf("variable %s is not UTF-8", m[1])
	}
	return value, nil
}

func readSecretFile(path, dir string) (string, error) {
	if path == "" {
		return "", fmt.Errorf("${file:} names no file: write ${file:/path}")
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read secret file: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return "", fmt.Errorf("read secret file: %w", err)
	}
	if len(content) > maxSecretFile {
		return "", fmt.Errorf("read secret file %q: larger than %s", path, Size(maxSecretFile))
	}
	if !utf8.Valid(content) {
		return "", fmt.Errorf("read secret file %q: not UTF-8", path)
	}
	value, found := strings.CutSuffix(string(content), "\n")
	if found {
		value = strings.TrimSuffix(value, "\r")
	}
	return value, nil
}
