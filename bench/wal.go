package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// walLimit is the least that durability can cost on this disk: writers append records to one file, and each waits until a sync has covered its
// record. One goroutine writes and syncs; what comes meanwhile shares the next sync.
type walLimit struct {
	file *os.File

	mu     sync.Mutex // guards batch
	batch  *walBatch  // the one that fills
	filled chan struct{}
}

type walBatch struct {
	bytes []byte
	done  chan struct{} // closed when it is on the disk, or failed
	err   error         // set before done is closed
}

func newWALBatch() *walBatch { return &walBatch{done: make(chan struct{})} }

// measureWAL runs writers for d in dir and returns the records per second.
func measureWAL(ctx context.Context, dir string, writers, size int, d time.Duration) (perSecond float64, records int64, err error) {
	f, err := os.Create(filepath.Join(dir, "wal"))
	if err != nil {
		return 0, 0, fmt.Errorf("create log: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	w := &walLimit{file: f, batch: newWALBatch(), filled: make(chan struct{}, 1)}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var group, committer sync.WaitGroup
	var written atomic.Int64
	var failed atomic.Pointer[error]
	begin := time.Now()
	for range writers {
		group.Go(func() {
			record := make([]byte, size)
			for ctx.Err() == nil {
				if err := w.append(record); err != nil {
					failed.Store(&err)
					return
				}
				written.Add(1)
			}
		})
	}
	committer.Go(w.commit)
	group.Wait()
	took := time.Since(begin)
	close(w.filled)
	committer.Wait()
	if e := failed.Load(); e != nil {
		return 0, 0, *e
	}
	return float64(written.Load()) / took.Seconds(), written.Load(), nil
}

// append returns when the record is durable.
func (w *walLimit) append(record []byte) error {
	w.mu.Lock()
	b := w.batch
	b.bytes = append(b.bytes, record...)
	w.mu.Unlock()
	select {
	case w.filled <- struct{}{}:
	default: // the committer has been told
	}
	<-b.done
	return b.err
}

// commit runs until filled is closed, which is after the last append.
func (w *walLimit) commit() {
	for range w.filled {
		w.mu.Lock()
		b := w.batch
		w.batch = newWALBatch()
		w.mu.Unlock()
		if len(b.bytes) > 0 {
			if _, b.err = w.file.Write(b.bytes); b.err == nil {
				b.err = datasync(w.file)
			}
		}
		close(b.done)
	}
}
