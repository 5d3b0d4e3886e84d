package badgerq

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// adviseWAL tells the kernel that a write-ahead file's mapping is not read in sequence. On a device with a large read-ahead, a write fault
// into the mapping would otherwise bring in a large folio, and every sync would write all of it. It is advice: a failure changes nothing.
func adviseWAL(path string) error {
	return adviseMappings(unix.MADV_RANDOM, func(file string) bool { return file == path })
}

// forgetTables drops this process's hold on the pages of the tables in dir. They stay in the kernel's cache while it has room, and are
// mapped again when they are read; without this, a backlog counts as our resident memory until it is delivered.
func forgetTables(dir string) error {
	return adviseMappings(unix.MADV_DONTNEED, func(file string) bool {
		return strings.HasSuffix(file, tableSuffix) && filepath.Dir(file) == dir
	})
}

// mappedMemory returns how many bytes of mapped files are resident in this process.
func mappedMemory() (int64, bool) {
	b, err := os.ReadFile("/proc/self/statm")
	var size, resident, shared int64
	if err != nil {
		return 0, false
	}
	if _, err := fmt.Sscan(string(b), &size, &resident, &shared); err != nil {
		return 0, false
	}
	return shared * int64(os.Getpagesize()), true
}

// adviseMappings gives advice on the mappings of the files that want chooses.
func adviseMappings(advice uintptr, want func(file string) bool) error {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer maps.Close()
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		line := lines.Text() // start-end perms offset dev inode path
		at := strings.IndexByte(line, '/')
		if at < 0 || !want(line[at:]) {
			continue
		}
		var start, end uint64
		if _, err := fmt.Sscanf(line, "%x-%x", &start, &end); err != nil {
			return fmt.Errorf("read memory map: %w", err)
		}
		if _, _, e := unix.Syscall(unix.SYS_MADVISE, uintptr(start), uintptr(end-start), advice); e != 0 {
			return fmt.Errorf("advise on %s: %w", line[at:], e)
		}
	}
	return lines.Err()
}
