package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"edgerelay/config"
	"edgerelay/relay/admin"
	"edgerelay/relay/event"
	"edgerelay/relay/queue"
	"edgerelay/relay/store"
)

// Errors of a reload that the files' content has nothing to do with.
var (
	errNoFiles  = errors.New("this relay was started without config files: there is nothing to load again")
	errStopping = errors.New("the relay is stopping")
)

// ReloadFiles loads the files again that the relay was started with, puts them in force, and says what that changed. After a mistake, which is a
// config.Problems, everything is as before.
func (r *Relay) ReloadFiles(ctx context.Context) (*admin.ConfigReport, error) {
	end, err := r.beginLoading()
	if err != nil {
		return nil, err
	}
	defer end()
	c, err := r.loadFiles()
	if err != nil {
		r.ReloadFailed()
		return nil, err
	}
	was := r.files().Inventory()
	restart := needRestart(r.boot, c)
	report, err := r.report(was, c.Inventory(), c.Warnings())
	if err != nil {
		return nil, err
	}
	if err := r.Reload(ctx, c); err != nil {
		return nil, err
	}
	report.Applied, report.NeedsRestart = true, append(report.NeedsRestart, restart...)
	r.logChanges(report.Changes)
	if r.loaded != nil {
		r.loaded(c)
	}
	return report, nil
}

// logChanges writes a line for each of the first changes.
func (r *Relay) logChanges(changes []config.Change) {
	const most = 50
	for i, c := range changes {
		if i == most {
			r.log.Info("config: more changes are not logged", "changes", len(changes)-most)
			return
		}
		var fields []string
		for _, f := range c.Fields {
			fields = append(fields, f.Path)
		}
		r.log.Info("config: "+c.Action, "kind", cmp.Or(c.Kind, "settings"), "tenant", c.Tenant, "name", c.Name, "fields", strings.Join(fields, " "))
	}
}

// files is what the files say that are in force.
func (r *Relay) files() *config.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.file
}

// loadFiles reads the configuration again.
func (r *Relay) loadFiles() (*config.Config, error) {
	if r.load == nil {
		return nil, errNoFiles
	}
	c, err := r.load()
	if err != nil {
		return nil, err
	}
	if blank := c.BlankFiles(); len(blank) > 0 && len(r.files().BlankFiles()) == 0 {
		return nil, blank
	}
	return c, nil
}

// PlanFiles says what ReloadFiles would change. It loads and compiles everything as that does, and puts nothing in force.
func (r *Relay) PlanFiles(ctx context.Context) (*admin.ConfigReport, error) {
	end, err := r.beginLoading()
	if err != nil {
		return nil, err
	}
	defer end()
	c, err := r.loadFiles()
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	all, _, broken, err := r.compose(c, store.Change{})
	b := &builder{cfg: all, host: r.host, old: r.built, broken: broken, secret: generated}
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	out, problems := b.build(ctx)
	if problems != nil {
		return nil, problems
	}
	out.close(context.WithoutCancel(ctx))
	report, err := r.report(r.files().Inventory(), c.Inventory(), c.Warnings())
	if err == nil {
		report.NeedsRestart = append(report.NeedsRestart, needRestart(r.boot, c)...)
	}
	return report, err
}

// PlanInventory says what is different in next, a configuration that somebody else has loaded. It cannot be compiled here: whoever has it checks it.
func (r *Relay) PlanInventory(next config.Inventory) (*admin.ConfigReport, error) {
	if len(next.Objects) > maxPlanObjects {
		return nil, fmt.Errorf("the config has %d objects, at most %d are compared", len(next.Objects), maxPlanObjects)
	}
	end, err := r.beginLoading()
	if err != nil {
		return nil, err
	}
	defer end()
	report, err := r.report(r.files().Inventory(), next, nil)
	if err != nil {
		return nil, err
	}
	for _, c := range report.Changes {
		if c.Kind != "" {
			continue
		}
		for _, s := range restartSections {
			for _, f := range c.Fields {
				if f.Path == s.key || strings.HasPrefix(f.Path, s.key+".") {
					report.NeedsRestart = append(report.NeedsRestart, s.key)
					break
				}
			}
		}
	}
	return report, nil
}

const (
	maxPlanObjects = 200_000
	maxCounted     = 10_000 // deliveries of one webhook
)

func (r *Relay) report(was, next config.Inventory, warnings config.Problems) (*admin.ConfigReport, error) {
	changes, err := was.Diff(next)
	if err != nil {
		return nil, err
	}
	report := &admin.ConfigReport{Changes: changes, Affected: []admin.AffectedWebhook{}, NeedsRestart: []string{}, Warnings: mistakes(warnings, "", "")}
	inFlight := map[event.WebhookID]int{}
	for _, l := range r.deliver.Lanes() {
		inFlight[l.Webhook] = l.InFlight
	}
	for _, c := range changes {
		if c.Kind != "webhooks" || c.Action == config.ActionAdd {
			continue
		}
		id := event.NamedWebhookID(c.Tenant, c.Name)
		a := admin.AffectedWebhook{ID: id.String(), Tenant: c.Tenant, Name: c.Name, Action: c.Action, InFlight: inFlight[id], Fate: fate(&c)}
		if a.Waiting, a.AtLeast, err = r.waiting(id); err != nil {
			return nil, err
		}
		if a.Waiting > 0 || a.AtLeast || a.InFlight > 0 {
			report.Affected = append(report.Affected, a)
		}
	}
	return report, nil
}

// fate says what becomes of the deliveries of a webhook that is changed.
func fate(c *config.Change) string {
	if c.Action == config.ActionRemove {
		return "dead: they are listed, and can be sent again once the webhook is back"
	}
	for _, f := range c.Fields {
		if f.Path == "status" && f.New != "" && f.New != "active" {
			return "held until the webhook is active again"
		}
	}
	return "sent as the webhook is then"
}

// waiting counts the deliveries of a webhook: those that were not attempted yet, and those that wait for a retry.
func (r *Relay) waiting(id event.WebhookID) (n int, more bool, err error) {
	n, more = r.queue.Waiting(id)
	cursor := ""
	for {
		page, next, err := r.queue.List(queue.Filter{State: queue.StateRetrying, Webhook: id}, cursor, 1000)
		if err != nil {
			return n, more, err
		}
		if n += len(page); next == "" {
			return n, more, nil
		}
		if cursor = next; n >= maxCounted {
			return n, true, nil
		}
	}
}

// beginLoading lets one reload or plan at a time in: two would each report what the other has changed. None begins once the relay stops.
func (r *Relay) beginLoading() (end func(), err error) {
	r.loading.Lock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopping {
		r.loading.Unlock()
		return nil, errStopping
	}
	return r.loading.Unlock, nil
}

// stopReloads waits for a reload under way and lets no other begin: it would build on parts that are being closed.
func (r *Relay) stopReloads() {
	r.loading.Lock()
	defer r.loading.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopping = true
}

// reloadTimeout bounds a reload that the API asks for.
const reloadTimeout = 50 * time.Second
