package transform

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Isolation says what one event can leave behind for the next.
type Isolation uint8

const (
	IsolationEvent  Isolation = iota // nothing: an instance is put back to the state after its init
	IsolationShared                  // everything: state lives as long as the instance; for modules that are trusted and want the speed
	IsolationFresh                   // nothing: a new instance for every event
)

func (i Isolation) String() string { return [...]string{"event", "shared", "fresh"}[i] }

// PoolConfig of a pool; zero values are defaults.
type PoolConfig struct {
	Config    []byte // JSON, given to the guest as it is
	Limits    Limits
	Size      int // instances at most, and so runs at the same time; 0 = one per processor
	Isolation Isolation
	Entry     string // the exported function that is given events; "" = the one of its ABI. Only Extism plug-ins have a choice
	Output    Output // what the output of Extism plug-ins and WASI programs means
	// Sample is an event that every instance runs before its first one, nil = none: heaps are grown then, tables are filled, and with
	// IsolationEvent the state after it is the one that is kept. It may be refused by the guest, but must not trap. Not for IsolationFresh.
	Sample          []byte
	SampleMeta      Meta
	QuarantineAfter int // failures in a row after which the module is not run any more; 0 = 20, below 0 = never
}

// Pool runs one module with one configuration.
type Pool struct {
	module     *Module
	config     []byte
	values     map[string]string // the configuration as Extism plug-ins see it
	entry      string
	output     Output
	sample     []byte
	sampleMeta Meta
	limits     Limits
	isolation  Isolation
	quarantine int64
	snapshot   atomic.Pointer[snapshot] // set once, by the first instance, when instances are reset

	used        atomic.Bool  // since the eviction looked last
	failures    atomic.Int64 // in a row
	quarantined atomic.Bool

	slots   *gate         // of its runs
	closing chan struct{} // closed by Close; nobody gets an instance after that
	drained chan struct{} // closed when the last run of a closing pool is over

	mu     sync.Mutex // guards what follows
	idle   []*instance
	active int
	closed bool
}

// NewPool makes a pool with one instance, so that a module that cannot start is found out now.
func (h *Host) NewPool(m *Module, cfg PoolConfig) (*Pool, error) {
	set(&cfg.Size, runtime.GOMAXPROCS(0))
	if cfg.QuarantineAfter == 0 {
		cfg.QuarantineAfter = 20
	}
	p := &Pool{module: m, config: cfg.Config, sample: cfg.Sample, sampleMeta: cfg.SampleMeta, entry: cfg.Entry, output: cfg.Output, limits: cfg.Limits.withDefaults(), isolation: cfg.Isolation,
		quarantine: int64(cfg.QuarantineAfter), slots: newGate(cfg.Size), closing: make(chan struct{}), drained: make(chan struct{})}
	refused := func(format string, args ...any) error {
		return &Error{Kind: KindRefused, Module: m.name, Msg: fmt.Sprintf(format, args...)}
	}
	switch {
	case len(cfg.Config) > maxConfig:
		return nil, refused("a configuration of %d bytes, at most %d are accepted", len(cfg.Config), maxConfig)
	case p.limits.Memory > h.memory:
		return nil, refused("a memory limit of %d bytes, the host allows %d", p.limits.Memory, h.memory)
	case m.MinMemory() > uint64(p.limits.Memory):
		return nil, refused("the module begins with %d bytes of memory, the limit is %d", m.MinMemory(), p.limits.Memory)
	}
	if err := p.choose(); err != nil {
		return nil, refused("%v", err)
	}
	in, err := p.newInstance(context.Background())
	if err != nil {
		return nil, err
	}
	p.idle = append(p.idle, in)
	m.code.retain()
	h.idlers.join(p)
	h.idlers.kept(in)
	h.idlers.evict()
	return p, nil
}

// choose decides what follows from the module's ABI: which function is called, how events are kept apart, how the configuration is read.
func (p *Pool) choose() (err error) {
	m := p.module
	if p.entry == "" {
		p.entry = m.code.entry
	}
	switch {
	case p.entry == "":
		return fmt.Errorf("which of its functions shall be called? Name one: %s", oneOf(m.code.entries))
	case !slices.Contains(m.code.entries, p.entry):
		return fmt.Errorf("it has no function %q that can be given events, only: %s", p.entry, oneOf(m.code.entries))
	case p.output != OutputBody && m.ABI() != ABIExtism && m.ABI() != ABICommand:
		return fmt.Errorf("output: %v is for Extism plug-ins and WASI programs; this module speaks %v", p.output, m.ABI())
	}
	if p.entry == exportStart || p.isolation == IsolationEvent && !m.Resettable() {
		p.isolation = IsolationFresh
	}
	if m.ABI() == ABIExtism {
		p.values, err = extismConfig(p.config)
	}
	return err
}

// Name is its module's.
func (p *Pool) Name() string { return p.module.name }

// Isolation is how events are kept apart; a module that cannot be reset gets a fresh instance where event was asked for.
func (p *Pool) Isolation() Isolation { return p.isolation }

// Quarantined reports whether the pool has stopped running its module.
func (p *Pool) Quarantined() bool { return p.quarantined.Load() }

