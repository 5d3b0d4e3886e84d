package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/history"
	"edgerelay/relay/queue"
)

// Options of a Manager. Queue, Webhook, Compile and Log are required.
type Options struct {
	Queue   queue.Queue
	History *history.Store // nil = there is none: nothing can be replayed or erased

	// Webhook returns the name and the tenant of a webhook as it is now; ok is false when there is none.
	Webhook func(event.WebhookID) (name, tenant string, ok bool)
	// Compile makes a condition of an expression.
	Compile func(where string) (func(*history.Event) (bool, error), error)
	// Audit, when it is not nil, is told when a job begins and ends.
	Audit func(Job)

	Log *slog.Logger
	Now func() time.Time
}

const (
	jobPrefix  = "job/"
	maxRunning = 4
	keptJobs   = 200 // ended ones; older ones are forgotten
	saveEvery  = time.Second
	saveAfter  = 1000 // events or deliveries
	// tooOld is when the queue may have forgotten which events a job has passed on already: it remembers for 24 hours.
	tooOld = 23 * time.Hour
)

// Manager runs jobs. Make one with New, then call Resume.
type Manager struct {
	opt    Options
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu   sync.Mutex // guards what follows
	jobs map[string]*running
}

// running is a job in memory, whether it runs or has ended.
type running struct {
	mu     sync.Mutex
	job    Job
	cancel context.CancelFunc // nil = it has ended
}

func (r *running) snapshot() Job {
	r.mu.Lock()
	defer r.mu.Unlock()
	j := r.job
	j.Skipped = maps.Clone(j.Skipped)
	return j
}

// update changes the job.
func (r *running) update(fn func(*Job)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn(&r.job)
}

