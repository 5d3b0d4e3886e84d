package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/klauspost/compress/s2"
)

// The history is cut into slices, by size and by time. Each is a small Badger in a directory of its own that is written once, from one end to
// the other, and then only read. Disk comes back by removing directories: nothing has to be compacted and nothing is left behind.
// Where something must go out of the middle (bodies that are older than they may be, successes that are forgotten earlier than failures,
// an erasure) the slice is written again without it, and takes the place of the old one by a rename.
//
// The keys of a slice, big-endian:
//
//	s <first 8>              summary of a block, enough to pass it over in a search
//	m <first 8>              its records' describing parts
//	b <first 8>              its records' bodies
//	x <chunk 4> <hash 8>     a page of the index: hashes of ids and the numbers of their records, sorted
//	y <chunk 4>              how far that chunk of the index reaches
//
// first is the number of the block's first record. What is large lies in the value log, so Badger's tree holds little more than keys.
const (
	keySummary, keyMeta, keyBody = 's', 'm', 'b'
	keyPage, keyReach            = 'x', 'y'
)

// tier says how long a slice is kept: everything at first, then only what failed.
type tier byte

const (
	tierRecent tier = 'r'
	tierFailed tier = 'f'
)

// dirName is for example r-0000000000000001-0: tier, first record, and how often it was written again.
func dirName(t tier, first uint64, generation int) string {
	return fmt.Sprintf("%c-%016x-%d", t, first, generation)
}

func parseDirName(name string) (t tier, first uint64, generation int, ok bool) {
	var c byte
	if n, err := fmt.Sscanf(name, "%c-%016x-%d", &c, &first, &generation); n != 3 || err != nil || c != byte(tierRecent) && c != byte(tierFailed) {
		return 0, 0, 0, false
	}
	return tier(c), first, generation, dirName(tier(c), first, generation) == name
}

// slice is one such Badger.
type slice struct {
	dir        string
	tier       tier
	first      uint64
	generation int

	life sync.RWMutex // held for reading while db is used
	db   *badger.DB   // nil once it was closed

	mu       sync.RWMutex // guards what follows; only the writer changes it, and only while the slice is the newest of its tier
	blocks   []block
	chunks   []indexChunk
	pending  []entry   // of the index, not in a chunk yet
	plain    bool      // bodies are not compressed: tests look for texts in files
	packed   [2][]byte // buffers of the writer
	minTime  int64
	maxTime  int64
	records  int64
	bodies   int64 // bytes
	metas    int64
	failures bool
	sealed   int64 // bytes on the disk once nobody writes any more; 0 = somebody does
}

var errClosed = errors.New("history slice was closed")

// openSlice opens or makes the slice in dir.
func openSlice(dir string, t tier, first uint64, generation int, size int64, readOnly bool, log *slog.Logger) (s *slice, err error) {
	defer func() {
		if r := recover(); r != nil {
			s, err = nil, fmt.Errorf("open history %s: %w: %.200v", filepath.Base(dir), errDamaged, r)
		}
	}()
	// There is no compaction: a slice has a few thousand small keys. Its value log is one file, so that nothing is synced in its middle.
	o := badger.DefaultOptions(dir).WithSyncWrites(false).WithDetectConflicts(false).WithNumVersionsToKeep(1).WithMetricsEnabled(false).
		WithValueThreshold(2 << 10).WithValueLogFileSize(max(2*size, 8<<20)).WithValueLogMaxEntries(math.MaxUint32).WithMemTableSize(1 << 20).WithNumMemtables(2).
		WithNumCompactors(0).WithNumLevelZeroTables(1 << 20).WithNumLevelZeroTablesStall(1 << 21).WithBaseTableSize(1 << 20).
		WithCompression(options.None).WithBlockCacheSize(0).WithIndexCacheSize(0).WithVerifyValueChecksum(true).
		WithReadOnly(readOnly).WithLogger(quietLog{log})
	db, err := badger.Open(o)
	if err != nil {
		return nil, fmt.Errorf("open history %s: %w", filepath.Base(dir), err)
	}
	s = &slice{dir: dir, tier: t, first: first, generation: generation, db: db}
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open history %s: %w", filepath.Base(dir), err), db.Close())
	}
	return s, nil
}

