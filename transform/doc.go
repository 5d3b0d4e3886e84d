// Package transform runs the WebAssembly modules that rewrite events on their way to a webhook.
//
// A module is compiled once per content and process (Host.Compile), metered by package meter before that, and run by pools: one pool per
// webhook and configuration (Host.NewPool), a stack of instances with a cap. Pool.Run gives one event to one instance. How the two talk
// to each other is one of four ABIs, recognised from the module (abi.go): our own, in which the guest asks for everything (native.go),
// Extism plug-ins (extism.go), WASI programs (command.go), and scripts that carry their JavaScript engine (javascript.go).
//
// What a guest may use is bounded: fuel (a deterministic count of work), wall time, memory, tables, output, headers, log. A guest that goes
// over ends with an *Error of a closed set of kinds; its instance is closed and never used again. After every event an instance is put back
// to the state it had after its init, so that nothing of one event can be seen by the next (Isolation).
//
// A run is deterministic: no files, arguments or environment; the clock is the event's time, random numbers come from the event's id and the
// module's hash. The same event gives the same bytes and the same fuel on a retry, after a restart and on another machine.
//
// Called by the deliverer and by the plugin commands. Goroutines: one for every compilation, one for a pool whose Close gave up waiting,
// and the watchdog of a host; Host.Close waits for them. It imports nothing of ours but meter, and is the only owner of wazero.
package transform
