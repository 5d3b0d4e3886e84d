package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"edgerelay/config"
	"edgerelay/relay/admin"
	"edgerelay/relay/event"
)

// trier answers POST /api/v1/try.
type trier struct{ r *Relay }

// Try implements admin.Trier.
func (t trier) Try(ctx context.Context, in *admin.TryRequest, tenants []string) (*admin.TryAnswer, error) {
	r := t.r
	ctx, end, err := r.trials.begin(ctx)
	if err != nil {
		return nil, errors.Join(admin.ErrUnavailable, err)
	}
	defer end()
	now := time.Now()
	c := r.config()
	published, tried := -1, -1
	if in.Webhook != "" {
		if published = findWebhook(c, in.Webhook, tenants); published < 0 {
			return nil, admin.ErrNotFound
		}
		tried = published
	}
	with := c
	if len(in.Draft) > 0 {
		if with, tried, published, err = r.draft(c, in.Draft, published, tenants); err != nil {
			return nil, err
		}
	}
	e, err := r.eventFor(ctx, with, &with.Webhooks[tried], in, now)
	if err != nil {
		return nil, err
	}
	trial, problems := r.preview(ctx, with, tried, e, now)
	if problems != nil {
		return nil, mistakes(problems, "draft", fmt.Sprintf("webhooks[%d]", tried))
	}
	answer := &admin.TryAnswer{Trial: *trial}
	if !in.Compare {
		return answer, nil
	}
	if published < 0 {
		return nil, admin.Mistakes{{Path: "compare", Message: "there is no webhook in force to compare the draft with: give its id as webhook"}}
	}
	if answer.Published, problems = r.preview(ctx, c, published, e, now); problems != nil {
		return nil, mistakes(problems, "webhook", fmt.Sprintf("webhooks[%d]", published))
	}
	diff := Compare(answer.Published, trial)
	answer.Diff = &diff
	return answer, nil
}

// findWebhook returns the index of the webhook with this id that a token for tenants may see, or -1.
func findWebhook(c *config.Config, id string, tenants []string) int {
	want, err := event.ParseWebhookID(id)
	if err != nil {
		return -1
	}
	return slices.IndexFunc(c.Webhooks, func(w config.Webhook) bool {
		return event.NamedWebhookID(w.Tenant, w.Name) == want && reaches(tenants, w.Tenant)
	})
}

// reaches says whether tenants, nil = all, holds tenant.
func reaches(tenants []string, tenant string) bool {
	return tenants == nil || slices.Contains(tenants, tenant)
}

// draft joins a draft to c. It takes the place of the webhook that it is a version of: published, or the one with its tenant and name.
func (r *Relay) draft(c *config.Config, text []byte, published int, tenants []string) (next *config.Config, at, replaced int, err error) {
	var head map[string]json.RawMessage
	if json.Unmarshal(text, &head) != nil {
		return nil, 0, 0, admin.Mistakes{{Path: "draft", Message: "want a webhook: keys with values"}}
	}
	var name, tenant string
	json.Unmarshal(head["name"], &name)     // what is no text is reported by Join
	json.Unmarshal(head["tenant"], &tenant) // so is this
	switch {
	case tenant == "" && published >= 0:
		tenant = c.Webhooks[published].Tenant
	case tenant == "" && len(tenants) == 1:
		tenant = tenants[0]
	case tenant == "":
		tenant = c.DefaultTenant()
	}
	if tenant != "" {
		if !reaches(tenants, tenant) {
			return nil, 0, 0, admin.Mistakes{{Path: "draft.tenant", Message: fmt.Sprintf("unknown tenant %q", tenant)}}
		}
		if head["tenant"], err = json.Marshal(tenant); err == nil {
			text, err = json.Marshal(head)
		}
		if err != nil {
			return nil, 0, 0, err
		}
	}
	if published < 0 {
		published = slices.IndexFunc(c.Webhooks, func(w config.Webhook) bool { return w.Tenant == tenant && w.Name == name })
	}
	base := *c
	if published >= 0 { // its name is free for the draft
		base.Webhooks = slices.Clone(c.Webhooks)
		base.Webhooks[published].Name = ""
	}
	next, indexes, err := base.Join(config.Foreign{Kind: "webhooks", Text: text})
	var problems config.Problems
	if errors.As(err, &problems) {
		return nil, 0, 0, mistakes(problems, "draft", fmt.Sprintf("webhooks[%d]", len(c.Webhooks)))
	}
	if err != nil {
		return nil, 0, 0, err
	}
	return next, indexes[0], published, nil
}

