package relay

import (
	"context"
	"errors"
	"slices"
	"time"

	"edgerelay/relay/admin"
	"edgerelay/relay/deliver"
	"edgerelay/relay/event"
	"edgerelay/relay/metrics"
	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
)

// deliveries shows the queue to the management API.
type deliveries struct{ r *Relay }

func (d deliveries) List(_ context.Context, f admin.Filter, cursor string, limit int) ([]admin.Delivery, string, error) {
	qf := queue.Filter{Webhook: f.Webhook, Event: f.Event, Tenants: f.Tenants}
	switch f.State {
	case queue.StateRetrying.String():
		qf.State = queue.StateRetrying
	case queue.StateDead.String():
		qf.State = queue.StateDead
	case queue.StateHeld.String():
		qf.State = queue.StateHeld
	}
	infos, next, err := d.r.queue.List(qf, cursor, limit)
	if err != nil {
		return nil, "", apiError(err)
	}
	table := d.r.table.Load()
	out := make([]admin.Delivery, len(infos))
	for i := range infos {
		out[i] = describe(table, &infos[i])
	}
	return out, next, nil
}

func (d deliveries) Get(_ context.Context, id event.DeliveryID) (admin.Delivery, []byte, error) {
	info, e, err := d.r.queue.Get(id)
	if err != nil {
		return admin.Delivery{}, nil, apiError(err)
	}
	return describe(d.r.table.Load(), &info), e.Envelope, nil
}

func (d deliveries) Redrive(ctx context.Context, id event.DeliveryID) error {
	return apiError(d.r.queue.Redrive(ctx, id))
}

// apiError says in the API's words what the queue means.
func apiError(err error) error {
	switch {
	case errors.Is(err, queue.ErrNotFound):
		return admin.ErrNotFound
	case errors.Is(err, queue.ErrCursor):
		return admin.ErrCursor
	case errors.Is(err, queue.ErrBusy):
		return &admin.Conflict{Detail: "this delivery is being attempted right now: its outcome is not known yet"}
	case errors.Is(err, queue.ErrClosed), errors.Is(err, queue.ErrFailed):
		return errors.Join(admin.ErrUnavailable, err)
	}
	return err
}

func describe(table *webhooks.Table, i *queue.Info) admin.Delivery {
	d := admin.Delivery{ID: i.ID.String(), Webhook: i.Webhook.String(), Event: i.EventID, Type: i.Type, Tenant: i.Tenant, Program: i.Program,
		Status: i.State.String(), Attempts: i.Attempts, AcceptedAt: time.UnixMicro(i.Accepted).UTC()}
	if w := table.Get(i.Webhook); w != nil {
		d.WebhookName = w.Name
	}
	if i.First != 0 {
		d.FirstAttempt = time.UnixMilli(i.First).UTC()
	}
	if i.State == queue.StateRetrying {
		d.NextAttempt = time.UnixMilli(i.Due).UTC()
	}
	if i.Last.Reason != queue.ReasonNone {
		d.LastFailure = &admin.Failure{Reason: i.Last.Reason.String(), HTTPStatus: i.Last.Status, Detail: i.Last.Detail, At: time.UnixMilli(i.Last.At).UTC()}
	}
	return d
}

