package bench

import (
	"syscall"
	"time"
)

// sleepUntil sleeps with the kernel's own timer: the runtime's timers wake up to a millisecond late when the process has nothing else to do.
// A stop during the sleep is noticed after it, at most 100 ms later.
func sleepUntil(t time.Time, stop <-chan struct{}) {
	for {
		left := time.Until(t)
		if left <= 0 {
			return
		}
		select {
		case <-stop:
			return
		default:
		}
		ts := syscall.NsecToTimespec(int64(min(left, 100*time.Millisecond)))
		_ = syscall.Nanosleep(&ts, nil) // a signal only makes it shorter, and the loop goes on
	}
}
