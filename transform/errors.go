package transform

import "fmt"

// Kind says why a transform could not be compiled or did not finish. The set is closed: kinds are labels of metrics and fields of the API.
type Kind uint8

const (
	KindRefused        Kind = iota + 1 // not a module that we run: wrong kind of binary, missing export, unknown import
	KindCompile                        // the engine cannot compile it, or not in time
	KindInit                           // start, _initialize or init failed
	KindTrap                           // unreachable, a bad memory access, a division by zero, a panic of the guest
	KindExit                           // the guest ended itself (proc_exit)
	KindStack                          // recursion too deep
	KindFuel                           // more work than allowed
	KindMemory                         // failed after it was refused more memory
	KindTimeout                        // more wall time than allowed, or the caller gave up
	KindPointer                        // a pointer or length outside the guest's memory
	KindOutputTooLarge                 // more output than allowed
	KindInputTooLarge                  // the event is larger than the transform accepts
	KindBadResult                      // transform() returned something that is not a result, or a program wrote something that is not a request
	KindFailed                         // the guest said so in the way of its ABI: Extism's error, an exit code, a JavaScript exception
	KindBusy                           // no instance became free before the caller gave up
	KindQuarantined                    // the pool stopped running the module after too many failures in a row
	KindClosed                         // the pool is closed
	numKinds
)

var kindNames = [numKinds]string{"", "refused", "compile", "init", "trap", "exit", "stack", "fuel", "memory", "timeout", "bad_pointer",
	"output_too_large", "input_too_large", "bad_result", "failed", "busy", "quarantined", "closed"}

func (k Kind) String() string { return kindNames[k] }

// Kinds returns every kind, for metrics that exist from the start.
func Kinds() []Kind {
	ks := make([]Kind, 0, numKinds-1)
	for k := Kind(1); k < numKinds; k++ {
		ks = append(ks, k)
	}
	return ks
}

// Permanent reports whether the same event would fail in the same way again: a retry is pointless.
func (k Kind) Permanent() bool {
	switch k {
	case KindInit, KindTimeout, KindBusy, KindQuarantined, KindClosed: // the event has no part in it
		return false
	}
	return true
}

// Error is why a compilation or a run failed. Msg is for people; it never holds the event.
type Error struct {
	Kind   Kind
	Module string
	Msg    string
	Trace  []string // the guest's functions, innermost first, when it trapped
}

func (e *Error) Error() string { return fmt.Sprintf("transform %q: %s: %s", e.Module, e.Kind, e.Msg) }
