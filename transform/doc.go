// Package transform runs the WebAssembly modules that rewrite events on their way to a webhook.
//
// A module is compiled once per content and process (Host.Compile), metered by package meter before that, and run by pools: one pool per
// webhook and configuration (Host.NewPool), a stack of instances with a cap. Pool.Run gives one event to one instance. The instance asks
// for everything it needs through the imports of "edgerelay_v1" (file abi.go); nothing is written into its memory that it did not ask for.
//
// What a guest may use is bounded: fuel (a deterministic count of work), wall time, memory, tables, output, headers, log. A guest that goes
// over ends with an *Error of a closed set of kinds; its instance is closed and never used again. After every event an instance is put back
// to the state it had after its init, so that nothing of one event can be seen by the next (Isolation).
//
// A run is deterministic: no files, arguments or environment; the clock is the event's time, random numbers come from the event's id and the
// module's hash. The same event gives the same bytes and the same fuel on a retry, after a restart and on another machine.
//
// Called by the deliverer and by the plugin commands. Goroutines: one for every compilation, and one for a pool whose Close gave up waiting;
// Host.Close waits for them. It imports nothing of ours but meter, and is the only owner of wazero.
package transform
