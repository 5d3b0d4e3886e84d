package badgerq

import (
	"encoding/binary"
	"errors"
	"fmt"
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
// format, or that Badger cannot read. If the end of the store is gone it opens, and says so: in the log and in Stats.LostEvents.
func Open(opt Options) (*Queue, error) {
	if err := checkFormat(opt.Dir); err != nil {
		return nil, err
	}
	if err := preserve(opt); err != nil {
		return nil, err
	}
	high, known, damage, err := openHighWater(opt.Dir)
	if err != nil {
		return nil, err
	}
	db, err := openBadger(opt)
	if err != nil {
		return nil, errors.Join(err, high.close())
	}
	q := &Queue{opt: opt, db: db, high: high, lanes: map[event.WebhookID]*lane{}, groups: map[uint64]*group{},
		dedups: map[[16]byte]*dedupEntry{}, notify: make(chan struct{}, 1), clockWake: make(chan struct{}, 1),
		failed: make(chan struct{}), stop: make(chan struct{})}
	q.room, q.refillWake = sync.NewCond(&q.in), sync.NewCond(&q.mu)
	q.cur = newGroup(q.buffers.get())
	q.flush = time.AfterFunc(math.MaxInt64, q.wake)
	if damage != nil {
		q.damaged.Add(1)
		opt.Log.Warn("the high-water file is damaged; whether the store lost its end cannot be told this time", "error", damage)
	}
	if err := q.recover(known); err != nil {
		return nil, errors.Join(err, high.close(), db.Close())
	}
	q.checkDisk()
	q.done.Add(2 + opt.Readers)
	go q.commitLoop()
	go q.clockLoop()
	for range opt.Readers {
		go q.readLoop()
	}
	q.mu.Lock()
	announce := q.waitingLanesLocked()
	q.mu.Unlock()
	for _, w := range announce {
		opt.Ready(w)
	}
	return q, nil
}

func openBadger(opt Options) (*badger.DB, error) {
	o := badger.DefaultOptions(opt.Dir).
		WithSyncWrites(opt.Sync).WithDetectConflicts(false).WithNumVersionsToKeep(1).WithMetricsEnabled(false).
		WithValueThreshold(1 << 20).WithValueLogFileSize(16 << 20).
		WithMemTableSize(opt.MemTable).WithNumMemtables(3).WithNumCompactors(2).WithBaseTableSize(8 << 20).
		WithCompression(options.None).WithBlockCacheSize(0).WithIndexCacheSize(0).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithLogger(badgerLog{opt.Log})
	db, err := badger.OpenManaged(o)
	if err != nil {
		if strings.Contains(err.Error(), "Cannot acquire directory lock") {
			return nil, fmt.Errorf("open queue %s: %w%s", opt.Dir, ErrLocked, holder(opt.Dir))
		}
		return nil, fmt.Errorf("open queue %s: the store cannot be read; nothing was changed: %w", opt.Dir, err)
	}
	db.SetDiscardTs(1 << 60)
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

// preserve keeps a second name for every table that Badger is about to delete because its manifest does not list it. After a crash such
// a table is a harmless leftover; after damage to the manifest it may be all that is left of acknowledged events.
func preserve(opt Options) error {
	tables, err := filepath.Glob(filepath.Join(opt.Dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		return err
	}
	path := filepath.Join(opt.Dir, badger.ManifestFilename)
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open queue %s: there are %d tables but the manifest cannot be read, so nothing was touched: %w", opt.Dir, len(tables), err)
	}
	defer f.Close()
	m, _, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(opt.Dir))
	if err != nil {
		return fmt.Errorf("open queue %s: the manifest is damaged, so nothing was touched: %w", opt.Dir, err)
	}
	aside := filepath.Join(opt.Dir, "preserved-"+opt.Now().UTC().Format("20060102T150405"))
	for _, t := range tables {
		var id uint64
		if _, err := fmt.Sscanf(filepath.Base(t), "%d.sst", &id); err != nil {
			continue
		}
		if _, listed := m.Tables[id]; listed {
			continue
		}
		if err := os.MkdirAll(aside, 0o700); err != nil {
			return fmt.Errorf("preserve table: %w", err)
		}
		if err := os.Link(t, filepath.Join(aside, filepath.Base(t))); err != nil && !os.IsExist(err) {
			return fmt.Errorf("preserve table: %w", err)
		}
		opt.Log.Warn("a table is not listed in the manifest; a copy is kept", "table", filepath.Base(t), "copy_in", aside)
	}
	return nil
}

// recover reads meta, cursors, and the groups from the floor on, and checks that the store has what its own counters promise.
func (q *Queue) recover(highKnown bool) error {
	return q.view(func(txn *badger.Txn) error {
		if err := q.readMeta(txn); err != nil {
			return err
		}
		groups, waiting, err := q.countRecords(txn)
		if err != nil {
			return err
		}
		q.judgeLoss(highKnown, groups, waiting)
		if err := q.readCursors(txn); err != nil {
			return err
		}
		if err := q.readDueHeads(txn); err != nil {
			return err
		}
		return q.replay(txn)
	})
}

func (q *Queue) readMeta(txn *badger.Txn) error {
	item, err := txn.Get([]byte{kMeta})
	if err == nil {
		err = item.Value(func(v []byte) (err error) { q.meta, err = decodeMeta(v); return err })
	} else if errors.Is(err, badger.ErrKeyNotFound) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("open queue %s: read meta: %w", q.opt.Dir, err)
	}
	q.stored.Store(&q.meta)
	q.retrying, q.dead = q.meta.retrying, q.meta.dead
	q.dispatched = q.meta.lastSeq
	return nil
}

