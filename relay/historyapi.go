package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"edgerelay/relay/admin"
	"edgerelay/relay/event"
	"edgerelay/relay/history"
	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
)

// remembered shows the history to the management API.
type remembered struct{ r *Relay }

// searchBudget is how long one search may take.
const searchBudget = 2 * time.Second

// maxShown bounds the bodies in an answer.
const maxShown = 1 << 20

func (h remembered) store() (*history.Store, error) {
	if h.r.history == nil {
		return nil, errors.Join(admin.ErrUnavailable, errors.New("there is no history"))
	}
	return h.r.history, nil
}

func (h remembered) query(f *admin.HistoryFilter, cursor string, limit int) (q history.Query, err error) {
	q = history.Query{Tenants: f.Tenants, Program: f.Program, Type: f.Type, Event: f.Event, Webhook: f.Webhook, HTTP: f.HTTP, From: f.From, To: f.To, Text: f.Search,
		Limit: limit, Budget: searchBudget}
	for _, name := range f.Statuses {
		if st, ok := history.ParseStatus(name); ok {
			q.Statuses = append(q.Statuses, st)
		}
	}
	if f.Replayed != nil {
		m := event.MarkNone
		if *f.Replayed {
			m = event.MarkReplay
		}
		q.Mark = &m
	}
	if q.Before, err = history.ParseCursor(cursor); err != nil {
		return q, admin.ErrCursor
	}
	return q, nil
}

func (h remembered) Events(ctx context.Context, f admin.HistoryFilter, cursor string, limit int) (out admin.HistoryPage[admin.Event], err error) {
	out.Items = []admin.Event{}
	s, err := h.store()
	if err != nil {
		return out, err
	}
	q, err := h.query(&f, cursor, limit)
	if err != nil {
		return out, err
	}
	p, err := s.Events(ctx, q, false)
	table := h.r.table.Load()
	for _, e := range p.Items {
		out.Items = append(out.Items, describeEvent(table, e))
	}
	out.NextCursor, out.Reached = history.FormatCursor(p.Next), p.Reached
	return out, err
}

func describeEvent(table *webhooks.Table, e *history.Event) admin.Event {
	d := admin.Event{ID: e.ID, Type: e.Type, Tenant: e.Tenant, Program: e.Program, AcceptedAt: e.Accepted, Bytes: e.Size, Webhooks: []admin.WebhookName{}}
	for _, id := range e.Webhooks {
		d.Webhooks = append(d.Webhooks, webhookName(table, id))
	}
	return d
}

func webhookName(table *webhooks.Table, id event.WebhookID) admin.WebhookName {
	n := admin.WebhookName{ID: id.String()}
	if w := table.Get(id); w != nil {
		n.Name = w.Name
	}
	return n
}

func (h remembered) Attempts(ctx context.Context, f admin.HistoryFilter, cursor string, limit int) (out admin.HistoryPage[admin.AttemptDetail], err error) {
	out.Items = []admin.AttemptDetail{}
	s, err := h.store()
	if err != nil {
		return out, err
	}
	q, err := h.query(&f, cursor, limit)
	if err != nil {
		return out, err
	}
	p, err := s.Attempts(ctx, q, false)
	for _, a := range p.Items {
		out.Items = append(out.Items, describeTry(a, nil, false))
	}
	out.NextCursor, out.Reached = history.FormatCursor(p.Next), p.Reached
	return out, err
}

func describeTry(a *history.Attempt, e *history.Event, whole bool) admin.AttemptDetail {
	micros := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	t := &a.Timings
	d := admin.AttemptDetail{ID: a.ID.String(), Delivery: a.Delivery.String(), Event: string(a.EventID), Type: string(a.Type), Webhook: a.Webhook.String(), WebhookName: a.WebhookName,
		Tenant: string(a.Tenant), Program: string(a.Program), Number: a.Number, Mark: a.Mark.String(), At: a.Start, Status: a.Status.String(), Reason: a.Reason,
		HTTPStatus: a.HTTPStatus, Detail: a.Detail, NextAttempt: a.Next, Remote: string(a.Remote), DurationMS: micros(t.Total) / 1000, TransformLog: string(a.TransformLog),
		Timings: admin.TrialTimings{DNS: micros(t.DNS), Connect: micros(t.Connect), TLS: micros(t.TLS), FirstByte: micros(t.FirstByte)}}
	if !whole || len(a.Method) == 0 {
		return d
	}
	plain := func(s string) string { return s }
	body := a.RequestBody
	if a.SameAsEvent && e != nil {
		body = e.Envelope
	}
	d.Request = &admin.TrialRequest{Method: string(a.Method), URL: string(a.URL), Headers: describeHeaders(a.RequestHeaders), TrialBody: admin.NewTrialBody(body, maxShown, plain)}
	d.Request.BodyBytes, d.Request.Truncated = a.RequestSize, len(body) < a.RequestSize
	if a.HTTPStatus != 0 {
		d.Response = &admin.TrialResponse{Status: a.HTTPStatus, Headers: describeHeaders(a.ResponseHeaders), TrialBody: admin.NewTrialBody(a.ResponseBody, maxShown, plain)}
		d.Response.BodyBytes, d.Response.Truncated = a.ResponseSize, len(a.ResponseBody) < a.ResponseSize
	}
	switch {
	case a.BodyGone:
		d.Note = "the bodies are not kept any more"
	case a.Redacted:
		d.Note = "values were redacted before it was stored"
	}
	return d
}

