package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"edgerelay/config"
)

// noMistakes is a check that finds nothing.
func noMistakes(context.Context, *config.Config) config.Problems { return nil }

// runConfig runs one command on its own and returns what it wrote.
func runConfig(t *testing.T, cmd *cobra.Command, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	root := newRoot(cmd)
	root.SetOut(&out)
	root.SetErr(&errOut)
	code = execute(root, append([]string{cmd.Name()}, args...))
	return code, out.String(), errOut.String()
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "relay.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

const hookText = "webhooks:\n  - { name: w, events: [x], filter: data.x >, url: 'http://a.example/' }\n"

func TestValidateOK(t *testing.T) {
	name := writeConfig(t, "authorizations: [{ name: a, type: bearer, token: t }]\n"+hookText)
	code, stdout, stderr := runConfig(t, newValidateCommand(noMistakes), "-c", name)
	if code != exitOK || stdout != "ok: 1 webhook, 1 authorization\n" {
		t.Errorf("code %d, stdout %q", code, stdout)
	}
	if want := "warning: " + name + ":3:52: webhooks[0].url: is plain http"; !strings.HasPrefix(stderr, want) {
		t.Errorf("stderr %q, want %q", stderr, want)
	}
}

func TestValidateMistakes(t *testing.T) {
	name := writeConfig(t, "data_dri: x\nlog: { level: loud }\n")
	never := func(context.Context, *config.Config) config.Problems {
		t.Error("checked a config that does not load")
		return nil
	}
	code, stdout, stderr := runConfig(t, newValidateCommand(never), "-c", name)
	want := name + ":1:1: data_dri: unknown key \"data_dri\": did you mean \"data_dir\"?\n" +
		name + ":2:15: log.level: \"loud\" is not allowed: use one of debug, info, warn, error\n"
	if code != exitConfig || stdout != want || stderr != "edgerelay: the config is invalid: 2 mistakes\n" {
		t.Errorf("code %d\nstdout %s\nwant %s\nstderr %s", code, stdout, want, stderr)
	}
}

// TestValidateCheck locates a mistake of the compilers inside an expression.
func TestValidateCheck(t *testing.T) {
	name := writeConfig(t, hookText)
	check := func(ctx context.Context, c *config.Config) config.Problems {
		return config.Problems{
			c.ProblemAt("webhooks[0].url", "second", 1, 1),
			c.ProblemAt("webhooks[0].filter", "unexpected end", 1, 9),
		}
	}
	code, stdout, _ := runConfig(t, newValidateCommand(check), "--config", name)
	want := name + ":2:45: webhooks[0].filter: unexpected end\n" + name + ":2:53: webhooks[0].url: second\n"
	if code != exitConfig || stdout != want {
		t.Errorf("code %d, stdout\n%s\nwant\n%s", code, stdout, want)
	}
}

func TestValidateJSON(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"valid", "version: 1\n", `{"valid":true,"webhooks":0,"authorizations":0,"errors":[],"warnings":[]}`},
		{"invalid", "x: 1\n", `{"valid":false,"webhooks":0,"authorizations":0,"errors":[{"file":"FILE","line":1,"col":1,"path":"x","message":"unknown key \"x\"`},
	} {
		name := writeConfig(t, tt.text)
		code, stdout, _ := runConfig(t, newValidateCommand(noMistakes), "--json", "-c", name)
		if !json.Valid([]byte(stdout)) || !strings.HasPrefix(stdout, strings.Replace(tt.want, "FILE", name, 1)) || (code == exitOK) != (tt.name == "valid") {
			t.Errorf("%s: code %d, stdout %s", tt.name, code, stdout)
		}
	}
}

func TestValidateUsage(t *testing.T) {
	if code, _, stderr := runConfig(t, newValidateCommand(noMistakes)); code != exitUsage || !strings.Contains(stderr, `"config" not set`) {
		t.Errorf("without a file: code %d, stderr %q", code, stderr)
	}
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	if code, stdout, _ := runConfig(t, newValidateCommand(noMistakes), "-c", missing); code != exitConfig || stdout != missing+": cannot be read: no such file or directory\n" {
		t.Errorf("missing file: code %d, stdout %q", code, stdout)
	}
}

