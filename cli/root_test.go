package cli

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// runCommand runs a command line in this process and returns what it wrote.
func runCommand(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	root := newRoot(commands()...)
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errOut)
	code = execute(root, args)
	return code, out.String(), errOut.String()
}

func TestWrongUsageExitsWith2(t *testing.T) {
	secret := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"unknown command", []string{"sned"}, "send"},
		{"unknown flag", []string{"send", "--tpye", "x"}, "--tpye"},
		{"flag without a value", []string{"send", "--type"}, "--type"},
		{"too many arguments", []string{"version", "x"}, "unknown command"},
		{"missing argument", []string{"deliveries", "show"}, "1 arg"},
		{"group alone", []string{"deliveries"}, "ls, purge, redrive, retry, show"},
		{"unknown subcommand", []string{"deliveries", "shwo"}, `unknown command "shwo"`},
		{"missing required flag", []string{"sign", "--secret", secret}, "--data"},
		{"log level", []string{"--log-level", "loud", "version"}, "loud"},
		{"log format", []string{"--log-format", "xml", "version"}, "xml"},
		{"address", []string{"send", "--url", "127.0.0.1:8080"}, "--url"},
		{"address with a token", []string{"send", "--url", "http://a.example?token=hunter2"}, "--token"},
		{"data is not JSON", []string{"send", "--data", "{points: 1}"}, "not JSON"},
		{"count", []string{"send", "--count", "0"}, "--count"},
		{"rate", []string{"send", "--rate", "NaN"}, "--rate"},
		{"malformed delivery id", []string{"deliveries", "retry", "dl_x"}, "dl_x"},
		{"status of listen", []string{"listen", "--status", "99"}, "--status"},
		{"scheme without a secret", []string{"listen", "--scheme", "github"}, "--secret"},
		{"nothing to sign with", []string{"sign", "--data", "x"}, "--secret"},
		{"unknown scheme", []string{"sign", "--data", "x", "--secret", secret, "--scheme", "md5"}, "md5"},
		{"header without a colon", []string{"verify", "--data", "x", "--secret", secret, "-H", "webhook-id"}, "name: value"},
		{"time", []string{"verify", "--data", "x", "--secret", secret, "--at", "yesterday"}, "yesterday"},
	} {
		t.Setenv(secretEnv, "")
		code, stdout, stderr := runCommand(t, "", tt.args...)
		if code != exitUsage || !strings.Contains(stderr, tt.want) || !strings.Contains(stderr, "--help") || stdout != "" {
			t.Errorf("%s: code %d, stdout %q, stderr %q, want %q in it", tt.name, code, stdout, stderr, tt.want)
		}
	}
}

func TestHelpOfEveryCommandHasAnExample(t *testing.T) {
	var walk func(path []string, c *cobra.Command)
	walk = func(path []string, c *cobra.Command) {
		code, stdout, _ := runCommand(t, "", append(path, "--help")...)
		if code != exitOK || !strings.Contains(stdout, "Usage:") {
			t.Errorf("%v --help: code %d, %q", path, code, stdout)
		}
		if len(path) > 0 && (c.Example == "" || c.Short == "" || strings.HasSuffix(c.Short, ".")) {
			t.Errorf("%v: example %q, short text %q", path, c.Example, c.Short)
		}
		for _, sub := range c.Commands() {
			if sub.Hidden { // the program's own, not for people
				continue
			}
			walk(append(path[:len(path):len(path)], sub.Name()), sub)
		}
	}
	walk(nil, newRoot(commands()...))
}

func TestNoArgumentsPrintHelp(t *testing.T) {
	if code, stdout, _ := runCommand(t, ""); code != exitOK || !strings.Contains(stdout, "Available Commands") {
		t.Errorf("code %d, %q", code, stdout)
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, stdout, stderr := runCommand(t, "", "completion", shell); code != exitOK || !strings.Contains(stdout, "edgerelay") {
			t.Errorf("%s: code %d, %s", shell, code, stderr)
		}
	}
}

func TestVersion(t *testing.T) {
	code, stdout, _ := runCommand(t, "", "version", "--json")
	var v versionInfo
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || code != exitOK {
		t.Fatalf("code %d, %v: %s", code, err, stdout)
	}
	if !strings.HasPrefix(v.Go, "go1.") || v.Version == "" || v.Commit == "" || v.Platform == "" || v.Dependencies == nil {
		t.Errorf("%+v", v)
	}
	if code, stdout, _ = runCommand(t, "", "version"); code != exitOK || !strings.Contains(stdout, v.Go) {
		t.Errorf("code %d: %s", code, stdout)
	}
}

func TestNewLogger(t *testing.T) {
	for _, tt := range []struct{ level, format, want string }{
		{"info", "text", "level=INFO msg=hello n=1"},
		{"info", "json", `"msg":"hello","n":1`},
		{"debug", "auto", `"msg":"hello"`}, // a buffer is no terminal
		{"warn", "text", ""},
	} {
		var b bytes.Buffer
		log, err := newLogger(&b, tt.level, tt.format)
		if err != nil {
			t.Fatal(err)
		}
		log.Log(t.Context(), slog.LevelInfo, "hello", "n", 1)
		if !strings.Contains(b.String(), tt.want) || (tt.want == "") != (b.Len() == 0) {
			t.Errorf("%s %s: %q, want %q", tt.level, tt.format, b.String(), tt.want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain ä €\n\tx":   "plain ä €\n\tx",
		"\x1b[2Jgone":      `\x1b[2Jgone`,
		"a\rb\x00":         `a\rb\x00`,
		"bad \xff utf-8":   `bad \xff utf-8`,
		"\u202egnirts\x9b": `\u202egnirts\x9b`,
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := oneLine("a\nb\tc"); got != `a\nb\tc` {
		t.Errorf("oneLine: %q", got)
	}
}

func TestPaletteIsOffWithoutATerminal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if newPalette(f).on || newPalette(&bytes.Buffer{}).on {
		t.Error("colours in a file")
	}
	if got := (palette{on: true}).green("x"); got != "\x1b[32mx\x1b[0m" {
		t.Errorf("%q", got)
	}
}
