package bench

import (
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// Environment says where something was measured: a number without it means nothing.
type Environment struct {
	Commit     string `json:"commit"`
	Modified   bool   `json:"modified"` // the program was built from changed sources
	Go         string `json:"go"`
	Platform   string `json:"platform"`
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	Kernel     string `json:"kernel"`
	Filesystem string `json:"filesystem"` // of the data directory: type and device
	Memory     int64  `json:"memory_bytes"`
}

// readEnvironment asks the system; what it does not know is "unknown".
func readEnvironment(dir string) Environment {
	e := Environment{Commit: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, CPU: "unknown",
		Cores: runtime.NumCPU(), Kernel: "unknown", Filesystem: "unknown"}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				e.Commit = s.Value[:min(len(s.Value), 12)]
			case "vcs.modified":
				e.Modified = s.Value == "true"
			}
		}
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
				e.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		e.Kernel = strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		e.Memory = memberKiB(string(text), "MemTotal:")
	}
	if text, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		e.Filesystem = filesystemOf(string(text), dir)
	}
	return e
}

func memberKiB(text, name string) (bytes int64) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			for _, c := range f[1] {
				bytes = bytes*10 + int64(c-'0')
			}
			return bytes << 10
		}
	}
	return 0
}

// filesystemOf finds the mount with the longest path that dir is below.
func filesystemOf(mountinfo, dir string) string {
	found, longest := "unknown", -1
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(g) < 2 {
			continue
		}
		mount := f[4]
		below := dir == mount || strings.HasPrefix(dir, strings.TrimSuffix(mount, "/")+"/")
		if below && len(mount) >= longest { // of two on the same place the later one covers the other
			found, longest = g[0]+" on "+g[1], len(mount)
		}
	}
	return found
}
