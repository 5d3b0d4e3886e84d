package transform

import (
	"slices"
	"sync"
	"time"
)

// The watchdog is the second net. Guests are stopped by their fuel and by the clock where their code asks the host; should there ever be
// code that does not ask, because of a mistake of ours or of the engine, nothing can stop it. Then at least nobody gives that module
// another event, and somebody is told.
const (
	watchEvery = time.Second
	overrun    = 2 * time.Second // over the deadline
)

// watchdog knows all instances of a host.
type watchdog struct {
	stop chan struct{}
	once sync.Once

	mu        sync.Mutex
	instances map[*instance]int64 // what until was when the instance was found overdue, 0 = it was not
}

func newWatchdog() *watchdog {
	return &watchdog{stop: make(chan struct{}), instances: make(map[*instance]int64)}
}

func (w *watchdog) add(in *instance) {
	w.mu.Lock()
	w.instances[in] = 0
	w.mu.Unlock()
}

func (w *watchdog) remove(in *instance) {
	w.mu.Lock()
	delete(w.instances, in)
	w.mu.Unlock()
}

// end stops run.
func (w *watchdog) end() { w.once.Do(func() { close(w.stop) }) }

// run looks at all instances again and again until end is called.
func (w *watchdog) run() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			w.look(now)
		case <-w.stop:
			return
		}
	}
}

// look quarantines the modules of instances that should be done for long. Found once is not enough: an instance that has been taken for
// an event, which has not begun, looks just the same for a moment.
func (w *watchdog) look(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for in, before := range w.instances {
		until := in.until.Load()
		if until == 0 || now.UnixNano()-until < int64(overrun) || in.pool.isIdle(in) {
			w.instances[in] = 0
			continue
		}
		w.instances[in] = until
		if before != until || in.pool.quarantined.Swap(true) {
			continue
		}
		in.pool.module.counters.quarantines.Add(1)
		in.pool.module.code.host.log.Error("BUG: transform quarantined: it runs on after its deadline and cannot be stopped; restart soon",
			"module", in.pool.module.name, "over", time.Duration(now.UnixNano()-until).String())
	}
}

// isIdle reports whether the instance waits for an event.
func (p *Pool) isIdle(in *instance) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.idle, in)
}
