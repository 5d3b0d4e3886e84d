//go:build !linux

package bench

import "time"

// sleepUntil waits for t or for stop.
func sleepUntil(t time.Time, stop <-chan struct{}) {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-stop:
	}
}
