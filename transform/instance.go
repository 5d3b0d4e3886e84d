package transform

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"edgerelay/transform/meter"
)

// instance is one guest with its memory. It belongs to one goroutine at a time.
type instance struct {
	pool    *Pool
	dialect *dialect
	module  api.Module
	memory  api.Memory
	main    api.Function
	running api.Function // the function of the guest that was called last
	stacked guestStack   // of main
	fuel    cell         // what is left of the slice; below zero the guest calls refill
	pages   cell         // what memory.size answers
	globals []api.MutableGlobal
	call    callContext
	kept    int64        // bytes that count as idle memory while it is idle
	until   atomic.Int64 // when the last run must be over, in Unix nanoseconds; for the watchdog

	// Of the run.
	meta     *Meta // nil during init
	input    []byte
	out      *Result
	ctx      context.Context
	deadline time.Time
	limit    int64 // fuel of the run
	granted  int64 // put into the slice so far
	hostFuel int64 // spent in host functions
	checked  int64 // hostFuel at the last check
	refused  bool  // memory was refused
	end      guestEnd
	spent    bool // the guest has ended itself: this is no instance for another event
	stdin    int  // how much of the input a program has read
	wasi     wasiState
	stack    [4]uint64
	number   [20]byte

	extism *extismState // of ABIExtism only
	script *scriptState // of ABIJavaScript only
}

// cell is a global of the guest that the rewriting has added, or what stands for it.
type cell interface {
	Get() uint64
	Set(v uint64)
}

// number and memoryPages stand for the globals of a module that was not rewritten.
type number uint64

func (n *number) Get() uint64  { return uint64(*n) }
func (n *number) Set(v uint64) { *n = number(v) }

type memoryPages struct{ memory api.Memory }

func (m memoryPages) Get() uint64 {
	if m.memory == nil {
		return 0
	}
	return uint64(m.memory.Size() >> 16)
}
func (memoryPages) Set(uint64) {}

// guestEnd is how a host function ended the guest.
type guestEnd struct {
	kind Kind
	msg  string
	code int32 // of KindExit
}

var errEnd = errors.New("ended by the host")

// callContext carries the instance to the host functions. It is a context without anything else: deadlines are kept by refill.
type callContext struct{ in *instance }

func (*callContext) Deadline() (time.Time, bool) { return time.Time{}, false }
func (*callContext) Done() <-chan struct{}       { return nil }
func (*callContext) Err() error                  { return nil }
func (*callContext) Value(any) any               { return nil }

var moduleConfig = wazero.NewModuleConfig().WithName("").WithStartFunctions()

// newInstance makes an instance that is ready for its first event.
func (p *Pool) newInstance(ctx context.Context) (*instance, error) {
	c := p.module.code
	module, err := c.host.rt.InstantiateModule(context.WithoutCancel(ctx), c.compiled, moduleConfig)
	if err != nil {
		return nil, &Error{Kind: KindInit, Module: p.module.name, Msg: err.Error()}
	}
	p.module.counters.instances.Add(1)
	in := &instance{pool: p, dialect: c.dialect(), module: module, main: module.ExportedFunction(p.entry)}
	in.stacked = stackOf(in.main)
	in.call.in = in
	if c.info.HasMemory {
		in.memory = module.Memory()
	}
	if c.host.as {
		in.fuel, in.pages = new(number), memoryPages{in.memory}
	} else {
		in.fuel = module.ExportedGlobal(meter.FuelExport).(api.MutableGlobal)
		in.pages = module.ExportedGlobal(meter.PagesExport).(api.MutableGlobal)
	}
	for _, name := range c.info.Globals {
		in.globals = append(in.globals, module.ExportedGlobal(name).(api.MutableGlobal))
	}
	c.host.watchdog.add(in)
	if setup := in.dialect.setup; setup != nil {
		setup(in)
	}
	if s := p.snapshot.Load(); s != nil && in.restore(s) {
		return in, nil
	}
	if err := in.init(ctx); err != nil {
		in.close()
		return nil, err
	}
	if p.sample != nil && p.isolation != IsolationFresh {
		if err := in.prime(ctx); err != nil {
			in.close()
			return nil, err
		}
	}
	if p.isolation == IsolationEvent {
		p.snapshot.CompareAndSwap(nil, in.save())
	}
	return in, nil
}

