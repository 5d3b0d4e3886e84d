package badgerq

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"github.com/dgraph-io/ristretto/v2/z"
	"google.golang.org/protobuf/proto"
)

// Badger, given a damaged directory, may skip a table, end the process, stop reading a write-ahead file in the middle and cut the rest
// off, delete tables, and later compact what it can read of a table over the rest. So the files are checked before Badger sees them:
// a damaged table or manifest is a refusal, and what Badger would cut off or delete is copied aside first.

const (
	walSuffix   = ".mem"
	vlogSuffix  = ".vlog"
	tableSuffix = ".sst"
	walHeader   = 20      // key id and nonce
	maxWALKey   = 1 << 16 // Badger's own limit
)

// preflight checks the files in dir and changes nothing unless it is content with them. aside is the directory in which it has kept what
// will be cut off or deleted, or "": after a crash those are harmless leftovers, after damage they may be all that is left of
// acknowledged events. Which of the two, the store's counters will tell.
func preflight(dir string, now time.Time) (aside string, err error) {
	listed, tail, err := readManifest(dir)
	if err != nil {
		return "", err
	}
	keep, err := checkTables(dir, listed)
	if err != nil {
		return "", err
	}
	cuts, err := scanWALs(dir)
	if err != nil {
		return "", err
	}
	for path := range cuts {
		keep = append(keep, path)
	}
	if tail {
		keep = append(keep, filepath.Join(dir, badger.ManifestFilename))
	}
	if err := removeEmpty(dir); err != nil {
		return "", err
	}
	if aside, err = preserve(dir, keep, now); err != nil {
		return "", err
	}
	for path, end := range cuts { // so that Badger does not even try to read the rest
		if err := os.Truncate(path, end); err != nil {
			return "", fmt.Errorf("open queue: cut off an incomplete commit: %w", err)
		}
	}
	return aside, nil
}

// readManifest returns the tables that the manifest lists, and whether it has an end that Badger will cut off.
func readManifest(dir string) (listed map[uint64]badger.TableManifest, tail bool, err error) {
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, os.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("open queue: %w", err)
	}
	defer f.Close()
	m, end, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(dir))
	if err != nil {
		return nil, false, fmt.Errorf("open queue %s: the manifest is damaged, nothing was changed: %w", dir, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, false, fmt.Errorf("open queue: %w", err)
	}
	if m.Tables == nil {
		m.Tables = map[uint64]badger.TableManifest{}
	}
	return m.Tables, info.Size() > end, nil
}

// checkTables verifies every listed table to the last block and returns the paths of those that are not listed. listed is nil without
// a manifest.
func checkTables(dir string, listed map[uint64]badger.TableManifest) (unlisted []string, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*"+tableSuffix))
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	if listed == nil && len(paths) > 0 {
		return nil, fmt.Errorf("open queue %s: there are %d tables but the %s is missing, nothing was changed", dir, len(paths), badger.ManifestFilename)
	}
	present := map[uint64]bool{}
	var check []string
	for _, path := range paths {
		id, ok := table.ParseFileID(filepath.Base(path))
		if _, known := listed[id]; !ok || !known {
			unlisted = append(unlisted, path)
			continue
		}
		present[id] = true
		check = append(check, path)
	}
	for id := range listed {
		if !present[id] {
			return nil, fmt.Errorf("open queue %s: table %s is missing, nothing was changed", dir, filepath.Base(table.NewFilename(id, dir)))
		}
	}
	return unlisted, verifyTables(check)
}

// verifyTables reads tables two at a time.
func verifyTables(paths []string) error {
	var mu sync.Mutex
	var errs []error
	var done sync.WaitGroup
	for worker := range 2 {
		done.Go(func() {
			for i := worker; i < len(paths); i += 2 {
				if err := verifyTable(paths[i]); err != nil {
					mu.Lock()
					errs = append(errs, fmt.Errorf("open queue: table %s is damaged, nothing was changed: %w", paths[i], err))
					mu.Unlock()
				}
			}
		})
	}
	done.Wait()
	return errors.Join(errs...)
}

// verifyTable checks the checksums of a table's index and of all its blocks. Badger ends the process when a table's footer makes no sense,
// so the footer is read here first; behind a correct checksum of the index its code can be trusted not to.
func verifyTable(path string) (err error) {
	if err := verifyFooter(path); err != nil {
		return err
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %.200v", errDamaged, r)
		}
	}()
	f, err := z.OpenMmapFile(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	t, err := table.OpenTable(f, table.Options{ChkMode: options.OnTableRead, BlockSize: 4 << 10})
	if err != nil {
		return err
	}
	return t.Close(-1)
}

