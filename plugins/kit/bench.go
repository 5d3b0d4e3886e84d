package kit

import (
	"context"
	"errors"
	"fmt"
	"os"
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
	CachedMillis      float64      `json:"compile_cached_ms"` // the same in a new process, with the code of the last one
	InstantiateMicros float64      `json:"instantiate_us"`    // with its init
	Rows              []BenchRow   `json:"rows"`
	Events            []BenchEvent `json:"events"`
	Regressions       []string     `json:"regressions"`
}

// BenchRow is one way of running it.
type BenchRow struct {
	Module    string  `json:"module"` // plugin, unmetered (the same without the accounting of fuel) or baseline
	Isolation string  `json:"isolation"`
	Workers   int     `json:"workers"`
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
	PerSecond float64 `json:"per_second"`
	Ratio     float64 `json:"p50_ratio,omitempty"` // to the unmetered, shared row; of rows with one worker, which are measured in turns
	Trapped   int     `json:"trapped,omitempty"`   // runs that were ended by force
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
	benchModule    = "plugin"
	benchUnmetered = "unmetered"
	benchBaseline  = "baseline"
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
	b := &bencher{ctx: ctx, p: p, o: o, out: &Bench{Plugin: p.Name, Bytes: len(wasm), Regressions: []string{}}}
	for _, h := range []struct {
		to   **Host
		free bool
	}{{&b.host, false}, {&b.free, true}} {
		host, err := transform.NewHost(ctx, transform.Options{CompileTimeout: time.Minute, Unmetered: h.free})
		if err != nil {
			return nil, fmt.Errorf("start the engine: %w", err)
		}
		defer host.Close(ctx)
		*h.to = &Host{host}
	}
	return b.out, b.run(wasm)
}

