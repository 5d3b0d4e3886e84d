package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/history"
	"edgerelay/relay/queue"
	"edgerelay/relay/queue/badgerq"
)

var (
	feed = event.NamedWebhookID("acme", "feed")
	crm  = event.NamedWebhookID("acme", "crm")
	gone = event.NamedWebhookID("acme", "gone")
)

// rig is a manager on a real queue and a real history.
type rig struct {
	*Manager
	t       testing.TB
	dir     string
	queue   *badgerq.Queue
	history *history.Store
	ready   chan struct{} // the queue has something for somebody
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, dir: t.TempDir()}
	r.open()
	t.Cleanup(r.close)
	return r
}

func (r *rig) open() {
	r.t.Helper()
	opt := badgerq.DefaultOptions(filepath.Join(r.dir, "queue"))
	opt.Log, opt.MinFree = slog.New(slog.DiscardHandler), 0
	ready := make(chan struct{}, 1)
	r.ready = ready
	opt.Ready = func(event.WebhookID) {
		select {
		case ready <- struct{}{}:
		default:
		}
	}
	var err error
	if r.queue, err = badgerq.Open(opt); err != nil {
		r.t.Fatal(err)
	}
	if r.history, err = history.Open(history.Options{Dir: filepath.Join(r.dir, "history"), Log: opt.Log}); err != nil {
		r.t.Fatal(err)
	}
	r.Manager, err = New(Options{Queue: r.queue, History: r.history, Log: opt.Log,
		Webhook: func(w event.WebhookID) (string, string, bool) { return "name", "acme", w != gone },
		Compile: func(where string) (func(*history.Event) (bool, error), error) {
			if where == "bad" {
				return nil, errors.New("not an expression")
			}
			return func(e *history.Event) (bool, error) { return bytes.Contains(e.Envelope, []byte(where)), nil }, nil
		}})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) close() {
	r.Manager.Close()
	if err := errors.Join(r.history.Close(), r.queue.Close()); err != nil {
		r.t.Error(err)
	}
}

func (r *rig) newEvent(id, typ, data string) *event.Event {
	f, err := event.Parse(fmt.Appendf(nil, `{"id":%q,"type":%q,"data":%s}`, id, typ, data), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	e, _ := event.BuildEvent(nil, &f, nil, time.Now())
	e.Tenant = []byte("acme")
	return e.Clone()
}

// past records an event and how a delivery of it ended.
func (r *rig) past(e *event.Event, status history.Status, webhooks ...event.WebhookID) {
	rec := r.history.Recorder()
	rec.Event(e, webhooks)
	for _, w := range webhooks {
		rec.Attempt(&history.Attempt{Delivery: event.DeliveryIDOf(e.Tenant, e.ID, w), Webhook: w, Event: e, EventID: e.ID, Type: e.Type, Tenant: e.Tenant, Number: 1,
			Start: time.Now(), Status: status, Keep: true})
	}
}

func (r *rig) start(s Spec) Job {
	r.t.Helper()
	s.By = "test"
	if s.Rate == 0 {
		s.Rate = MaxRate
	}
	j, err := r.Start(context.Background(), s)
	if err != nil {
		r.t.Fatal(err)
	}
	return j
}

// ended waits for a job.
func (r *rig) ended(id string) Job {
	r.t.Helper()
	r.Manager.done.Wait()
	j, err := r.Get(nil, id)
	if err != nil {
		r.t.Fatal(err)
	}
	return j
}

// drain takes everything that the queue has.
func (r *rig) drain() map[event.WebhookID][]string {
	ids := map[event.WebhookID][]string{}
	var d queue.Delivery
	for {
		for _, w := range []event.WebhookID{feed, crm} {
			for r.queue.Lease(w, &d) {
				if d.Event.Mark != event.MarkReplay {
					r.t.Errorf("event %s is not marked", d.Event.ID)
				}
				ids[w] = append(ids[w], string(d.Event.ID))
				r.queue.Ack(&d)
			}
		}
		if r.queue.Stats().Pending == 0 {
			return ids
		}
		<-r.ready
	}
}

func want(t testing.TB, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: %.500s, want %.500s", what, g, w)
	}
}

func TestReplayByFilter(t *testing.T) {
	r := newRig(t)
	for i := range 100 {
		typ, status := "a", history.StatusDelivered
		if i%2 == 1 {
			typ = "b"
		}
		if i%10 == 0 {
			status = history.StatusDead
		}
		r.past(r.newEvent(fmt.Sprintf("e%02d", i), typ, fmt.Sprintf(`{"n":"<%d>"}`, i)), status, feed, crm)
	}
	r.past(r.newEvent("orphan", "c", `{}`), history.StatusDelivered, gone)
	for name, c := range map[string]struct {
		spec    Spec
		feed    int
		crm     int
		skipped string
	}{
		"type":         {Spec{Filter: Filter{Type: "a"}}, 50, 50, "map[]"},
		"one webhook":  {Spec{Filter: Filter{Type: "a", Webhook: &crm}}, 0, 50, "map[]"},
		"to another":   {Spec{Filter: Filter{Text: "<17>"}, To: &crm}, 0, 1, "map[]"},
		"dead":         {Spec{Filter: Filter{Statuses: []history.Status{history.StatusDead}}}, 10, 10, "map[]"},
		"event":        {Spec{Filter: Filter{Event: "e07"}}, 1, 1, "map[]"},
		"no webhook":   {Spec{Filter: Filter{Type: "c"}}, 0, 0, "map[no_webhook:1]"},
		"other tenant": {Spec{Filter: Filter{Tenants: []string{"other"}}}, 0, 0, "map[]"},
	} {
		t.Run(name, func(t *testing.T) {
			c.spec.Kind = Replay
			j := r.ended(r.start(c.spec).ID)
			want(t, "status", j.Status+Status(j.Note), Done)
			want(t, "skipped", j.Skipped, c.skipped)
			got := r.drain()
			want(t, "feed and crm", []int{len(got[feed]), len(got[crm])}, []int{c.feed, c.crm})
		})
	}
	list := r.List([]string{"acme"})
	want(t, "jobs that a tenant's token sees", len(list), 0)
	want(t, "jobs that a global token sees", len(r.List(nil)), 7)
}