// webhooks lists the configured webhooks with what their lanes are doing.
func (r *Relay) webhooks() []admin.Webhook {
	lanes := map[event.WebhookID]deliver.LaneInfo{}
	for _, l := range r.deliver.Lanes() {
		lanes[l.Webhook] = l
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.viewed != r.cfg { // what follows from the configuration alone is worked out once
		r.viewed, r.viewIDs, r.views = r.cfg, make([]event.WebhookID, len(r.cfg.Webhooks)), make([]admin.Webhook, len(r.cfg.Webhooks))
		for i := range r.cfg.Webhooks {
			r.viewIDs[i] = webhookID(&r.cfg.Webhooks[i])
			r.views[i] = r.view(i, r.viewIDs[i], deliver.LaneInfo{})
		}
	}
	out := slices.Clone(r.views)
	for i := range out {
		if l, ok := lanes[r.viewIDs[i]]; ok {
			doing(&out[i], &l)
		}
	}
	return out
}

// doing adds what the lane is doing.
func doing(v *admin.Webhook, l *deliver.LaneInfo) {
	v.Circuit = l.State.String()
	v.Sending = admin.Sending{Reason: l.Reason, RetryAt: l.Until.UTC(), Limit: l.Limit, Throttled: l.Throttled, FailingSince: l.FailingSince.UTC()}
	v.Counters = admin.Counters{Delivered: l.Delivered, Failed: l.Failed, Dead: l.Dead, InFlight: int64(l.InFlight)}
	if !l.Last.IsZero() {
		v.Last = l.Last.UTC()
	}
	if l.State == deliver.Disabled {
		v.Status, v.Disabled = "disabled", l.Reason
	}
}

// view describes webhook i with what its lane is doing; r.mu is held.
func (r *Relay) view(i int, id event.WebhookID, l deliver.LaneInfo) admin.Webhook {
	c := &r.cfg.Webhooks[i]
	v := admin.Webhook{Locked: r.cfg.Policy.LockEndpoint, ID: id.String(), Name: c.Name, Description: c.Description, Tenant: c.Tenant, Program: c.Program, Origin: originOf(c),
		Events: c.Events, URL: c.URL, Method: c.Method, Status: c.Status, OnPaused: c.OnPaused, PayloadType: c.Payload.Type, Authorization: c.Authorization}
	doing(&v, &l)
	if v.Events == nil {
		v.Events = []string{}
	}
	if o := r.store.Get(c.ID); o != nil {
		v.Revision, v.CreatedAt, v.UpdatedAt, v.UpdatedBy = o.Revision, o.CreatedAt, o.UpdatedAt, o.UpdatedBy
	}
	return v
}

// circuits is webhooks for the metrics.
func (r *Relay) circuits() []metrics.Webhook {
	table := r.table.Load()
	lanes := r.deliver.Lanes()
	out := make([]metrics.Webhook, 0, len(lanes))
	for _, l := range lanes {
		w := table.Get(l.Webhook)
		if w == nil {
			continue
		}
		m := metrics.Webhook{ID: w.ID.String(), Name: w.Name, Tenant: w.Tenant, Limit: l.Limit, Concurrency: w.Concurrency, InFlight: l.InFlight, Delivered: l.Delivered, Failed: l.Failed, Dead: l.Dead}
		switch l.State {
		case deliver.HalfOpen:
			m.Circuit = metrics.CircuitHalfOpen
		case deliver.Open:
			m.Circuit = metrics.CircuitOpen
		case deliver.Disabled:
			m.Circuit = metrics.CircuitDisabled
		}
		out = append(out, m)
	}
	return out
}

func (r *Relay) queueSnapshot() metrics.QueueSnapshot {
	s := r.queue.Stats()
	m := metrics.QueueSnapshot{Pending: s.Pending, Retrying: s.Retrying, Dead: s.Dead, Held: s.Held, Bytes: s.Bytes, DiskFree: s.DiskFree, Lost: s.LostEvents, Damaged: s.Damaged,
		MaxBytes: int64(r.boot.Queue.MaxBytes), Full: s.Full, DiskLow: s.DiskLow, Events: s.Events}
	if s.OldestMs != 0 {
		m.Oldest = time.UnixMilli(s.OldestMs)
	}
	return m
}

func (r *Relay) stats() admin.Stats {
	s := r.queue.Stats()
	q := admin.QueueStats{Pending: s.Pending, Retrying: s.Retrying, Dead: s.Dead, Held: s.Held, Bytes: s.Bytes, DiskFree: s.DiskFree, Full: s.Full, DiskLow: s.DiskLow,
		LostEvents: s.LostEvents, DamagedRecords: s.Damaged}
	if s.OldestMs != 0 {
		q.OldestAt = time.UnixMilli(s.OldestMs).UTC()
	}
	return admin.Stats{Version: r.version, Started: r.started.UTC(), Queue: q}
}

// health is whether the process is worth keeping.
func (r *Relay) health() []admin.Check {
	return []admin.Check{{Name: "queue", Err: r.queue.Err()}, {Name: "store writes", Err: r.pulse.err()}}
}

// ready is whether producers should be sent here.
func (r *Relay) ready() []admin.Check {
	s := r.queue.Stats()
	checks := r.health()
	add := func(name string, bad bool, err error) {
		if !bad {
			err = nil
		}
		checks = append(checks, admin.Check{Name: name, Err: err})
	}
	add("accepting", r.draining.Load(), errors.New("the relay is stopping"))
	add("queue space", s.Full, queue.ErrFull)
	add("disk space", s.DiskLow, queue.ErrDiskLow)
	return checks
}
