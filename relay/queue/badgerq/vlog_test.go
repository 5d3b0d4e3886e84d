package badgerq

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"edgerelay/relay/event"
)

// The value log is not synced, so nothing may ever be in it, and the setting by which the write-ahead file is synced must be another one.
func TestTheValueLogIsEmptyAndSpared(t *testing.T) {
	opt := DefaultOptions(t.TempDir())
	q, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	if !spareValueLog(q.db) {
		t.Error("this version of Badger syncs its value log with every commit, and there is no way to prevent it")
	}
	if !q.db.Opts().SyncWrites {
		t.Error("the write-ahead file is not synced")
	}
	large := make([]byte, chunkSize+17)
	e := event.Event{ID: []byte("large"), Type: []byte("a"), Tenant: []byte("t"), Time: large[:0], Data: large, Envelope: large}
	if _, err := q.Append(context.Background(), &e, []event.WebhookID{{1}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := q.Put(context.Background(), "value", large[:64<<10]); err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(opt.Dir, "*.vlog"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		const header = 20
		if info.Size() > header {
			t.Errorf("%s has %d bytes", f, info.Size())
		}
	}
}