// countRecords counts group and waiting records by their keys.
func (q *Queue) countRecords(txn *badger.Txn) (groups, waiting int64, err error) {
	it := txn.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	for it.Seek([]byte{kGroup}); it.Valid() && it.Item().Key()[0] == kGroup; it.Next() {
		k := it.Item().Key()
		if len(k) == 11 && binary.BigEndian.Uint16(k[9:]) == 0 {
			if seq := binary.BigEndian.Uint64(k[1:]); seq > q.meta.lastSeq {
				return 0, 0, fmt.Errorf("open queue %s: group %d is newer than meta's %d: %w", q.opt.Dir, seq, q.meta.lastSeq, errDamaged)
			}
			groups++
		}
	}
	for it.Seek([]byte{kWaiting}); it.Valid() && it.Item().Key()[0] == kWaiting; it.Next() {
		waiting++
	}
	return groups, waiting, nil
}

// judgeLoss compares the store with the high-water mark and with its own counters, and reports what is missing.
func (q *Queue) judgeLoss(highKnown bool, groups, waiting int64) {
	report := func(lost int64, what string) {
		if lost > 0 {
			q.lost += lost
			q.opt.Log.Error("acknowledged events are missing from the queue: "+what, "lost_at_least", lost, "dir", q.opt.Dir)
		}
	}
	if highKnown {
		report(q.high.events-q.meta.events, "the store ends before its high-water mark; its last write-ahead file is damaged or gone")
	}
	report(q.meta.groups-groups, "stored groups are gone")
	report(q.meta.retrying+q.meta.dead-waiting, "waiting deliveries are gone")
	q.meta.groups = groups // from now on the counters describe what is here
}

// readCursors makes the lanes that lagged.
func (q *Queue) readCursors(txn *badger.Txn) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kCursor}, PrefetchValues: true, PrefetchSize: 64})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		k := it.Item().Key()
		if len(k) != 17 {
			continue
		}
		l := q.laneLocked(event.WebhookID(k[1:]))
		var floor uint64
		var due int64
		if err := it.Item().Value(func(v []byte) (err error) { floor, due, err = decodeCursor(v); return err }); err != nil {
			if !errors.Is(err, errDamaged) {
				return fmt.Errorf("open queue %s: %w", q.opt.Dir, err)
			}
			q.opt.Log.Warn("a cursor is damaged; its webhook's backlog is searched from the beginning", "webhook", l.id.String(), "error", err)
			floor, due = 1, 0
		}
		l.storedFloor, l.storedDue, l.dueFrom = floor, due, due
		if floor > 0 {
			l.lagging, l.cursor = true, floor
		}
	}
	return nil
}