// TestReplayGoesOn interrupts a replay again and again: nothing is missing, nothing is twice.
func TestReplayGoesOn(t *testing.T) {
	r := newRig(t)
	const n = 2000
	var expect []string
	for i := range n {
		id := fmt.Sprintf("e%04d", i)
		r.past(r.newEvent(id, "a", `{}`), history.StatusDelivered, feed)
		expect = append(expect, id)
	}
	j := r.start(Spec{Kind: Replay, Filter: Filter{Tenants: []string{"acme"}}, Rate: 20_000})
	for range 5 {
		r.Manager.Close() // what was passed on since the last checkpoint is passed on again
		r.close()
		r.open()
		r.Resume()
	}
	j = r.ended(j.ID)
	want(t, "job", []any{j.Status, j.Done, j.Matched}, []any{Done, n, n})
	got := r.drain()[feed]
	seen := map[string]int{}
	for _, id := range got {
		seen[id]++
	}
	for _, id := range expect {
		if seen[id] != 1 {
			t.Errorf("%s was sent %d times", id, seen[id])
		}
	}
	want(t, "sent", len(got), n)
	if err := r.Cancel([]string{"acme"}, j.ID); !errors.Is(err, ErrEnded) {
		t.Errorf("cancel of a job that has ended: %v", err)
	}
	if _, err := r.Get([]string{"other"}, j.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("another tenant's token gets the job: %v", err)
	}
}

func TestCancel(t *testing.T) {
	r := newRig(t)
	for i := range 600 {
		r.past(r.newEvent(fmt.Sprintf("e%d", i), "a", `{}`), history.StatusDelivered, feed)
	}
	j := r.start(Spec{Kind: Replay, Rate: 1})
	if err := r.Cancel(nil, j.ID); err != nil {
		t.Fatal(err)
	}
	j = r.ended(j.ID)
	if j.Status != Cancelled || j.Done > 100 {
		t.Errorf("cancelled: %+v", j)
	}
}

// kill buries deliveries of n events.
func (r *rig) kill(n int, reason queue.Reason) {
	for i := range n {
		e := r.newEvent(fmt.Sprintf("%s-%d", reason, i), "a", fmt.Sprintf(`{"user":"u%d-%s"}`, i, reason))
		if _, err := r.queue.Append(context.Background(), e, []event.WebhookID{feed}, nil); err != nil {
			r.t.Fatal(err)
		}
		var d queue.Delivery
		for !r.queue.Lease(feed, &d) { // it is handed out right after the commit that Append waited for
			<-r.ready
		}
		r.queue.Bury(&d, queue.Failure{Reason: reason, At: time.Now().UnixMilli(), Counted: true})
	}
	if err := r.queue.Put(context.Background(), "flush", []byte("x")); err != nil { // burying is durable with the next commit
		r.t.Fatal(err)
	}
}

func TestRedriveAndPurge(t *testing.T) {
	r := newRig(t)
	r.kill(30, queue.ReasonStatus)
	r.kill(20, queue.ReasonTimeout)
	j := r.ended(r.start(Spec{Kind: Purge, Filter: Filter{Reason: "timeout"}}).ID)
	want(t, "purged", []any{j.Status, j.Done, r.queue.Stats().Dead}, []any{Done, 20, 30})
	j = r.ended(r.start(Spec{Kind: Redrive, Filter: Filter{Webhook: &crm}}).ID)
	want(t, "redriven for another webhook", j.Done, 0)
	j = r.ended(r.start(Spec{Kind: Redrive, Filter: Filter{Webhook: &feed, Tenants: []string{"acme"}}}).ID)
	want(t, "redriven", []any{j.Status, j.Done, r.queue.Stats().Dead, r.queue.Stats().Retrying}, []any{Done, 30, 0, 30})
}

func TestEraseReachesDeadDeliveries(t *testing.T) {
	r := newRig(t)
	r.kill(10, queue.ReasonStatus)
	r.past(r.newEvent("h1", "a", `{"user":"u3-status"}`), history.StatusDelivered, feed)
	j := r.ended(r.start(Spec{Kind: Erase, Where: "u3-status"}).ID)
	if j.Status != Done || j.Receipt == nil || j.Receipt.Dead != 1 || j.Receipt.Events != 1 || j.Receipt.Records != 2 || j.Spec.Where != "" {
		t.Errorf("%+v %+v", j, j.Receipt)
	}
	want(t, "dead", r.queue.Stats().Dead, 9)
}

func TestSpecs(t *testing.T) {
	r := newRig(t)
	now := time.Now()
	for field, s := range map[string]Spec{"kind": {Kind: "other"}, "rate": {Kind: Redrive, Rate: -1}, "to": {Kind: Replay, Filter: Filter{From: now, To: now}},
		"where": {Kind: Erase, Where: "bad"}, "status": {Kind: Replay, Filter: Filter{Statuses: []history.Status{history.StatusRetrying}}}} {
		_, err := r.Start(context.Background(), s)
		var se *SpecError
		if !errors.As(err, &se) || se.Field != field || !strings.HasPrefix(err.Error(), field+": ") {
			t.Errorf("%s: %v", field, err)
		}
	}
}
