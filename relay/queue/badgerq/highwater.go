package badgerq

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
)

// highWater is a tiny file beside the store that remembers how far it had come. If the store comes back shorter, its end was lost.
//
//	 0      4   5      13        21      25
//	+------+---+------+---------+-------+
//	| ERHW | v |events| lastSeq | crc32 |
//	+------+---+------+---------+-------+
type highWater struct {
	f      *os.File
	events int64
	seq    uint64
}

const (
	highFile    = "HIGHWATER"
	highMagic   = "ERHW"
	highVersion = 1
	highSize    = 25
)

// openHighWater reads the file, or makes it. known is false when there was none, or when it is damaged (which is reported, not fatal:
// it guards the store, it is not the store).
func openHighWater(dir string) (h *highWater, known bool, damage error, err error) {
	path := filepath.Join(dir, highFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, nil, fmt.Errorf("open high-water file: %w", err)
	}
	h = &highWater{f: f, events: -1}
	b := make([]byte, highSize+1)
	n, _ := f.ReadAt(b, 0)
	b = b[:n]
	switch {
	case n == 0:
		return h, false, nil, nil
	case n >= 5 && string(b[:4]) == highMagic && b[4] != highVersion:
		f.Close()
		return nil, false, nil, fmt.Errorf("high-water file %s: %w: found %d, this program reads %d", path, errVersion, b[4], highVersion)
	case n != highSize || string(b[:4]) != highMagic || crc32.Checksum(b[:21], castagnoli) != binary.BigEndian.Uint32(b[21:]):
		return h, false, fmt.Errorf("high-water file %s: %w", path, errDamaged), nil
	}
	h.events, h.seq = int64(binary.BigEndian.Uint64(b[5:])), binary.BigEndian.Uint64(b[13:])
	return h, true, nil, nil
}

// write makes the mark durable if it has moved.
func (h *highWater) write(events int64, seq uint64) error {
	if h.events == events && h.seq == seq {
		return nil
	}
	b := append(make([]byte, 0, highSize), highMagic...)
	b = append(b, highVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(events))
	b = binary.BigEndian.AppendUint64(b, seq)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	if _, err := h.f.WriteAt(b, 0); err != nil {
		return fmt.Errorf("write high-water file: %w", err)
	}
	if err := h.f.Sync(); err != nil {
		return fmt.Errorf("sync high-water file: %w", err)
	}
	h.events, h.seq = events, seq
	return nil
}

func (h *highWater) close() error { return h.f.Close() }

// writeFileSync writes a small file so that it is whole or absent after a crash.
func writeFileSync(path string, content []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in dir durable. Windows has no such call and needs none.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err = errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}
