package replay

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/history"
	"edgerelay/relay/queue"
)

// worker is one run of a job.
type worker struct {
	m       *Manager
	r       *running
	saved   time.Time
	unsaved int
	begun   time.Time // of this run, for the rate
	passed  int64
}

// at most so many appends, or redrives, wait for the same commit.
const together = 32

// pageSize is how many are looked at at a time; the cursor is stored between pages.
const pageSize = 256

// save stores the state. A failure is no reason to stop: the next save tries again, and what is done twice is noticed by the queue.
func (w *worker) save(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	j := w.r.snapshot()
	if err := w.m.store(ctx, &j); err != nil {
		w.m.opt.Log.Warn("cannot store how far a job is", "job", j.ID, "error", err)
		return
	}
	w.r.update(func(j *Job) { j.Updated = w.m.opt.Now().UTC() })
	w.saved, w.unsaved = w.m.opt.Now(), 0
}

// checkpoint saves if it is time to.
func (w *worker) checkpoint(ctx context.Context) {
	if w.unsaved >= saveAfter || w.m.opt.Now().Sub(w.saved) >= saveEvery {
		w.save(ctx)
	}
}

// pace waits until n more may be passed on.
func (w *worker) pace(ctx context.Context, n int) error {
	w.passed += int64(n)
	due := w.begun.Add(time.Duration(float64(w.passed) / float64(w.r.job.Spec.Rate) * float64(time.Second)))
	return wait(ctx, time.Until(due))
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Target is one event and where it goes.
type Target struct {
	Event    *history.Event
	Webhooks []event.WebhookID
	key      [16]byte // under which the queue remembers that the job has passed it on
}

// replay goes through the history, oldest first, from where it was.
func (w *worker) replay(ctx context.Context) error {
	for {
		j := w.r.snapshot()
		batch, next, at, err := w.m.page(ctx, &j)
		if err != nil {
			return err
		}
		if err := w.pass(ctx, batch); err != nil {
			return err
		}
		if next == 0 {
			return nil
		}
		w.r.update(func(j *Job) { j.After, j.At = next, at })
		w.checkpoint(ctx)
	}
}

// page reads the next targets of a replay, and the cursor behind them; 0 = there are no more.
func (m *Manager) page(ctx context.Context, j *Job) (batch []Target, next uint64, at time.Time, err error) {
	f := &j.Spec.Filter
	q := history.Query{Tenants: f.Tenants, Program: f.Program, Type: f.Type, Event: f.Event, From: f.From, To: f.To, Text: f.Text,
		Statuses: f.Statuses, Oldest: true, After: j.After, Before: j.Until + 1, Limit: pageSize}
	if f.Webhook != nil {
		q.Webhook = *f.Webhook
	}
	if len(f.Statuses) == 0 {
		p, err := m.opt.History.Events(ctx, q, true)
		if err != nil {
			return nil, 0, at, err
		}
		for _, e := range p.Items {
			batch = append(batch, m.target(j, e, e.Webhooks, e.Seq))
			at = e.Accepted
		}
		return batch, p.Next, at, nil
	}
	p, err := m.opt.History.Attempts(ctx, q, false)
	if err != nil {
		return nil, 0, at, err
	}
	for _, a := range p.Items {
		at = a.Start
		newest, err := m.opt.History.Latest(ctx, a, j.Until)
		if err != nil {
			return nil, 0, at, err
		}
		if !newest {
			continue
		}
		known, err := m.opt.History.Journey(ctx, []string{string(a.Tenant)}, string(a.EventID))
		if err != nil {
			return nil, 0, at, err
		}
		e := known.Event
		if e == nil {
			e = &history.Event{ID: string(a.EventID), Tenant: string(a.Tenant), BodyGone: true}
		}
		batch = append(batch, m.target(j, e, []event.WebhookID{a.Webhook}, a.Seq))
	}
	return batch, p.Next, at, nil
}

// target narrows the webhooks down to those that are asked for.
func (m *Manager) target(j *Job, e *history.Event, webhooks []event.WebhookID, seq uint64) Target {
	if j.Spec.To != nil {
		webhooks = []event.WebhookID{*j.Spec.To}
	} else if w := j.Spec.Filter.Webhook; w != nil {
		webhooks = []event.WebhookID{*w}
	}
	t := Target{Event: e}
	for _, id := range webhooks {
		if _, tenant, ok := m.opt.Webhook(id); ok && tenant == e.Tenant {
			t.Webhooks = append(t.Webhooks, id)
		}
	}
	h := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("replay\x00"+j.ID+"\x00"), seq))
	t.key = [16]byte(h[:16])
	return t
}

// whole returns the event of t as it can be sent, or why not.
func (t *Target) whole() (*event.Event, string) {
	if len(t.Webhooks) == 0 {
		return nil, "no_webhook"
	}
	e, err := t.Event.Whole()
	switch {
	case err == nil:
		e.Mark = event.MarkReplay
		return e, ""
	case t.Event.Redacted:
		return nil, "redacted"
	case t.Event.Cut:
		return nil, "cut"
	}
	return nil, "body_gone"
}

