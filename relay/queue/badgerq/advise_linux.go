package badgerq

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// adviseWAL tells the kernel that a write-ahead file's mapping is not read in sequence. On a device with a large read-ahead, a write fault
// into the mapping would otherwise bring in a large folio, and every sync would write all of it. It is advice: a failure changes nothing.
func adviseWAL(path string) error {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer maps.Close()
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		line := lines.Text() // start-end perms offset dev inode path
		if !strings.HasSuffix(line, path) {
			continue
		}
		var start, end uint64
		if _, err := fmt.Sscanf(line, "%x-%x", &start, &end); err != nil {
			return fmt.Errorf("read memory map: %w", err)
		}
		if _, _, e := unix.Syscall(unix.SYS_MADVISE, uintptr(start), uintptr(end-start), unix.MADV_RANDOM); e != 0 {
			return fmt.Errorf("advise on %s: %w", strconv.Quote(path), e)
		}
	}
	return lines.Err()
}
