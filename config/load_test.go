package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mustParse loads text that has no mistakes.
func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatalf("unexpected mistakes:\n%v", err)
	}
	return c
}

// problemsOf loads text and returns its mistakes, one per line, without the file's name.
func problemsOf(t *testing.T, text string) []string {
	t.Helper()
	_, err := Parse("test.yaml", []byte(text))
	var problems Problems
	if err == nil {
		return nil
	}
	if !errors.As(err, &problems) {
		t.Fatalf("error is %T, want Problems", err)
	}
	var lines []string
	for _, p := range problems {
		lines = append(lines, strings.TrimPrefix(p.String(), "test.yaml:"))
	}
	return lines
}

// corpusEnv is what the files under testdata may refer to.
func corpusEnv(t *testing.T) {
	t.Setenv("EDGERELAY_TEST_TOKEN", "a-token-from-the-environment")
	t.Setenv("EDGERELAY_TEST_EMPTY", "")
	t.Setenv("EDGERELAY_TEST_LINES", "two\nlines")
}

// TestBad loads every file of testdata/bad. Its first lines say which mistakes it has: "# want: line:col: path: message".
func TestBad(t *testing.T) {
	corpusEnv(t)
	files, _ := filepath.Glob("testdata/bad/*.yaml")
	if len(files) < 45 {
		t.Fatalf("found %d files, expected the corpus", len(files))
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(text)) {
				if message, ok := strings.CutPrefix(line, "# want: "); ok {
					want = append(want, name+":"+strings.TrimSpace(message))
				}
			}
			_, err = Load(name)
			if err == nil {
				t.Fatal("loaded without a mistake")
			}
			if got := strings.Split(err.Error(), "\n"); !slices.Equal(got, want) {
				t.Errorf("mistakes:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// TestGood loads every file of testdata/good, and what Print makes of it.
func TestGood(t *testing.T) {
	corpusEnv(t)
	files, _ := filepath.Glob("testdata/good/*.yaml")
	if len(files) == 0 {
		t.Fatal("no files")
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yaml"), func(t *testing.T) {
			c, err := Load(name)
			if err != nil {
				t.Fatal(err)
			}
			reload(t, c)
		})
	}
}

func TestLoadWithoutFiles(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if c.Ingress.Listen != "127.0.0.1:8080" || c.DataDir != "edgerelay-data" || len(c.Retry.Delays()) != 5 {
		t.Errorf("not the defaults: %+v", c)
	}
	if p := c.Problem("webhooks[0].url", "text"); p.String() != "webhooks[0].url: text" {
		t.Errorf("problem of a config without files: %q", p)
	}
}

func TestLoadUnreadable(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.yaml")
	_, err := Load(missing, dir)
	want := dir + ": cannot be read: the directory holds no *.yaml or *.yml file\n" + missing + ": cannot be read: no such file or directory"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// write puts files into a new directory and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSeveralFiles(t *testing.T) {
	dir := write(t, map[string]string{
		"10-base.yaml":  "version: 1\ndata_dir: data\nsender: { allow_private_networks: [10.0.0.0/8] }\nauthorizations:\n  - { name: crm, type: bearer, token: t1 }\n",
		"20-hooks.yml":  "version: 1\nsender: { timeout: 3s, allow_private_networks: [127.0.0.0/8] }\nwebhooks:\n  - { name: a, events: [x], url: 'https://a.example/', authorization: crm }\n",
		"30-hooks.yaml": "webhooks:\n  - { name: b, events: [x], url: 'https://b.example/' }\n",
		"notes.txt":     "not a config",
	})
	c, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Webhooks) != 2 || c.Webhooks[1].Name != "b" || len(c.Sender.AllowPrivateNetworks) != 2 {
		t.Errorf("lists are not joined: %+v", c)
	}
	if got, want := string(c.DataDir), filepath.Join(dir, "data"); got != want {
		t.Errorf("data_dir is %s, want %s", got, want)
	}
	if p := c.Problem("webhooks[1].url", ""); p.File != filepath.Join(dir, "30-hooks.yaml") || p.Line != 2 {
		t.Errorf("second file's webhook is located at %+v", p)
	}
	if got := c.Webhooks[1].Timeout.String(); got != "3s" {
		t.Errorf("webhook of another file inherits timeout %s", got)
	}
}

