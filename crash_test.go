package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"edgerelay/bench"
)

var crashCycles = flag.Int("crash.cycles", 20, "how often TestCrash kills the relay")

const crashSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// daemon is the real program in a process of its own.
type daemon struct {
	cmd     *exec.Cmd
	ingress string
	admin   string
	stderr  bytes.Buffer
}

// startDaemon runs `edgerelay run` and waits for its listening line.
func startDaemon(t *testing.T, file string) *daemon {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(filepath.Dir(file), "edgerelay") // the test binary is the program when it is called by its name
	if err := os.Symlink(self, name); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	d := &daemon{cmd: exec.Command(name, "run", "-c", file, "--log-format", "text")}
	d.cmd.Stderr = &d.stderr
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if _, scan := fmt.Sscanf(line, "listening ingress=%s admin=%s", &d.ingress, &d.admin); err != nil || scan != nil {
		d.cmd.Process.Kill()
		d.cmd.Wait()
		t.Fatalf("no listening line but %q (%v)\n%s", line, err, d.stderr.String())
	}
	return d
}

func (d *daemon) kill() {
	d.cmd.Process.Kill()
	d.cmd.Wait()
}

// ledger is the parent's list of promises: every id that was answered with 202.
type ledger struct {
	mu  sync.Mutex
	ids []string
}

