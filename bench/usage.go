package bench

import "time"

// Usage is what a process has used of the machine since its start. Known is false where the system does not tell.
type Usage struct {
	Known    bool          `json:"-"`
	PID      int           `json:"-"`
	CPU      time.Duration `json:"cpu_ns"`
	Resident int64         `json:"resident_bytes"` // now
	Private  int64         `json:"private_bytes"`  // of it, not file pages that the kernel can drop: what would be missing elsewhere
	Written  int64         `json:"written_bytes"`  // to the storage layer
}

func (u *Usage) add(o Usage) {
	u.Known = u.Known && o.Known
	u.CPU += o.CPU
	u.Resident += o.Resident
	u.Private += o.Private
	u.Written += o.Written
}

// machine is how busy all cores together have been since the system was started. Known is false where the system does not tell.
type machine struct {
	known  bool
	busy   time.Duration
	stolen time.Duration // taken by the host of a virtual machine
}
