package transform

import "time"

// Limits of one run.
type Limits struct {
	Fuel       int64         // units of work: about instructions; init gets ten times as much
	Timeout    time.Duration // wall time; looked at every FuelSlice units, in between when the host is called often
	Memory     uint32        // bytes of linear memory
	MaxInput   int           // bytes of the event
	MaxOutput  int           // bytes of the body
	MaxLog     int           // bytes of log per event; the rest is dropped and LogTruncated set
	MaxHeaders int           // bytes of names and values set; their number is limited to MaxFields
}

// MaxFields is how many headers, and how many query parameters, a transform may set.
const MaxFields = 64

// DefaultLimits are for code that nobody has measured: a run ends within 30 to 40 ms of computing at the latest.
func DefaultLimits() Limits {
	return Limits{Fuel: 200_000_000, Timeout: 250 * time.Millisecond, Memory: 32 << 20, MaxInput: 1 << 20, MaxOutput: 1 << 20,
		MaxLog: 64 << 10, MaxHeaders: 16 << 10}
}

// withDefaults replaces what was left at zero.
func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	set(&l.Fuel, d.Fuel)
	set(&l.Timeout, d.Timeout)
	set(&l.Memory, d.Memory)
	set(&l.MaxInput, d.MaxInput)
	set(&l.MaxOutput, d.MaxOutput)
	set(&l.MaxLog, d.MaxLog)
	set(&l.MaxHeaders, d.MaxHeaders)
	return l
}

func set[T int | int64 | uint32 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Caps that no configuration changes.
const (
	MaxModule  = 16 << 20 // bytes of a module
	MaxTable   = 10_000   // entries of a table
	maxConfig  = 1 << 20
	maxReason  = 1 << 10
	maxKey     = 256 // of set and meta_get
	maxValue   = 8 << 10
	initFactor = 10 // init may use this many times the fuel and the time of an event
	// FuelSlice is how much a guest runs before it comes back to Go: the scheduler, the garbage collector and the deadline get their turn.
	FuelSlice = 1 << 20
)
