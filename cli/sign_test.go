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
