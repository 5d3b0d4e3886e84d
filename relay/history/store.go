package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a Store. Dir and Log are required; the zero values of the others mean the defaults written beside them.
type Options struct {
	Dir string
	Log *slog.Logger

	Retention       time.Duration // of everything; 72 h
	FailedRetention time.Duration // of failed attempts; 30 days
	BodyRetention   time.Duration // of bodies; 0 = as long as what they belong to
	MaxBytes        int64         // on the disk; 2 GiB
	MaxBodyBytes    int64         // of bodies; 0 = three quarters of MaxBytes
	CaptureBody     int           // bytes kept of each body; 64 KiB
	Redact          []string      // paths of values that are never stored

	// Free says how much disk is free. Below MinFree nothing is stored, and what would have been is counted as dropped.
	Free    func() int64
	MinFree int64

	Now func() time.Time

	plain bool // bodies are stored as they are, so that tests find them in files
}

const (
	flushEvery   = 200 * time.Millisecond // how long something may wait in memory
	janitorEvery = time.Minute
	sliceShare   = 16 // a slice is this part of MaxBytes …
	maxSlice     = 64 << 20
	minSlice     = 1 << 20
	sliceAges    = 24 // … or this part of Retention
)

func (o *Options) setDefaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Retention <= 0 {
		o.Retention = 72 * time.Hour
	}
	if o.FailedRetention <= 0 {
		o.FailedRetention = 30 * 24 * time.Hour
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 2 << 30
	}
	if o.MaxBodyBytes <= 0 {
		o.MaxBodyBytes = o.MaxBytes / 4 * 3
	}
	if o.CaptureBody <= 0 {
		o.CaptureBody = 64 << 10
	}
}

// sliceBytes is how large a slice may become.
func (o *Options) sliceBytes() int64 { return min(max(o.MaxBytes/sliceShare, minSlice), maxSlice) }

// Store keeps what a Recorder takes. Make one with Open.
type Store struct {
	opt      Options
	recorder *Recorder
	ring     *ring
	redact   *redactor

	mu      sync.RWMutex  // guards list and current
	list    []*slice      // ordered; replaced, never changed
	cur     *slice        // the newest recent one, which the writer writes; nil = the next record makes one
	begun   time.Time     // of cur
	loaded  chan struct{} // closed when every slice of earlier starts is open
	writing chan struct{} // closed when the newest of them is

	maintenance sync.Mutex // one of: retention, erasure
	failedTo    *slice     // the newest slice of failures, which maintenance writes

	syncs   chan chan struct{}
	rolls   chan chan *slice // asks the writer to let its slice go
	rolled  chan *slice      // to be sealed
	freed   chan struct{}    // maintenance has given disk back
	stop    chan struct{}
	done    sync.WaitGroup
	broken  atomic.Bool // writing has failed, and was reported
	lowDisk atomic.Bool
	stored  atomic.Int64
	lost    atomic.Int64 // records that could not be written
	disk    atomic.Int64 // as last measured
	mapped  int64        // bytes written since forgetMapped; the writer's
	scratch *nameCache
	entries []entry
}

// formatVersion is of the directory as a whole.
const formatVersion = "1"

// ErrFormat says that the directory was written by a newer program.
var ErrFormat = errors.New("the history is of a newer format than this program knows")

// Open opens or makes the history in opt.Dir. It returns at once: older slices are opened behind the caller's back, and one that cannot be
// read is moved aside and reported, because nothing needs it.
func Open(opt Options) (*Store, error) {
	opt.setDefaults()
	redact, err := newRedactor(opt.Redact)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(opt.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make history directory: %w", err)
	}
	if err := checkFormat(filepath.Join(opt.Dir, "format")); err != nil {
		return nil, err
	}
	found, first, err := survey(opt.Dir, opt.Now())
	if err != nil {
		return nil, err
	}
	s := &Store{opt: opt, redact: redact, ring: newRing(first), loaded: make(chan struct{}), writing: make(chan struct{}), syncs: make(chan chan struct{}), rolls: make(chan chan *slice), rolled: make(chan *slice, 64), freed: make(chan struct{}, 1),
		stop: make(chan struct{}), scratch: newNameCache()}
	s.recorder = NewRecorder(RecorderOptions{CaptureBody: opt.CaptureBody})
	s.recorder.ring, s.recorder.redact = s.ring, redact
	var newest *slice
	if n := len(found); n > 0 && found[n-1].tier == tierRecent {
		newest, found = found[n-1], found[:n-1]
	}
	s.done.Add(2)
	go s.write(newest)
	go s.maintain(found)
	return s, nil
}

