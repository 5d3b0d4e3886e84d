package kit

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"edgerelay/transform"
)

// BenchOptions of Bench.
type BenchOptions struct {
	Config   []byte        // JSON; nil = none
	Events   []Event       // empty = the plugin's samples
	For      time.Duration // of every row
	Workers  int           // the most that run at the same time; 0 = one per processor
	Baseline []byte        // another module of the same plugin to compare with
	Allow    float64       // by how many percent the fuel of an event may be above the baseline's
}

// Bench is what a plugin costs.
type Bench struct {
	Plugin            string       `json:"plugin"`
	Bytes             int          `json:"bytes"`
	CompileMillis     float64      `json:"compile_ms"`
	InstantiateMicros float64      `json:"instantiate_us"` // with its init
	Rows              []BenchRow   `json:"rows"`
	Events            []BenchEvent `json:"events"`
	Regressions       []string     `json:"regressions"`
}

// BenchRow is one way of running it.
type BenchRow struct {
	Module    string  `json:"module"` // plugin or baseline
	Isolation string  `json:"isolation"`
	Workers   int     `json:"workers"`
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
	PerSecond float64 `json:"per_second"`
}

// BenchEvent is what one event costs: the same on every machine.
type BenchEvent struct {
	Event    string `json:"event"`
	Action   string `json:"action"`
	Fuel     int64  `json:"fuel"`
	Baseline int64  `json:"baseline_fuel,omitempty"`
	Memory   int64  `json:"memory"` // bytes at the end of the run
}

const (
	benchModule   = "plugin"
	benchBaseline = "baseline"
)

