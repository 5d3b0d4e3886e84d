package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"edgerelay/plugins"
)

// TestMain makes the test binary the program itself: scripts run it under the name edgerelay.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"edgerelay": main})
}

// TestScript runs testdata/script/*.txtar: the product as its users see it, from the command line. Besides testscript's own commands:
//
//	start NAME PATTERN [KEY=VALUE...] ARG...   run edgerelay in the background until its output has a line that matches; the pattern's
//	                                           named groups become variables. Its output is in NAME.out and NAME.err.
//	await NAME PATTERN                         wait for such a line
//	end NAME SIGNAL CODE                       send TERM, INT, HUP or KILL and wait for this exit code ("-" = do not wait)
//	ended NAME CODE                            wait for the end and this exit code
//	hang URL                                   start a receiver that never answers; the variable URL becomes its address
//	hung                                       wait until it has got a request
//	fetch METHOD URL STATUS [HEADER...]        make a request; the answer's body is its standard output
//	unseen TEXT FILE...                        none of the files holds TEXT
//	empty DIR                                  DIR has no entries
//	replace FILE OLD NEW                       put NEW in the place of OLD, which must be in FILE
func TestScript(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the scripts send signals")
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Values[processesKey{}] = map[string]*process{}
			e.Setenv("GOCACHE", goCache())                                      // plugins in Go are built as on anybody's machine, not from nothing
			e.Setenv("XDG_CACHE_HOME", filepath.Join(e.WorkDir, ".user-cache")) // nothing outside of the script's directory is written
			e.Values[hangingKey{}] = make(chan struct{}, 1)
			return os.WriteFile(filepath.Join(e.WorkDir, "mask.wasm"), plugins.Mask, 0o600)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"start": start, "await": await, "end": end, "ended": ended, "hang": hang, "hung": hung, "fetch": fetch, "unseen": unseen, "empty": empty,
			"replace": replace,
		},
	})
}

// goCache is where the go command keeps what it has compiled.
var goCache = sync.OnceValue(func() string {
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		return filepath.Join(os.TempDir(), "go-build")
	}
	return strings.TrimSpace(string(out))
})

type processesKey struct{}

// patience bounds every wait of a script; nothing takes that long unless it is broken.
const patience = 30 * time.Second

// process is an edgerelay in the background.
type process struct {
	cmd      *exec.Cmd
	out, err *output
	ended    chan struct{}
	code     int // once ended is closed
}

// output keeps what a process writes and wakes who waits for it.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed and replaced with every write
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.text.Write(p)
}

func (o *output) get() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String(), o.changed
}

func processOf(ts *testscript.TestScript, name string) *process {
	p := ts.Value(processesKey{}).(map[string]*process)[name]
	if p == nil {
		ts.Fatalf("no process %q was started", name)
	}
	return p
}

func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: start NAME PATTERN [KEY=VALUE...] ARG...")
	}
	name, pattern, args := args[0], args[1], args[2:]
	p := &process{out: &output{changed: make(chan struct{})}, err: &output{changed: make(chan struct{})}, ended: make(chan struct{})}
	env := []string{"HOME=" + ts.Getenv("HOME"), "TMPDIR=" + ts.Getenv("TMPDIR"), "GOCOVERDIR=" + ts.Getenv("GOCOVERDIR")}
	for strings.Contains(args[0], "=") {
		env, args = append(env, args[0]), args[1:]
	}
	p.cmd = exec.Command("edgerelay", args...)
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = ts.MkAbs("."), env, p.out, p.err
	ts.Check(p.cmd.Start())
	go func() {
		// The exit code says it all.
		_ = p.cmd.Wait()
		p.code = p.cmd.ProcessState.ExitCode()
		close(p.ended)
	}()
	processes := ts.Value(processesKey{}).(map[string]*process)
	if processes[name] == nil {
		ts.Defer(func() { processes[name].finish(ts, name) })
	}
	processes[name] = p
	p.await(ts, name, pattern)
}

