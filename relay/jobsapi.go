package relay

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"edgerelay/relay/admin"
	"edgerelay/relay/event"
	"edgerelay/relay/history"
	"edgerelay/relay/payload"
	"edgerelay/relay/replay"
	"edgerelay/relay/store"
)

// openJobs goes on with the jobs of earlier starts. The webhooks are known by now.
func (r *Relay) openJobs() (err error) {
	r.jobs, err = replay.New(replay.Options{Queue: r.queue, History: r.history, Compile: compileWhere, Log: r.log,
		Webhook: func(id event.WebhookID) (name, tenant string, ok bool) {
			w := r.table.Load().Get(id)
			if w == nil {
				return "", "", false
			}
			return w.Name, w.Tenant, true
		}, Audit: r.auditJob})
	if err != nil {
		return err
	}
	r.stopLast("jobs", func(context.Context) error { r.jobs.Close(); return nil })
	r.jobs.Resume()
	return nil
}

// auditJob notes that somebody has started a job, and how it ended: an erasure's entry is its receipt.
func (r *Relay) auditJob(j replay.Job) {
	d := describeJob(j)
	e := &store.Entry{Actor: j.Spec.By, Action: d.Status, Kind: "job", Object: j.ID, Name: d.Kind}
	if d.Status == string(replay.Running) {
		e.Action = "start"
	}
	if len(d.Tenants) == 1 {
		e.Tenant = d.Tenants[0]
	}
	var err error
	if e.After, err = json.Marshal(d); err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err = r.store.Note(ctx, e)
	}
	if err != nil {
		r.log.Warn("cannot note a job in the audit log", "job", j.ID, "error", err)
	}
}

// compileWhere makes a condition of an expression, with the words of filters.
func compileWhere(where string) (func(*history.Event) (bool, error), error) {
	f, err := payload.CompileFilter(where)
	if err != nil {
		return nil, err
	}
	var in payload.Input
	return func(e *history.Event) (bool, error) {
		fields, err := event.Parse(e.Envelope, nil)
		if err != nil {
			return false, nil //nolint:nilerr // what is no event any more does not match
		}
		in.Reset()
		in.ID, in.Type, in.Time, in.Tenant, in.Program = []byte(e.ID), []byte(e.Type), fields.Time, []byte(e.Tenant), []byte(e.Program)
		in.Data, in.Envelope = fields.Data, e.Envelope
		ok, err := f.Match(&in)
		return ok && err == nil, nil // a condition about members that this event does not have is not met
	}, nil
}

// jobs shows the jobs to the management API.
type jobs struct{ r *Relay }

func specOf(q *admin.JobRequest, tenants []string, by string) replay.Spec {
	s := replay.Spec{Kind: replay.Kind(q.Kind), To: q.To, Rate: q.Rate, Where: q.Where, By: by, Filter: replay.Filter{Tenants: tenants, Program: q.Program, Type: q.Type,
		Event: q.Event, Webhook: q.Webhook, Reason: q.Reason, From: q.Since, To: q.Before, Text: q.Search}}
	if st, ok := history.ParseStatus(q.Status); ok {
		s.Filter.Statuses = []history.Status{st}
	}
	return s
}

func (j jobs) Start(ctx context.Context, q admin.JobRequest, tenants []string, by string) (admin.Job, error) {
	for _, id := range []*event.WebhookID{q.Webhook, q.To} {
		if id == nil {
			continue
		}
		if w := j.r.table.Load().Get(*id); q.To == id && (w == nil || !reaches(tenants, w.Tenant)) {
			return admin.Job{}, admin.Mistakes{{Path: "to_webhook", Message: "there is no such webhook"}}
		}
	}
	job, err := j.r.jobs.Start(ctx, specOf(&q, tenants, by))
	return describeJob(job), jobError(err)
}

func (j jobs) Count(ctx context.Context, q admin.JobRequest, tenants []string) (admin.JobCount, error) {
	n, err := j.r.jobs.Count(ctx, specOf(&q, tenants, ""), countBudget)
	out := admin.JobCount{Matched: n.Matched, Skipped: n.Skipped, Examples: n.Examples, Complete: n.Complete}
	if out.Skipped == nil {
		out.Skipped = map[string]int64{}
	}
	if out.Examples == nil {
		out.Examples = []string{}
	}
	return out, jobError(err)
}

// countBudget is how long a dry run may take.
const countBudget = 10 * time.Second

func (j jobs) List(tenants []string) (out []admin.Job) {
	for _, job := range j.r.jobs.List(tenants) {
		out = append(out, describeJob(job))
	}
	return out
}

func (j jobs) Get(id string, tenants []string) (admin.Job, error) {
	job, err := j.r.jobs.Get(tenants, id)
	return describeJob(job), jobError(err)
}

func (j jobs) Cancel(id string, tenants []string) error {
	return jobError(j.r.jobs.Cancel(tenants, id))
}

func jobError(err error) error {
	var spec *replay.SpecError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &spec):
		return admin.Mistakes{{Path: spec.Field, Message: spec.Msg}}
	case errors.Is(err, replay.ErrNotFound):
		return admin.ErrNotFound
	case errors.Is(err, replay.ErrEnded), errors.Is(err, replay.ErrBusy):
		return &admin.Conflict{Detail: err.Error()}
	}
	return apiError(err)
}

func describeJob(j replay.Job) admin.Job {
	d := admin.Job{ID: j.ID, Kind: string(j.Spec.Kind), Status: string(j.Status), By: j.Spec.By, Tenants: j.Spec.Filter.Tenants, CreatedAt: j.Created, EndedAt: j.Ended,
		Rate: j.Spec.Rate, Matched: j.Matched, Done: j.Done, Skipped: j.Skipped, At: j.At, Note: j.Note}
	if d.Tenants == nil {
		d.Tenants = []string{}
	}
	if d.Skipped == nil {
		d.Skipped = map[string]int64{}
	}
	if r := j.Receipt; r != nil {
		d.Receipt = &admin.EraseReceipt{Condition: r.Condition, Events: r.Events, EventIDs: append([]string{}, r.IDs...), Records: r.Records, Dead: r.Dead, Waiting: r.Waiting, Unexamined: r.Unexamined}
	}
	return d
}
