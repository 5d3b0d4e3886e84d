package admin

import (
	"context"
	"time"

	"edgerelay/relay/event"
)

// Jobs runs what takes longer than a request. The relay adapts its own to it. tenants is what the token reaches, nil = everything: a job never
// reaches further, and is shown to those only who reach as far.
type Jobs interface {
	Start(ctx context.Context, s JobRequest, tenants []string, by string) (Job, error)
	// Count says what a replay or redrive would do, within a few seconds.
	Count(ctx context.Context, s JobRequest, tenants []string) (JobCount, error)
	List(tenants []string) []Job
	Get(id string, tenants []string) (Job, error)
	Cancel(id string, tenants []string) error
}

// The kinds of jobs.
const (
	JobReplay  = "replay"
	JobRedrive = "redrive"
	JobPurge   = "purge"
	JobErase   = "erase"
)

// JobRequest says what a job shall do.
type JobRequest struct {
	Kind    string
	Program string
	Type    string
	Event   string
	Webhook *event.WebhookID
	To      *event.WebhookID
	Status  string
	Reason  string
	Search  string
	Since   time.Time
	Before  time.Time
	Rate    int
	Where   string
}

// Job is one that runs or has ended.
type Job struct {
	ID        string           `json:"id"`
	Kind      string           `json:"kind" enum:"replay,redrive,purge,erase"`
	Status    string           `json:"status" enum:"running,done,cancelled,failed"`
	By        string           `json:"by" doc:"Name of the token."`
	Tenants   []string         `json:"tenants" doc:"Whose events; empty = every tenant's."`
	CreatedAt time.Time        `json:"created_at"`
	EndedAt   time.Time        `json:"ended_at,omitzero"`
	Rate      int              `json:"rate" doc:"At most so many per second."`
	Matched   int64            `json:"matched" doc:"Found so far."`
	Done      int64            `json:"done" doc:"Sent again, made due, or removed."`
	Skipped   map[string]int64 `json:"skipped" doc:"Left out, by reason: no_webhook, body_gone, redacted, cut, too_large, in_flight, gone."`
	At        time.Time        `json:"at,omitzero" doc:"How far it is: the time of what it looked at last."`
	Note      string           `json:"note,omitempty" doc:"What it waits for, or why it failed."`
	Receipt   *EraseReceipt    `json:"receipt,omitempty" doc:"Of an erasure."`
}

// EraseReceipt is the account of an erasure. It holds nothing of what was erased.
type EraseReceipt struct {
	Condition  string   `json:"condition_sha256"`
	Events     int      `json:"events"`
	EventIDs   []string `json:"event_ids" doc:"The first thousand."`
	Records    int      `json:"records" doc:"Events and attempts removed from the history."`
	Dead       int      `json:"dead_deliveries" doc:"Removed from the queue."`
	Waiting    int      `json:"waiting_deliveries" doc:"Still owed, and not touched."`
	Unexamined int      `json:"unexamined" doc:"Events whose body is not kept whole, so that it cannot be told whether they match."`
}

// JobCount is what a job would do.
type JobCount struct {
	Matched  int64            `json:"matched"`
	Skipped  map[string]int64 `json:"skipped"`
	Examples []string         `json:"examples" doc:"Ids of the first events or deliveries."`
	Complete bool             `json:"complete" doc:"False: counting took too long, there are more."`
}

// startedJob is a job that was started, or what it would do.
type startedJob struct {
	Job   *Job      `json:"job,omitempty"`
	Count *JobCount `json:"count,omitempty" doc:"Instead of a job, for a dry run."`
}

type deadFilter struct {
	Webhook string    `json:"webhook,omitempty" doc:"Only deliveries of this webhook."`
	Event   string    `json:"event,omitempty" maxLength:"255" doc:"Only deliveries of this event."`
	Type    string    `json:"type,omitempty" maxLength:"255"`
	Program string    `json:"program,omitempty" maxLength:"255"`
	Reason  string    `json:"reason,omitempty" maxLength:"32" doc:"Why they died, such as timeout."`
	From    time.Time `json:"from,omitzero" doc:"Only those that died then or later."`
	To      time.Time `json:"to,omitzero" doc:"Only those that died earlier."`
	Rate    int       `json:"rate,omitempty" minimum:"1" maximum:"100000" doc:"At most so many per second; absent = 1000."`
	DryRun  bool      `json:"dry_run,omitempty" doc:"Only count."`
}

type deadInput struct{ Body deadFilter }

type bulkReplay struct {
	Type    string    `json:"type,omitempty" maxLength:"255"`
	Program string    `json:"program,omitempty" maxLength:"255"`
	Webhook string    `json:"webhook,omitempty" doc:"Only events that were for this webhook, and only to it."`
	Status  string    `json:"status,omitempty" enum:"delivered,dropped,dead" doc:"Only deliveries that ended so."`
	Search  string    `json:"search,omitempty" maxLength:"1024"`
	From    time.Time `json:"from,omitzero"`
	To      time.Time `json:"to,omitzero"`
	Target  string    `json:"to_webhook,omitempty" doc:"Send to this webhook instead of those that the events were for."`
	Rate    int       `json:"rate,omitempty" minimum:"1" maximum:"100000" doc:"At most so many per second; absent = 1000."`
	DryRun  bool      `json:"dry_run,omitempty" doc:"Only count."`
}

type bulkReplayInput struct{ Body bulkReplay }

type eraseInput struct {
	Body struct {
		Where string `json:"where" minLength:"1" maxLength:"4096" doc:"An expression over id, type, time, tenant, program and data, as in filters."`
	}
}

