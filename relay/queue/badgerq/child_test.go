package badgerq

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// kills is how many times TestKill kills; with a hundred it takes a minute.
var kills = flag.Int("kills", 6, "how many times TestKill kills")

// The test binary is also the process that is killed, or that has no rights: these variables say so.
const (
	childEnv = "BADGERQ_TEST_CHILD" // "work" or "open"
	dirEnv   = "BADGERQ_TEST_DIR"
)

func runAsChild() bool {
	switch os.Getenv(childEnv) {
	case "work":
		work(os.Getenv(dirEnv))
	case "open":
		opt := testOptions(os.Getenv(dirEnv))
		q, err := Open(opt)
		if err != nil {
			fmt.Println("refused:", err)
			return true
		}
		q.Close()
		fmt.Println("opened")
	default:
		return false
	}
	return true
}

func child(what, dir string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+what, dirEnv+"="+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

// work appends and settles for ever. Its output is a ledger of promises: a line is written after what it says was promised.
//
//   - id   the event was accepted, for the third webhook among others; that one never leases
//   - id   the event's delivery to the first webhook was acknowledged when it was a retry, and a later write is durable
func work(dir string) {
	opt := testOptions(dir)
	tiny(&opt)
	ready := make(chan struct{}, 1)
	opt.Ready = func(event.WebhookID) {
		select {
		case ready <- struct{}{}:
		default:
		}
	}
	q, err := Open(opt)
	if err != nil {
		fmt.Println("!", err)
		return
	}
	var mu sync.Mutex
	say := func(s, id string) {
		mu.Lock()
		fmt.Println(s, id)
		mu.Unlock()
	}
	for p := range 4 {
		go func() {
			for i := 0; ; i++ {
				e := makeEvent(fmt.Sprintf("%d-%d-%d", os.Getpid(), p, i), rand.IntN(3000))
				targets := []event.WebhookID{hook(3), hook(2), hook(1)}[:1+rand.IntN(3)]
				if _, err := q.Append(context.Background(), &e, targets, nil); err != nil {
					say("!", err.Error())
					return
				}
				say("+", string(e.ID))
			}
		}()
	}
	var done []string
	for {
		var d queue.Delivery
		switch {
		case q.Lease(hook(1), &d) && d.Handle.Kind == fromRetry:
			done = append(done, string(d.Event.ID))
			q.Ack(&d)
		case d.Handle.Kind != 0:
			q.Retry(&d, time.Now(), failedAt(time.Now()))
		case q.Lease(hook(2), &d):
			q.Bury(&d, failedAt(time.Now()))
		default:
			<-ready
		}
		if len(done) == 20 {
			if err := q.Put(context.Background(), "barrier", []byte("x")); err != nil {
				say("!", err.Error())
			}
			for _, id := range done {
				say("-", id)
			}
			done = nil
		}
	}
}

// TestKill kills a busy process again and again, and then looks whether its promises were kept.
func TestKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "q")
	accepted, done := map[string]bool{}, map[string]bool{}
	for round := range *kills {
		cmd := child("work", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		stop := 50 + rand.IntN(2000)
		for n := 0; lines.Scan(); n++ {
			if n == stop {
				cmd.Process.Kill()
			}
			switch what, id, _ := strings.Cut(lines.Text(), " "); what {
			case "+":
				accepted[id] = true
			case "-":
				done[id] = true
			default:
				t.Errorf("round %d: %s", round, lines.Text())
			}
		}
		cmd.Wait()
	}
	r := newRig(t, dir, tiny)
	r.useRealTime()
	r.start()
	defer func() { r.q.Close() }()
	if s := r.q.Stats(); s.LostEvents != 0 || s.Damaged != 0 {
		t.Errorf("stats: %+v, want nothing lost\n%s", s, r.log)
	}
	t.Logf("%d accepted, %d settled for good", len(accepted), len(done))
	r.append("last", 1, hook(1), hook(2), hook(3))
	for _, w := range []event.WebhookID{hook(1), hook(2), hook(3)} {
		for id := ""; id != "last"; {
			d := r.take(w)
			id = string(d.Event.ID)
			if w == hook(1) && done[id] {
				t.Errorf("%s was settled for good, and came again", id)
			}
			if w == hook(3) {
				delete(accepted, id)
			}
			r.q.Ack(d)
		}
	}
	if len(accepted) > 0 {
		t.Errorf("%d events were accepted and are gone", len(accepted))
	}
	r.drainAll(t)
	r.empty()
}

// drainAll settles retries and dead deliveries until there is nothing.
func (r *rig) drainAll(t *testing.T) {
	t.Helper()
	for {
		r.barrier()
		page, _, err := r.q.List(queue.Filter{}, "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return
		}
		for _, info := range page {
			if err := r.q.Redrive(t.Context(), info.ID); err != nil && !errors.Is(err, queue.ErrNotFound) {
				t.Fatal(err)
			}
		}
		for _, info := range page {
			r.q.Ack(r.take(info.Webhook))
		}
	}
}

// An unprivileged process that may not write refuses, and changes nothing.
func TestReadOnlyDirectory(t *testing.T) {
	if os.Getuid() == 0 && !canBecomeNobody {
		t.Skip("cannot give up root's rights on this system")
	}
	s := makeSpecimen(t, true)
	open, err := os.MkdirTemp("", "badgerq") // not t.TempDir: nobody must get there
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(open)
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	copyDir(t, s.dir, filepath.Join(open, "q"))
	s.dir = filepath.Join(open, "q")
	chmod := func(files, dir os.FileMode) {
		for _, name := range listing(t, s.dir) {
			if err := os.Chmod(filepath.Join(s.dir, name), files); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(s.dir, dir); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string][2]os.FileMode{"files and directory": {0o444, 0o555}, "directory": {0o666, 0o555}, "files": {0o444, 0o777}, "nothing may be read": {0, 0o777}} {
		t.Run(name, func(t *testing.T) {
			chmod(mode[0], mode[1])
			defer chmod(0o600, 0o700)
			cmd := child("open", s.dir)
			asNobody(t, cmd)
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(out), "refused:") || !strings.Contains(string(out), "permission denied") {
				t.Errorf("it said %q", out)
			}
			t.Logf("%s", out)
		})
	}
	if found, stats, _, err := s.outcome(t, s.dir); err != nil || len(found) != len(s.want) || stats.LostEvents+stats.Damaged > 0 {
		t.Errorf("afterwards: %d of %d, %+v, %v", len(found), len(s.want), stats, err)
	}
}
