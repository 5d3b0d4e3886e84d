//go:build unix

package history

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// diskUse is what the files below dir take. Badger's are sparse while they are written, so blocks count and not lengths.
func diskUse(dir string) (n int64) {
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // a file that has just gone takes nothing
		}
		if info, err := d.Info(); err == nil {
			n += allocated(info)
		}
		return nil
	})
	return n
}

func allocated(info os.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(st.Blocks) * 512
	}
	return info.Size()
}
