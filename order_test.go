package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

var orderEvents = flag.Int("order.events", 6_000, "how many events TestOrderOverKills sends, over 100 keys")

// orderReceiver is a faulty receiver that knows what order it should see.
type orderReceiver struct {
	mu         sync.Mutex
	last       map[string]int // of each key, the last one that it has taken
	refused    map[string]int // how often it has refused the next one
	inversions []string
	repeats    int
	taken      int
	requests   int
	blocked    bool // key 0 is refused
	overtaken  int  // deliveries of other keys while key 0 was refused
	progress   chan struct{}
}

func (r *orderReceiver) serve(ctx *fasthttp.RequestCtx) {
	var e struct {
		Data struct {
			Key string `json:"key"`
			N   int    `json:"n"`
		} `json:"data"`
	}
	if json.Unmarshal(ctx.PostBody(), &e) != nil {
		ctx.SetStatusCode(400)
		return
	}
	key, n := e.Data.Key, e.Data.N
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	switch last := r.last[key]; {
	case n <= last:
		r.repeats++
		return
	case n > last+1:
		r.inversions = append(r.inversions, fmt.Sprintf("key %s: %d came after %d", key, n, last))
	}
	h := fnv.New32a()
	fmt.Fprint(h, key, n)
	if key == "0" && r.blocked || h.Sum32()%25 == 0 && r.refused[key] < 1+int(h.Sum32()/25%2) {
		r.refused[key]++
		ctx.SetStatusCode(500)
		return
	}
	r.last[key], r.refused[key] = n, 0
	r.taken++
	if r.blocked {
		r.overtaken++
	}
	select {
	case r.progress <- struct{}{}:
	default:
	}
}

// until waits for ok, which is asked whenever something was taken.
func (r *orderReceiver) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	patience := time.NewTimer(2 * time.Minute)
	defer patience.Stop()
	for {
		r.mu.Lock()
		done := ok()
		state := fmt.Sprintf("taken %d, requests %d, repeats %d, key 0 at %d", r.taken, r.requests, r.repeats, r.last["0"])
		r.mu.Unlock()
		if done {
			return
		}
		select {
		case <-r.progress:
			patience.Reset(2 * time.Minute)
		case <-patience.C:
			t.Fatalf("%s: nothing was taken for two minutes: %s", what, state)
		}
	}
}

// TestOrderOverKills: events of 100 keys, a receiver that refuses one delivery in 25 and one key altogether, and two kills of the real program.
// No key ever sees an event before the one that came before it, and the others are done while the refused key is still at its first.
func TestOrderOverKills(t *testing.T) {
	if testing.Short() {
		t.Skip("kills the real program: not with -short")
	}
	const keys = 100
	each := max(*orderEvents/keys, 3)
	r := &orderReceiver{last: map[string]int{}, refused: map[string]int{}, blocked: true, progress: make(chan struct{}, 1)}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &fasthttp.Server{Handler: r.serve}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	dir := t.TempDir()
	file := filepath.Join(dir, "edgerelay.yaml")
	config := fmt.Sprintf(`
version: 1
data_dir: %s
ingress: { listen: 127.0.0.1:0 }
admin: { listen: 127.0.0.1:0 }
sender: { allow_private_networks: [127.0.0.0/8] }
retry: { initial: 20ms, multiplier: 1.5, max_interval: 500ms, max_retries: 100 }
webhooks:
  - { name: ledger, events: ["*"], url: "http://%s/", ordering: data.key, concurrency: 32 }
`, filepath.Join(dir, "data"), ln.Addr())
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var at atomic.Pointer[string]
	start := func() *daemon {
		d := startDaemon(t, file)
		at.Store(&d.ingress)
		return d
	}
	d := start()
	defer func() { d.kill() }()
	var accepted atomic.Int64
	var producing sync.WaitGroup
	const producers = 20
	for p := range producers {
		producing.Go(func() {
			client := &fasthttp.Client{MaxIdemponentCallAttempts: 1}
			var req fasthttp.Request
			var resp fasthttp.Response
			for n := 1; n <= each; n++ {
				for key := p; key < keys; key += producers {
					for {
						req.SetRequestURI("http://" + *at.Load() + "/v1/events")
						req.Header.SetMethod("POST")
						req.Header.SetContentType("application/json")
						// Its own id makes an event idempotent: what got no answer is sent again, and stored once.
						req.SetBodyString(fmt.Sprintf(`{"id":"k%d-%d","type":"ledger.entry","data":{"key":"%d","n":%d}}`, key, n, key, n))
						if client.DoTimeout(&req, &resp, 5*time.Second) == nil && resp.StatusCode() == fasthttp.StatusAccepted {
							accepted.Add(1)
							break
						}
						<-time.After(50 * time.Millisecond) // it is being started again
					}
				}
			}
		})
	}
	total := keys * each
	for kill := 1; kill <= 2; kill++ {
		r.until(t, "before a kill", func() bool { return r.taken >= kill*total/4 })
		d.kill()
		d = start()
	}
	producing.Wait()
	began := time.Now()
	r.until(t, "the other keys", func() bool { return r.taken >= total-each })
	r.mu.Lock()
	if first := r.last["0"]; first != 0 {
		t.Errorf("the refused key is at %d", first)
	}
	t.Logf("%d events of the other keys were taken, %d requests and %d repeats, %v after the last was accepted, while key 0 waited for its first",
		r.overtaken, r.requests, r.repeats, time.Since(began).Round(time.Millisecond))
	r.blocked = false
	r.mu.Unlock()
	began = time.Now()
	r.until(t, "the refused key", func() bool { return r.taken >= total })
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.inversions); n > 0 {
		t.Errorf("%d inversions, the first: %s", n, r.inversions[0])
	}
	t.Logf("%d events over %d keys, 2 kills: %d inversions, %d repeats; the refused key's %d took %v once it was let", total, keys, len(r.inversions), r.repeats, each,
		time.Since(began).Round(time.Millisecond))
	if err := server.Shutdown(); err != nil {
		t.Error(err)
	}
	<-served
}
