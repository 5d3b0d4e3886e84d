package cli

import (
	"encoding/json"
	"strings"
	"testing"
)

// The vectors of the Standard Webhooks libraries and of GitHub's documentation.
const (
	standardSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	standardBody   = `{"test": 2432232314}`
	standardSign   = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	gitHubSecret   = "It's a Secret to Everybody"
	gitHubSign     = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
)

func TestSignVectors(t *testing.T) {
	code, stdout, stderr := runCommand(t, standardBody, "sign", "--secret", standardSecret, "--data", "-",
		"--id", "msg_p5jXN8AQM9LWM0D4loKWxJek", "--timestamp", "1614265330")
	want := "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\nwebhook-timestamp: 1614265330\nwebhook-signature: " + standardSign + "\n"
	if code != exitOK || stdout != want {
		t.Errorf("standard: code %d, %q %q", code, stdout, stderr)
	}
	t.Setenv(secretEnv, gitHubSecret)
	code, stdout, stderr = runCommand(t, "", "sign", "--scheme", "github", "--data", "Hello, World!", "--json")
	var headers map[string]string
	if err := json.Unmarshal([]byte(stdout), &headers); code != exitOK || err != nil {
		t.Fatalf("github: code %d, %v, %q %q", code, err, stdout, stderr)
	}
	found := false
	for name, value := range headers {
		found = found || strings.EqualFold(name, "X-Hub-Signature-256") && value == gitHubSign
	}
	if !found {
		t.Errorf("github: %v", headers)
	}
}

func TestVerify(t *testing.T) {
	standard := []string{"verify", "--secret", standardSecret, "--data", standardBody, "-H", "Webhook-Id: msg_p5jXN8AQM9LWM0D4loKWxJek",
		"-H", "webhook-timestamp:1614265330", "-H", "webhook-signature: " + standardSign}
	for _, tt := range []struct {
		name string
		args []string
		code int
	}{
		{"at its time", append(standard[:len(standard):len(standard)], "--at", "1614265330"), exitOK},
		{"at its time, RFC 3339", append(standard[:len(standard):len(standard)], "--at", "2021-02-25T15:02:10Z"), exitOK},
		{"years later", standard, exitFailure},
		{"github", []string{"verify", "--scheme", "github", "--secret", gitHubSecret, "--data", "Hello, World!", "-H", "X-Hub-Signature-256: " + gitHubSign}, exitOK},
		{"changed body", []string{"verify", "--scheme", "github", "--secret", gitHubSecret, "--data", "Hello, world!", "-H", "X-Hub-Signature-256: " + gitHubSign}, exitFailure},
		{"no header", []string{"verify", "--scheme", "github", "--secret", gitHubSecret, "--data", "x"}, exitFailure},
	} {
		code, stdout, stderr := runCommand(t, "", tt.args...)
		if code != tt.code || (stdout == "verified\n") != (tt.code == exitOK) || (tt.code == exitFailure) != strings.Contains(stderr, "not verified") {
			t.Errorf("%s: code %d, want %d: %q %q", tt.name, code, tt.code, stdout, stderr)
		}
		if strings.Contains(stderr, "MfKQ9r8G") || strings.Contains(stderr, "Everybody") {
			t.Errorf("%s: the error shows the secret", tt.name)
		}
	}
}

func TestSignThenVerify(t *testing.T) {
	_, headers, _ := runCommand(t, "", "sign", "--secret", standardSecret, "--data", "body")
	args := []string{"verify", "--secret", standardSecret, "--data", "body"}
	for line := range strings.Lines(headers) {
		args = append(args, "-H", strings.TrimSpace(line))
	}
	if code, _, stderr := runCommand(t, "", args...); code != exitOK {
		t.Errorf("code %d: %s", code, stderr)
	}
}

// TestSignThenVerifyEveryScheme signs and verifies with each scheme and its options, the asymmetric ones with the public key.
func TestSignThenVerifyEveryScheme(t *testing.T) {
	const private = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg=="
	code, public, stderr := runCommand(t, "", "sign", "--public", "--secret", private)
	if code != exitOK || public != "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n" {
		t.Fatalf("public key: code %d, %q %q", code, public, stderr)
	}
	public = strings.TrimSpace(public)
	for name, tt := range map[string]struct {
		sign, verify string
		scheme       []string
	}{
		"standard":         {standardSecret, standardSecret, nil},
		"standard-ed25519": {private, public, []string{"--scheme", "standard-ed25519"}},
		"github":           {gitHubSecret, gitHubSecret, []string{"--scheme", "github"}},
		"stripe":           {"s", "s", []string{"--scheme", "stripe"}},
		"shopify":          {"s", "s", []string{"--scheme", "shopify"}},
		"hmac":             {"s", "s", []string{"--scheme", "hmac", "--signature-header", "X-S", "--hash", "sha512", "--encoding", "base64", "--prefix", "v0=", "--content", "{id}:{timestamp}:{body}", "--timestamp-header", "X-T"}},
		"rfc9421, hmac":    {standardSecret, standardSecret, []string{"--scheme", "rfc9421", "--url", "https://a.example/x", "--key-id", "k"}},
		"rfc9421, ed25519": {private, public, []string{"--scheme", "rfc9421", "--url", "https://a.example/x", "--method", "PUT", "--algorithm", "ed25519"}},
	} {
		with := func(command, secret string, more ...string) []string {
			return append(append([]string{command, "--secret", secret, "--data", "body"}, tt.scheme...), more...)
		}
		code, headers, stderr := runCommand(t, "", with("sign", tt.sign)...)
		if code != exitOK || !strings.HasPrefix(headers, "webhook-id: we_") || strings.Count(headers, "webhook-timestamp: ") != 1 {
			t.Errorf("%s: code %d, %q %q", name, code, headers, stderr)
			continue
		}
		var lines []string
		for line := range strings.Lines(headers) {
			lines = append(lines, "-H", strings.TrimSpace(line))
		}
		if code, _, stderr := runCommand(t, "", with("verify", tt.verify, lines...)...); code != exitOK {
			t.Errorf("%s: code %d: %s", name, code, stderr)
		}
		if code, _, _ := runCommand(t, "", with("verify", tt.verify, append(lines, "--data", "Body")...)...); code != exitFailure {
			t.Errorf("%s: a changed body: code %d", name, code)
		}
	}
}

func TestSignUsage(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no body":            {[]string{"sign", "--secret", "s", "--scheme", "github"}, "--data is missing"},
		"no secret":          {[]string{"sign", "--data", "x"}, "nothing to sign with"},
		"scheme none":        {[]string{"sign", "--data", "x", "--secret", "s", "--scheme", "none"}, "nothing to sign with"},
		"rfc9421 without":    {[]string{"sign", "--data", "x", "--secret", standardSecret, "--scheme", "rfc9421"}, "--url is missing"},
		"hmac without":       {[]string{"sign", "--data", "x", "--secret", "s", "--scheme", "hmac"}, "header is missing"},
		"public key signs":   {[]string{"sign", "--data", "x", "--secret", "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "--scheme", "standard-ed25519"}, "public key"},
		"public of a shared": {[]string{"sign", "--public", "--secret", standardSecret}, "not an Ed25519 key"},
	} {
		code, _, stderr := runCommand(t, "", tt.args...)
		if code != exitUsage || !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: code %d, %q", name, code, stderr)
		}
	}
}