// prime runs the sample event: a language runtime has done its first work then, and no event after it has to. What the event leads to
// does not matter, as long as the guest is well afterwards.
func (in *instance) prime(ctx context.Context) error {
	var out Result
	meta := in.pool.sampleMeta
	err := in.run(ctx, &meta, in.pool.sample, &out, time.Now())
	if err == nil || err.Kind == KindFailed && !in.spent {
		return nil
	}
	msg := fmt.Sprintf("sample event: %v: %s", err.Kind, err.Msg)
	for _, l := range out.Log {
		msg += "; " + string(l.Text)
	}
	return &Error{Kind: KindInit, Module: in.pool.module.name, Msg: msg, Trace: err.Trace}
}

func (in *instance) close() {
	in.pool.module.code.host.watchdog.remove(in)
	in.module.Close(context.Background())
}

// init runs what the module wants to run before its first event.
func (in *instance) init(ctx context.Context) error {
	var out Result
	in.out = &out
	defer in.over()
	in.begin(ctx, nil, nil, time.Now(), initFactor)
	for _, name := range in.pool.module.code.init {
		f := in.module.ExportedFunction(name)
		in.stack = [4]uint64{}
		err := in.guest(f)
		if err == nil && name == exportInit && uint32(in.stack[0]) != 0 {
			err = &Error{Kind: KindInit, Msg: fmt.Sprintf("init returned %d", int32(in.stack[0]))}
		}
		if err == nil {
			continue
		}
		return in.initError(name, err)
	}
	if start := in.dialect.start; start != nil {
		if err := start(in); err != nil {
			return in.initError("start", err)
		}
	}
	return nil
}

// initError is what an error is called that keeps an instance from coming to life.
func (in *instance) initError(name string, err *Error) *Error {
	msg := fmt.Sprintf("%s: %s", strings.TrimPrefix(name, "__edgerelay_"), err.Msg)
	if in.out.Reason != "" {
		msg += ": " + in.out.Reason
	}
	for _, l := range in.out.Log {
		msg += "; " + string(l.Text)
	}
	return &Error{Kind: KindInit, Module: in.pool.module.name, Msg: msg, Trace: err.Trace}
}

// begin prepares the accounts of a run.
func (in *instance) begin(ctx context.Context, meta *Meta, input []byte, now time.Time, factor int64) {
	l := &in.pool.limits
	in.ctx, in.meta, in.input = ctx, meta, input
	in.deadline = now.Add(l.Timeout * time.Duration(factor))
	in.until.Store(in.deadline.UnixNano())
	in.limit = l.Fuel * factor
	in.granted = min(FuelSlice, in.limit)
	in.fuel.Set(uint64(in.granted))
	in.hostFuel, in.checked, in.refused, in.stdin, in.end = 0, 0, false, 0, guestEnd{}
	in.wasi.begin()
}

// run gives one event to the guest.
func (in *instance) run(ctx context.Context, meta *Meta, input []byte, out *Result, now time.Time) *Error {
	in.out = out
	in.begin(ctx, meta, input, now, 1)
	err := in.dialect.run(in)
	in.spent = in.spent || in.stacked.bytes() > maxStack // the engine would keep it, and the next event would be blamed
	out.Fuel += in.used()
	out.Memory = max(out.Memory, int64(in.pages.Get())<<16)
	in.over()
	return err
}

// over ends the accounts of a run.
func (in *instance) over() {
	in.out, in.meta, in.input, in.ctx = nil, nil, nil, nil
}

// guest calls a function of the guest and says how it ended.
func (in *instance) guest(f api.Function) *Error {
	in.running = f
	err := f.CallWithStack(&in.call, in.stack[:])
	if err == nil {
		if in.used() > in.limit { // the last piece was not followed by a check
			return &Error{Kind: KindFuel, Msg: in.fuelMsg()}
		}
		return nil
	}
	text, trace := splitTrace(err.Error())
	e := &Error{Kind: KindTrap, Msg: text, Trace: trace}
	var bug runtime.Error
	switch {
	case in.end.kind != 0:
		e.Kind, e.Msg = in.end.kind, in.end.msg
	case errors.As(err, &bug):
		in.pool.module.code.host.log.Error("BUG: a host function failed", "module", in.pool.module.name, "error", err)
		e.Msg = "internal error of the host"
	case in.refused:
		e.Kind, e.Msg = KindMemory, fmt.Sprintf("failed after it was refused more than %d bytes of memory: %s", in.pool.limits.Memory, text)
	case strings.HasPrefix(text, "stack overflow"):
		e.Kind = KindStack
	default:
		e.Msg += in.lastWords()
	}
	return e
}

// splitTrace takes the engine's message apart.
func splitTrace(s string) (text string, trace []string) {
	text, stack, _ := strings.Cut(s, "\nwasm stack trace:\n\t")
	text = strings.TrimPrefix(text, "wasm error: ")
	if stack == "" {
		return text, nil
	}
	return text, strings.Split(stack, "\n\t")
}