// New makes a Manager and reads the jobs of earlier starts.
func New(o Options) (*Manager, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	m := &Manager{opt: o, jobs: map[string]*running{}}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	err := o.Queue.Scan(jobPrefix, func(key string, value []byte) bool {
		var j Job
		if err := json.Unmarshal(value, &j); err != nil {
			o.Log.Warn("a stored job cannot be read and is left alone", "key", key, "error", err)
			return true
		}
		m.jobs[j.ID] = &running{job: j}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	return m, nil
}

// Resume goes on with the jobs that the end of the process has interrupted.
func (m *Manager) Resume() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.jobs {
		if r.job.Status != Running {
			continue
		}
		if m.opt.Now().Sub(r.job.Updated) > tooOld && r.job.Spec.Kind == Replay {
			r.job.Status, r.job.Ended, r.job.Note = Failed, m.opt.Now().UTC(), "it was interrupted for so long that it is not known any more what it had sent last; start another one from there"
			m.opt.Log.Warn("a job is not resumed", "job", r.job.ID, "reason", r.job.Note)
			continue
		}
		m.opt.Log.Info("job resumed", "job", r.job.ID, "kind", string(r.job.Spec.Kind), "done", r.job.Done)
		m.startLocked(r)
	}
}

// Close interrupts the jobs: they go on with the next start.
func (m *Manager) Close() {
	m.cancel()
	m.done.Wait()
}

// Start begins a job.
func (m *Manager) Start(ctx context.Context, s Spec) (Job, error) {
	if err := s.check(); err != nil {
		return Job{}, err
	}
	if s.Rate == 0 {
		s.Rate = DefaultRate
	}
	if m.opt.History == nil && (s.Kind == Replay || s.Kind == Erase) {
		return Job{}, &SpecError{"kind", "there is no history: history.enabled is false, or it could not be opened"}
	}
	if s.Kind == Erase {
		if _, err := m.opt.Compile(s.Where); err != nil {
			return Job{}, &SpecError{"where", err.Error()}
		}
	}
	now := m.opt.Now()
	j := Job{ID: string(event.AppendTypeID(nil, "jb", event.NewUUID(now))), Spec: s, Status: Running, Created: now.UTC(), Updated: now.UTC()}
	if s.Kind == Replay {
		j.Until = m.opt.History.Last()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, r := range m.jobs {
		if r.cancel != nil {
			n++
		}
	}
	if n >= maxRunning {
		return Job{}, ErrBusy
	}
	if err := m.store(ctx, &j); err != nil {
		return Job{}, err
	}
	m.forgetLocked(ctx)
	r := &running{job: j}
	m.jobs[j.ID] = r
	m.audit(j)
	m.startLocked(r)
	return j, nil
}

func (m *Manager) audit(j Job) {
	if m.opt.Audit != nil {
		m.opt.Audit(j)
	}
}

// forgetLocked removes the oldest ended jobs when there are many.
func (m *Manager) forgetLocked(ctx context.Context) {
	var ended []Job
	for _, r := range m.jobs {
		if j := r.snapshot(); j.Status != Running {
			ended = append(ended, j)
		}
	}
	slices.SortFunc(ended, func(a, b Job) int { return a.Created.Compare(b.Created) })
	for i := range max(0, len(ended)-keptJobs) {
		if err := m.opt.Queue.Put(ctx, jobPrefix+ended[i].ID, nil); err != nil {
			return
		}
		delete(m.jobs, ended[i].ID)
	}
}

// store makes the state of a job durable.
func (m *Manager) store(ctx context.Context, j *Job) error {
	j.Updated = m.opt.Now().UTC()
	b, err := json.Marshal(j)
	if err != nil {
		return fmt.Errorf("encode job: %w", err)
	}
	if err := m.opt.Queue.Put(ctx, jobPrefix+j.ID, b); err != nil {
		return fmt.Errorf("store job %s: %w", j.ID, err)
	}
	return nil
}

func (m *Manager) startLocked(r *running) {
	ctx, cancel := context.WithCancel(m.ctx)
	r.cancel = cancel
	m.done.Go(func() {
		defer cancel()
		m.run(ctx, r)
	})
}

// run does the work of a job and notes how it ended.
func (m *Manager) run(ctx context.Context, r *running) {
	w := &worker{m: m, r: r, saved: m.opt.Now(), begun: time.Now()}
	var err error
	switch r.job.Spec.Kind {
	case Replay:
		err = w.replay(ctx)
	case Redrive, Purge:
		err = w.dead(ctx)
	case Erase:
		err = w.erase(ctx)
	}
	if m.ctx.Err() != nil || errors.Is(err, queue.ErrClosed) || errors.Is(err, queue.ErrFailed) {
		return // the process ends: the next one goes on from the last checkpoint
	}
	r.update(func(j *Job) {
		j.Ended, j.Note = m.opt.Now().UTC(), ""
		switch {
		case err == nil:
			j.Status = Done
		case ctx.Err() != nil:
			j.Status = Cancelled
		default:
			j.Status, j.Note = Failed, err.Error()
		}
		j.Spec.Where = ""
	})
	w.save(context.WithoutCancel(ctx))
	m.mu.Lock()
	r.cancel = nil
	m.mu.Unlock()
	j := r.snapshot()
	m.opt.Log.Info("job ended", "job", j.ID, "kind", string(j.Spec.Kind), "status", string(j.Status), "matched", j.Matched, "done", j.Done, "note", j.Note)
	m.audit(j)
}

// Get returns a job that a token that reaches tenants may see.
func (m *Manager) Get(tenants []string, id string) (Job, error) {
	m.mu.Lock()
	r := m.jobs[id]
	m.mu.Unlock()
	if r == nil {
		return Job{}, ErrNotFound
	}
	if j := r.snapshot(); j.Visible(tenants) {
		return j, nil
	}
	return Job{}, ErrNotFound
}

// List returns the jobs that a token may see, newest first.
func (m *Manager) List(tenants []string) []Job {
	m.mu.Lock()
	list := slices.Collect(maps.Values(m.jobs))
	m.mu.Unlock()
	var jobs []Job
	for _, r := range list {
		if j := r.snapshot(); j.Visible(tenants) {
			jobs = append(jobs, j)
		}
	}
	slices.SortFunc(jobs, func(a, b Job) int {
		if c := b.Created.Compare(a.Created); c != 0 {
			return c
		}
		return strings.Compare(b.ID, a.ID)
	})
	return jobs
}

// Cancel ends a job. What it has passed on stays passed on.
func (m *Manager) Cancel(tenants []string, id string) error {
	if _, err := m.Get(tenants, id); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.jobs[id]
	if r == nil || r.cancel == nil {
		return ErrEnded
	}
	r.cancel()
	return nil
}