func checkFormat(path string) error {
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return os.WriteFile(path, []byte(formatVersion+"\n"), 0o600)
	case err != nil:
		return fmt.Errorf("read history format: %w", err)
	case strings.TrimSpace(string(b)) != formatVersion:
		return fmt.Errorf("%w: found %.20q, this program reads %s", ErrFormat, b, formatVersion)
	}
	return nil
}

// survey lists the slices in dir, removes what a crash has left half done, and finds the number of the next record: every start has a range of
// numbers of its own, so that nothing has to be read before the first record can be taken.
func survey(dir string, now time.Time) (found []*slice, first uint64, err error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, 0, fmt.Errorf("list history: %w", err)
	}
	newest := map[string]*slice{}
	for _, n := range names {
		path := filepath.Join(dir, n.Name())
		if strings.HasPrefix(n.Name(), temporary) {
			if err := os.RemoveAll(path); err != nil {
				return nil, 0, fmt.Errorf("remove leftovers of the history: %w", err)
			}
			continue
		}
		t, f, generation, ok := parseDirName(n.Name())
		if !ok || !n.IsDir() {
			continue
		}
		s := &slice{dir: path, tier: t, first: f, generation: generation}
		first = max(first, f)
		key := dirName(t, f, 0)
		if other := newest[key]; other != nil {
			if other.generation > generation {
				s, newest[key] = other, s
			}
			if err := os.RemoveAll(newest[key].dir); err != nil {
				return nil, 0, fmt.Errorf("remove leftovers of the history: %w", err)
			}
		}
		newest[key] = s
	}
	for _, s := range newest {
		found = append(found, s)
	}
	sortSlices(found)
	return found, max((first>>32+2)<<32, uint64(now.UnixMilli())<<20), nil
}

const temporary = "tmp-"

// Recorder is what the path of an event tells.
func (s *Store) Recorder() *Recorder { return s.recorder }

// Close stores what is in memory and waits for the goroutines.
func (s *Store) Close() error {
	close(s.stop)
	s.done.Wait()
	s.maintenance.Lock()
	defer s.maintenance.Unlock()
	var errs []error
	for _, sl := range s.slices() {
		errs = append(errs, sl.close())
	}
	return errors.Join(errs...)
}

// slices returns the slices, oldest first.
func (s *Store) slices() []*slice {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.list
}

// Flush makes everything that was recorded before visible to searches.
func (s *Store) Flush(ctx context.Context) error {
	done := make(chan struct{})
	select {
	case s.syncs <- done:
	case <-s.stop:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// peek is Flush for searches: a store that is behind shows what it has.
func (s *Store) peek(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, 250*time.Millisecond)
	defer cancel()
	if err := s.Flush(short); err != nil && short.Err() == nil {
		return err
	}
	return ctx.Err()
}

// Stats describes the store.
type Stats struct {
	Stored  int64 // records since the start
	Dropped int64 // records that were left out because the store was behind, the disk low, or a write failed
	Bytes   int64 // on the disk, as last measured
	Slices  int
	Oldest  time.Time // of the oldest record; zero = there is none
}

// Stats returns a snapshot.
func (s *Store) Stats() Stats {
	st := Stats{Stored: s.stored.Load(), Dropped: s.lost.Load() + s.ring.dropped.Load(), Bytes: s.disk.Load()}
	for _, sl := range s.slices() {
		sl.mu.RLock()
		if t := sl.minTime; t != 0 && (st.Oldest.IsZero() || time.UnixMicro(t).Before(st.Oldest)) {
			st.Oldest = time.UnixMicro(t)
		}
		sl.mu.RUnlock()
		st.Slices++
	}
	return st
}

// openSlice opens or makes a slice with the store's options.
func (s *Store) openSlice(dir string, t tier, first uint64, generation int, readOnly bool) (*slice, error) {
	sl, err := openSlice(dir, t, first, generation, s.opt.sliceBytes(), readOnly, s.opt.Log)
	if err == nil {
		sl.plain = s.opt.plain
	}
	return sl, err
}
