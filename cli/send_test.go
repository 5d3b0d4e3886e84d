package cli

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// fakeRelay answers every request with one answer and keeps what it got.
type fakeRelay struct {
	*httptest.Server
	status int
	header map[string]string
	answer string

	mu     sync.Mutex
	got    []string // "POST /path body"
	tokens []string
}

func newFakeRelay(t *testing.T, status int, answer string) *fakeRelay {
	f := &fakeRelay{status: status, answer: answer, header: map[string]string{}}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		f.mu.Lock()
		f.got = append(f.got, strings.TrimSpace(r.Method+" "+r.RequestURI+" "+string(body)))
		f.tokens = append(f.tokens, r.Header.Get("Authorization"))
		f.mu.Unlock()
		for k, v := range f.header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(f.status)
		io.WriteString(w, f.answer)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeRelay) requests() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.got, "\n")
}

func TestSendBuildsTheEvent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "order.json")
	if err := os.WriteFile(file, []byte(`{"n": 12345678901234567890, "h": "<b>"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, stdin string
		args        []string
		want        string
	}{
		{"defaults", "", nil, `POST /v1/events {"type":"test.ping","data":{}}`},
		{"everything", "", []string{"--type", "a.b", "--id", "x1", "--tenant", "acme", "--program", "p", "--data", "[1]"},
			`POST /v1/events {"id":"x1","type":"a.b","tenant":"acme","program":"p","data":[1]}`},
		{"file", "", []string{"--data", "@" + file}, `POST /v1/events {"type":"test.ping","data":{"n":12345678901234567890,"h":"<b>"}}`},
		{"standard input", `"text"`, []string{"--data", "-"}, `POST /v1/events {"type":"test.ping","data":"text"}`},
		{"several with ids", "", []string{"--count", "2", "--id", "x", "--rate", "1000"},
			`POST /v1/events {"id":"x-1","type":"test.ping","data":{}}` + "\n" + `POST /v1/events {"id":"x-2","type":"test.ping","data":{}}`},
	} {
		relay := newFakeRelay(t, 202, `{"id":"we_1"}`)
		code, stdout, stderr := runCommand(t, tt.stdin, append([]string{"send", "--url", relay.URL}, tt.args...)...)
		if code != exitOK || relay.requests() != tt.want || strings.Count(stdout, "we_1\n") != strings.Count(tt.want, "POST") {
			t.Errorf("%s: code %d, stdout %q, stderr %q, sent\n%s\nwant\n%s", tt.name, code, stdout, stderr, relay.requests(), tt.want)
		}
	}
}

func TestSendToken(t *testing.T) {
	relay := newFakeRelay(t, 202, `{"id":"we_1"}`)
	t.Setenv("EDGERELAY_TOKEN", "from-env")
	runCommand(t, "", "send", "--url", relay.URL+"/v1/events")
	runCommand(t, "", "send", "--url", relay.URL, "--token", "from-flag")
	if got := strings.Join(relay.tokens, ","); got != "Bearer from-env,Bearer from-flag" {
		t.Errorf("tokens %q", got)
	}
	if _, stdout, _ := runCommand(t, "", "send", "--help"); strings.Contains(stdout, "from-env") {
		t.Error("--help prints the token of the environment")
	}
}

func TestSendSaysWhenTheEventWasThereAlready(t *testing.T) {
	relay := newFakeRelay(t, 202, `{"id":"mine"}`)
	relay.header["Idempotent-Replayed"] = "true"
	code, stdout, stderr := runCommand(t, "", "send", "--url", relay.URL, "--id", "mine")
	if code != exitOK || stdout != "mine\n" || !strings.Contains(stderr, "accepted before") {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestSendErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		answer string
		header string
		want   string
	}{
		{"full", 503, `{"type":"x","title":"Queue full","detail":"queue is full: max_bytes reached"}`, "7", "503 Service Unavailable: queue is full: max_bytes reached (retry after 7 s)"},
		{"token", 401, `{"title":"Unauthorized"}`, "", "Try: --token TOKEN, or $EDGERELAY_TOKEN"},
		{"no problem document", 404, "<html>", "", "404 Not Found"},
		{"another program", 200, "<html>", "", "is the address right?"},
		{"without an id", 202, "{}", "", "answered without an id"},
		{"redirect", 302, "", "", "302 Found"},
		{"escape sequences", 400, `{"detail":"a\u001b[2Jb"}`, "", `a\x1b[2Jb`},
	} {
		relay := newFakeRelay(t, tt.status, tt.answer)
		if tt.header != "" {
			relay.header["Retry-After"] = tt.header
		}
		if tt.status == 302 {
			relay.header["Location"] = relay.URL + "/elsewhere"
		}
		code, stdout, stderr := runCommand(t, "", "send", "--url", relay.URL, "--token", "hunter2")
		if code != exitFailure || stdout != "" || !strings.Contains(stderr, tt.want) || strings.Contains(stderr, "hunter2") || len(relay.got) != 1 {
			t.Errorf("%s: code %d, stdout %q, stderr %q, want %q, %d requests", tt.name, code, stdout, stderr, tt.want, len(relay.got))
		}
	}
}

func TestSendWhenNothingListens(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close() // now nobody listens there
	code, _, stderr := runCommand(t, "", "send", "--url", "http://"+ln.Addr().String())
	want := "edgerelay: cannot reach http://" + ln.Addr().String() + ": connection refused; is edgerelay running?\nTry: edgerelay run"
	if code != exitFailure || !strings.HasPrefix(stderr, want) {
		t.Errorf("code %d, %q, want %q", code, stderr, want)
	}
}

func TestSendStopsAtTheFirstFailure(t *testing.T) {
	relay := newFakeRelay(t, 503, "")
	code, _, stderr := runCommand(t, "", "send", "--url", relay.URL, "--count", "5")
	if code != exitFailure || len(relay.got) != 1 || !strings.Contains(stderr, "after 0 of 5 events") {
		t.Errorf("code %d, %d requests, %q", code, len(relay.got), stderr)
	}
}

func TestDebugLogShowsRequests(t *testing.T) {
	relay := newFakeRelay(t, 202, `{"id":"we_1"}`)
	_, _, stderr := runCommand(t, "", "send", "--url", relay.URL, "--log-level", "debug", "--log-format", "text", "--token", "hunter2")
	if !strings.Contains(stderr, "status=202") || strings.Contains(stderr, "hunter2") {
		t.Errorf("%q", stderr)
	}
}
