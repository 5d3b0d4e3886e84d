package transform

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"edgerelay/transform/meter"
)

// Options of a host.
type Options struct {
	CacheDir       string        // compiled code is kept here over restarts; "" = not kept. Nobody else may write to it: it is machine code
	MaxMemory      uint32        // bytes of linear memory that no pool may exceed; 0 = 256 MiB
	MaxIdle        int64         // bytes of linear memory that instances may keep between events, all pools together; 0 = 256 MiB
	MaxRunning     int           // events that run at the same time, all pools together; 0 = four per processor
	CompileTimeout time.Duration // 0 = 10 s
	Log            *slog.Logger  // nil = discarded
	// Unmetered leaves the accounting of fuel out: a module that runs away is never stopped. For measuring what the accounting costs, and
	// for nothing else.
	Unmetered bool
	// Original runs modules as they are, with the debug information that they carry, so that a trace names files and lines. Nothing is
	// metered: only for a run that has ended in a trap before, and will again.
	Original bool
}

// Host compiles modules and keeps what they share. One per process.
type Host struct {
	rt      wazero.Runtime
	cache   wazero.CompilationCache // nil = none
	dir     string
	timeout time.Duration
	memory  uint32
	free    bool
	as      bool // as they are: Options.Original
	log     *slog.Logger

	running      *gate // of the runs of all pools
	idlers       idlers
	watchdog     *watchdog
	compilations atomic.Int64
	late         sync.WaitGroup // compilations and pools that close in the background, and the watchdog

	mu    sync.Mutex // guards all below
	codes map[codeKey]*code
	stats map[string]*counters // by name; they outlive modules, so that a reload does not reset them
}

// NewHost starts the engine.
func NewHost(ctx context.Context, o Options) (*Host, error) {
	set(&o.MaxMemory, 256<<20)
	set(&o.CompileTimeout, 10*time.Second)
	set(&o.MaxIdle, 256<<20)
	set(&o.MaxRunning, 4*runtime.GOMAXPROCS(0))
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	h := &Host{dir: o.CacheDir, timeout: o.CompileTimeout, memory: o.MaxMemory, free: o.Unmetered, as: o.Original, log: o.Log, watchdog: newWatchdog(), running: newGate(o.MaxRunning), idlers: idlers{most: o.MaxIdle},
		codes: make(map[codeKey]*code), stats: make(map[string]*counters)}
	rc := wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2).WithMemoryLimitPages(o.MaxMemory >> 16).
		WithDebugInfoEnabled(o.Original).WithCustomSections(o.Original)
	if o.CacheDir != "" {
		if err := privateDir(o.CacheDir); err != nil {
			return nil, err
		}
		var err error
		if h.cache, err = wazero.NewCompilationCacheWithDir(o.CacheDir); err != nil {
			return nil, fmt.Errorf("open compilation cache %q: %w", o.CacheDir, err)
		}
		rc = rc.WithCompilationCache(h.cache)
	}
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		h.log.Warn("transforms are interpreted on this processor: 35 to 60 times slower", "arch", runtime.GOARCH)
	}
	h.rt = wazero.NewRuntimeWithConfig(ctx, rc)
	for module, funcs := range hostModules() {
		if err := register(ctx, h.rt, module, funcs); err != nil {
			return nil, errors.Join(err, h.Close(ctx))
		}
	}
	h.late.Go(h.watchdog.run)
	return h, nil
}

// privateDir makes the directory, or checks that only its owner can write to one that is there.
func privateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create compilation cache: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("open compilation cache: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("open compilation cache %q: its mode is %v, others can write machine code into it; chmod 700", dir, info.Mode().Perm())
	}
	return nil
}

// Close ends everything that still runs in the host. Pools should be closed before.
func (h *Host) Close(ctx context.Context) error {
	h.watchdog.end()
	h.late.Wait()
	err := h.rt.Close(ctx)
	if h.cache != nil {
		err = errors.Join(err, h.cache.Close(ctx))
	}
	return err
}

// Compilations is how many modules were compiled, or read from the cache, since the start: one for each different content.
func (h *Host) Compilations() int64 { return h.compilations.Load() }

