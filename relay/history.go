package relay

import "edgerelay/relay/history"

// openHistory makes what takes note of events and attempts.
func (r *Relay) openHistory() {
	r.recorder = history.NewRecorder(history.RecorderOptions{CaptureBody: 64 << 10})
}