type bencher struct {
	ctx  context.Context
	host *Host
	free *Host // which does not meter
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
	if b.out.CachedMillis, err = b.cached(wasm); err != nil {
		return err
	}
	if b.out.InstantiateMicros, err = b.instantiate(wasm); err != nil {
		return err
	}
	if err := b.events(wasm); err != nil {
		return err
	}
	own := b.p.Isolation
	lanes := []*benchLane{{module: benchModule, isolation: own, wasm: wasm}}
	for _, isolation := range []string{"event", "shared", "fresh"} {
		if isolation != own {
			lanes = append(lanes, &benchLane{module: benchModule, isolation: isolation, wasm: wasm})
		}
	}
	lanes = append(lanes, &benchLane{module: benchUnmetered, isolation: "shared", wasm: wasm, host: b.free})
	if b.o.Baseline != nil {
		lanes = append(lanes, &benchLane{module: benchBaseline, isolation: own, wasm: b.o.Baseline})
	}
	if err := b.inTurns(lanes); err != nil {
		return err
	}
	for workers := 2; workers <= b.o.Workers; workers = next(workers, b.o.Workers) {
		if err := b.row(wasm, own, workers); err != nil {
			return err
		}
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

// cached measures a start that finds the compiled code on the disk.
func (b *bencher) cached(wasm []byte) (ms float64, err error) {
	dir, err := os.MkdirTemp("", "modules")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	for i := range 6 { // the first puts it there; of the others the fastest, which was disturbed least
		host, err := transform.NewHost(b.ctx, transform.Options{CompileTimeout: time.Minute, CacheDir: dir})
		if err != nil {
			return 0, err
		}
		start := time.Now()
		module, err := host.Compile(b.ctx, b.p.Name, wasm)
		if took := float64(time.Since(start).Microseconds()) / 1000; i <= 1 || took < ms {
			ms = took
		}
		if module != nil {
			module.Close(b.ctx)
		}
		if err := errors.Join(err, host.Close(b.ctx)); err != nil {
			return 0, err
		}
	}
	return ms, nil
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

// turns is how often the lanes take turns: what else the machine does meets all of them.
const turns = 40

// benchLane is one way of running the plugin, with one worker.
type benchLane struct {
	module, isolation string
	wasm              []byte
	host              *Host // nil = the one that meters
	runner            *Runner
	work              benchWork
	took              time.Duration
}

// inTurns measures the lanes side by side.
func (b *bencher) inTurns(lanes []*benchLane) error {
	for _, l := range lanes {
		p := *b.p
		p.Isolation = l.isolation
		host := l.host
		if host == nil {
			host = b.host
		}
		r, err := host.newRunner(b.ctx, &p, l.wasm, b.o.Config, 1)
		if err != nil {
			return err
		}
		defer r.Close(b.ctx)
		l.runner = r
	}
	for range turns {
		for _, l := range lanes {
			start := time.Now()
			b.work(&l.work, l.runner, start.Add(b.o.For/turns))
			l.took += time.Since(start)
		}
	}
	unmetered := 0.0
	for _, l := range lanes {
		slices.Sort(l.work.samples)
		if l.module == benchUnmetered {
			unmetered = us(l.work.samples[len(l.work.samples)/2])
		}
	}
	for _, l := range lanes {
		row := benchRow(l.module, l.isolation, 1, l.work.samples, l.work.runs, l.took)
		row.Ratio, row.Trapped = row.P50/unmetered, l.work.trapped
		b.out.Rows = append(b.out.Rows, row)
	}
	return b.ctx.Err()
}

func benchRow(module, isolation string, workers int, sorted []time.Duration, runs int, took time.Duration) BenchRow {
	return BenchRow{Module: module, Isolation: isolation, Workers: workers, P50: us(sorted[len(sorted)/2]), P99: us(sorted[len(sorted)*99/100]),
		PerSecond: float64(runs) / took.Seconds()}
}

// row runs all events round and round, with several workers.
func (b *bencher) row(wasm []byte, isolation string, workers int) error {
	p := *b.p
	p.Isolation = isolation
	r, err := b.host.newRunner(b.ctx, &p, wasm, b.o.Config, workers)
	if err != nil {
		return err
	}
	defer r.Close(b.ctx)
	work := make([]benchWork, workers)
	start := time.Now()
	end := start.Add(b.o.For)
	var group sync.WaitGroup
	for w := range work {
		group.Go(func() { b.work(&work[w], r, end) })
	}
	group.Wait()
	took := time.Since(start)
	if err := b.ctx.Err(); err != nil {
		return err
	}
	var all benchWork
	for _, w := range work {
		all.samples, all.runs, all.trapped = append(all.samples, w.samples...), all.runs+w.runs, all.trapped+w.trapped
	}
	slices.Sort(all.samples)
	one := benchRow(benchModule, isolation, workers, all.samples, all.runs, took)
	one.Trapped = all.trapped
	b.out.Rows = append(b.out.Rows, one)
	return nil
}

// benchWork is what one worker has done.
type benchWork struct {
	samples       []time.Duration
	runs, trapped int
	out           transform.Result
}

// work runs events until end, every one at least once.
func (b *bencher) work(w *benchWork, r *Runner, end time.Time) {
	for i := 0; ; i++ {
		e := &b.o.Events[w.runs%len(b.o.Events)]
		meta := e.Meta
		w.out.Reset()
		start := time.Now()
		err := r.pool.Run(b.ctx, &meta, e.Envelope, &w.out)
		now := time.Now()
		var failed *transform.Error
		if errors.As(err, &failed) && failed.Kind != transform.KindFailed { // what the plugin itself thinks of the event does not matter here
			w.trapped++
		}
		if len(w.samples) < maxSamples {
			w.samples = append(w.samples, now.Sub(start))
		} else {
			w.samples[w.runs%maxSamples] = now.Sub(start)
		}
		w.runs++
		if i+1 >= len(b.o.Events) && (now.After(end) || b.ctx.Err() != nil) {
			return
		}
	}
}

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