func TestConflictsBetweenFiles(t *testing.T) {
	dir := write(t, map[string]string{
		"a.yaml": "data_dir: one\nretry: { schedule: [1s] }\nwebhooks:\n  - { name: w, events: [x], url: 'https://a.example/' }\n",
		"b.yaml": "data_dir: two\nretry: { schedule: [2s] }\nwebhooks:\n  - { name: w, events: [x], url: 'https://b.example/' }\n",
	})
	a, b := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml")
	_, err := Load(a, b)
	want := []string{
		b + ":1:11: data_dir: is set twice: here and at " + a + ":1:11; keep one of them",
		b + ":2:20: retry.schedule: is set twice: here and at " + a + ":2:20; keep one of them",
		b + `:4:13: webhooks[1].name: name "w" is used twice: first at ` + a + ":4:13",
	}
	if err == nil || err.Error() != strings.Join(want, "\n") {
		t.Errorf("got:\n%v\nwant:\n%s", err, strings.Join(want, "\n"))
	}
}

func TestInheritance(t *testing.T) {
	c := mustParse(t, `
sender: { timeout: 7s }
retry: { initial: 2s, jitter: 0.5 }
tenants: [{ id: "12345" }]
webhooks:
  - { name: a, events: [x], url: 'https://a.example/' }
  - { name: b, events: [x], url: 'https://b.example/', timeout: 1s, retry: { schedule: [] } }
  - { name: c, events: [x], url: 'https://c.example/', retry: { jitter: 0 } }
`)
	a, b, cc := c.Webhooks[0], c.Webhooks[1], c.Webhooks[2]
	if a.Tenant != "12345" || a.Method != "POST" || a.Status != "active" || a.Signing.Scheme != "standard" || a.Payload.Type != "json" || a.Concurrency != 16 {
		t.Errorf("defaults: %+v", a)
	}
	if a.Timeout.String() != "7s" || a.Retry.Jitter != 0.5 || len(a.Retry.Delays()) != 5 {
		t.Errorf("inherited: %+v", a)
	}
	if b.Timeout.String() != "1s" || b.Retry.Jitter != 0.5 || len(b.Retry.Delays()) != 0 {
		t.Errorf("own: %+v", b)
	}
	if cc.Retry.Jitter != 0 || len(cc.Retry.Delays()) != 5 {
		t.Errorf("own jitter: %+v", cc.Retry)
	}
}

func TestDefaultTenant(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"none declared", "version: 1", "default"},
		{"one declared", "tenants: [{ id: acme }]", "acme"},
		{"two declared", "tenants: [{ id: acme }, { id: other }]", ""},
	} {
		if got := mustParse(t, tt.text).DefaultTenant(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := Default().DefaultTenant(); got != "default" {
		t.Errorf("without a file: %q", got)
	}
}

func TestResolve(t *testing.T) {
	dir := write(t, map[string]string{"c.yaml": "webhooks:\n  - { name: a, events: [x], url: 'https://a.example/', transform: [{ wasm: mods/m.wasm }] }\n"})
	c, err := Load(filepath.Join(dir, "c.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(dir, "mods/m.wasm")
	if got := string(c.Webhooks[0].Transform[0].Wasm); got != want {
		t.Errorf("wasm is %s, want %s", got, want)
	}
	if got := c.Resolve("webhooks[0].transform[0].wasm", want); got != want {
		t.Errorf("Resolve of an absolute name: %s", got)
	}
	if got := c.Resolve("webhooks[0].transform[0].config.file", "mods/m.wasm"); got != want {
		t.Errorf("Resolve: %s, want %s", got, want)
	}
	if got := Default().Resolve("data_dir", "x"); got != "x" {
		t.Errorf("Resolve without files: %s", got)
	}
}