// eventFor finds or makes the event of a trial.
func (r *Relay) eventFor(ctx context.Context, c *config.Config, w *config.Webhook, in *admin.TryRequest, now time.Time) (*trialEvent, error) {
	if in.Stored != "" {
		return r.remembered(ctx, in.Stored, w.Tenant, false, now)
	}
	e, err := sampleEvent(c, w, in.Event, in.Example, now)
	if err != nil {
		path := "event"
		if in.Example != "" {
			path = "example"
		}
		return nil, admin.Mistakes{{Path: path, Message: err.Error()}}
	}
	return e, nil
}

// remembered finds an event of the tenant by its own id or by that of one of its deliveries, in the queue or in the history.
func (r *Relay) remembered(ctx context.Context, id, tenant string, fresh bool, now time.Time) (*trialEvent, error) {
	if strings.HasPrefix(id, event.PrefixDelivery+"_") {
		delivery, err := event.ParseDeliveryID(id)
		if err != nil {
			return nil, admin.ErrNotFound
		}
		info, e, err := r.queue.Get(delivery)
		if err == nil && info.Tenant == tenant {
			return storedEvent(e, fresh, now)
		}
		if r.history == nil {
			return nil, admin.ErrNotFound
		}
		attempts, err := r.history.Delivery(ctx, []string{tenant}, delivery)
		if err != nil {
			return nil, err
		}
		if len(attempts) == 0 {
			return nil, admin.ErrNotFound
		}
		id = string(attempts[0].EventID)
	}
	if r.history == nil {
		return nil, admin.ErrNotFound
	}
	j, err := r.history.Journey(ctx, []string{tenant}, id)
	if err != nil {
		return nil, err
	}
	if j.Event == nil {
		return nil, admin.ErrNotFound
	}
	e, err := j.Event.Whole()
	if err != nil {
		return nil, &admin.Conflict{Detail: err.Error()}
	}
	return storedEvent(e, fresh, now)
}

// mistakes says in the API's words what is wrong; paths that begin with prefix begin with replacement instead, the rest of the configuration keeps its place.
func mistakes(problems config.Problems, replacement, prefix string) admin.Mistakes {
	out := make(admin.Mistakes, 0, len(problems))
	for _, p := range problems {
		m := admin.Mistake{Path: p.Path, Message: p.Message}
		if rest, ok := strings.CutPrefix(p.Path, prefix); ok && prefix != "" {
			m.Path = replacement + rest
		} else if p.File != "" && p.Line > 0 {
			m.Message = fmt.Sprintf("%s (%s:%d:%d)", p.Message, p.File, p.Line, p.Col)
		}
		out = append(out, m)
	}
	return out
}

// configuration answers the routes below /api/v1/config.
type configuration struct{ r *Relay }

func (k configuration) Print() ([]byte, error) { return k.r.config().Print() }

func (k configuration) Reload(ctx context.Context) (*admin.ConfigReport, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reloadTimeout) // half a reload helps nobody
	defer cancel()
	report, err := k.r.ReloadFiles(ctx)
	return report, configError(err)
}

func (k configuration) Plan(ctx context.Context, next *config.Inventory) (report *admin.ConfigReport, err error) {
	if next != nil {
		report, err = k.r.PlanInventory(*next)
	} else {
		report, err = k.r.PlanFiles(ctx)
	}
	return report, configError(err)
}

func configError(err error) error {
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		return mistakes(problems, "", "")
	case errors.Is(err, errNoFiles):
		return &admin.Conflict{Detail: err.Error()}
	case errors.Is(err, errStopping):
		return errors.Join(admin.ErrUnavailable, err)
	}
	return err
}

// eventTypes is the catalogue for the API.
func (r *Relay) eventTypes() []admin.EventType {
	c := r.config()
	out := make([]admin.EventType, len(c.EventTypes))
	for i := range c.EventTypes {
		t := &c.EventTypes[i]
		out[i] = admin.EventType{Name: t.Name, Tenant: t.Tenant, Description: t.Description, Scope: t.Scope, Schema: json.RawMessage(t.Schema.JSON),
			Example: json.RawMessage(t.Example), Validated: c.Validated(t), Origin: "file"}
	}
	return out
}
