package history

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// forgetMapped drops this process's hold on the pages of the files in dir. They stay in the kernel's cache while it has room; without this,
// what was written through Badger's mappings counts as our resident memory. It is advice: a failure changes nothing.
func forgetMapped(dir string) {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		line := lines.Text() // start-end perms offset dev inode path
		at := strings.IndexByte(line, '/')
		if at < 0 || !strings.HasPrefix(line[at:], dir) || !strings.HasSuffix(line, ".vlog") {
			continue
		}
		var start, end uint64
		if _, err := fmt.Sscanf(line, "%x-%x", &start, &end); err != nil {
			return
		}
		unix.Syscall(unix.SYS_MADVISE, uintptr(start), uintptr(end-start), unix.MADV_DONTNEED)
	}
}
