package history

import (
	"cmp"
	"context"
	"slices"

	"edgerelay/relay/event"
)

// mostTries bounds what one look at an event or a delivery returns.
const mostTries = 1000

// Journey is what is known about one event.
type Journey struct {
	Event    *Event     // nil when only attempts are known
	Attempts []*Attempt // oldest first
}

// Journey finds an event and everything that was tried with it. tenants bounds whose it may be; when several tenants have used the id, the
// newest event counts. Nothing known is a Journey without event and attempts.
func (s *Store) Journey(ctx context.Context, tenants []string, id string) (j Journey, err error) {
	if err := s.wait(ctx); err != nil {
		return j, err
	}
	if err := s.peek(ctx); err != nil {
		return j, err
	}
	tenant, known := "", false
	err = s.follow(ctx, eventHash([]byte(id)), func(r rec, block []byte) (bool, error) {
		if string(r.text(textID)) != id || tenants != nil && !contains(tenants, r.text(textTenant)) {
			return true, nil
		}
		if t := string(r.text(textTenant)); !known {
			tenant, known = t, true
		} else if t != tenant {
			return true, nil
		}
		return j.add(r, block)
	}, true)
	j.sort()
	return j, err
}

// add takes one record in, and says whether there is room for more.
func (j *Journey) add(r rec, block []byte) (more bool, err error) {
	if r.flags()&(flagEnvelope|flagBodyGone) != 0 || r.kind() == kindEvent {
		if r.kind() == kindEvent && (j.Event == nil || j.Event.FromTry) || r.flags()&flagEnvelope != 0 && j.Event == nil {
			if j.Event, err = decodeEvent(r, block); err != nil {
				return false, err
			}
		}
	}
	if r.kind() == kindAttempt {
		a, err := decodeAttempt(r, block)
		if err != nil {
			return false, err
		}
		j.Attempts = append(j.Attempts, a)
	}
	return len(j.Attempts) < mostTries, nil
}

func (j *Journey) sort() {
	slices.SortFunc(j.Attempts, func(a, b *Attempt) int { return cmp.Compare(a.Seq, b.Seq) })
}

// Delivery finds the attempts of one delivery, oldest first; none when nothing is known.
func (s *Store) Delivery(ctx context.Context, tenants []string, id event.DeliveryID) ([]*Attempt, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	if err := s.peek(ctx); err != nil {
		return nil, err
	}
	var j Journey
	err := s.follow(ctx, deliveryHash(id), func(r rec, block []byte) (bool, error) {
		if r.kind() != kindAttempt || r.delivery() != id || tenants != nil && !contains(tenants, r.text(textTenant)) {
			return true, nil
		}
		return j.add(r, block)
	}, true)
	j.sort()
	return j.Attempts, err
}

// Latest says whether a is the newest attempt of its delivery among the records up to the one with the number until.
func (s *Store) Latest(ctx context.Context, a *Attempt, until uint64) (latest bool, err error) {
	latest = true
	err = s.follow(ctx, deliveryHash(a.Delivery), func(r rec, _ []byte) (bool, error) {
		if r.kind() != kindAttempt || r.seq() > until || r.delivery() != a.Delivery || string(r.text(textTenant)) != string(a.Tenant) {
			return true, nil
		}
		latest = r.seq() <= a.Seq
		return false, nil
	}, false)
	return latest, err
}

// Last returns the number of the newest record that there can be now: what is recorded later has a larger one.
func (s *Store) Last() uint64 {
	s.ring.mu.Lock()
	defer s.ring.mu.Unlock()
	return s.ring.seq - 1
}
