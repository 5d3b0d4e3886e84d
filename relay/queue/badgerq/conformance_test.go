package badgerq

import (
	"flag"
	"log/slog"
	"os"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
	"edgerelay/relay/queue/queuetest"
)

func TestMain(m *testing.M) {
	if runAsChild() {
		return
	}
	flag.Parse()
	// Nothing here tests a disk, but everything opens and closes stores, and each of them syncs: memory is many times faster.
	const memory = "/dev/shm"
	if info, err := os.Stat(memory); err == nil && info.IsDir() && os.Getenv("TMPDIR") == "" && flag.Lookup("test.bench").Value.String() == "" {
		os.Setenv("TMPDIR", memory)
	}
	os.Exit(m.Run())
}

// The suite runs over the ordinary sizes, and over sizes so small that nearly everything goes by way of the disk.
func TestConformance(t *testing.T) {
	queuetest.Run(t, opener(func(*Options) {}))
}

func TestConformanceTiny(t *testing.T) {
	queuetest.Run(t, opener(tiny))
}

func opener(change func(*Options)) queuetest.Open {
	return func(t *testing.T, dir string, ready func(event.WebhookID), now func() time.Time) queue.Queue {
		t.Helper()
		opt := testOptions(dir)
		opt.Ready, opt.Now = ready, now
		change(&opt)
		q, err := Open(opt)
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		return q
	}
}

// testOptions are the defaults without a log and without the guard for disk space. Writes are not synced: these tests cannot cut the
// power, and TestOrderOfCommit looks at what an answer waits for.
func testOptions(dir string) Options {
	opt := DefaultOptions(dir)
	opt.Log = slog.New(slog.DiscardHandler)
	opt.Sync, opt.MinFree = false, 0
	opt.FlushEvery, opt.Tick = time.Millisecond, 5*time.Millisecond
	return opt
}

// tiny makes every window overflow. The memtable becomes as small as Badger takes it.
func tiny(opt *Options) {
	opt.MemTable = 1
	opt.Window, opt.WindowBytes = 24, 64<<10
	opt.GroupEvents, opt.GroupBytes = 8, 4<<10
	opt.Refill, opt.RefillBytes = 4, 4<<10
	opt.OrderRoom = 8
	opt.StallAfter = 20 * time.Millisecond
}