// verifyFooter checks the end of a table, all integers big-endian:
//
//	| blocks | index | length of index 4 | checksum, protobuf | length of checksum 4 |
func verifyFooter(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	at := info.Size()
	read := func(n int64) ([]byte, error) {
		if n < 0 || n > at {
			return nil, fmt.Errorf("%w: %d bytes wanted of %d", errDamaged, n, at)
		}
		at -= n
		b := make([]byte, n)
		_, err := f.ReadAt(b, at)
		return b, err
	}
	section := func() ([]byte, error) {
		n, err := read(4)
		if err != nil {
			return nil, err
		}
		return read(int64(binary.BigEndian.Uint32(n)))
	}
	rawSum, err := section()
	if err != nil {
		return err
	}
	index, err := section()
	if err != nil {
		return err
	}
	var sum pb.Checksum
	if err := proto.Unmarshal(rawSum, &sum); err != nil {
		return fmt.Errorf("%w: checksum of the index: %w", errDamaged, err)
	}
	if sum.Algo != pb.Checksum_CRC32C {
		return fmt.Errorf("%w: checksum of an unknown kind", errDamaged)
	}
	if err := y.VerifyChecksum(index, &sum); err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return nil
}

// scanWALs finds the write-ahead files that hold something behind their last complete commit, with the place from which on.
func scanWALs(dir string) (cuts map[string]int64, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*"+walSuffix))
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	cuts = map[string]int64{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("open queue: %w", err)
		}
		if end := scanWAL(b); !isZero(b[end:]) {
			cuts[path] = int64(end)
		}
	}
	return cuts, nil
}

var zeros [4 << 10]byte

func isZero(b []byte) bool {
	for len(b) > 0 {
		n := min(len(b), len(zeros))
		if !bytes.Equal(b[:n], zeros[:n]) {
			return false
		}
		b = b[n:]
	}
	return true
}

// Marks of Badger's write-ahead entries: part of a transaction, and its end.
const (
	bitTxn    = 1 << 6
	bitFinTxn = 1 << 7
)

// scanWAL returns where the last complete commit in a write-ahead file ends. An entry is
//
//	| marks 1 | user 1 | key length | value length | expiry | key | value | crc32 4 |
//
// with the lengths and the expiry as varints.
func scanWAL(b []byte) (end int) {
	end = min(walHeader, len(b))
	for at := end; ; {
		marks, size := walEntry(b[at:])
		if size == 0 || marks&(bitTxn|bitFinTxn) == 0 { // we write nothing without a transaction
			return end
		}
		at += size
		if marks&bitFinTxn != 0 {
			end = at
		}
	}
}

// walEntry returns the marks and the size of an entry; the size is 0 when there is none or it is damaged.
func walEntry(b []byte) (marks byte, size int) {
	if len(b) < 2 {
		return 0, 0
	}
	at := 2
	var field [3]uint64
	for i := range field {
		v, n := binary.Uvarint(b[at:])
		if n <= 0 {
			return 0, 0
		}
		field[i], at = v, at+n
	}
	if field[0] == 0 || field[0] > maxWALKey || field[1] > uint64(len(b)) {
		return 0, 0
	}
	end := at + int(field[0]) + int(field[1])
	if end+4 > len(b) || crc32.Checksum(b[:end], castagnoli) != binary.BigEndian.Uint32(b[end:]) {
		return 0, 0
	}
	return b[0], end + 4
}

// removeEmpty removes write-ahead and value files without a single byte. Badger empties such a file before it removes it; if the process
// dies in between, Badger would refuse the directory for ever.
func removeEmpty(dir string) error {
	for _, suffix := range []string{walSuffix, vlogSuffix} {
		paths, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
		for _, path := range paths {
			info, statErr := os.Stat(path)
			if err = errors.Join(err, statErr); err == nil && info.Size() == 0 {
				err = os.Remove(path)
			}
		}
		if err != nil {
			return fmt.Errorf("open queue: %w", err)
		}
	}
	return nil
}

// preserve copies files to a directory of their own, and returns it.
func preserve(dir string, paths []string, now time.Time) (aside string, err error) {
	if len(paths) == 0 {
		return "", nil
	}
	aside = filepath.Join(dir, "preserved-"+now.UTC().Format("20060102T150405.000"))
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return "", fmt.Errorf("preserve files: %w", err)
	}
	for _, path := range paths {
		to := filepath.Join(aside, filepath.Base(path))
		// A table is only ever removed, so a second name is as good as a copy.
		if !strings.HasSuffix(path, tableSuffix) || os.Link(path, to) != nil {
			if err := copyFile(path, to); err != nil {
				return "", fmt.Errorf("preserve %s: %w", path, err)
			}
		}
	}
	return aside, syncDir(aside)
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Sync(), dst.Close())
}