// RunBench measures the plugin, and its baseline, with an engine of its own, whose compiler has nothing in its cache.
func RunBench(ctx context.Context, p *Package, o BenchOptions) (*Bench, error) {
	if err := p.CheckConfig(o.Config); err != nil {
		return nil, err
	}
	wasm, err := p.Wasm()
	if err != nil {
		return nil, err
	}
	if len(o.Events) == 0 {
		o.Events = p.Events
	}
	if len(o.Events) == 0 {
		return nil, fmt.Errorf("plugin %q has no sample events in events/", p.Name)
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	host, err := transform.NewHost(ctx, transform.Options{CompileTimeout: time.Minute})
	if err != nil {
		return nil, fmt.Errorf("start the engine: %w", err)
	}
	b := &bencher{ctx: ctx, host: &Host{host}, p: p, o: o, out: &Bench{Plugin: p.Name, Bytes: len(wasm), Regressions: []string{}}}
	err = b.run(wasm)
	if closeErr := host.Close(ctx); err == nil {
		err = closeErr
	}
	return b.out, err
}

type bencher struct {
	ctx  context.Context
	host *Host
	p    *Package
	o    BenchOptions
	out  *Bench
}

func (b *bencher) run(wasm []byte) error {
	start := time.Now()
	module, err := b.host.Compile(b.ctx, b.p.Name, wasm)
	if err != nil {
		return err
	}
	defer module.Close(b.ctx)
	b.out.CompileMillis = float64(time.Since(start).Microseconds()) / 1000
	if b.out.InstantiateMicros, err = b.instantiate(wasm); err != nil {
		return err
	}
	if err := b.events(wasm); err != nil {
		return err
	}
	own := b.p.Isolation
	for workers := 1; workers <= b.o.Workers; workers = next(workers, b.o.Workers) {
		if err := b.row(benchModule, wasm, own, workers); err != nil {
			return err
		}
	}
	for _, isolation := range []string{"event", "shared", "fresh"} {
		if isolation == own {
			continue
		}
		if err := b.row(benchModule, wasm, isolation, 1); err != nil {
			return err
		}
	}
	if b.o.Baseline != nil {
		return b.row(benchBaseline, b.o.Baseline, own, 1)
	}
	return nil
}

// next doubles, but does not leave out the last.
func next(workers, most int) int {
	if workers < most {
		return min(workers*2, most)
	}
	return most + 1
}

// instantiate measures how long a new instance takes, its init included.
func (b *bencher) instantiate(wasm []byte) (micros float64, err error) {
	var took []time.Duration
	for range 20 {
		start := time.Now()
		r, err := b.host.newRunner(b.ctx, b.p, wasm, b.o.Config, 1)
		if err != nil {
			return 0, err
		}
		took = append(took, time.Since(start))
		r.Close(b.ctx)
	}
	slices.Sort(took)
	return us(took[len(took)/2]), nil
}

// events runs every event once with every module: fuel needs no repetition.
func (b *bencher) events(wasm []byte) error {
	outcomes := func(wasm []byte) (all []*Outcome, err error) {
		r, err := b.host.newRunner(b.ctx, b.p, wasm, b.o.Config, 1)
		if err != nil {
			return nil, err
		}
		defer r.Close(b.ctx)
		for i := range b.o.Events {
			all = append(all, r.Run(b.ctx, &b.o.Events[i]))
		}
		return all, nil
	}
	now, err := outcomes(wasm)
	if err != nil {
		return err
	}
	var before []*Outcome
	if b.o.Baseline != nil {
		if before, err = outcomes(b.o.Baseline); err != nil {
			return fmt.Errorf("baseline: %w", err)
		}
	}
	for i, o := range now {
		e := BenchEvent{Event: b.o.Events[i].Name, Action: o.Action, Fuel: o.Fuel, Memory: o.Memory}
		if before != nil {
			e.Baseline = before[i].Fuel
			if float64(e.Fuel) > float64(e.Baseline)*(1+b.o.Allow/100) {
				b.out.Regressions = append(b.out.Regressions, fmt.Sprintf("event %q takes %d fuel, the baseline %d (%+.1f %%)",
					e.Event, e.Fuel, e.Baseline, 100*(float64(e.Fuel)/float64(max(e.Baseline, 1))-1)))
			}
		}
		b.out.Events = append(b.out.Events, e)
	}
	return nil
}

// maxSamples bounds what a worker keeps; of longer rows the last ones count.
const maxSamples = 1 << 18

// row runs all events round and round.
func (b *bencher) row(name string, wasm []byte, isolation string, workers int) error {
	p := *b.p
	p.Isolation = isolation
	r, err := b.host.newRunner(b.ctx, &p, wasm, b.o.Config, workers)
	if err != nil {
		return err
	}
	defer r.Close(b.ctx)
	samples, runs := make([][]time.Duration, workers), make([]int, workers)
	start := time.Now()
	end := start.Add(b.o.For)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() { samples[w], runs[w] = b.work(r, end) })
	}
	group.Wait()
	took := time.Since(start)
	if err := b.ctx.Err(); err != nil {
		return err
	}
	all, total := slices.Concat(samples...), 0
	for _, n := range runs {
		total += n
	}
	slices.Sort(all)
	b.out.Rows = append(b.out.Rows, BenchRow{Module: name, Isolation: isolation, Workers: workers, P50: us(all[len(all)/2]),
		P99: us(all[len(all)*99/100]), PerSecond: float64(total) / took.Seconds()})
	return nil
}

// work is one worker; it runs every event at least once.
func (b *bencher) work(r *Runner, end time.Time) (samples []time.Duration, runs int) {
	var out transform.Result
	for i := 0; ; i++ {
		e := &b.o.Events[i%len(b.o.Events)]
		meta := e.Meta
		out.Reset()
		start := time.Now()
		// What the plugin thinks of the event does not matter here; Events tells it.
		_ = r.pool.Run(b.ctx, &meta, e.Envelope, &out)
		now := time.Now()
		if len(samples) < maxSamples {
			samples = append(samples, now.Sub(start))
		} else {
			samples[i%maxSamples] = now.Sub(start)
		}
		if i+1 >= len(b.o.Events) && (now.After(end) || b.ctx.Err() != nil) {
			return samples, i + 1
		}
	}
}

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
