//go:build !linux

package bench

import (
	"os"
	"os/exec"
	"runtime"
)

// usageOf knows nothing here: the figures are left out.
func usageOf(int) Usage { return Usage{} }

func machineUse() machine { return machine{} }

func dieWithParent(*exec.Cmd) {}

func interrupt(p *os.Process) error {
	if runtime.GOOS == "windows" {
		return p.Kill() // there is no gentler way
	}
	return p.Signal(os.Interrupt)
}
