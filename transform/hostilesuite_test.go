package transform

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// hostileRuns is how often a hostile guest really runs of the 100 times it is called, before it is quarantined. What an operator gets who
// configures nothing: go test ./transform/ -run HostileSuite -hostile=20
var hostileRuns = flag.Int("hostile", 3, "how often every hostile guest runs before it is quarantined; the default of the program is 20")

const (
	hostileCalls  = 100
	healthyPools  = 50
	hostileTarget = 50 * time.Millisecond // of processor time, for one call at the default fuel
	hostileHeap   = 512 << 20
	busyMachine   = 20 * time.Millisecond // what the scheduler of a loaded machine may add
)

// TestHostileSuite calls every hostile guest a hundred times, while fifty healthy webhooks go on: the process lives, every call ends in its
// time and in the way it must, memory stays within its budget, the guest is quarantined and that is reported, and nobody else notices.
func TestHostileSuite(t *testing.T) {
	var logged syncBuffer
	h := newHost(t, Options{Log: slog.New(slog.NewTextHandler(&logged, nil))})
	cases := hostile()
	if len(cases) < 30 {
		t.Fatalf("only %d hostile guests", len(cases))
	}
	crowd := newCrowd(t, h)
	defer crowd.stop()
	calm := crowd.latency(t)
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		t.Run(name, func(t *testing.T) { callHostile(t, h, cases[name].wasm, cases[name].kind) })
	}
	busy := crowd.latency(t)
	t.Logf("a healthy event before: p50 %v, p99 %v; among hostile ones: p50 %v, p99 %v", calm[0], calm[1], busy[0], busy[1])
	if !raceEnabled && busy[1] > 2*calm[1]+busyMachine {
		t.Errorf("healthy events take %v at the 99th percentile, without hostile ones %v", busy[1], calm[1])
	}
	if n := strings.Count(logged.String(), "transform quarantined"); n != len(cases) {
		t.Errorf("%d of %d guests were reported as quarantined", n, len(cases))
	}
}

func callHostile(t *testing.T, h *Host, wasm []byte, want Kind) {
	m, err := h.Compile(context.Background(), t.Name(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(context.Background())
	runs := *hostileRuns
	if raceEnabled && testing.Short() {
		runs = 1
	}
	p, err := h.NewPool(m, PoolConfig{Size: 1, QuarantineAfter: runs})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(context.Background())
	input := make([]byte, 1<<20)
	var worst, best time.Duration
	var fuel int64
	for i := range hostileCalls {
		var out Result
		took := cpuTime(t, func() { err = p.Run(context.Background(), &testMeta, input, &out) })
		kind := kindOf(t, err)
		if i >= runs {
			if kind != KindQuarantined {
				t.Fatalf("call %d: %v", i, err)
			}
			continue
		}
		if kind == KindTimeout { // this machine is slow, or busy; the guest was stopped by the clock then
			t.Logf("stopped by the clock after %v", out.Duration)
			continue
		}
		if kind != want {
			t.Fatalf("call %d: got %v, want %v", i, err, want)
		}
		if fuel != 0 && out.Fuel != fuel {
			t.Errorf("fuel %d, then %d", fuel, out.Fuel)
		}
		fuel, worst = out.Fuel, max(worst, took)
		if best == 0 || took < best {
			best = took
		}
	}
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	t.Logf("processor time %v to %v, fuel %d, heap %d MB: %v", best, worst, fuel, s.HeapAlloc>>20, want)
	if s.HeapAlloc > hostileHeap {
		t.Errorf("the heap has %d bytes", s.HeapAlloc)
	}
	most := hostileTarget
	if *hostileRuns < 20 { // a test among others, on a machine that does something else as well
		most *= 2
	}
	if !raceEnabled && best > most {
		t.Errorf("%v of processor time at best, the target is %v", best, hostileTarget)
	}
	if p.Quarantined() != true || m.Stats().Quarantines != 1 {
		t.Errorf("quarantined %v, counted %d times", p.Quarantined(), m.Stats().Quarantines)
	}
}

// crowd is fifty healthy webhooks, whose events go through all the time.
type crowd struct {
	pools []*Pool
	quit  chan struct{}
	done  sync.WaitGroup

	mu    sync.Mutex
	took  []time.Duration // since latency was asked for
	moved *sync.Cond
}

// latencySamples is how many events there must have been before they are judged.
const latencySamples = 2000

func newCrowd(t *testing.T, h *Host) *crowd {
	c := &crowd{quit: make(chan struct{})}
	c.moved = sync.NewCond(&c.mu)
	for i := range healthyPools {
		wasm := echo()
		if i%2 == 1 {
			wasm = counting()
		}
		c.pools = append(c.pools, newPool(t, h, wasm, PoolConfig{Size: 1}))
	}
	c.done.Go(func() {
		var out Result
		for i := 0; ; i++ {
			select {
			case <-c.quit:
				return
			default:
			}
			p := c.pools[i%len(c.pools)]
			out.Reset()
			input := fmt.Appendf(nil, "event %d", i)
			start := time.Now()
			err := p.Run(context.Background(), &testMeta, input, &out)
			took := time.Since(start)
			if err != nil || string(out.Body) != string(input) && string(out.Body) != "111141" {
				t.Errorf("a healthy webhook: %v %q", err, out.Body)
			}
			c.mu.Lock()
			c.took = append(c.took, took)
			c.mu.Unlock()
			c.moved.Signal()
			runtime.Gosched()
		}
	})
	return c
}

// latency is the median and the 99th percentile of the events since it was asked for last, of which there must have been some.
func (c *crowd) latency(t *testing.T) [2]time.Duration {
	t.Helper()
	c.mu.Lock()
	for len(c.took) < latencySamples {
		c.moved.Wait()
	}
	all := c.took
	c.took = nil
	c.mu.Unlock()
	t.Logf("%d healthy events", len(all))
	slices.Sort(all)
	return [2]time.Duration{all[len(all)/2], all[len(all)*99/100]}
}

func (c *crowd) stop() {
	close(c.quit)
	c.done.Wait()
}

// syncBuffer is a buffer for a log that several goroutines write to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
