package badgerq

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"edgerelay/relay/event"
)

// ErrLocked is what Open wraps when another process has the directory.
var ErrLocked = errors.New("data directory is in use by another process")

// Open opens or makes the queue in opt.Dir and starts its goroutines. It refuses a directory that is not a queue's, is of a newer
// format, or has damaged tables. If the end of the store is gone it opens, and says so: in the log and in Stats.LostEvents or Damaged.
// Ready may be called before Open returns.
func Open(opt Options) (*Queue, error) {
	opt.MemTable = max(opt.MemTable, opt.smallestMemTable())
	if err := checkFormat(opt.Dir); err != nil {
		return nil, err
	}
	if err := probeLock(opt.Dir); err != nil {
		return nil, err
	}
	high, damage, err := readMark(opt.Dir)
	if err != nil {
		return nil, err
	}
	aside, err := preflight(opt.Dir, opt.Now())
	if err != nil {
		return nil, err
	}
	db, err := openBadger(&opt)
	if err != nil {
		return nil, err
	}
	q := newQueue(opt, db)
	if q.high, err = openHighWater(opt.Dir); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	whole, err := q.recover(high)
	if err != nil {
		return nil, errors.Join(err, q.high.close(), db.Close())
	}
	q.SetQuotas(opt.Quotas)
	if err := q.countQuotas(); err != nil {
		return nil, errors.Join(err, q.high.close(), db.Close())
	}
	q.reportAside(aside, whole)
	if damage != nil {
		q.damaged.Add(1)
		opt.Log.Warn("the high-water file is damaged; whether the store lost its end cannot be told this time", "error", damage)
	}
	q.start()
	return q, nil
}

func newQueue(opt Options, db *badger.DB) *Queue {
	q := &Queue{opt: opt, db: db, lanes: map[event.WebhookID]*lane{}, groups: map[uint64]*group{}, damagedAt: map[uint64]struct{}{},
		dedups: map[[16]byte]*dedupEntry{}, notify: make(chan struct{}, 1), clockWake: make(chan struct{}, 1),
		failed: make(chan struct{}), stop: make(chan struct{})}
	q.builders, q.realDir = builderPool(db), realPath(opt.Dir)
	q.room, q.readerWake = sync.NewCond(&q.in), sync.NewCond(&q.mu)
	q.cur = newGroup(q.buffers.get())
	q.flush = time.AfterFunc(math.MaxInt64, q.wake)
	return q
}

// start starts the goroutines and announces what waits from before.
func (q *Queue) start() {
	q.checkDisk()
	q.judgeSpace()
	q.done.Add(3 + q.opt.Readers)
	go q.commitLoop()
	go q.clockLoop()
	go q.recordLoop()
	for range q.opt.Readers {
		go q.readLoop()
	}
	q.mu.Lock()
	announce := q.waitingLanesLocked()
	q.mu.Unlock()
	for _, w := range announce {
		q.opt.Ready(w)
	}
}

// reportAside removes what preflight kept if the store is whole without it.
func (q *Queue) reportAside(aside string, whole bool) {
	switch {
	case aside == "":
	case whole:
		if err := os.RemoveAll(aside); err != nil {
			q.opt.Log.Warn("cannot remove leftovers of a crash", "dir", aside, "error", err)
		}
	default:
		q.opt.Log.Error("what was cut off the store's files is kept", "copy_in", aside)
	}
}

// L0 is kept so short that Badger never compacts it into itself (that takes four tables). All our versions are equal, so which of two
// values of a key is newer is told by the order of the tables alone, and Badger's compaction of level 0 into itself mixes that up.
const (
	levelZero      = 2
	levelZeroStall = 3
)

// blockSize has room for a usual group. A block that is outgrown is made again twice as large, and the old one stays behind as garbage until
// the table is done: with 4 KiB, building tables took three times the memory of what was in them, with 64 KiB it takes a quarter more.
const blockSize = 64 << 10

// openBadger opens the store with small tables, because the buffers that they are built in are several times as large, and with a large
// first level, because each level more writes a backlog once more (1 GiB of it: 6.5 KiB written per event with 10 MiB, 3.6 with 256).
func openBadger(opt *Options) (db *badger.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, fmt.Errorf("open queue %s: the store cannot be read: %w: %.200v", opt.Dir, errDamaged, r)
		}
	}()
	o := badger.DefaultOptions(opt.Dir).
		WithSyncWrites(opt.Sync).WithDetectConflicts(false).WithNumVersionsToKeep(1).WithMetricsEnabled(false).
		WithValueThreshold(chunkSize + 4<<10).WithValueLogFileSize(1 << 20).
		WithMemTableSize(opt.MemTable).WithNumMemtables(3).WithNumCompactors(2).WithBaseTableSize(2 << 20).WithBaseLevelSize(256 << 20).
		WithNumLevelZeroTables(levelZero).WithNumLevelZeroTablesStall(levelZeroStall).
		WithBlockSize(blockSize).WithCompression(options.None).WithBlockCacheSize(0).WithIndexCacheSize(0).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithLogger(badgerLog{opt.Log})
	db, err = badger.OpenManaged(o)
	if err != nil {
		if strings.Contains(err.Error(), "Cannot acquire directory lock") {
			return nil, fmt.Errorf("open queue %s: %w%s", opt.Dir, ErrLocked, holder(opt.Dir))
		}
		return nil, fmt.Errorf("open queue %s: the store cannot be read: %w", opt.Dir, err)
	}
	db.SetDiscardTs(1 << 60)
	spareValueLog(db)
	return db, nil
}

// holder names the process in Badger's lock file.
func holder(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, "LOCK"))
	if pid := strings.TrimSpace(string(b)); err == nil && pid != "" {
		return " (pid " + pid + ")"
	}
	return ""
}

// badgerLog passes Badger's warnings and errors on; its chatter is dropped.
type badgerLog struct{ log *slog.Logger }

func (b badgerLog) Errorf(f string, a ...any)   { b.warn(f, a) }
func (b badgerLog) Warningf(f string, a ...any) { b.warn(f, a) }
func (b badgerLog) Infof(string, ...any)        {}
func (b badgerLog) Debugf(string, ...any)       {}

func (b badgerLog) warn(f string, a []any) {
	b.log.Warn("store: " + strings.TrimSpace(fmt.Sprintf(f, a...)))
}

// realPath returns dir without links and dots, as it stands in the process's memory map.
func realPath(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	return dir
}