// Compile checks a module, finds out which ABI it speaks, and compiles it, unless the same content is compiled already. name is for messages and metrics.
// The module must be closed; the code goes when its last module and pool are.
func (h *Host) Compile(ctx context.Context, name string, wasm []byte) (*Module, error) {
	refused := func(format string, args ...any) error {
		return &Error{Kind: KindRefused, Module: name, Msg: fmt.Sprintf(format, args...)}
	}
	if len(wasm) > MaxModule {
		return nil, refused("the module has %d bytes, at most %d are accepted", len(wasm), MaxModule)
	}
	engine, script, err := splitScript(wasm)
	if err != nil {
		return nil, refused("%v", err)
	}
	m := &Module{name: name, hash: sha256.Sum256(wasm), script: script}
	key := codeKey{hash: m.hash}
	if script != nil { // the engine is shared by all scripts
		key = codeKey{hash: sha256.Sum256(engine), abi: ABIJavaScript}
	}
	h.mu.Lock()
	c := h.codes[key]
	if c != nil {
		c.refs++
		h.mu.Unlock()
	} else {
		c = &code{host: h, key: key, abi: key.abi, refs: 1, ready: make(chan struct{})}
		h.codes[key] = c
		h.mu.Unlock()
		h.late.Go(func() { c.compile(name, engine) })
	}
	timer := time.NewTimer(h.timeout)
	defer timer.Stop()
	select {
	case <-c.ready:
	case <-timer.C:
		c.release(context.WithoutCancel(ctx))
		return nil, &Error{Kind: KindCompile, Module: name, Msg: fmt.Sprintf("not compiled within %v", h.timeout)}
	case <-ctx.Done():
		c.release(context.WithoutCancel(ctx))
		return nil, &Error{Kind: KindCompile, Module: name, Msg: ctx.Err().Error()}
	}
	if c.err != nil {
		c.release(ctx)
		e := *c.err
		e.Module = name
		return nil, &e
	}
	m.code, m.counters = c, h.countersOf(name)
	return m, nil
}

func (h *Host) countersOf(name string) *counters {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.stats[name]
	if s == nil {
		s = new(counters)
		h.stats[name] = s
	}
	return s
}

// codeKey names compiled code: by its content, and whether it is to run as an engine of scripts, which is known before it is looked into.
type codeKey struct {
	hash [32]byte
	abi  ABI // ABIJavaScript or 0
}

// code is a compiled module, shared by everybody who compiled the same content.
type code struct {
	host *Host
	key  codeKey
	refs int // guarded by host.mu

	ready    chan struct{} // closed by compile; the fields below are set before
	err      *Error
	compiled wazero.CompiledModule
	abi      ABI
	info     meter.Info
	memory   meter.Limits
	init     []string // exports to call before the first event, in order
	entries  []string // exports that can be given events
	entry    string   // the one of them that is called unless a pool wants another; "" = a pool must say it
}

func (c *code) dialect() *dialect { return dialects[c.abi] }

// compile runs in a goroutine of its own: the engine does not always look at its context.
func (c *code) compile(name string, wasm []byte) {
	defer close(c.ready)
	out, err := c.decode(name, wasm)
	if err != nil {
		c.err = err.(*Error)
		return
	}
	c.compiled, err = c.host.compile(out)
	if err != nil {
		c.err = &Error{Kind: KindCompile, Module: name, Msg: err.Error()}
	}
}

func (h *Host) compile(wasm []byte) (_ wazero.CompiledModule, err error) {
	defer func() {
		if r := recover(); r != nil { // the engine must not take the process with it
			err = fmt.Errorf("the engine failed: %v", r)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), h.timeout)
	defer cancel()
	h.compilations.Add(1)
	ctx = experimental.WithCompilationWorkers(ctx, 2) // only with more than one does it look at ctx between functions
	compiled, err := h.rt.CompileModule(ctx, wasm)
	if err != nil && h.cache != nil && strings.Contains(err.Error(), "compilationcache") {
		h.log.Warn("compilation cache is damaged, emptying it", "dir", h.dir, "error", err)
		if err := h.emptyCache(); err != nil {
			return nil, err
		}
		compiled, err = h.rt.CompileModule(ctx, wasm)
	}
	return compiled, err
}

// emptyCache removes the engine's files; it makes them again.
func (h *Host) emptyCache() error {
	return filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Remove(path)
	})
}

// release gives one reference back.
func (c *code) release(ctx context.Context) {
	h := c.host
	h.mu.Lock()
	c.refs--
	last := c.refs == 0
	if last && h.codes[c.key] == c {
		delete(h.codes, c.key)
	}
	h.mu.Unlock()
	if !last {
		return
	}
	select {
	case <-c.ready:
		c.free(ctx)
	default: // a compilation that nobody waits for any more
		h.late.Go(func() {
			<-c.ready
			c.free(ctx)
		})
	}
}

func (c *code) free(ctx context.Context) {
	if c.compiled != nil {
		c.compiled.Close(ctx)
	}
}

// retain takes one more reference; the caller holds one.
func (c *code) retain() {
	c.host.mu.Lock()
	c.refs++
	c.host.mu.Unlock()
}
