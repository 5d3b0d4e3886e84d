package relay

import (
	"bytes"
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
	"edgerelay/relay/store"
	"edgerelay/relay/webhooks"
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
		return webhookID(&w) == want && reaches(tenants, w.Tenant)
	})
}

// reaches says whether tenants, nil = all, holds tenant.
func reaches(tenants []string, tenant string) bool {
	return tenants == nil || slices.Contains(tenants, tenant)
}

// draft adds a draft to c. It is a version of published, or of the webhook with its tenant and name, if there is one: it has that one's id and, unless it brings
// its own, that one's secrets.
func (r *Relay) draft(c *config.Config, text []byte, published int, tenants []string) (next *config.Config, at, version int, err error) {
	if len(text) > store.MaxText {
		return nil, 0, 0, admin.Mistakes{{Path: "draft", Message: fmt.Sprintf("has %d bytes, at most %d could be kept", len(text), store.MaxText)}}
	}
	made, problems := c.MakeWebhook(text)
	if made == nil {
		return nil, 0, 0, mistakes(problems, "draft", "")
	}
	tenant := made.Value.Tenant
	given := struct{ Tenant string }{}
	_ = json.Unmarshal(text, &given) // a tenant that is no text is among the problems
	if given.Tenant == "" {
		switch {
		case published >= 0:
			tenant = c.Webhooks[published].Tenant
		case len(tenants) == 1:
			tenant = tenants[0]
		}
		if tenant != made.Value.Tenant { // whatever depends on the tenant has to be checked again
			if text, err = withTenant(text, tenant); err != nil {
				return nil, 0, 0, err
			}
			if made, problems = c.MakeWebhook(text); made == nil {
				return nil, 0, 0, mistakes(problems, "draft", "")
			}
		}
	}
	if tenant != "" && !reaches(tenants, tenant) {
		return nil, 0, 0, admin.Mistakes{{Path: "draft.tenant", Message: fmt.Sprintf("unknown tenant %q", tenant)}}
	}
	if len(problems) > 0 {
		return nil, 0, 0, mistakes(problems, "draft", "")
	}
	if published < 0 {
		published = slices.IndexFunc(c.Webhooks, func(w config.Webhook) bool { return w.Tenant == tenant && w.Name == made.Value.Name })
	}
	if published >= 0 {
		is := &c.Webhooks[published]
		made.Value.ID = webhookID(is).String()
		if len(made.Value.Secret) == 0 && made.Value.Signing.Scheme == is.Signing.Scheme {
			made.Value.Secret = is.Secret
		}
	}
	next = c.With(config.MadeObjects{Webhooks: []*config.Made[config.Webhook]{made}})
	return next, len(c.Webhooks), published, nil
}

// withTenant puts a tenant into the text of an object that names none.
func withTenant(text []byte, tenant string) ([]byte, error) {
	quoted, err := json.Marshal(tenant)
	if err != nil {
		return nil, err
	}
	head, rest, ok := bytes.Cut(text, []byte("{"))
	if !ok {
		return nil, admin.Mistakes{{Path: "draft", Message: "want keys with values"}}
	}
	out := append(append(append(bytes.Clone(head), `{"tenant":`...), quoted...), ',')
	if bytes.HasPrefix(bytes.TrimSpace(rest), []byte("}")) {
		out = out[:len(out)-1]
	}
	return append(out, rest...), nil
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

// mistakes says in the API's words what is wrong. Paths that begin with prefix, or all if that is empty, begin with replacement instead; where the rest was
// written is said behind the message.
func mistakes(problems config.Problems, replacement, prefix string) admin.Mistakes {
	out := make(admin.Mistakes, 0, len(problems))
	for _, p := range problems {
		m := admin.Mistake{Path: p.Path, Message: p.Message}
		rest, ours := strings.CutPrefix(p.Path, prefix)
		switch {
		case ours && replacement != "" && prefix == "":
			m.Path = strings.TrimSuffix(replacement+"."+rest, ".")
		case ours && replacement != "":
			m.Path = replacement + rest
		case p.File != "" && p.Line > 0:
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
	r.mu.Lock()
	c, ofFiles := r.cfg, len(r.file.EventTypes)
	r.mu.Unlock()
	out := make([]admin.EventType, len(c.EventTypes))
	for i := range c.EventTypes {
		t := &c.EventTypes[i]
		out[i] = admin.EventType{Name: t.Name, Tenant: t.Tenant, Description: t.Description, Scope: t.Scope, Schema: json.RawMessage(t.Schema.JSON),
			Example: json.RawMessage(t.Example), Validated: c.Validated(t), Origin: webhooks.OriginFile}
		if i >= ofFiles { // what was made through the API comes after what the files say
			out[i].Origin = webhooks.OriginAPI
		}
	}
	return out
}
