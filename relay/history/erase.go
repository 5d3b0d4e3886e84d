package history

import "context"

// Erased is the account of an erasure.
type Erased struct {
	Events     []ErasedEvent // what matched
	Records    int           // events and attempts that were removed
	Parts      int           // of the history, written again without them
	Unexamined int           // events of which only the beginning is kept, or nothing: whether they match cannot be told
}

// ErasedEvent names one event.
type ErasedEvent struct{ Tenant, ID string }

// Erase removes every event that match says true for, and all attempts of it, from the disk: the parts that held them are written again and the
// old files deleted. tenants bounds whose events are looked at (nil = all). Events that are accepted while it runs are not looked at.
func (s *Store) Erase(ctx context.Context, tenants []string, match func(*Event) (bool, error)) (out Erased, err error) {
	if err := s.wait(ctx); err != nil {
		return out, err
	}
	s.maintenance.Lock()
	defer s.maintenance.Unlock()
	if err := s.rollAll(ctx); err != nil {
		return out, err
	}
	gone := map[ErasedEvent]bool{}
	for _, sl := range s.slices() {
		if !s.finished(sl) {
			continue
		}
		if err := sl.examine(ctx, tenants, match, gone, &out); err != nil {
			return out, err
		}
	}
	for e := range gone {
		out.Events = append(out.Events, e)
	}
	if len(gone) == 0 {
		return out, nil
	}
	drop := func(r rec) bool { return gone[ErasedEvent{string(r.text(textTenant)), string(r.text(textID))}] }
	for _, sl := range s.slices() {
		if !s.finished(sl) {
			continue
		}
		n, err := sl.count(ctx, drop)
		if err != nil {
			return out, err
		}
		if n == 0 {
			continue
		}
		if err := s.rewrite(sl, false, drop); err != nil {
			return out, err
		}
		out.Records += n
		out.Parts++
	}
	return out, nil
}

// rollAll makes every slice one that nobody writes to.
func (s *Store) rollAll(ctx context.Context) error {
	done := make(chan *slice, 1)
	select {
	case s.rolls <- done:
	case <-s.stop:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	if old := <-done; old != nil {
		if err := s.seal(old); err != nil {
			return err
		}
	}
	s.mu.Lock()
	old := s.failedTo
	s.failedTo = nil
	s.mu.Unlock()
	if old != nil {
		return s.seal(old)
	}
	return nil
}

// examine collects the events of sl that match.
func (s *slice) examine(ctx context.Context, tenants []string, match func(*Event) (bool, error), gone map[ErasedEvent]bool, out *Erased) error {
	return s.each(ctx, func(r rec, body []byte) error {
		if r.flags()&flagEnvelope == 0 || tenants != nil && !contains(tenants, r.text(textTenant)) {
			return nil
		}
		e, err := decodeEvent(r, body)
		if err != nil {
			return err
		}
		if e.BodyGone || e.Cut {
			out.Unexamined++
			return nil
		}
		ok, err := match(e)
		if ok && err == nil {
			gone[ErasedEvent{e.Tenant, e.ID}] = true
		}
		return err
	}, true)
}

// count says how many records of s want chooses.
func (s *slice) count(ctx context.Context, want func(rec) bool) (n int, err error) {
	err = s.each(ctx, func(r rec, _ []byte) error {
		if want(r) {
			n++
		}
		return nil
	}, false)
	return n, err
}

// each calls fn for every record.
func (s *slice) each(ctx context.Context, fn func(r rec, body []byte) error, bodies bool) error {
	if !s.acquire() {
		return errClosed
	}
	defer s.release()
	for _, b := range s.snapshot() {
		if err := ctx.Err(); err != nil {
			return err
		}
		meta, err := s.meta(&b)
		if err != nil {
			return err
		}
		var body []byte
		if bodies {
			if body, err = s.body(&b); err != nil {
				return err
			}
		}
		if err := eachRecord(meta, func(r rec) error { return fn(r, body) }); err != nil {
			return err
		}
	}
	return nil
}
