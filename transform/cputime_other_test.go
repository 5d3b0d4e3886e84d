//go:build !linux

package transform

import (
	"testing"
	"time"
)

// cpuTime is wall time where the time of a thread is not known.
func cpuTime(_ *testing.T, f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}