// Run gives one event to the module and adds what it decides to out; out.Body is replaced. input is read only and must not be in out.
// An error is always an *Error; then out holds what was set before the failure and should be reset before it is used for anything.
func (p *Pool) Run(ctx context.Context, meta *Meta, input []byte, out *Result) error {
	out.Body = out.Body[:0]
	if p.quarantined.Load() {
		return p.failed(&Error{Kind: KindQuarantined, Msg: "stopped after too many failures in a row"})
	}
	if len(input) > p.limits.MaxInput {
		return p.failed(&Error{Kind: KindInputTooLarge, Msg: fmt.Sprintf("an input of %d bytes, at most %d are accepted", len(input), p.limits.MaxInput)})
	}
	in, e := p.acquire(ctx)
	if e != nil {
		if e.Kind == KindInit && ctx.Err() == nil {
			p.strike(e)
		}
		return p.failed(e)
	}
	c := p.module.counters
	start, fuel := time.Now(), out.Fuel
	e = in.run(ctx, meta, input, out, start)
	took := time.Since(start)
	out.Duration += took
	c.runs.Add(1)
	c.fuel.Add(out.Fuel - fuel)
	c.nanos.Add(int64(took))
	orderly := e == nil || e.Kind == KindFailed // the guest said so itself, and is well
	p.giveBack(in, orderly && !in.spent)
	if orderly {
		if p.failures.Load() != 0 { // a look costs less than a store, which every core has to be told of
			p.failures.Store(0)
		}
	} else if ctx.Err() == nil {
		p.strike(e)
	}
	if e != nil {
		return p.failed(e)
	}
	c.results[out.Action].Add(1)
	return nil
}

func (p *Pool) failed(e *Error) error {
	e.Module = p.module.name
	p.module.counters.failures[e.Kind].Add(1)
	return e
}

// strike counts a failure of the guest, and stops the module when there were too many in a row.
func (p *Pool) strike(e *Error) {
	n := p.failures.Add(1)
	if p.quarantine < 0 || n < p.quarantine || p.quarantined.Swap(true) {
		return
	}
	p.module.counters.quarantines.Add(1)
	p.module.code.host.log.Error("transform quarantined: it failed too often in a row; a new version or configuration lifts it",
		"module", p.module.name, "failures", n, "last_kind", e.Kind.String(), "last_error", e.Msg)
}

// acquire waits for a place and takes an idle instance, or makes one.
func (p *Pool) acquire(ctx context.Context) (*instance, *Error) {
	if !p.slots.enter(ctx, p.closing) {
		if ctx.Err() != nil {
			return nil, &Error{Kind: KindBusy, Msg: fmt.Sprintf("no instance became free: %v", ctx.Err())}
		}
		return nil, &Error{Kind: KindClosed, Msg: "the pool is closed"}
	}
	running := p.module.code.host.running
	if !running.enter(ctx, nil) { // every run is bounded, so it does not take long
		p.slots.leave()
		return nil, &Error{Kind: KindBusy, Msg: fmt.Sprintf("too many transforms run at the same time: %v", ctx.Err())}
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		running.leave()
		p.slots.leave()
		return nil, &Error{Kind: KindClosed, Msg: "the pool is closed"}
	}
	p.active++
	var in *instance
	if n := len(p.idle); n > 0 {
		in, p.idle[n-1] = p.idle[n-1], nil
		p.idle = p.idle[:n-1]
	}
	p.mu.Unlock()
	if !p.used.Load() {
		p.used.Store(true)
	}
	if in != nil {
		p.module.code.host.idlers.taken(in)
		return in, nil
	}
	in, err := p.newInstance(ctx)
	if err != nil {
		p.done(nil)
		return nil, err.(*Error)
	}
	return in, nil
}

// giveBack makes the instance clean and idle again, or closes it.
func (p *Pool) giveBack(in *instance, ok bool) {
	switch {
	case !ok || p.isolation == IsolationFresh:
		ok = false
	case p.isolation == IsolationEvent:
		ok = in.restore(p.snapshot.Load())
	}
	if !ok {
		in.close()
		in = nil
	}
	p.done(in)
}

// done ends a run; in becomes idle unless it is nil.
func (p *Pool) done(in *instance) {
	h := p.module.code.host
	if in != nil {
		h.idlers.kept(in) // before anybody can take it
	}
	p.mu.Lock()
	p.active--
	if in != nil && !p.closed {
		p.idle = append(p.idle, in)
		in = nil
	}
	if p.closed && p.active == 0 {
		close(p.drained)
	}
	p.mu.Unlock()
	if in != nil {
		h.idlers.taken(in)
		in.close()
	}
	h.running.leave()
	p.slots.leave()
	h.idlers.evict()
}

// Close lets no more events in, waits until those inside are done or ctx ends, and frees the instances. Runs that are still going when ctx
// ends finish by themselves, within their limits.
func (p *Pool) Close(ctx context.Context) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	idle := p.idle
	p.idle = nil
	if p.active == 0 {
		close(p.drained)
	}
	p.mu.Unlock()
	close(p.closing)
	h := p.module.code.host
	h.idlers.leave(p)
	for _, in := range idle {
		h.idlers.taken(in)
		in.close()
	}
	select {
	case <-p.drained:
		p.module.code.release(context.WithoutCancel(ctx))
	case <-ctx.Done():
		p.module.code.host.late.Go(func() { // the code must outlive the last run, which is bounded
			<-p.drained
			p.module.code.release(context.Background())
		})
	}
}