// quietLog passes Badger's warnings and errors on at debug: what matters of them comes back as errors.
type quietLog struct{ log *slog.Logger }

func (b quietLog) Errorf(f string, a ...any) {
	b.log.Debug("history: " + strings.TrimSpace(fmt.Sprintf(f, a...)))
}
func (b quietLog) Warningf(f string, a ...any) { b.Errorf(f, a...) }
func (b quietLog) Infof(string, ...any)        {}
func (b quietLog) Debugf(string, ...any)       {}

// acquire keeps s open until release; false when it is closed.
func (s *slice) acquire() bool {
	s.life.RLock()
	if s.db == nil {
		s.life.RUnlock()
		return false
	}
	return true
}

func (s *slice) release() { s.life.RUnlock() }

// close waits for those who read.
func (s *slice) close() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.db == nil {
		return nil
	}
	db := s.db
	s.db = nil
	if err := db.Close(); err != nil {
		return fmt.Errorf("close history %s: %w", filepath.Base(s.dir), err)
	}
	return nil
}

// remove closes s and deletes it.
func (s *slice) remove() error {
	return errors.Join(s.close(), os.RemoveAll(s.dir))
}

func key(kind byte, first uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kind}, first)
}

// get reads one value.
func (s *slice) get(k []byte) (v []byte, err error) {
	err = s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(k)
		if err != nil {
			return err
		}
		v, err = item.ValueCopy(nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read history %s: %w", filepath.Base(s.dir), err)
	}
	return v, nil
}

