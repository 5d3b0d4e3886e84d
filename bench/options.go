package bench

import (
	"io"
	"time"
)

// Bench says what to measure and how.
type Bench struct {
	Program string // the file of this program: the relay, the sink and the forwarder are children that run it

	Duration    time.Duration // of load that is measured, per run
	Warmup      time.Duration // of load before it
	Connections int
	Size        int // of an event's body, bytes
	Rounds      int // each scenario is run so often, its limits in between
	Limits      bool
	Sample      int // see SinkOptions

	Relay      RelaySettings
	Target     *Target // drive this instead of a relay of our own
	SinkListen string  // "" = any port; only with Target
	Secret     string  // of the target's signatures; "" = not checked; only with Target
	TargetPIDs []int   // the target's processes, if their use of the machine is to be measured
	NoSink     bool    // Target does not lead to our sink: only acceptance is measured
	Pending    int64   // events of the scenario backlog
	Quick      bool    // a smoke run: what needs many webhooks or many runs is cut down
	Guests     []Guest // WASM modules for the scenario transform

	CPUProfile string // of the relay: the file's name; of several runs the last one's stays

	Dir      string    // for the data; "" = a temporary directory, which is removed
	Progress io.Writer // nil = none
	Live     bool      // Progress is a terminal
}

// RelaySettings are the parts of the relay's configuration that a bench varies.
type RelaySettings struct {
	Durability  string
	Concurrency int      // of each webhook
	Unmetered   bool     // transforms run without the accounting of fuel
	Extra       []string // more config files
}

// Guest is a WASM module that the scenario transform puts into the way of the events: orders, of which it makes a message that holds the
// order's number.
type Guest struct {
	Name  string
	WASM  []byte
	Prime bool // with a sample event, before the state is kept
}
