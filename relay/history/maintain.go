package history

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// maintain is the goroutine that opens the slices of earlier starts, seals those that are full, and keeps the history within its bounds.
func (s *Store) maintain(found []*slice) {
	defer s.done.Done()
	s.openOld(found)
	<-s.writing
	close(s.loaded)
	tick := time.NewTicker(janitorEvery)
	defer tick.Stop()
	for {
		select {
		case sl := <-s.rolled:
			if err := s.seal(sl); err != nil {
				s.abandon(sl, err)
			}
		case <-tick.C:
			if err := s.rollOld(); err != nil {
				s.opt.Log.Error("the history cannot seal a part", "error", err)
			}
		case <-s.stop:
			return
		}
		if err := s.Retain(); err != nil {
			s.opt.Log.Error("the history cannot be kept within its bounds", "error", err)
		}
	}
}

// rollOld seals the slice that is being written when its time is over although nothing comes any more: else it would never expire.
func (s *Store) rollOld() error {
	s.mu.RLock()
	old := s.cur != nil && s.opt.Now().Sub(s.begun) >= s.opt.Retention/sliceAges
	s.mu.RUnlock()
	if !old {
		return nil
	}
	done := make(chan *slice, 1)
	select {
	case s.rolls <- done:
	case <-s.stop:
		return nil
	}
	sl := <-done
	if sl == nil {
		return nil
	}
	if err := s.seal(sl); err != nil {
		s.abandon(sl, err)
		return err
	}
	return nil
}

// abandon takes a slice out that cannot be used any more, and moves it aside.
func (s *Store) abandon(sl *slice, err error) {
	s.drop(sl)
	if closeErr := sl.close(); closeErr != nil {
		err = errors.Join(err, closeErr)
	}
	s.setAside(sl.dir, err)
}

// drop takes sl out of the list.
func (s *Store) drop(sl *slice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = slices.DeleteFunc(slices.Clone(s.list), func(o *slice) bool { return o == sl })
}

// replace puts a slice that was written again in the place of the old one.
func (s *Store) replace(old, by *slice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = slices.Clone(s.list)
	if i := slices.Index(s.list, old); i >= 0 {
		s.list[i] = by
	}
}

// finished says whether nobody writes to sl any more.
func (s *Store) finished(sl *slice) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return sl != s.cur && sl != s.failedTo
}

// Retain removes what is older than it may be, and then what is too much: it is what the store does by itself once a minute and whenever a
// slice is full.
func (s *Store) Retain() error {
	s.maintenance.Lock()
	defer s.maintenance.Unlock()
	now := s.opt.Now()
	before := func(d time.Duration) int64 { return now.Add(-d).UnixMicro() }
	if to := s.failedTo; to != nil && to.maxTime < before(s.opt.FailedRetention) {
		s.mu.Lock()
		s.failedTo = nil
		s.mu.Unlock()
		if err := s.seal(to); err != nil {
			s.abandon(to, err)
		}
	}
	for _, sl := range s.slices() {
		var err error
		switch {
		case !s.finished(sl):
		case sl.tier == tierFailed && sl.maxTime < before(s.opt.FailedRetention):
			err = s.forget(sl)
		case sl.tier == tierRecent && sl.maxTime < before(s.opt.Retention):
			err = s.expire(sl, now)
		case s.opt.BodyRetention > 0 && sl.bodies > 0 && sl.maxTime < before(s.opt.BodyRetention):
			err = s.rewrite(sl, true, nil)
		}
		if err != nil {
			return err
		}
	}
	if err := s.boundBodies(); err != nil {
		return err
	}
	if err := s.boundBytes(now); err != nil {
		return err
	}
	forgetMapped(s.opt.Dir)
	return nil
}

// forget removes a whole slice.
func (s *Store) forget(sl *slice) error {
	s.drop(sl)
	err := sl.remove()
	s.tellFreed()
	return err
}

func (s *Store) tellFreed() {
	select {
	case s.freed <- struct{}{}:
	default:
	}
}

// expire removes a slice of everything; its failures go on in the slices of failures if they are kept longer.
func (s *Store) expire(sl *slice, now time.Time) error {
	if sl.failures && s.opt.FailedRetention > s.opt.Retention && sl.maxTime >= now.Add(-s.opt.FailedRetention).UnixMicro() {
		if err := s.keepFailures(sl, now); err != nil {
			return fmt.Errorf("keep the failures of history %s: %w", filepath.Base(sl.dir), err)
		}
	}
	return s.forget(sl)
}

// boundBodies removes bodies, oldest slice first, until they are within their bound.
func (s *Store) boundBodies() error {
	list := s.slices()
	total := int64(0)
	for _, sl := range list {
		total += sl.bodyBytes()
	}
	for _, sl := range list {
		if total <= s.opt.MaxBodyBytes-s.opt.sliceBytes() {
			return nil
		}
		n := sl.bodyBytes()
		if n == 0 || !s.finished(sl) {
			continue
		}
		if err := s.rewrite(sl, true, nil); err != nil {
			return err
		}
		total -= n
	}
	return nil
}

func (s *slice) bodyBytes() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.bodies
}

// boundBytes removes slices, the oldest first, until the directory is within its bound. Room is left for the slice that is being written and
// for one that is written again. Failures may have a quarter of it, so they outlive what succeeded, but not for ever.
func (s *Store) boundBytes(now time.Time) error {
	bound := s.opt.MaxBytes - 4*s.opt.sliceBytes()
	for {
		total, failed := int64(0), int64(0)
		var oldest, oldestFailed *slice
		for _, sl := range s.slices() {
			n := sl.footprint()
			total += n
			if sl.tier == tierFailed {
				failed += n
			}
			switch {
			case !s.finished(sl):
			case sl.tier == tierFailed && oldestFailed == nil:
				oldestFailed = sl
			case sl.tier == tierRecent && oldest == nil:
				oldest = sl
			}
		}
		s.disk.Store(total)
		var err error
		switch {
		case total <= bound && failed <= s.opt.MaxBytes/4:
			return nil
		case oldestFailed != nil && (failed > s.opt.MaxBytes/4 || oldest == nil):
			err = s.forget(oldestFailed)
		case total > bound && oldest != nil:
			err = s.expire(oldest, now)
		default:
			return nil // nothing is finished yet
		}
		if err != nil {
			return err
		}
	}
}

