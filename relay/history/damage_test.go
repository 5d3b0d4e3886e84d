package history

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestDamageIsMovedAside(t *testing.T) {
	var log strings.Builder
	r := newRig(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	r.deliver(r.newEvent("acme", "old", "x", `{}`), feed, StatusDelivered)
	r.shut()
	names, err := os.ReadDir(r.opt.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if _, _, _, ok := parseDirName(n.Name()); ok {
			if err := os.WriteFile(filepath.Join(r.opt.Dir, n.Name(), "MANIFEST"), []byte("nonsense"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.open()
	r.deliver(r.newEvent("acme", "new", "x", `{}`), feed, StatusDelivered)
	want(t, "events", r.events(Query{}), []string{"new"})
	if aside, _ := filepath.Glob(filepath.Join(r.opt.Dir, "damaged-*")); len(aside) != 1 || !strings.Contains(log.String(), "moved aside") {
		t.Errorf("moved aside: %v; log: %s", aside, log.String())
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	r := newRig(t, nil)
	r.shut()
	if err := os.WriteFile(filepath.Join(r.opt.Dir, "format"), []byte("2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(r.opt); err == nil || !strings.Contains(err.Error(), "newer format") {
		t.Errorf("opened: %v", err)
	}
}

// TestLeftovers: what a crash has left half done is removed, and of two generations of a slice the newer counts.
func TestLeftovers(t *testing.T) {
	r := newRig(t, nil)
	for i := range 20 {
		r.deliver(r.newEvent("acme", fmt.Sprintf("e%d", i), "x", `{}`), feed, StatusDelivered)
	}
	if err := r.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	before := r.slices()[0].dir
	copied := filepath.Join(t.TempDir(), "copy")
	if _, err := r.Erase(context.Background(), nil, func(e *Event) (bool, error) { return e.ID == "nobody", nil }); err != nil {
		t.Fatal(err)
	}
	r.shut()
	if err := os.CopyFS(copied, os.DirFS(before)); err != nil {
		t.Fatal(err)
	}
	r.open()
	if _, err := r.Erase(context.Background(), nil, func(e *Event) (bool, error) { return e.ID == "e7", nil }); err != nil {
		t.Fatal(err)
	}
	r.shut()
	if err := os.Rename(copied, before); err != nil { // as if the process had died before the old one was removed
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(r.opt.Dir, temporary+dirName(tierRecent, 5, 1)), 0o700); err != nil {
		t.Fatal(err)
	}
	r.open()
	want(t, "events", len(r.events(Query{})), 19)
	left, err := filepath.Glob(filepath.Join(r.opt.Dir, "*"))
	if err != nil || len(left) != 2 || slices.Contains(left, before) {
		t.Errorf("left: %v, %v", left, err)
	}
}
