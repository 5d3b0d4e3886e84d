package scenarios

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// built is where it is, to be removed at the end.
var built string

// binary is the program that the tests drive, built once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "edgerelay-scenarios-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "edgerelay")
	built = path
	out, err := exec.Command("go", "build", "-o", path, "edgerelay").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	closeBrowser()
	if built != "" {
		os.RemoveAll(filepath.Dir(built))
	}
	os.Exit(code)
}

// The tokens of every relay in these tests.
const (
	opsToken    = "ops-token-0123456789-0123456789"
	acmeToken   = "acme-token-0123456789-0123456789"
	viewerToken = "viewer-token-0123456789-012345678"
)

// program is a running edgerelay.
type program struct {
	t       *testing.T
	dir     string
	admin   string // http://…
	ingress string
	stderr  lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const baseConfig = `version: 1
data_dir: ./data
ingress: { listen: "127.0.0.1:0" }
admin:
  listen: 127.0.0.1:0
  tokens:
    - { name: ops, token: ` + opsToken + `, tenants: ["*"], role: admin }
    - { name: acme, token: ` + acmeToken + `, tenants: [acme], role: editor }
    - { name: viewer, token: ` + viewerToken + `, tenants: [acme], role: viewer }
sender: { allow_private_networks: [127.0.0.0/8] }
`

var listening = regexp.MustCompile(`listening ingress=(\S+) admin=(\S+)`)

// run starts the program with baseConfig and more, and ends it with the test.
func run(t *testing.T, more string) *program {
	t.Helper()
	return runWith(t, baseConfig+more)
}

func runWith(t *testing.T, config string) *program {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a browser")
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(p.dir, "edgerelay.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "run", "-c", "edgerelay.yaml")
	cmd.Dir, cmd.Stderr = p.dir, &p.stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	found := make(chan []string, 1)
	go func() {
		defer close(found)
		for s := bufio.NewScanner(out); s.Scan(); {
			if m := listening.FindStringSubmatch(s.Text()); m != nil {
				found <- m
			}
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		defer kill.Stop()
		for range found { // until its output ends
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("edgerelay ended with %v", err)
		}
		if t.Failed() {
			t.Logf("its log:\n%s", p.stderr.String())
		}
	})
	m, ok := <-found
	if !ok {
		t.Fatalf("edgerelay did not start: %s", p.stderr.String())
	}
	p.ingress, p.admin = "http://"+m[1], "http://"+m[2]
	return p
}

// send hands in an event and returns its id.
func (p *program) send(event string) string {
	p.t.Helper()
	resp, err := http.Post(p.ingress+"/v1/events", "application/json", strings.NewReader(event))
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusAccepted {
		p.t.Fatalf("send: %d %s", resp.StatusCode, body)
	}
	var a struct{ ID string }
	if err := json.Unmarshal(body, &a); err != nil {
		p.t.Fatal(err)
	}
	return a.ID
}

// api calls the management API, for what a scenario does not do in the browser.
func (p *program) api(token, method, path, body string, into any) int {
	p.t.Helper()
	r, err := http.NewRequest(method, p.admin+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if into != nil && resp.StatusCode < 300 {
		if err := json.Unmarshal(text, into); err != nil {
			p.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	if resp.StatusCode >= 300 && into != nil {
		p.t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, text)
	}
	return resp.StatusCode
}