// abort ends the guest from a host function.
func (in *instance) abort(kind Kind, msg string) {
	in.end.kind, in.end.msg = kind, msg
	panic(errEnd)
}

func (in *instance) used() int64 { return in.granted - int64(in.fuel.Get()) + in.hostFuel }

func (in *instance) fuelMsg() string { return fmt.Sprintf("more than %d units of work", in.limit) }

// refill is called by the guest when its slice is used up.
func (in *instance) refill() {
	used := in.used()
	if used > in.limit {
		in.abort(KindFuel, in.fuelMsg())
	}
	if time.Now().After(in.deadline) {
		in.abort(KindTimeout, "not finished in time")
	}
	if err := in.ctx.Err(); err != nil {
		in.abort(KindTimeout, err.Error())
	}
	if in.spent = in.spent || stackOf(in.running).bytes() > maxStack; in.spent {
		in.abort(KindStack, "stack overflow")
	}
	in.checked = in.hostFuel
	left := int64(in.fuel.Get())
	next := min(FuelSlice, in.limit-used)
	in.granted += next - left
	in.fuel.Set(uint64(next))
}

// spend charges a host function.
func (in *instance) spend(fuel int64) {
	in.hostFuel += fuel
	if in.hostFuel-in.checked > hostFuelCheck {
		in.refill()
	}
}

// grow answers memory.grow.
func (in *instance) grow(delta uint32) uint32 {
	in.spend(3 * hostCallFuel)
	pages := uint32(in.pages.Get())
	info := &in.pool.module.code.info
	want, limit := uint64(pages)+uint64(delta), uint64(in.pool.limits.Memory)
	if in.extism != nil { // its other memory counts, too
		limit -= min(limit, uint64(len(in.extism.bytes)))
	}
	if want > uint64(info.MaxPages) || want<<16 > limit {
		in.refused = in.refused || delta > 0
		return uint32(none)
	}
	if have := uint64(in.memory.Size() >> 16); want > have {
		if _, ok := in.memory.Grow(uint32(in.step(have, want) - have)); !ok {
			in.refused = true
			return uint32(none)
		}
	}
	in.spend(int64(delta) * growPageFuel)
	in.pages.Set(want)
	return pages
}

// step is how many pages the memory gets when want are asked for. The engine copies it all each time, so an instance that has grown too far
// to be kept gets much at once.
func (in *instance) step(have, want uint64) uint64 {
	if have<<16 < in.pool.module.MinMemory()+maxKeptGrowth {
		return want
	}
	limit := min(uint64(in.pool.limits.Memory)>>16, uint64(in.pool.module.code.info.MaxPages))
	return max(want, min(2*have, limit))
}

// snapshot is what an instance looked like after its init.
type snapshot struct {
	memory  []byte // up to the last byte that is not zero
	pages   uint64
	globals []uint64
	wasi    wasiState
	script  scriptValues
}

// maxKeptGrowth: an instance that has grown further than this during an event is closed after it; wiping costs time for every event.
const maxKeptGrowth = 8 << 20

func (in *instance) allMemory() []byte {
	if in.memory == nil {
		return nil
	}
	all, _ := in.memory.Read(0, in.memory.Size())
	return all
}

func (in *instance) save() *snapshot {
	all := in.allMemory()
	n := len(all)
	for n > 0 && all[n-1] == 0 {
		n--
	}
	s := &snapshot{memory: append([]byte(nil), all[:n]...), pages: in.pages.Get(), wasi: in.wasi}
	for _, g := range in.globals {
		s.globals = append(s.globals, g.Get())
	}
	if in.script != nil {
		s.script = in.script.scriptValues
	}
	return s
}

// restore puts the instance back; it reports false when a new one is cheaper. All of the memory is wiped, also what lies behind the size
// that the guest is told: it can write there.
func (in *instance) restore(s *snapshot) bool {
	size, want := uint64(len(in.allMemory())), s.pages<<16
	if size > want+maxKeptGrowth {
		return false
	}
	if size < want {
		if _, ok := in.memory.Grow(uint32((want - size) >> 16)); !ok {
			return false
		}
	}
	all := in.allMemory()
	clear(all[copy(all, s.memory):])
	in.pages.Set(s.pages)
	for i, g := range in.globals {
		g.Set(s.globals[i])
	}
	in.wasi = s.wasi
	if in.script != nil {
		in.script.scriptValues = s.script
	}
	return true
}
