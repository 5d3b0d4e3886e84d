package badgerq

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"edgerelay/relay/queue"
)

// specimen is a queue's directory with something of everything in it: groups in tables and in the write-ahead file, waiting and dead
// deliveries, values, a cursor.
type specimen struct {
	dir  string
	opt  func(*Options)
	want map[string]bool // "pending e1", "retrying e2", "dead e3", "value k"
}

// makeSpecimen fills a queue until the oldest of it is in tables. A killed one is a copy of the open directory, a closed one was closed.
func makeSpecimen(t *testing.T, killed bool) *specimen {
	t.Helper()
	s := &specimen{dir: filepath.Join(t.TempDir(), "q"), want: map[string]bool{},
		opt: func(o *Options) { o.MemTable, o.MaxEvent, o.GroupBytes, o.GroupEvents = 1, 64<<10, 64<<10, 16 }}
	r := newRig(t, s.dir, s.opt)
	r.start()
	pending, failing := hook(1), hook(2)
	r.q.Park(pending)
	write := func(prefix string, n int) {
		for i := range n {
			id := fmt.Sprintf("%s-%05d", prefix, i)
			r.append(id, 30<<10, pending)
			s.want["pending "+id] = true
			if i%8 != 0 {
				continue
			}
			id += "-f"
			r.append(id, 100, failing)
			if d := r.take(failing); i%24 == 0 {
				r.q.Bury(d, failedAt(r.now()))
				s.want["dead "+id] = true
			} else {
				r.q.Retry(d, r.now().Add(time.Hour), failedAt(r.now()))
				s.want["retrying "+id] = true
			}
		}
		if err := r.q.Put(t.Context(), prefix, []byte("v")); err != nil {
			t.Fatal(err)
		}
		s.want["value "+prefix] = true
	}
	write("old", 200)
	r.until("the oldest are in tables", func() bool { return len(s.files(tableSuffix)) > 0 && len(s.files(walSuffix)) == 1 })
	write("new", 17)
	if killed {
		copied := s.dir + "-killed"
		r.gate.Lock()
		copyDir(t, s.dir, copied)
		r.gate.Unlock()
		s.dir = copied
	}
	if err := r.q.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *specimen) files(suffix string) []string {
	m, _ := filepath.Glob(filepath.Join(s.dir, "*"+suffix))
	return m
}

// outcome opens a directory and says what became of the specimen in it.
func (s *specimen) outcome(t *testing.T, dir string) (found map[string]bool, stats queue.Stats, log string, refused error) {
	t.Helper()
	r := newRig(t, dir, s.opt)
	q, err := Open(r.opt)
	if err != nil {
		return nil, stats, r.log.String(), err
	}
	r.q = q
	defer func() {
		if err := q.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}()
	found = map[string]bool{}
	for _, state := range []queue.State{queue.StateRetrying, queue.StateDead} {
		for cursor := ""; ; {
			page, next, err := q.List(queue.Filter{State: state}, cursor, 100)
			if err != nil {
				t.Fatalf("List: %v", err)
			}
			for _, info := range page {
				if _, e, err := q.Get(info.ID); err == nil && !strings.HasSuffix(string(e.Data), `x"`) || err != nil && q.Stats().Damaged == 0 {
					t.Errorf("Get(%s): %v", info.EventID, err)
				}
				found[state.String()+" "+info.EventID] = true
			}
			if cursor = next; next == "" {
				break
			}
		}
	}
	q.Scan("", func(k string, _ []byte) bool { found["value "+k] = true; return true })
	r.append("marker", 1, hook(1)) // first attempts come in order, so everything else of this webhook comes before it
	for {
		d := r.take(hook(1))
		r.q.Ack(d)
		if string(d.Event.ID) == "marker" {
			break
		}
		found["pending "+string(d.Event.ID)] = true
	}
	return found, q.Stats(), r.log.String(), nil
}

