package badgerq

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// formatFile holds the version of the layout; a directory without it that is not empty is not ours.
const (
	formatFile = "FORMAT"
	formatText = "edgerelay queue 1\n"
)

// checkFormat refuses a directory that is not a queue of this format. It makes one that does not exist or is empty.
func checkFormat(dir string) error {
	path := filepath.Join(dir, formatFile)
	b, err := os.ReadFile(path)
	if err == nil {
		if string(b) != formatText {
			return fmt.Errorf("open queue %s: format is %.40q, this program reads %q: was it written by a newer edgerelay?", dir, b, formatText)
		}
		return nil
	}
	if !os.IsNotExist(err) {
		return fmt.Errorf("open queue: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("open queue: %w", err)
	}
	for _, e := range entries {
		if e.Name() != formatFile+tmpSuffix { // what a crash leaves of the very first start
			return fmt.Errorf("open queue %s: the directory is not empty and has no %s file: it is not a queue of edgerelay, or the file was removed",
				dir, formatFile)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create queue directory: %w", err)
	}
	return writeFileSync(path, []byte(formatText))
}

const tmpSuffix = ".tmp"

// writeFileSync writes a small file so that it is whole or absent after a crash.
func writeFileSync(path string, content []byte) error {
	tmp := path + tmpSuffix
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in dir durable. Windows has no such call and needs none.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err = errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}