// pass appends a page's targets, in their order as far as waiting together allows.
func (w *worker) pass(ctx context.Context, batch []Target) error {
	for len(batch) > 0 {
		n := min(len(batch), together)
		if err := w.pace(ctx, n); err != nil {
			return err
		}
		var all sync.WaitGroup
		errs := make([]error, n)
		for i := range batch[:n] {
			t := &batch[i]
			e, reason := t.whole()
			w.r.update(func(j *Job) {
				j.Matched++
				if e == nil {
					j.skip(reason)
				}
			})
			if e != nil {
				all.Go(func() { errs[i] = w.append(ctx, e, t) })
			}
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		w.unsaved += n
		batch = batch[n:]
	}
	return nil
}

// append puts one event into the queue, once per job however often it is called. While the queue has no room it waits.
func (w *worker) append(ctx context.Context, e *event.Event, t *Target) error {
	d := queue.Dedup{Key: t.key, Fingerprint: t.key}
	for {
		_, err := w.m.opt.Queue.Append(ctx, e, t.Webhooks, &d)
		switch {
		case err == nil:
			w.r.update(func(j *Job) { j.Done++; j.Note = "" })
			return nil
		case errors.Is(err, queue.ErrTooLarge):
			w.r.update(func(j *Job) { j.skip("too_large") })
			return nil
		case !errors.Is(err, queue.ErrFull) && !errors.Is(err, queue.ErrDiskLow):
			return err
		}
		w.r.update(func(j *Job) { j.Note = "waiting: " + err.Error() })
		if err := wait(ctx, time.Second); err != nil {
			return err
		}
	}
}

// dead goes through the dead deliveries and makes them due, or removes them. Those that died after the job was started are not its business:
// what it makes due, and dies again, is not made due twice.
func (w *worker) dead(ctx context.Context) error {
	for {
		j := w.r.snapshot()
		page, next, err := w.m.opt.Queue.List(j.deadFilter(), j.Cursor, pageSize)
		if err != nil {
			return err
		}
		var batch []queue.Info
		for _, i := range page {
			if j.wants(&i) {
				batch = append(batch, i)
			}
		}
		if err := w.settleDead(ctx, &j, batch); err != nil {
			return err
		}
		if next == "" {
			return nil
		}
		w.r.update(func(j *Job) { j.Cursor = next })
		w.checkpoint(ctx)
	}
}

// wants says whether a dead delivery is meant.
func (j *Job) wants(i *queue.Info) bool {
	f := &j.Spec.Filter
	died := time.UnixMilli(i.Last.At)
	return !died.After(j.Created) && (f.Type == "" || f.Type == i.Type) && (f.Program == "" || f.Program == i.Program) &&
		(f.Reason == "" || f.Reason == i.Last.Reason.String()) && (f.From.IsZero() || !died.Before(f.From)) && (f.To.IsZero() || died.Before(f.To))
}

func (w *worker) settleDead(ctx context.Context, j *Job, batch []queue.Info) error {
	act := w.m.opt.Queue.Redrive
	if j.Spec.Kind == Purge {
		act = w.m.opt.Queue.Discard
	}
	for len(batch) > 0 {
		n := min(len(batch), together)
		if err := w.pace(ctx, n); err != nil {
			return err
		}
		var all sync.WaitGroup
		errs := make([]error, n)
		for i := range batch[:n] {
			all.Go(func() {
				err := act(ctx, batch[i].ID)
				reason := ""
				switch {
				case errors.Is(err, queue.ErrNotFound):
					reason = "gone"
				case errors.Is(err, queue.ErrBusy):
					reason = "in_flight"
				case err != nil:
					errs[i] = err
					return
				}
				w.r.update(func(j *Job) {
					j.Matched++
					if reason != "" {
						j.skip(reason)
					} else {
						j.Done++
					}
					j.At = time.UnixMilli(batch[i].Last.At).UTC()
				})
			})
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		w.unsaved += n
		batch = batch[n:]
	}
	return nil
}

// receiptIDs bounds the ids in a receipt.
const receiptIDs = 1000

// erase removes what meets the condition from the history, and then from the dead deliveries. It is done from the beginning when it is resumed.
func (w *worker) erase(ctx context.Context) error {
	j := w.r.snapshot()
	match, err := w.m.opt.Compile(j.Spec.Where)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(j.Spec.Where))
	receipt := &Receipt{Condition: hex.EncodeToString(sum[:])}
	out, err := w.m.opt.History.Erase(ctx, j.Spec.Filter.Tenants, match)
	if err != nil {
		return err
	}
	receipt.Events, receipt.Records, receipt.Parts, receipt.Unexamined = len(out.Events), out.Records, out.Parts, out.Unexamined
	for _, e := range out.Events[:min(len(out.Events), receiptIDs)] {
		receipt.IDs = append(receipt.IDs, e.ID)
	}
	if err := w.eraseDead(ctx, &j, match, receipt); err != nil {
		return err
	}
	w.r.update(func(j *Job) {
		j.Receipt, j.Matched, j.Done = receipt, int64(receipt.Events), int64(receipt.Records+receipt.Dead)
	})
	return nil
}

// eraseDead removes dead deliveries whose event meets the condition, and counts those that wait: they are owed, and stay.
func (w *worker) eraseDead(ctx context.Context, j *Job, match func(*history.Event) (bool, error), receipt *Receipt) error {
	for cursor := ""; ; {
		page, next, err := w.m.opt.Queue.List(queue.Filter{Tenants: j.Spec.Filter.Tenants}, cursor, pageSize)
		if err != nil {
			return err
		}
		for _, i := range page {
			if err := ctx.Err(); err != nil {
				return err
			}
			_, e, err := w.m.opt.Queue.Get(i.ID)
			if errors.Is(err, queue.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			ok, err := match(&history.Event{ID: string(e.ID), Type: string(e.Type), Tenant: string(e.Tenant), Program: string(e.Program), Envelope: e.Envelope, Size: len(e.Envelope)})
			switch {
			case err != nil:
				return fmt.Errorf("event %s: %w", e.ID, err)
			case !ok:
			case i.State != queue.StateDead:
				receipt.Waiting++
			default:
				if err := w.m.opt.Queue.Discard(ctx, i.ID); err != nil && !errors.Is(err, queue.ErrNotFound) {
					return err
				}
				receipt.Dead++
			}
		}
		if next == "" {
			return nil
		}
		cursor = next
	}
}
