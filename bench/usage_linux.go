package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// clockTick is the unit of the CPU times in /proc: USER_HZ, which is 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// usageOf reads /proc/PID. A process that has ended is not Known.
func usageOf(pid int) (u Usage) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return u
	}
	// The second field is the name in parentheses, which may hold anything; what follows is numbers.
	at := bytes.LastIndexByte(stat, ')')
	fields := bytes.Fields(stat[at+1:])
	if at < 0 || len(fields) < 13 {
		return u
	}
	u.CPU = time.Duration(number(fields[11])+number(fields[12])) * clockTick
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return u
	}
	u.Resident = member(status, "VmRSS:") << 10
	u.Private = member(status, "RssAnon:") << 10
	io, err := os.ReadFile(dir + "/io")
	if err != nil {
		return u
	}
	u.Written = member(io, "write_bytes:")
	u.PID, u.Known = pid, true
	return u
}

// machineUse reads the first line of /proc/stat: cpu user nice system idle iowait irq softirq steal.
func machineUse() (m machine) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return m
	}
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	f := bytes.Fields(line)
	if len(f) < 9 {
		return m
	}
	for _, i := range []int{1, 2, 3, 6, 7} {
		m.busy += time.Duration(number(f[i])) * clockTick
	}
	m.stolen = time.Duration(number(f[8])) * clockTick
	m.known = true
	return m
}

func number(b []byte) int64 {
	n, _ := strconv.ParseInt(string(b), 10, 64) // the kernel writes numbers
	return n
}

// member returns the number after a name at the start of a line.
func member(text []byte, name string) int64 {
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			if f := bytes.Fields(rest); len(f) > 0 {
				return number(f[0])
			}
		}
	}
	return 0
}

// dieWithParent lets the kernel end the child when the bench is killed.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

func interrupt(p *os.Process) error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("send SIGTERM: %w", err)
	}
	return nil
}
