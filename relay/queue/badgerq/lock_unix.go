//go:build unix

package badgerq

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// probeLock says ErrLocked when another process has the directory, before anything in it is looked at. The lock that counts is the
// one that Badger takes on the same directory afterwards.
func probeLock(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open queue: %w", err)
	}
	defer d.Close() // gives the lock back
	err = unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("open queue %s: %w%s", dir, ErrLocked, holder(dir))
	}
	if err != nil {
		return fmt.Errorf("open queue: lock %s: %w", dir, err)
	}
	return nil
}
