package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// watchInterval is how often `run --watch` looks at its files. Looking is a few stat calls, works on every file system, and sees through the links by which
// Kubernetes swaps the files of a volume.
const watchInterval = time.Second

// watch tells d.changed whenever the config files have changed since s, until ctx ends.
func (d *daemon) watch(ctx context.Context, s settled, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if !s.now(stampOf(d.files)) {
				continue
			}
			select {
			case d.changed <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}
}

// settled decides when a change is complete: once the files look different, and then the same for two looks in a row. Whoever is still writing is not
// interrupted.
type settled struct{ last, seen string }

func (s *settled) now(stamp string) bool {
	if stamp == s.last {
		s.seen = ""
		return false
	}
	if stamp != s.seen {
		s.seen = stamp
		return false
	}
	s.last, s.seen = stamp, ""
	return true
}

// stampOf is a text that changes when one of the files does, or those of a directory.
func stampOf(files []string) string {
	var b strings.Builder
	add := func(name string) {
		info, err := os.Stat(name)
		if err != nil {
			fmt.Fprintf(&b, "%s: gone\n", name)
			return
		}
		fmt.Fprintf(&b, "%s %d %d\n", name, info.Size(), info.ModTime().UnixNano())
	}
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil || !info.IsDir() {
			add(name)
			continue
		}
		for _, pattern := range []string{"*.yaml", "*.yml"} {
			found, _ := filepath.Glob(filepath.Join(name, pattern)) // the pattern is a good one, and what cannot be read is not there
			for _, f := range found {
				add(f)
			}
		}
	}
	return b.String()
}