// readDueHeads finds the first due time of every webhook, by one seek each.
func (q *Queue) readDueHeads(txn *badger.Txn) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kDue}})
	defer it.Close()
	for it.Rewind(); it.Valid(); {
		w, due, _, ok := parseDueKey(it.Item().Key())
		if !ok {
			it.Next()
			continue
		}
		l := q.laneLocked(w)
		if due < l.dueFrom {
			it.Seek(appendDueKey(nil, w, l.dueFrom, place{})) // what lies before is settled
			continue
		}
		q.dueLanes.learn(l, due)
		l.dueFrom = max(l.storedDue, 0)
		it.Seek(appendDueKey(nil, w, math.MaxInt64, place{math.MaxUint64, math.MaxUint32}))
	}
	return nil
}

// replay hands out the deliveries of the groups from the floor on, as if they had just been committed. Webhooks that lag find theirs
// by their cursor.
func (q *Queue) replay(txn *badger.Txn) error {
	q.pending.Store(q.meta.pending)
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kGroup}})
	defer it.Close()
	for it.Seek(appendGroupKey(nil, q.meta.floor, 0)); it.Valid(); it.Next() {
		k := it.Item().Key()
		if len(k) != 11 || binary.BigEndian.Uint16(k[9:]) != 0 {
			continue
		}
		seq := binary.BigEndian.Uint64(k[1:])
		g, err := q.loadGroup(txn, it.Item(), seq)
		if errors.Is(err, errDamaged) || errors.Is(err, errVersion) {
			q.reportDamage(seq, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("open queue %s: %w", q.opt.Dir, err)
		}
		q.replayGroup(g)
	}
	return nil
}

// replayGroup offers what is not settled of g to its webhooks.
func (q *Queue) replayGroup(g *group) {
	defer q.unpin(g)
	if g.total == 0 || g.nSettled == g.total {
		q.settledLocked(g)
		return
	}
	q.dispatched = g.seq - 1 // so that no floor passes this group before it is linked
	room := q.laneRoomLocked()
	for i := range g.events {
		_, targets, _, err := event.DecodeRecord(g.record(uint32(i)))
		if err != nil {
			panic("BUG: an indexed event does not decode: " + err.Error())
		}
		for t := range targets.Len() {
			if ordinal := g.base[i] + uint32(t); !g.settled.has(ordinal) {
				q.offerLocked(q.laneLocked(targets.At(t)), g, uint32(i), ordinal, room)
			}
		}
	}
	q.dispatched = q.meta.lastSeq
	if g.live > 0 {
		q.linkLocked(g)
	}
}

// waitingLanesLocked returns the webhooks that have something to lease or to read back.
func (q *Queue) waitingLanesLocked() (ws []event.WebhookID) {
	for _, l := range q.lanes {
		if l.inbox.n > 0 || l.lagging || l.nextDue != noDue {
			l.hungry = false
			ws = append(ws, l.id)
		}
	}
	return ws
}

// badgerLog passes Badger's warnings and errors on; its chatter is dropped.
type badgerLog struct {
	log interface{ Warn(string, ...any) }
}

func (b badgerLog) Errorf(f string, a ...any) {
	b.log.Warn("store: " + strings.TrimSpace(fmt.Sprintf(f, a...)))
}
func (b badgerLog) Warningf(f string, a ...any) {
	b.log.Warn("store: " + strings.TrimSpace(fmt.Sprintf(f, a...)))
}
func (b badgerLog) Infof(string, ...any)  {}
func (b badgerLog) Debugf(string, ...any) {}