// produce sends events over conns connections until stop is closed or the relay is gone.
func (l *ledger) produce(addr string, conns int, stop <-chan struct{}) {
	client := &fasthttp.HostClient{Addr: addr, MaxConns: conns, MaxIdemponentCallAttempts: 1}
	var wg sync.WaitGroup
	for range conns {
		wg.Go(func() {
			var req fasthttp.Request
			var resp fasthttp.Response
			for {
				select {
				case <-stop:
					return
				default:
				}
				req.SetRequestURI("http://" + addr + "/v1/events")
				req.Header.SetMethod("POST")
				req.Header.SetContentType("application/json")
				req.SetBodyString(`{"type":"order.created","data":{"pad":"` + strings.Repeat("x", rand.IntN(2000)) + `"}}`)
				if client.DoTimeout(&req, &resp, 5*time.Second) != nil {
					return // killed: whether this one was stored is not promised
				}
				if resp.StatusCode() != fasthttp.StatusAccepted {
					continue
				}
				id := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(string(resp.Body())), `{"id":"`), `"}`)
				l.mu.Lock()
				l.ids = append(l.ids, id)
				l.mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// TestCrash kills the real program again and again under load. Every 202 that a producer ever saw must reach both receivers. What arrives
// twice was in flight when the relay was killed: sent, and its settlement not yet durable. How long before the kill it was sent is logged; a
// busy machine makes that long, so what is checked is that nothing whose settlement is durable is ever made again.
func TestCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("minutes of kills: not with -short")
	}
	dir := t.TempDir()
	var mu sync.Mutex
	first := map[string]time.Time{} // steady's deliveries
	var repeated []time.Time        // when what came again had been delivered first
	var kills []time.Time
	rec, err := bench.Start(bench.Options{
		Hooks: []bench.Hook{{Name: "steady", Scheme: "standard", Secrets: []string{crashSecret}}, {Name: "flaky", Scheme: "standard", Secrets: []string{crashSecret}}},
		OnDelivery: func(d bench.Delivery) {
			if d.Hook != "steady" {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if at, ok := first[d.ID]; ok {
				repeated = append(repeated, at)
			} else {
				first[d.ID] = d.At
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close(context.Background())
	file := filepath.Join(dir, "edgerelay.yaml")
	config := fmt.Sprintf(`
version: 1
data_dir: %s
ingress: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
sender: { allow_private_networks: [127.0.0.0/8] }
retry: { initial: 50ms, multiplier: 1.5, max_interval: 1s, max_retries: 100 }
webhooks:
  - { name: steady, events: ["*"], url: "%s", secret: %s }
  - { name: flaky, events: ["order.*"], url: "%s", secret: %s }
`, filepath.Join(dir, "data"), rec.URL("steady"), crashSecret, rec.URL("flaky"), crashSecret)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	var l ledger
	for range *crashCycles {
		if err := rec.Answer("flaky", bench.Answer{Times: random.IntN(200), Status: 503}); err != nil {
			t.Fatal(err)
		}
		d := startDaemon(t, file)
		stop := make(chan struct{})
		timer := time.AfterFunc(time.Duration(50+random.IntN(300))*time.Millisecond, func() {
			mu.Lock()
			kills = append(kills, time.Now())
			mu.Unlock()
			d.cmd.Process.Kill()
		})
		l.produce(d.ingress, 32, stop)
		timer.Stop()
		close(stop)
		d.kill()
		if out := d.stderr.String(); strings.Contains(out, "panic") || strings.Contains(out, "missing from the queue") {
			t.Fatalf("the relay said:\n%s", out)
		}
	}
	if err := rec.Answer("flaky"); err != nil { // it has recovered
		t.Fatal(err)
	}
	d := startDaemon(t, file)
	defer func() { d.kill() }()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	missing := func() (n int) { // deliveries that were promised and have not come
		for _, id := range l.ids {
			for _, hook := range []string{"steady", "flaky"} {
				if !rec.Received(hook, id) {
					n++
				}
			}
		}
		return n
	}
	// Events that nobody was promised arrive as well, so counting is not enough: the whole ledger is looked at, when that may be worth it.
	want := int64(len(l.ids))
	rec.Wait(ctx, "steady", func(c bench.Counts) bool { return c.Distinct >= want })
	rec.Wait(ctx, "flaky", func(c bench.Counts) bool { return c.Distinct >= want })
	lost := missing()
	for tick := time.NewTicker(50 * time.Millisecond); lost > 0 && ctx.Err() == nil; lost = missing() {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	s := rec.Snapshot()
	var oldest time.Duration
	mu.Lock()
	for _, at := range repeated { // a repeat may come only after further kills: what counts is the first one after the delivery
		if i := slices.IndexFunc(kills, func(k time.Time) bool { return k.After(at) }); i >= 0 {
			oldest = max(oldest, kills[i].Sub(at))
		}
	}
	mu.Unlock()
	t.Logf("%d kills: %d acknowledged, %d lost, %d duplicates (the oldest first delivered %v before its kill), %d bad signatures",
		*crashCycles, len(l.ids), lost, s.Duplicates, oldest.Round(time.Millisecond), s.BadSignatures)
	if lost > 0 {
		t.Errorf("%d of %d acknowledged deliveries are lost\n%s", lost, 2*len(l.ids), d.stderr.String())
	}
	if s.BadSignatures > 0 {
		t.Errorf("%d bad signatures: %s", s.BadSignatures, s.LastError)
	}
	d.killQuiet(t, filepath.Join(dir, "data", "admin.token"))
	before := rec.Snapshot().Requests
	d = startDaemon(t, file)
	if q := d.queue(t, filepath.Join(dir, "data", "admin.token")); q.Pending+q.Retrying+q.Dead+q.Bytes != 0 {
		t.Errorf("everything was settled before the last kill, and now the queue has %+v", q)
	}
	if after := rec.Snapshot().Requests; after != before {
		t.Errorf("%d deliveries were made again that had been settled long before the kill", after-before)
	}
}

// queue asks the management API for the queue's counters.
func (d *daemon) queue(t *testing.T, tokenFile string) (q struct{ Pending, Retrying, Dead, Bytes int64 }) {
	t.Helper()
	token, err := os.ReadFile(tokenFile)
	if err != nil {
		t.Fatal(err)
	}
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	req.SetRequestURI("http://" + d.admin + "/api/v1/stats")
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	if err := fasthttp.DoTimeout(req, resp, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	answer := struct {
		Queue *struct{ Pending, Retrying, Dead, Bytes int64 }
	}{&q}
	if err := json.Unmarshal(resp.Body(), &answer); err != nil {
		t.Fatalf("%v in %s", err, resp.Body())
	}
	return q
}

// killQuiet kills the relay when everything that it has settled is durable, which its counters tell.
func (d *daemon) killQuiet(t *testing.T, tokenFile string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		q := d.queue(t, tokenFile)
		if q.Pending+q.Retrying+q.Dead+q.Bytes == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("everything has arrived, and still the queue has %+v", q)
		}
	}
	d.kill()
}