// finish ends a process at the end of its script and shows what it wrote, which is printed when the script fails.
func (p *process) finish(ts *testscript.TestScript, name string) {
	// It may have ended long ago.
	_ = p.cmd.Process.Kill()
	<-p.ended
	stdout, _ := p.out.get()
	stderr, _ := p.err.get()
	ts.Logf("[%s wrote]\n%s%s", name, stdout, stderr)
}

// save writes the files that scripts look at.
func (p *process) save(ts *testscript.TestScript, name string) {
	stdout, _ := p.out.get()
	stderr, _ := p.err.get()
	ts.Check(os.WriteFile(ts.MkAbs(name+".out"), []byte(stdout), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(name+".err"), []byte(stderr), 0o600))
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await NAME PATTERN")
	}
	processOf(ts, args[0]).await(ts, args[0], args[1])
}

func (p *process) await(ts *testscript.TestScript, name, pattern string) {
	re, err := regexp.Compile("(?m)" + pattern)
	ts.Check(err)
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for ended := false; ; {
		stdout, more := p.out.get()
		stderr, evenMore := p.err.get()
		for _, text := range []string{stdout, stderr} {
			m := re.FindStringSubmatch(text)
			if m == nil {
				continue
			}
			for i, group := range re.SubexpNames() {
				if group != "" {
					ts.Setenv(group, m[i])
				}
			}
			p.save(ts, name)
			return
		}
		if ended {
			ts.Fatalf("%s ended with code %d before it wrote %q", name, p.code, pattern)
		}
		select {
		case <-more:
		case <-evenMore:
		case <-p.ended:
			ended = true // look once more
		case <-timeout.C:
			ts.Fatalf("%s did not write %q within %v", name, pattern, patience)
		}
	}
}

func end(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL}
	if neg || len(args) != 3 || signals[args[1]] == nil {
		ts.Fatalf("usage: end NAME TERM|INT|HUP|KILL CODE")
	}
	p := processOf(ts, args[0])
	ts.Check(p.cmd.Process.Signal(signals[args[1]]))
	if args[2] != "-" {
		p.wait(ts, args[0], args[2])
	}
}

func ended(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ended NAME CODE")
	}
	processOf(ts, args[0]).wait(ts, args[0], args[1])
}

// wait waits for the end of a process and compares its exit code.
func (p *process) wait(ts *testscript.TestScript, name, code string) {
	select {
	case <-p.ended:
	case <-time.After(patience):
		ts.Fatalf("%s does not end", name)
	}
	p.save(ts, name)
	if got := fmt.Sprint(p.code); got != code {
		ts.Fatalf("%s ended with code %s, want %s", name, got, code)
	}
}

type hangingKey struct{}

func hang(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hang URL")
	}
	got := ts.Value(hangingKey{}).(chan struct{})
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		select {
		case got <- struct{}{}:
		default: // one is enough
		}
		<-release
	}))
	ts.Defer(func() { close(release); server.Close() })
	ts.Setenv(args[0], server.URL)
}

func hung(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: hung")
	}
	select {
	case <-ts.Value(hangingKey{}).(chan struct{}):
	case <-time.After(patience):
		ts.Fatalf("the hanging receiver has got nothing")
	}
}

func fetch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: fetch METHOD URL STATUS [HEADER...]")
	}
	req, err := http.NewRequest(args[0], args[1], nil)
	ts.Check(err)
	for _, h := range args[3:] {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	_, err = io.Copy(ts.Stdout(), res.Body)
	ts.Check(err)
	if fmt.Sprint(res.StatusCode) != args[2] {
		ts.Fatalf("%s %s: %s, want %s", args[0], args[1], res.Status, args[2])
	}
}

func unseen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: unseen TEXT FILE...")
	}
	for _, file := range args[1:] {
		if at := strings.Index(ts.ReadFile(file), args[0]); at >= 0 {
			ts.Fatalf("%s holds %q at byte %d", file, args[0], at)
		}
	}
}

func empty(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: empty DIR")
	}
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(entries) > 0 {
		ts.Fatalf("%s holds %v", args[0], entries)
	}
}

func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace FILE OLD NEW")
	}
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(text, args[1], args[2])), 0o600))
}