func TestConfigInit(t *testing.T) {
	t.Chdir(t.TempDir())
	code, stdout, stderr := runConfig(t, newConfigCommand(), "init")
	if code != exitOK || stdout != "" || !strings.Contains(stderr, "wrote edgerelay.yaml") {
		t.Fatalf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if code, stdout, stderr := runConfig(t, newValidateCommand(noMistakes), "-c", starterName); code != exitOK || stdout != "ok: 1 webhook, 0 authorizations\n" || stderr != "" {
		t.Errorf("the starter does not validate: code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if info, err := os.Stat(starterName); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode: %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(starterName, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := runConfig(t, newConfigCommand(), "init"); code != exitFailure || !strings.Contains(stderr, "--force") {
		t.Errorf("second time: code %d, stderr %q", code, stderr)
	}
	if kept, _ := os.ReadFile(starterName); string(kept) != "precious" {
		t.Error("an existing file was overwritten")
	}
	if code, _, _ := runConfig(t, newConfigCommand(), "init", "--force", starterName); code != exitOK {
		t.Errorf("with --force: code %d", code)
	}
	written, _ := os.ReadFile(starterName)
	code, stdout, stderr = runConfig(t, newConfigCommand(), "init", "-")
	if code != exitOK || stdout != string(written) || stdout != string(config.Starter()) || stderr != "" {
		t.Errorf("to the standard output: code %d, stderr %q", code, stderr)
	}
	if code, _, stderr := runConfig(t, newConfigCommand(), "init", "no/such/dir/x.yaml"); code != exitFailure || !strings.Contains(stderr, "no/such/dir") {
		t.Errorf("unwritable: code %d, stderr %q", code, stderr)
	}
}

func TestConfigPrint(t *testing.T) {
	t.Setenv("EDGERELAY_TEST_TOKEN", "a-secret-of-the-environment")
	name := writeConfig(t, "ingress: { tokens: [{ name: shop, token: '${EDGERELAY_TEST_TOKEN}' }] }\n")
	code, stdout, stderr := runConfig(t, newConfigCommand(), "print", "-c", name)
	if code != exitOK || stderr != "" || strings.Contains(stdout, "a-secret") || !strings.Contains(stdout, "token: '***'") || !strings.Contains(stdout, "schedule: [5s, 5m, 30m, 2h, 5h]") {
		t.Errorf("code %d, stderr %q, stdout\n%s", code, stderr, stdout)
	}
	code, stdout, stderr = runConfig(t, newConfigCommand(), "print", "-c", writeConfig(t, "x: 1\n"))
	if code != exitConfig || stdout != "" || !strings.Contains(stderr, "invalid config:\n") || !strings.Contains(stderr, `:1:1: x: unknown key "x"`) {
		t.Errorf("invalid: code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if code, stdout, _ := runConfig(t, newConfigCommand(), "print"); code != exitOK || !strings.Contains(stdout, "listen: 127.0.0.1:8080") {
		t.Errorf("without a file: code %d, stdout\n%s", code, stdout)
	}
}

func TestConfigSchema(t *testing.T) {
	code, stdout, _ := runConfig(t, newConfigCommand(), "schema")
	if code != exitOK || !json.Valid([]byte(stdout)) || !strings.Contains(stdout, "json-schema.org/draft/2020-12") {
		t.Errorf("code %d, stdout %.200s", code, stdout)
	}
}

// TestConfigCommandsHaveExamples keeps the help useful.
func TestConfigCommandsHaveExamples(t *testing.T) {
	for _, cmd := range slices.Concat(newConfigCommand().Commands(), []*cobra.Command{newValidateCommand(noMistakes)}) {
		if cmd.Example == "" || cmd.Short == "" {
			t.Errorf("%s has no example or description", cmd.Name())
		}
	}
}
