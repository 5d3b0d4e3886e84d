package badgerq

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync/atomic"
)

// highWater is a tiny file beside the store that remembers how far it had come. If the store comes back shorter, its end was lost.
// It is written after every commit, which a dying process cannot undo, and synced once a second; so it is never ahead of the store.
//
//	 0      4   5      13        21        29      33
//	+------+---+------+---------+---------+-------+
//	| ERHW | v |events| lastSeq | commits | crc32 |
//	+------+---+------+---------+---------+-------+
type highWater struct {
	f     *os.File
	dirty atomic.Bool // written, not synced
}

// mark is what the file says; known is false when there was no file, or when it is damaged.
type mark struct {
	events  int64
	lastSeq uint64
	commits int64
	known   bool
}

const (
	highFile    = "HIGHWATER"
	highMagic   = "ERHW"
	highVersion = 1
	highSize    = 33
)

// readMark reads the file without touching it. Damage is reported, not fatal: the file guards the store, it is not the store.
func readMark(dir string) (m mark, damage, err error) {
	path := filepath.Join(dir, highFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(b) == 0 { // not made yet, or made and never written
		return m, nil, nil
	}
	if err != nil {
		return m, nil, fmt.Errorf("open queue: %w", err)
	}
	const sum = highSize - 4
	sound := len(b) == highSize && crc32.Checksum(b[:sum], castagnoli) == binary.BigEndian.Uint32(b[sum:])
	if len(b) > 4 && string(b[:4]) == highMagic && b[4] != highVersion && (sound || len(b) != highSize) {
		return m, nil, fmt.Errorf("open queue: high-water file %s: %w: found %d, this program reads %d", path, errVersion, b[4], highVersion)
	}
	if !sound || string(b[:4]) != highMagic {
		return m, fmt.Errorf("high-water file %s: %w: %d bytes", path, errDamaged, len(b)), nil
	}
	return mark{events: int64(binary.BigEndian.Uint64(b[5:])), lastSeq: binary.BigEndian.Uint64(b[13:]),
		commits: int64(binary.BigEndian.Uint64(b[21:])), known: true}, nil, nil
}

func openHighWater(dir string) (*highWater, error) {
	f, err := os.OpenFile(filepath.Join(dir, highFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	return &highWater{f: f}, nil
}

// write puts the mark of a durable commit into the file.
func (h *highWater) write(m *meta) error {
	var room [highSize]byte
	b := append(room[:0], highMagic...)
	b = append(b, highVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(m.events))
	b = binary.BigEndian.AppendUint64(b, m.lastSeq)
	b = binary.BigEndian.AppendUint64(b, uint64(m.commits))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	if _, err := h.f.WriteAt(b, 0); err != nil {
		return fmt.Errorf("write high-water file: %w", err)
	}
	h.dirty.Store(true)
	return nil
}

// sync makes the mark survive a loss of power too.
func (h *highWater) sync() error {
	if !h.dirty.Swap(false) {
		return nil
	}
	if err := h.f.Sync(); err != nil {
		return fmt.Errorf("sync high-water file: %w", err)
	}
	return nil
}

func (h *highWater) close() error { return errors.Join(h.sync(), h.f.Close()) }
