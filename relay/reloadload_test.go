package relay

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edgerelay/bench"
	"edgerelay/config"
)

var reloads = flag.Int("reloads", 300, "how often TestReloadsUnderLoad reloads; a tenth of that with -short")

// variant is configuration number n of the test: each reload changes something else, and every tenth one is invalid.
func variant(rec *bench.Receiver, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "validate_events: %v\n", n%3 == 0)
	fmt.Fprintf(&b, "event_types: [{ name: load, schema: { type: object, properties: { n: { type: integer, maximum: %d } } } }]\n", 1_000_000+n)
	fmt.Fprintf(&b, "authorizations: [{ name: key, type: header, headers: [{ name: X-Key, value: key-number-%d }] }]\n", n/7)
	b.WriteString("webhooks:\n")
	b.WriteString(hook(rec, "same", ""))
	b.WriteString(hook(rec, "changed", fmt.Sprintf(", headers: { X-Version: v%d }, concurrency: %d", n, 1+n%16)))
	b.WriteString(hook(rec, "authorized", ", authorization: key"))
	b.WriteString(hook(rec, "transformed", fmt.Sprintf(", transform: [{ plugin: redact, config: { fields: [data.mail], mask: 'm%d' } }]", n/3)))
	if n%2 == 0 {
		b.WriteString(strings.Replace(hook(rec, "comes-and-goes", ""), "'*'", "never", 1))
	}
	if n%10 == 9 {
		b.WriteString("- { name: invalid, events: [load], filter: 'data.n >', url: 'http://127.0.0.1:1/' }\n")
	}
	return b.String()
}

// TestReloadsUnderLoad reloads again and again while events come in: none is lost, an invalid configuration changes nothing, and neither goroutines nor memory grow.
//
//	go test ./relay -run TestReloadsUnderLoad -reloads 1000 -v
func TestReloadsUnderLoad(t *testing.T) {
	count := *reloads
	if testing.Short() {
		count = max(count/10, 1)
	}
	stable := []string{"same", "changed", "authorized", "transformed"}
	rec := receiver(t, nil, append(stable, "comes-and-goes")...)
	r := start(t, t.TempDir(), variant(rec, 0))

	var ledger sync.Map // of the ids of accepted events
	var sent atomic.Int64
	stop := make(chan struct{})
	accepted := make(chan struct{}, 1<<16)
	var producers sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	for p := range 4 {
		producers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if sent.Load()-rec.Snapshot().Hooks["transformed"].Delivered > 2000 { // as fast as they are delivered, else this measures a backlog
					runtime.Gosched()
					continue
				}
				id := fmt.Sprintf("e-%d-%d", p, n)
				resp, err := client.Post("http://"+r.IngressAddr().String()+"/v1/events", "application/json",
					strings.NewReader(fmt.Sprintf(`{"id":%q,"type":"load","data":{"n":%d,"mail":"ada@example.com"}}`, id, n)))
				if err != nil {
					t.Errorf("post: %v", err)
					return
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusAccepted {
					t.Errorf("status %d", resp.StatusCode)
					return
				}
				ledger.Store(id, nil)
				sent.Add(1)
				select {
				case accepted <- struct{}{}:
				default:
				}
			}
		})
	}

	before := r.measure(client)
	invalid := 0
	var slowest time.Duration
	begin := time.Now()
	for n := 1; n <= count && !t.Failed(); n++ {
		for range 5 { // between two reloads some events
			select {
			case <-accepted:
			case <-time.After(10 * time.Second):
				t.Fatal("no events are accepted any more")
			}
		}
		was := r.config()
		c := r.load(variant(rec, n))
		at := time.Now()
		err := r.Reload(context.Background(), c)
		slowest = max(slowest, time.Since(at))
		switch wrong := n%10 == 9; {
		case wrong && (err == nil || r.config() != was):
			t.Fatalf("reload %d: an invalid configuration is in force: %v", n, err)
		case wrong:
			invalid++
			if _, ok := err.(config.Problems); !ok {
				t.Errorf("reload %d: %v", n, err)
			}
		case err != nil || r.files() != c:
			t.Fatalf("reload %d: %v", n, err)
		}
	}
	took := time.Since(begin)
	close(stop)
	producers.Wait()
	r.eventually("everything is delivered", func() bool { s := r.Queue(); return s.Pending == 0 && s.Retrying == 0 })
	lost, total := 0, 0
	ledger.Range(func(id, _ any) bool {
		total++
		for _, name := range stable {
			if !rec.Received(name, id.(string)) {
				lost++
			}
		}
		return true
	})
	if s := rec.Snapshot(); lost > 0 || r.Queue().Dead > 0 || s.BadSignatures > 0 {
		t.Errorf("%d deliveries of %d events are lost, %d dead, %d with a bad signature", lost, total, r.Queue().Dead, s.BadSignatures)
	}
	if err := r.Reload(context.Background(), r.load(variant(rec, 0))); err != nil { // as in the beginning
		t.Fatal(err)
	}
	var after state
	r.eventually("goroutines and memory are as before", func() bool {
		after = r.measure(client)
		return after.goroutines <= before.goroutines+10 && after.heap <= before.heap+16<<20
	})
	t.Logf("%d reloads, %d of them invalid, in %v (slowest %v); %d events for %d webhooks, 0 lost; goroutines %d -> %d, heap %d -> %d KiB",
		count, invalid, took.Round(time.Millisecond), slowest.Round(time.Millisecond), total, len(stable), before.goroutines, after.goroutines, before.heap>>10, after.heap>>10)
}

type state struct {
	goroutines int
	heap       int64
}

// measure looks at the process once the connections that nobody uses are closed. Two kinds of goroutines are not counted, because they follow from the
// load and not from reloads, and go by themselves: the sending side's workers that rest, and those of HTTP servers, of which the receiver is one.
func (r *running) measure(client *http.Client) state {
	client.CloseIdleConnections()
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	all := make([]byte, 4<<20)
	s := state{heap: int64(m.HeapAlloc)}
	for stack := range strings.SplitSeq(string(all[:runtime.Stack(all, true)]), "\n\n") {
		if !strings.Contains(stack, "(*Deliverer).restLocked") && !strings.Contains(stack, "fasthttp.(*workerPool)") {
			s.goroutines++
		}
	}
	return s
}