// load reads the summaries and the directory of the index, and indexes the blocks that a crash has left without.
func (s *slice) load() error {
	reach := uint64(0)
	err := s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keySummary}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			var b block
			if err := it.Item().Value(func(v []byte) error { return b.decode(it.Item().Key(), v) }); err != nil {
				return err
			}
			s.note(b)
		}
		it.Close()
		return s.loadIndex(txn, &reach)
	})
	if err != nil {
		return err
	}
	for i := s.blockAt(reach + 1); i < len(s.blocks); i++ {
		meta, err := s.meta(&s.blocks[i])
		if err != nil {
			return err
		}
		if err := eachRecord(meta, func(r rec) error {
			if r.seq() > reach {
				s.pending = appendEntries(s.pending, r)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// note takes a stored block into account.
func (s *slice) note(b block) {
	if len(s.blocks) == 0 {
		s.minTime, s.maxTime = b.minTime, b.maxTime
	}
	s.minTime, s.maxTime = min(s.minTime, b.minTime), max(s.maxTime, b.maxTime)
	s.blocks = append(s.blocks, b)
	s.records += int64(b.count)
	s.metas += int64(b.metaBytes)
	s.bodies += int64(b.bodyBytes)
	s.failures = s.failures || b.has(StatusRetrying) || b.has(StatusDead)
}

// blockAt returns the index of the last block that begins at or before seq, or of the first one.
func (s *slice) blockAt(seq uint64) int {
	i := sort.Search(len(s.blocks), func(i int) bool { return s.blocks[i].first > seq })
	return max(0, i-1)
}

// last is the number of the newest record, 0 if there is none.
func (s *slice) last() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.blocks) == 0 {
		return 0
	}
	return s.blocks[len(s.blocks)-1].last
}

// size is what s takes, about.
func (s *slice) size() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.metas + s.bodies + 20*int64(len(s.pending)) + 128*int64(len(s.blocks))
}

// footprint is what s takes on the disk, exactly once it is sealed.
func (s *slice) footprint() int64 {
	s.mu.RLock()
	sealed := s.sealed
	s.mu.RUnlock()
	if sealed > 0 {
		return sealed
	}
	return max(s.size(), diskUse(s.dir))
}

// snapshot returns the blocks that there are now. They do not change.
func (s *slice) snapshot() []block {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.blocks[:len(s.blocks):len(s.blocks)]
}

// write stores a block and its index entries. Only the writer calls it.
func (s *slice) write(b block, meta, body []byte, entries []entry) error {
	meta = s.pack(0, meta)
	if len(body) > 0 {
		body = s.pack(1, body)
	}
	b.metaBytes, b.bodyBytes = uint32(len(meta)), uint32(len(body))
	err := s.db.Update(func(txn *badger.Txn) error {
		if err := txn.Set(key(keyMeta, b.first), meta); err != nil {
			return err
		}
		if len(body) > 0 {
			if err := txn.Set(key(keyBody, b.first), body); err != nil {
				return err
			}
		}
		return txn.Set(key(keySummary, b.first), b.encode())
	})
	if err != nil {
		return fmt.Errorf("write history %s: %w", filepath.Base(s.dir), err)
	}
	s.mu.Lock()
	s.note(b)
	s.pending = append(s.pending, entries...)
	full := len(s.pending) >= indexEntries
	s.mu.Unlock()
	if full {
		return s.writeIndex()
	}
	return nil
}

// meta reads a block's describing parts, body its bodies (nil when they are gone).
func (s *slice) meta(b *block) ([]byte, error) { return s.unpacked(key(keyMeta, b.first)) }

func (s *slice) body(b *block) ([]byte, error) {
	if b.bodyBytes == 0 {
		return nil, nil
	}
	return s.unpacked(key(keyBody, b.first))
}

func (s *slice) unpacked(k []byte) ([]byte, error) {
	v, err := s.get(k)
	if err != nil {
		return nil, err
	}
	return unpack(v)
}

// Both values of a block are stored behind one byte that says how.
const (
	storedPlain = 0
	storedS2    = 1
)

// pack compresses a value if that is worth it. The result is valid until the next call for the same buffer.
func (s *slice) pack(buffer int, value []byte) []byte {
	b := &s.packed[buffer]
	if need := 1 + max(s2.MaxEncodedLen(len(value)), len(value)); cap(*b) < need {
		*b = make([]byte, need)
	}
	if !s.plain {
		out := s2.Encode((*b)[1:cap(*b)], value)
		if len(out) < len(value)/8*7 {
			*b = (*b)[:1+len(out)]
			(*b)[0] = storedS2
			return *b
		}
	}
	*b = append(append((*b)[:0], storedPlain), value...)
	return *b
}

// mostUnpacked bounds what a damaged block can ask for.
const mostUnpacked = 16 << 20

func unpack(v []byte) ([]byte, error) {
	switch {
	case len(v) == 0:
		return nil, fmt.Errorf("%w: empty value", errDamaged)
	case v[0] == storedPlain:
		return v[1:], nil
	case v[0] != storedS2:
		return nil, fmt.Errorf("%w: value stored in way %d", errDamaged, v[0])
	}
	if n, err := s2.DecodedLen(v[1:]); err != nil || n > mostUnpacked {
		return nil, fmt.Errorf("%w: value of %d bytes: %v", errDamaged, n, err)
	}
	body, err := s2.Decode(nil, v[1:])
	if err != nil {
		return nil, fmt.Errorf("%w: value: %w", errDamaged, err)
	}
	return body, nil
}

// eachRecord calls fn for the records of a meta block, oldest first.
func eachRecord(meta []byte, fn func(rec) error) error {
	for len(meta) > 0 {
		r, rest, err := next(meta)
		if err != nil {
			return err
		}
		if err := fn(r); err != nil {
			return err
		}
		meta = rest
	}
	return nil
}

// sliceList is ordered by the numbers of the records, which is the order of time: first those where only failures are left, then the others.
func sortSlices(list []*slice) {
	slices.SortFunc(list, func(a, b *slice) int {
		switch {
		case a.tier != b.tier:
			return int(a.tier) - int(b.tier)
		case a.first < b.first:
			return -1
		}
		return 1
	})
}

// reopen closes the Badger, which makes it durable, and opens it for reading only, which needs less memory.
func (s *slice) reopen(size int64, log *slog.Logger) error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.db == nil {
		return nil
	}
	err := s.db.Close()
	s.db = nil
	if err != nil {
		return fmt.Errorf("close history %s: %w", filepath.Base(s.dir), err)
	}
	again, err := openSlice(s.dir, s.tier, s.first, s.generation, size, true, log)
	if err != nil {
		return err
	}
	s.db = again.db
	s.mu.Lock()
	s.sealed = diskUse(s.dir)
	s.mu.Unlock()
	return nil
}