func describeHeaders(hs []history.Header) []admin.TrialHeader {
	out := []admin.TrialHeader{}
	for _, h := range hs {
		out = append(out, admin.TrialHeader{Name: string(h.Name), Value: string(h.Value), Redacted: string(h.Value) == "***"})
	}
	return out
}

func (h remembered) Event(ctx context.Context, id string, tenants []string) (out admin.EventDetail, err error) {
	s, err := h.store()
	if err != nil {
		return out, err
	}
	j, err := s.Journey(ctx, tenants, id)
	if err != nil {
		return out, err
	}
	e := j.Event
	if e == nil {
		if len(j.Attempts) == 0 {
			return out, admin.ErrNotFound
		}
		a := j.Attempts[0]
		e = &history.Event{ID: id, Type: string(a.Type), Tenant: string(a.Tenant), Program: string(a.Program), Accepted: a.Start, BodyGone: true, FromTry: true}
	}
	table := h.r.table.Load()
	out = admin.EventDetail{Event: describeEvent(table, e), Trace: e.Trace, Deliveries: []admin.EventDelivery{}}
	out.TrialBody = admin.NewTrialBody(e.Envelope, maxShown, func(s string) string { return s })
	out.BodyBytes, out.Truncated = e.Size, e.Cut
	if _, err := e.Whole(); err != nil {
		out.Note = err.Error()
	} else {
		out.Replayable = true
	}
	out.Deliveries = h.deliveriesOf(e, j.Attempts, table)
	if e.FromTry { // where else it was to go is not known
		out.Webhooks = []admin.WebhookName{}
		for _, d := range out.Deliveries {
			out.Webhooks = append(out.Webhooks, admin.WebhookName{ID: d.Webhook, Name: d.WebhookName})
		}
	}
	return out, nil
}

// deliveriesOf puts attempts together to deliveries, with those that have none yet.
func (h remembered) deliveriesOf(e *history.Event, attempts []*history.Attempt, table *webhooks.Table) []admin.EventDelivery {
	list := []admin.EventDelivery{}
	at := map[event.WebhookID]int{}
	of := func(w event.WebhookID) *admin.EventDelivery {
		i, ok := at[w]
		if !ok {
			i = len(list)
			at[w] = i
			n := webhookName(table, w)
			list = append(list, admin.EventDelivery{ID: event.DeliveryIDOf([]byte(e.Tenant), []byte(e.ID), w).String(), Webhook: n.ID, WebhookName: n.Name, Status: "pending", Attempts: []admin.AttemptDetail{}})
		}
		return &list[i]
	}
	if !e.FromTry {
		for _, w := range e.Webhooks {
			of(w)
		}
	}
	for _, a := range attempts {
		d := of(a.Webhook)
		d.Status, d.NextAttempt = a.Status.String(), a.Next
		if d.WebhookName == "" {
			d.WebhookName = a.WebhookName
		}
		d.Attempts = append(d.Attempts, describeTry(a, e, true))
	}
	return list
}

