package replay

import (
	"context"
	"time"

	"edgerelay/relay/queue"
)

// Count is what a job would do.
type Count struct {
	Matched  int64
	Skipped  map[string]int64
	Examples []string // ids of the first events or deliveries
	Complete bool     // false = it took too long; there are more
}

const examples = 20

// Count says what a replay, redrive or purge would do, and does nothing. It ends after the budget.
func (m *Manager) Count(ctx context.Context, s Spec, budget time.Duration) (Count, error) {
	if err := s.check(); err != nil {
		return Count{}, err
	}
	now := m.opt.Now()
	j := Job{Spec: s, Created: now}
	end := time.Now().Add(budget)
	if s.Kind == Replay {
		if m.opt.History == nil {
			return Count{}, &SpecError{"kind", "there is no history: history.enabled is false, or it could not be opened"}
		}
		j.Until = m.opt.History.Last()
	}
	var c Count
	note := func(id string) {
		j.Matched++
		if len(c.Examples) < examples {
			c.Examples = append(c.Examples, id)
		}
	}
	for {
		more, err := false, error(nil)
		if s.Kind == Replay {
			more, err = m.countEvents(ctx, &j, note)
		} else {
			more, err = m.countDead(&j, note)
		}
		if err != nil {
			return Count{}, err
		}
		if !more || time.Now().After(end) {
			c.Matched, c.Skipped, c.Complete = j.Matched, j.Skipped, !more
			return c, ctx.Err()
		}
	}
}

func (m *Manager) countEvents(ctx context.Context, j *Job, note func(string)) (more bool, err error) {
	batch, next, _, err := m.page(ctx, j)
	for i := range batch {
		note(batch[i].Event.ID)
		if e, reason := batch[i].whole(); e == nil {
			j.skip(reason)
		}
	}
	j.After = next
	return next != 0, err
}

func (m *Manager) countDead(j *Job, note func(string)) (more bool, err error) {
	page, next, err := m.opt.Queue.List(j.deadFilter(), j.Cursor, pageSize)
	for i := range page {
		if j.wants(&page[i]) {
			note(page[i].ID.String())
		}
	}
	j.Cursor = next
	return next != "", err
}

func (j *Job) deadFilter() queue.Filter {
	f := queue.Filter{State: queue.StateDead, Tenants: j.Spec.Filter.Tenants, Event: j.Spec.Filter.Event}
	if j.Spec.Filter.Webhook != nil {
		f.Webhook = *j.Spec.Filter.Webhook
	}
	return f
}
