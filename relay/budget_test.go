package relay

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/valyala/fasthttp"

	"edgerelay/bench"
)

// The peer is this test binary in a process of its own: a receiver and a producer, so that what the relay allocates can be counted.
const peerEnv = "EDGERELAY_TEST_PEER"

func TestMain(m *testing.M) {
	if os.Getenv(peerEnv) != "" {
		peer()
		return
	}
	os.Exit(m.Run())
}

// peer prints its receiver's URL, and for every line "ADDRESS CONNECTIONS EVENTS" sends that many events and waits until all have come.
func peer() {
	rec, err := bench.Start(bench.Options{Hooks: []bench.Hook{{Name: "budget", Scheme: "standard", Secrets: []string{testSecret}}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(rec.URL("budget"))
	in := bufio.NewScanner(os.Stdin)
	var sent uint64
	for in.Scan() {
		var addr string
		var conns, events int
		fmt.Sscan(in.Text(), &addr, &conns, &events)
		produce(addr, conns, events)
		sent += uint64(events)
		rec.Wait(context.Background(), "budget", func(c bench.Counts) bool { return uint64(c.Delivered) >= sent })
		fmt.Println("done", rec.Snapshot().BadSignatures)
	}
}

func produce(addr string, conns, events int) {
	client := &fasthttp.HostClient{Addr: addr, MaxConns: conns}
	body := []byte(`{"type":"order.created","data":{"pad":"` + strings.Repeat("x", 1000) + `"}}`)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range conns {
		wg.Go(func() {
			var req fasthttp.Request
			var resp fasthttp.Response
			for next.Add(1) <= int64(events) {
				req.SetRequestURI("http://" + addr + "/v1/events")
				req.Header.SetMethod("POST")
				req.Header.SetContentType("application/json")
				req.SetBodyRaw(body)
				if err := client.Do(&req, &resp); err != nil || resp.StatusCode() != 202 {
					fmt.Fprintln(os.Stderr, "produce:", err, resp.StatusCode(), string(resp.Body()))
				}
			}
		})
	}
	wg.Wait()
}

// TestAllocationsPerEvent counts what the whole process allocates from an event's first byte to its settlement, pass-through, signed.
func TestAllocationsPerEvent(t *testing.T) {
	const budget = 8
	if raceEnabled {
		t.Skip("allocations cannot be counted under the race detector; the run without it does")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), peerEnv+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer stdin.Close()
	out := bufio.NewScanner(stdout)
	out.Scan()
	r := start(t, t.TempDir(), fmt.Sprintf("webhooks:\n- { name: budget, events: ['*'], url: '%s', secret: %s }\n", out.Text(), testSecret))
	run := func(events int) (allocations, bytes float64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		fmt.Fprintln(stdin, r.IngressAddr(), 64, events)
		if !out.Scan() || out.Text() != "done 0" {
			t.Fatalf("peer: %q", out.Text())
		}
		runtime.ReadMemStats(&after)
		return float64(after.Mallocs-before.Mallocs) / float64(events), float64(after.TotalAlloc-before.TotalAlloc) / float64(events)
	}
	run(2000) // pools, connections, stacks
	allocations, bytes := run(20_000)
	s := r.Queue()
	t.Logf("%.2f allocations and %.0f bytes per event; %.1f events per commit", allocations, bytes, float64(s.Events)/float64(s.Commits))
	if allocations > budget {
		t.Errorf("%.2f allocations per event, budget %d", allocations, budget)
	}
}