// judge demands one of three outcomes for a damaged directory: refused, with nothing lost; whole; or short and reported.
func (s *specimen) judge(t *testing.T, dir string, undo func()) {
	t.Helper()
	found, stats, log, refused := s.outcome(t, dir)
	if refused != nil {
		if len(refused.Error()) < 20 || !strings.Contains(refused.Error(), "queue") {
			t.Errorf("the refusal does not say much: %v", refused)
		}
		t.Logf("refused: %.300v", refused)
		undo()
		if found, _, _, refused = s.outcome(t, dir); refused != nil {
			t.Fatalf("refused even without the damage: %v", refused)
		}
		if !maps.Equal(found, s.want) {
			t.Errorf("the refusal has cost something: %d of %d are left", len(found), len(s.want))
		}
		return
	}
	missing := 0
	for what := range s.want {
		if !found[what] {
			missing++
		}
	}
	for what := range found {
		if !s.want[what] {
			t.Errorf("%s was never in the queue", what)
		}
	}
	reported := stats.LostEvents > 0 || stats.Damaged > 0
	t.Logf("%d of %d are missing; lost %d, damaged %d", missing, len(s.want), stats.LostEvents, stats.Damaged)
	if missing > 0 && (!reported || !strings.Contains(log, "level=ERROR")) {
		t.Errorf("%d of %d are missing, and that was not reported: lost %d, damaged %d, log:\n%s", missing, len(s.want), stats.LostEvents,
			stats.Damaged, log)
	}
}

// damages are the ways in which one file can be damaged. They return false when they do not apply.
func damages() map[string]func(path string) bool {
	rewrite := func(change func(b []byte) []byte) func(string) bool {
		return func(path string) bool {
			b, err := os.ReadFile(path)
			if err != nil || len(b) == 0 {
				return false
			}
			after := change(bytes.Clone(b))
			return after != nil && !bytes.Equal(b, after) && os.WriteFile(path, after, 0o600) == nil
		}
	}
	// used is how much of a file is not the zeros that Badger maps in advance.
	used := func(b []byte) int {
		for n := len(zeros); len(b) >= n && isZero(b[len(b)-n:]); {
			b = b[:len(b)-n]
		}
		return len(bytes.TrimRight(b, "\x00"))
	}
	all := map[string]func(string) bool{
		"missing":   func(path string) bool { return os.Remove(path) == nil },
		"emptied":   rewrite(func(b []byte) []byte { return b[:0] }),
		"3 bytes":   rewrite(func(b []byte) []byte { return b[:min(3, len(b))] }),
		"halved":    rewrite(func(b []byte) []byte { return b[:used(b)/2] }),
		"last byte": rewrite(func(b []byte) []byte { return b[:max(used(b), 1)-1] }),
		"zeroed middle": rewrite(func(b []byte) []byte {
			clear(b[used(b)/3 : used(b)/2])
			return b
		}),
		"version": func(path string) bool {
			return rewrite(func(b []byte) []byte {
				switch filepath.Base(path) {
				case formatFile:
					return bytes.Replace(b, []byte(" 1"), []byte(" 2"), 1)
				case highFile:
					b[4]++
					binary.BigEndian.PutUint32(b[highSize-4:], crc32.Checksum(b[:highSize-4], castagnoli))
				case badger.ManifestFilename:
					b[7]++
				default:
					return nil
				}
				return b
			})(path)
		},
	}
	for _, at := range []int{0, 1, 13, 26, 50, 77, 90, 99, 100} { // percent
		all[fmt.Sprintf("bit at %d%%", at)] = rewrite(func(b []byte) []byte {
			n := used(b)
			if n == 0 { // DISCARD
				n = len(b)
			}
			b[min(n*at/100, n-1)] ^= 0x10
			return b
		})
	}
	return all
}