type jobInput struct {
	ID string `path:"id" doc:"Id of the job." example:"jb_01jf2wkmvcfw6ts1qmgzya291c"`
}

type jobList struct {
	Items []Job `json:"items"`
}

func (s *Server) jobRoutes() []route {
	if s.opts.Jobs == nil {
		return nil
	}
	dead := func(path, id, kind, summary string) route {
		return operation(op{method: "POST", path: path, id: id, tag: "deliveries", role: RoleEditor, status: 202, also: []int{200}, errors: []int{409, 503},
			summary: summary, about: "It is a job: GET /api/v1/jobs/{id} says how far it is. Deliveries that die after it was started are left alone.",
			bodies: map[string]string{"count": `{"reason":"timeout","dry_run":true}`}},
			func(ctx context.Context, c *call, in *deadInput) (startedJob, error) {
				return s.startDead(ctx, c, kind, &in.Body)
			})
	}
	return []route{
		operation(op{method: "POST", path: "/api/v1/events/replay", id: "replay-events", tag: "events", role: RoleEditor, status: 202, also: []int{200}, errors: []int{409, 503},
			summary: "Send every event again that matches, as a job",
			about: "Events that were accepted before the job was started, oldest first, each once, also when the relay is restarted meanwhile. " +
				"Without a condition: every event that the history has.",
			bodies: map[string]string{"count": `{"type":"order.paid","from":"2026-11-24T10:00:00Z","dry_run":true}`}}, s.replayEvents),
		dead("/api/v1/deliveries/redrive", "redrive-deliveries", JobRedrive, "Make every dead delivery due again that matches, as a job"),
		dead("/api/v1/deliveries/purge", "purge-deliveries", JobPurge, "Remove every dead delivery for good that matches, as a job"),
		operation(op{method: "POST", path: "/api/v1/erase", id: "erase-events", tag: "events", role: RoleAdmin, status: 202, also: []int{200}, errors: []int{409, 503},
			summary: "Erase every event that meets a condition, with its attempts and dead deliveries, as a job",
			about:   "The job's receipt says what was erased.",
			bodies:  map[string]string{"one user": `{"where":"data.user.id == \"42\""}`}}, s.erase),
		operation(op{method: "GET", path: "/api/v1/jobs", id: "list-jobs", tag: "events", role: RoleViewer, summary: "List jobs, newest first"},
			func(_ context.Context, c *call, _ *none) (jobList, error) {
				list := jobList{Items: s.opts.Jobs.List(c.tenants)}
				if list.Items == nil {
					list.Items = []Job{}
				}
				return list, nil
			}),
		operation(op{method: "GET", path: "/api/v1/jobs/{id}", id: "get-job", tag: "events", role: RoleViewer, summary: "Show how far a job is"},
			func(_ context.Context, c *call, in *jobInput) (Job, error) { return s.opts.Jobs.Get(in.ID, c.tenants) }),
		operation(op{method: "POST", path: "/api/v1/jobs/{id}/cancel", id: "cancel-job", tag: "events", role: RoleEditor, errors: []int{409},
			summary: "End a job; what it has done stays done"}, s.cancelJob),
	}
}

func (s *Server) startDead(ctx context.Context, c *call, kind string, b *deadFilter) (out startedJob, err error) {
	r := JobRequest{Kind: kind, Program: b.Program, Type: b.Type, Event: b.Event, Reason: b.Reason, Since: b.From, Before: b.To, Rate: b.Rate}
	if r.Webhook, err = optionalWebhook("webhook", b.Webhook); err != nil {
		return out, err
	}
	return s.startJob(ctx, c, r, b.DryRun)
}

func (s *Server) replayEvents(ctx context.Context, c *call, in *bulkReplayInput) (out startedJob, err error) {
	b := &in.Body
	r := JobRequest{Kind: JobReplay, Program: b.Program, Type: b.Type, Status: b.Status, Search: b.Search, Since: b.From, Before: b.To, Rate: b.Rate}
	if r.Webhook, err = optionalWebhook("webhook", b.Webhook); err != nil {
		return out, err
	}
	if r.To, err = optionalWebhook("to_webhook", b.Target); err != nil {
		return out, err
	}
	return s.startJob(ctx, c, r, b.DryRun)
}

func optionalWebhook(path, text string) (*event.WebhookID, error) {
	if text == "" {
		return nil, nil
	}
	id, err := event.ParseWebhookID(text)
	if err != nil {
		return nil, Mistakes{{Path: path, Message: err.Error()}}
	}
	return &id, nil
}

func (s *Server) erase(ctx context.Context, c *call, in *eraseInput) (startedJob, error) {
	return s.startJob(ctx, c, JobRequest{Kind: JobErase, Where: in.Body.Where}, false)
}

func (s *Server) startJob(ctx context.Context, c *call, r JobRequest, dry bool) (out startedJob, err error) {
	if dry {
		n, err := s.opts.Jobs.Count(ctx, r, c.tenants)
		c.status = 200
		return startedJob{Count: &n}, err
	}
	j, err := s.opts.Jobs.Start(ctx, r, c.tenants, c.name)
	if err != nil {
		return out, err
	}
	s.opts.Log.Info("job started", "job", j.ID, "kind", j.Kind, "token", c.name)
	return startedJob{Job: &j}, nil
}

func (s *Server) cancelJob(_ context.Context, c *call, in *jobInput) (Job, error) {
	if err := s.opts.Jobs.Cancel(in.ID, c.tenants); err != nil {
		return Job{}, err
	}
	s.opts.Log.Info("job cancelled", "job", in.ID, "token", c.name)
	return s.opts.Jobs.Get(in.ID, c.tenants)
}