// keepFailures copies what has to do with failures to the slices that are kept longer: attempts that failed, with the event's envelope where
// they have it, and what came after a failure.
func (s *Store) keepFailures(sl *slice, now time.Time) error {
	var done uint64
	for _, other := range s.slices() {
		if other.tier == tierFailed {
			done = max(done, other.last()) // a crash may have come between copying and removing
		}
	}
	out := &chunk{}
	flush := func() error {
		if out.count == 0 {
			return nil
		}
		to, err := s.failedSlot(out.first, now)
		if err != nil {
			return err
		}
		b, entries, err := summarize(out.meta, newNameCache(), nil)
		if err != nil {
			return err
		}
		if err := to.write(b, out.meta, out.body, entries); err != nil {
			return err
		}
		out.reset()
		return nil
	}
	err := sl.copyTo(out, func(r rec) bool {
		return r.seq() > done && r.kind() == kindAttempt && (r.status().Failed() || le.Uint16(r[88:]) > 1)
	}, false, flush)
	return errors.Join(err, flush())
}

// failedSlot returns the slice of failures to write to.
func (s *Store) failedSlot(first uint64, now time.Time) (*slice, error) {
	if to := s.failedTo; to != nil && to.size() < s.opt.sliceBytes() && now.UnixMicro()-to.minTime < (s.opt.FailedRetention/8).Microseconds() {
		return to, nil
	}
	dir := filepath.Join(s.opt.Dir, dirName(tierFailed, first, 0))
	sl, err := s.openSlice(dir, tierFailed, first, 0, false)
	if err != nil {
		return nil, err
	}
	old := s.failedTo
	s.mu.Lock()
	s.failedTo = sl
	s.mu.Unlock()
	s.add(sl)
	if old != nil {
		if err := s.seal(old); err != nil {
			s.abandon(old, err)
		}
	}
	return sl, nil
}

// copyTo appends the records that keep wants to out, and calls flush whenever that is a block's worth.
func (s *slice) copyTo(out *chunk, keep func(rec) bool, withoutBodies bool, flush func() error) error {
	if !s.acquire() {
		return errClosed
	}
	defer s.release()
	for _, b := range s.snapshot() {
		meta, err := s.meta(&b)
		if err != nil {
			return err
		}
		var body []byte
		if !withoutBodies {
			if body, err = s.body(&b); err != nil {
				return err
			}
		}
		err = eachRecord(meta, func(r rec) error {
			if keep != nil && !keep(r) {
				return nil
			}
			if withoutBodies {
				r.dropBodies()
			}
			if err := out.appendCopy(r, body); err != nil {
				return err
			}
			if len(out.meta) >= chunkMeta || len(out.body) >= chunkBody {
				return flush()
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// appendCopy appends a record with its bodies out of another block.
func (c *chunk) appendCopy(r rec, block []byte) error {
	request, response, envelope, err := r.bodies(block)
	if err != nil {
		return err
	}
	at := len(c.body)
	c.body = append(append(append(c.body, request...), response...), envelope...)
	start := c.begin(r.kind(), r.seq(), r.time())
	meta := append(c.meta[:start], r...)
	le.PutUint32(meta[start+56:], uint32(at))
	c.end(start, meta)
	return nil
}

// rewrite writes sl again without its bodies, or without the records that drop names, and puts the result in its place. A crash leaves either the
// old one or the new one.
func (s *Store) rewrite(sl *slice, withoutBodies bool, drop func(rec) bool) (err error) {
	name := dirName(sl.tier, sl.first, sl.generation+1)
	tmp, final := filepath.Join(s.opt.Dir, temporary+name), filepath.Join(s.opt.Dir, name)
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write history %s again: %w", filepath.Base(sl.dir), err), os.RemoveAll(tmp))
		}
	}()
	fresh, err := s.openSlice(tmp, sl.tier, sl.first, sl.generation+1, false)
	if err != nil {
		return err
	}
	out, names := &chunk{}, newNameCache()
	flush := func() error {
		if out.count == 0 {
			return nil
		}
		b, entries, err := summarize(out.meta, names, nil)
		if err == nil {
			err = fresh.write(b, out.meta, out.body, entries)
		}
		out.reset()
		return err
	}
	var keep func(rec) bool
	if drop != nil {
		keep = func(r rec) bool { return !drop(r) }
	}
	err = sl.copyTo(out, keep, withoutBodies, flush)
	if err == nil {
		err = flush()
	}
	if err == nil {
		err = fresh.writeIndex()
	}
	if err = errors.Join(err, fresh.close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, final); err != nil {
		return err
	}
	if len(fresh.blocks) == 0 { // nothing is left
		s.drop(sl)
		return errors.Join(sl.remove(), os.RemoveAll(final))
	}
	again, err := s.openSlice(final, sl.tier, sl.first, sl.generation+1, true)
	if err != nil {
		return err
	}
	again.sealed = diskUse(final)
	s.replace(sl, again)
	err = sl.remove()
	s.tellFreed()
	return err
}

// wait waits until the slices of earlier starts are open.
func (s *Store) wait(ctx context.Context) error {
	select {
	case <-s.loaded:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stop:
		return errClosed
	}
}