func TestDamagedDirectory(t *testing.T) {
	kinds := []string{badger.ManifestFilename, tableSuffix, walSuffix, vlogSuffix, badger.KeyRegistryFileName, "DISCARD", formatFile, highFile}
	for _, killed := range []bool{false, true} {
		s := makeSpecimen(t, killed)
		if found, stats, _, err := s.outcome(t, s.copied(t)); err != nil || !maps.Equal(found, s.want) || stats.LostEvents+stats.Damaged > 0 {
			t.Fatalf("the undamaged specimen: %d of %d, %+v, %v", len(found), len(s.want), stats, err)
		}
		for _, kind := range kinds {
			files := s.files(kind)
			if len(files) == 0 {
				if kind != walSuffix || killed {
					t.Errorf("there is no file of kind %s", kind)
				}
				continue
			}
			all := damages()
			for i, name := range slices.Sorted(maps.Keys(all)) {
				if raceEnabled && i%4 != len(kind)%4 { // it takes long, and nothing here is about races
					continue
				}
				damage := all[name]
				t.Run(fmt.Sprintf("killed=%v/%s/%s", killed, strings.TrimPrefix(kind, "."), name), func(t *testing.T) {
					dir := s.copied(t)
					path := filepath.Join(dir, filepath.Base(files[len(files)/2]))
					original, err := os.ReadFile(path)
					if err != nil {
						t.Fatal(err)
					}
					if !damage(path) {
						t.SkipNow()
					}
					s.judge(t, dir, func() { os.WriteFile(path, original, 0o600) })
				})
			}
		}
	}
}

func (s *specimen) copied(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "copy")
	copyDir(t, s.dir, dir)
	return dir
}

// Damage of records, which Badger knows nothing of.
func TestDamagedRecords(t *testing.T) {
	s := makeSpecimen(t, false)
	for name, c := range map[string]struct {
		kind   byte
		change func(v []byte) []byte // nil = delete it
	}{
		"meta of version 2":    {kMeta, func(v []byte) []byte { v[0] = 2; return v }},
		"meta damaged":         {kMeta, func(v []byte) []byte { v[9] ^= 1; return v }},
		"meta missing":         {kMeta, nil},
		"group of version 2":   {kGroup, func(v []byte) []byte { v[0] = 2; return v }},
		"group of a new form":  {kGroup, func(v []byte) []byte { v[1] = 9; sealForm(v); return v }},
		"group damaged":        {kGroup, func(v []byte) []byte { v[len(v)/2] ^= 1; return v }},
		"group cut":            {kGroup, func(v []byte) []byte { return v[:len(v)/2] }},
		"group missing":        {kGroup, nil},
		"cursor of version 2":  {kCursor, func(v []byte) []byte { v[0] = 2; return v }},
		"cursor damaged":       {kCursor, func(v []byte) []byte { v[5] ^= 1; return v }},
		"cursor missing":       {kCursor, nil},
		"waiting of version 2": {kWaiting, func(v []byte) []byte { v[0] = 2; return v }},
		"waiting damaged":      {kWaiting, func(v []byte) []byte { v[2] ^= 1; return v }},
		"waiting missing":      {kWaiting, nil},
		"event damaged":        {kEvent, func(v []byte) []byte { v[0] ^= 1; return v }},
		"event of version 2":   {kEvent, func(v []byte) []byte { v[4] = 2; return v }},
		"event missing":        {kEvent, nil},
		"due time missing":     {kDue, nil},
		"id missing":           {kDelivery, nil},
		"value missing":        {kValue, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := s.copied(t)
			r := newRig(t, dir, s.opt)
			r.opt.MemTable = r.opt.smallestMemTable()
			changed := map[string][]byte{}
			edit := func(fn func(txn *badger.Txn, key, value []byte) error) {
				raw(t, r.opt, func(txn *badger.Txn) error {
					it := txn.NewIterator(badger.IteratorOptions{})
					defer it.Close()
					var key, value []byte // of the second one, if there are two
					for n := 0; n < 2; n++ {
						if it.Seek(append([]byte{c.kind}, key[min(1, len(key)):]...)); n == 1 {
							it.Next()
						}
						if !it.Valid() || it.Item().Key()[0] != c.kind {
							break
						}
						key = it.Item().KeyCopy(nil)
						var err error
						if value, err = it.Item().ValueCopy(nil); err != nil {
							return err
						}
					}
					if key == nil {
						return nil
					}
					return fn(txn, key, value)
				})
			}
			edit(func(txn *badger.Txn, key, value []byte) error {
				changed[string(key)] = bytes.Clone(value)
				if c.change == nil {
					return txn.Delete(key)
				}
				return txn.SetEntry(badger.NewEntry(key, c.change(value)))
			})
			if len(changed) == 0 {
				t.Skip("there is no such record")
			}
			s.judge(t, dir, func() {
				raw(t, r.opt, func(txn *badger.Txn) error {
					for k, v := range changed {
						if err := txn.SetEntry(badger.NewEntry([]byte(k), v)); err != nil {
							return err
						}
					}
					return nil
				})
			})
		})
	}
}

