package history

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// write is the goroutine that stores what the ring collects. newest is the slice of an earlier start that may be written on, if there is one.
func (s *Store) write(newest *slice) {
	defer s.done.Done()
	if newest != nil {
		s.goOn(newest)
	}
	close(s.writing)
	flush := time.NewTimer(flushEvery)
	for {
		select {
		case c := <-s.ring.full:
			s.store(c)
		case <-s.ring.begun:
			flush.Reset(flushEvery)
		case <-flush.C:
			s.drain()
		case done := <-s.syncs:
			s.drain()
			close(done)
		case done := <-s.rolls:
			s.drain()
			old := s.cur
			s.mu.Lock()
			s.cur = nil
			s.mu.Unlock()
			done <- old
		case <-s.stop:
			s.drain()
			return
		}
	}
}

// drain stores everything that there is now.
func (s *Store) drain() {
	for c := s.ring.take(); c != nil; c = s.ring.take() {
		s.store(c)
	}
}

// goOn opens the newest slice of an earlier start, to be written on if it has room.
func (s *Store) goOn(f *slice) {
	sl, err := s.openSlice(f.dir, f.tier, f.first, f.generation, false)
	if err != nil {
		s.setAside(f.dir, err)
		return
	}
	s.add(sl)
	if len(sl.blocks) > 0 {
		s.mu.Lock()
		s.cur, s.begun = sl, time.UnixMicro(sl.minTime)
		s.mu.Unlock()
		return
	}
	s.rolled <- sl
}

// openOld opens the other slices.
func (s *Store) openOld(found []*slice) {
	for _, f := range found {
		sl, err := s.openSlice(f.dir, f.tier, f.first, f.generation, true)
		if err != nil { // perhaps only not closed properly: Badger repairs what it may write
			if sl, err = s.openSlice(f.dir, f.tier, f.first, f.generation, false); err == nil {
				err = s.seal(sl)
			}
		}
		if err != nil {
			s.setAside(f.dir, err)
			continue
		}
		sl.sealed = diskUse(sl.dir)
		s.add(sl)
		select {
		case <-s.stop:
			return
		default:
		}
	}
}

func (s *Store) add(sl *slice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := append(slices.Clone(s.list), sl)
	sortSlices(list)
	s.list = list
}

// setAside moves a slice that cannot be read out of the way. It is kept: perhaps somebody can read it.
func (s *Store) setAside(dir string, err error) {
	aside := filepath.Join(s.opt.Dir, fmt.Sprintf("damaged-%s-%d", filepath.Base(dir), s.opt.Now().Unix()))
	if moveErr := os.Rename(dir, aside); moveErr != nil {
		s.opt.Log.Error("a part of the history cannot be read, nor moved aside; deliveries do not need it", "part", filepath.Base(dir), "error", err, "move_error", moveErr)
		return
	}
	s.opt.Log.Error("a part of the history cannot be read and was moved aside; deliveries do not need it", "moved_to", aside, "error", err)
}

// store writes one chunk.
func (s *Store) store(c *chunk) {
	defer s.ring.give(c)
	if c.count == 0 {
		return
	}
	if low := s.opt.Free != nil && s.opt.Free() < s.opt.MinFree; low {
		if !s.lowDisk.Swap(true) {
			s.opt.Log.Warn("the history is not written: disk space is low")
		}
		s.lost.Add(int64(c.count))
		return
	}
	s.lowDisk.Store(false)
	if err := s.storeChunk(c); err != nil {
		if !s.broken.Swap(true) {
			s.opt.Log.Error("the history cannot be written; deliveries go on without", "error", err)
		}
		s.lost.Add(int64(c.count))
		return
	}
	s.broken.Store(false)
	s.stored.Add(int64(c.count))
}

func (s *Store) storeChunk(c *chunk) error {
	if s.redact != nil {
		if err := s.redact.events(c); err != nil {
			return err
		}
	}
	b, entries, err := summarize(c.meta, s.scratch, s.entries[:0])
	if err != nil {
		return err
	}
	s.entries = entries
	sl, err := s.slot(b.first)
	if err != nil {
		return err
	}
	if s.mapped += int64(len(c.meta) + len(c.body)); s.mapped > maxMapped {
		s.mapped = 0
		forgetMapped(s.opt.Dir)
	}
	return sl.write(b, c.meta, c.body, entries)
}

// maxMapped is how much is written before the pages that it went through are let go.
const maxMapped = 16 << 20

// slot returns the slice to write to, a new one when the current one is full or old.
func (s *Store) slot(first uint64) (*slice, error) {
	now := s.opt.Now()
	if s.cur != nil && s.cur.size() < s.opt.sliceBytes() && now.Sub(s.begun) < s.opt.Retention/sliceAges {
		return s.cur, nil
	}
	if err := s.room(); err != nil {
		return nil, err
	}
	dir := filepath.Join(s.opt.Dir, dirName(tierRecent, first, 0))
	sl, err := s.openSlice(dir, tierRecent, first, 0, false)
	if err != nil {
		return nil, err
	}
	old := s.cur
	s.add(sl)
	s.mu.Lock()
	s.cur, s.begun = sl, now
	s.mu.Unlock()
	if old != nil {
		s.rolled <- old
	}
	return sl, nil
}

// errFull is why a chunk is left out: maintenance does not get rid of old slices as fast as new ones come.
var errFull = errors.New("max_bytes is reached, and old parts are not removed fast enough")

// room waits, for a while, until another slice fits. Only the writer waits here, never a delivery.
func (s *Store) room() error {
	patience := time.NewTimer(2 * time.Second)
	defer patience.Stop()
	for {
		total := int64(0)
		for _, sl := range s.slices() {
			total += sl.footprint()
		}
		if total <= s.opt.MaxBytes-2*s.opt.sliceBytes() {
			return nil
		}
		if old := s.cur; old != nil { // it is full: let it be sealed, and counted among what can go
			s.mu.Lock()
			s.cur = nil
			s.mu.Unlock()
			s.rolled <- old
		}
		select {
		case <-s.freed:
		case <-patience.C:
			return errFull
		case <-s.stop:
			return errClosed
		}
	}
}

// seal finishes a slice that is not written any more.
func (s *Store) seal(sl *slice) error {
	if !sl.acquire() {
		return nil
	}
	err := sl.writeIndex()
	sl.release()
	if err != nil {
		return err
	}
	return sl.reopen(s.opt.sliceBytes(), s.opt.Log)
}
