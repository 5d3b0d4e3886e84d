//go:build race

package relay

// raceEnabled: the race detector allocates by itself and makes pools forget at random, so allocations cannot be counted.
const raceEnabled = true