// sealForm gives a group with a changed form a correct checksum.
func sealForm(b []byte) { binary.LittleEndian.PutUint32(b[4:], groupSum(b)) }

func TestForeignDirectory(t *testing.T) {
	for name, make := range map[string]func(dir string) error{
		"with other files":     func(dir string) error { return os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("mine"), 0o600) },
		"with a directory":     func(dir string) error { return os.Mkdir(filepath.Join(dir, "sub"), 0o700) },
		"of somebody's Badger": func(dir string) error { return os.WriteFile(filepath.Join(dir, "MANIFEST"), []byte("Bdgr"), 0o600) },
		"of another format":    func(dir string) error { return os.WriteFile(filepath.Join(dir, formatFile), []byte("other\n"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "q")
			if err := errors.Join(os.Mkdir(dir, 0o700), make(dir)); err != nil {
				t.Fatal(err)
			}
			before := listing(t, dir)
			if q, err := Open(newRig(t, dir, nil).opt); err == nil {
				q.Close()
				t.Error("it was opened")
			} else {
				t.Logf("refused: %v", err)
			}
			if after := listing(t, dir); !slices.Equal(before, after) {
				t.Errorf("it was changed: %v, then %v", before, after)
			}
		})
	}
	t.Run("that is a file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "q")
		os.WriteFile(path, []byte("x"), 0o600)
		if q, err := Open(newRig(t, path, nil).opt); err == nil {
			q.Close()
			t.Error("it was opened")
		}
	})
	t.Run("left by a crash of the first start", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "q")
		os.Mkdir(dir, 0o700)
		os.WriteFile(filepath.Join(dir, formatFile+tmpSuffix), []byte("edge"), 0o600)
		r := newRig(t, dir, nil)
		r.start()
		r.q.Close()
	})
}

func listing(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestLocked(t *testing.T) {
	r := startRig(t, nil)
	if q, err := Open(r.opt); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "pid") {
		if err == nil {
			q.Close()
		}
		t.Errorf("second Open: %v, want ErrLocked and the holder", err)
	}
}

// What crashes leave beside the store is gone after the next start, when nothing was missing.
func TestLeftoversAreRemoved(t *testing.T) {
	r := startRig(t, nil)
	r.append("one", 100, hook(1))
	r.crash(filepath.Join(t.TempDir(), "q"))
	if err := r.q.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"000099.sst", "00090.mem", "00091.mem"} {
		b := []byte("half a table")
		if strings.HasSuffix(name, ".mem") {
			b = append(make([]byte, walHeader), 0x40, 0, 5, 3, 0, 1)
		}
		if name == "00091.mem" {
			b = nil // Badger died between emptying and removing it
		}
		if err := os.WriteFile(filepath.Join(r.opt.Dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.start()
	for _, name := range listing(t, r.opt.Dir) {
		if strings.HasPrefix(name, "preserved") || name == "000099.sst" {
			t.Errorf("%s is still there", name)
		}
	}
	r.q.Ack(r.take(hook(1)))
	r.empty()
}