func (h remembered) Delivery(ctx context.Context, id event.DeliveryID, tenants []string) (out admin.DeliveryDetail, err error) {
	s, err := h.store()
	if err != nil {
		return out, err
	}
	attempts, err := s.Delivery(ctx, tenants, id)
	if err != nil {
		return out, err
	}
	if len(attempts) == 0 {
		return out, admin.ErrNotFound
	}
	last := attempts[len(attempts)-1]
	j, err := s.Journey(ctx, []string{string(last.Tenant)}, string(last.EventID))
	if err != nil {
		return out, err
	}
	out = admin.DeliveryDetail{AttemptsMade: []admin.AttemptDetail{}, Delivery: admin.Delivery{ID: id.String(), Webhook: last.Webhook.String(), WebhookName: last.WebhookName,
		Event: string(last.EventID), Type: string(last.Type), Tenant: string(last.Tenant), Program: string(last.Program), Status: last.Status.String(), Attempts: last.Number,
		FirstAttempt: attempts[0].Start, NextAttempt: last.Next}}
	if !last.Status.Failed() {
		out.SettledAt = last.Start
	} else {
		out.LastFailure = &admin.Failure{Reason: last.Reason, HTTPStatus: last.HTTPStatus, Detail: last.Detail, At: last.Start}
	}
	if e := j.Event; e != nil {
		out.AcceptedAt = e.Accepted
		if e.FromTry {
			out.AcceptedAt = time.Time{}
		}
		if json.Valid(e.Envelope) {
			out.Envelope = bytes.Clone(e.Envelope)
		}
	}
	for _, a := range attempts {
		out.AttemptsMade = append(out.AttemptsMade, describeTry(a, j.Event, true))
	}
	return out, nil
}

// Replay sends one event again. Asking twice sends it twice: that is what people mean.
func (h remembered) Replay(ctx context.Context, id string, tenants []string, to *event.WebhookID, dry bool) (out admin.ReplayAnswer, err error) {
	s, err := h.store()
	if err != nil {
		return out, err
	}
	j, err := s.Journey(ctx, tenants, id)
	if err != nil {
		return out, err
	}
	if j.Event == nil && len(j.Attempts) == 0 {
		return out, admin.ErrNotFound
	}
	if j.Event == nil {
		return out, &admin.Conflict{Detail: "the event itself is not kept any more"}
	}
	e, err := j.Event.Whole()
	if err != nil {
		return out, &admin.Conflict{Detail: err.Error()}
	}
	e.Mark = event.MarkReplay
	ids := targetsOf(&j)
	if to != nil {
		ids = []event.WebhookID{*to}
	}
	out = admin.ReplayAnswer{Event: id, DryRun: dry, Deliveries: []admin.ReplayedOne{}}
	table := h.r.table.Load()
	var targets []event.WebhookID
	for _, id := range ids {
		w := table.Get(id)
		if w == nil || w.Tenant != string(e.Tenant) {
			if to != nil {
				return out, admin.ErrNotFound
			}
			continue // it is not configured any more
		}
		targets = append(targets, id)
		out.Deliveries = append(out.Deliveries, admin.ReplayedOne{ID: event.DeliveryIDOf(e.Tenant, e.ID, id).String(), Webhook: id.String(), WebhookName: w.Name})
	}
	switch {
	case len(targets) == 0:
		return out, &admin.Conflict{Detail: "none of the event's webhooks is configured any more: name one to send it to"}
	case dry:
		return out, nil
	}
	_, err = h.r.queue.Append(ctx, e, targets, nil)
	return out, appendError(err)
}

// targetsOf returns where an event went, or was to go.
func targetsOf(j *history.Journey) (ids []event.WebhookID) {
	seen := map[event.WebhookID]bool{}
	add := func(id event.WebhookID) {
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	for _, id := range j.Event.Webhooks {
		add(id)
	}
	if j.Event.FromTry {
		for _, a := range j.Attempts {
			add(a.Webhook)
		}
	}
	return ids
}

func appendError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, queue.ErrFull), errors.Is(err, queue.ErrDiskLow):
		return errors.Join(admin.ErrUnavailable, err)
	}
	return apiError(err)
}

// Retry sends a settled delivery again, or makes one due that the queue has.
func (h remembered) Retry(ctx context.Context, id event.DeliveryID, tenants []string) (tenant string, replayed bool, err error) {
	s, err := h.store()
	if err != nil {
		return "", false, err
	}
	attempts, err := s.Delivery(ctx, tenants, id)
	if err != nil {
		return "", false, err
	}
	if len(attempts) == 0 {
		return "", false, admin.ErrNotFound
	}
	a := attempts[len(attempts)-1]
	if a.Status.Failed() { // the queue was asked already and does not have it
		return "", false, &admin.Conflict{Detail: "the delivery was removed from the queue, or is being attempted right now"}
	}
	_, err = h.Replay(ctx, string(a.EventID), []string{string(a.Tenant)}, &a.Webhook, false)
	return string(a.Tenant), true, err
}
