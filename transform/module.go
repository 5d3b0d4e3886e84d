package transform

import (
	"context"
	"encoding/hex"
	"slices"
	"sync/atomic"
)

// Module is a compiled module under the name it has in the configuration.
type Module struct {
	name     string
	hash     [32]byte // of the whole content, a script included
	script   *script  // of ABIJavaScript only
	code     *code
	counters *counters
	closed   atomic.Bool
}

// Name is the name given to Compile.
func (m *Module) Name() string { return m.name }

// Hash is the SHA-256 of the module's content, in hex.
func (m *Module) Hash() string { return hex.EncodeToString(m.hash[:]) }

// ABI is how the module and the host talk to each other.
func (m *Module) ABI() ABI { return m.code.abi }

// Entries are the exported functions that can be given events. For most modules it is one; of those of an Extism plug-in, a pool may choose.
func (m *Module) Entries() []string { return slices.Clone(m.code.entries) }

// MinMemory is how many bytes of memory an instance begins with.
func (m *Module) MinMemory() uint64 { return uint64(m.code.memory.Min) << 16 }

// Resettable reports whether an instance can be put back to its first state; otherwise IsolationEvent makes a new one for every event.
func (m *Module) Resettable() bool { return m.code.info.Resettable }

// Close gives the compiled code back. Pools made before keep working.
func (m *Module) Close(ctx context.Context) {
	if !m.closed.Swap(true) {
		m.code.release(ctx)
	}
}

// Stats counts since the start of the process, all pools of all modules of one name together.
type Stats struct {
	Module      string
	Runs        int64            // events given to an instance
	Results     map[Action]int64 // of the runs that ended well
	Failures    map[Kind]int64
	Fuel        int64
	Seconds     float64
	Instances   int64 // made
	Quarantines int64
}

// Stats returns the counters of the module's name.
func (m *Module) Stats() Stats {
	c := m.counters
	s := Stats{Module: m.name, Runs: c.runs.Load(), Results: make(map[Action]int64), Failures: make(map[Kind]int64), Fuel: c.fuel.Load(),
		Seconds: float64(c.nanos.Load()) / 1e9, Instances: c.instances.Load(), Quarantines: c.quarantines.Load()}
	for a := range numActions {
		s.Results[a] = c.results[a].Load()
	}
	for _, k := range Kinds() {
		s.Failures[k] = c.failures[k].Load()
	}
	return s
}

type counters struct {
	runs, fuel, nanos, instances, quarantines atomic.Int64
	results                                   [numActions]atomic.Int64
	failures                                  [numKinds]atomic.Int64
}
