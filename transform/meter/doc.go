// Package meter rewrites a WebAssembly module once, before it is compiled, so that the host can bound and reset what it runs.
//
// A rewritten module behaves like the original and in addition
//
//   - counts fuel: an exported i64 global goes down by the cost of the code that is about to run, at the head of every loop and at the
//     entry of every function that is worth it; bulk operations pay by length. When it goes below zero the module calls the imported
//     function refill, and there the host decides: more fuel, or the end. The count is the same for the same input on every machine.
//   - leaves memory.grow to the imported function grow, and reads memory.size from an exported global, so that a host can limit one
//     instance by itself and undo growth.
//   - exports every mutable global, so that a host can put an instance back to an earlier state (with its memory; Info says whether
//     that is everything the instance can change).
//   - starts nothing by itself: the start function is exported, and runs when the host calls it, under fuel like everything else.
//
// Why not the engine's own deadline: its check sits in loops only, so recursion without a loop runs past it and blocks the garbage
// collector of the whole process, and it makes guests several times slower. This costs 15 to 35 %.
//
// Decode is strict: every count is checked against the bytes that are left before anything is allocated, every index that the rewriting
// could make valid by accident is checked. Types of operands are left to the engine, which validates the result: a rewritten module is
// valid exactly when the original is (tested on the WebAssembly specification's modules and by fuzzing).
//
// Called by package transform. No goroutines; imports nothing of ours and no engine.
package meter
