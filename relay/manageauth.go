package relay

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"edgerelay/config"
	"edgerelay/relay/admin"
	"edgerelay/relay/event"
	"edgerelay/relay/store"
)

// prefixAuthorization begins the ids of authorizations; those of files have their name behind fileID.
const (
	prefixAuthorization = "au"
	fileID              = "file:"
)

// Authorizations lists what a may see: those of its tenants, and those that every tenant may use.
func (m management) Authorizations(a admin.Actor) []admin.Authorization {
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	var all []admin.Authorization
	for i := range m.r.cfg.Authorizations {
		if c := &m.r.cfg.Authorizations[i]; c.Tenant == "" || sees(a, c.Tenant) {
			all = append(all, m.r.authorizationView(a, i))
		}
	}
	return all
}

func (r *Relay) authorizationView(a admin.Actor, i int) admin.Authorization {
	c := &r.cfg.Authorizations[i]
	v := admin.Authorization{ID: cmp.Or(c.ID, fileID+c.Name), Name: c.Name, Tenant: c.Tenant, Type: c.Type, Endpoint: admin.RedactURL(c.Endpoint), Origin: "file", Webhooks: []string{}}
	if o := r.store.Get(c.ID); o != nil {
		v.Origin, v.Revision, v.UpdatedAt, v.UpdatedBy = "api", o.Revision, o.UpdatedAt, o.UpdatedBy
	}
	if text, err := r.cfg.AuthorizationJSON(i); err == nil {
		v.Definition = json.RawMessage(text)
	}
	for j := range r.cfg.Webhooks {
		if w := &r.cfg.Webhooks[j]; w.Authorization == c.Name && (c.Tenant == "" || c.Tenant == w.Tenant) && sees(a, w.Tenant) {
			v.Webhooks = append(v.Webhooks, w.Name)
		}
	}
	return v
}

func (r *Relay) authorizationByID(a admin.Actor, id string) (admin.Authorization, error) {
	for i := range r.cfg.Authorizations {
		if c := &r.cfg.Authorizations[i]; c.ID == id && sees(a, c.Tenant) {
			return r.authorizationView(a, i), nil
		}
	}
	return admin.Authorization{}, admin.ErrNotFound
}

// CreateAuthorization makes an authorization of one tenant.
func (m management) CreateAuthorization(ctx context.Context, a admin.Actor, c admin.Creation) (v admin.Authorization, replayed bool, err error) {
	r := m.r
	r.mu.Lock()
	defer r.mu.Unlock()
	body, err := members(c.Body)
	if err != nil {
		return v, false, err
	}
	tenant, err := r.tenantFor(a, textOf(body["tenant"]))
	if err != nil {
		return v, false, err
	}
	replay, id, err := r.replay(a, tenant, "authorization", c)
	if err != nil {
		return v, false, err
	}
	if id != "" {
		v, err = r.authorizationByID(a, id)
		return v, true, err
	}
	body["tenant"] = quoted(tenant)
	now := time.Now().UTC()
	o := &store.Object{Kind: store.Authorizations, Tenant: tenant, Name: textOf(body["name"]), Revision: 1, CreatedAt: now, UpdatedAt: now, CreatedBy: a.Name, UpdatedBy: a.Name,
		ID: string(event.AppendTypeID(nil, prefixAuthorization, event.NewUUID(now)))}
	if replay != nil {
		replay.Object = o.ID
	}
	if err = r.saveAuthorization(ctx, a, nil, o, body, replay, "create"); err != nil {
		return v, false, err
	}
	v, err = r.authorizationByID(a, o.ID)
	return v, false, err
}

func (r *Relay) saveAuthorization(ctx context.Context, a admin.Actor, old, o *store.Object, body map[string]json.RawMessage, replay *store.Replay, action string) error {
	o.Text = mustJSON(body)
	if len(o.Text) > store.MaxText {
		return admin.Mistakes{{Message: fmt.Sprintf("the definition has %d bytes, at most %d are kept", len(o.Text), store.MaxText)}}
	}
	if other := r.store.Find(store.Authorizations, o.Tenant, o.Name); other != nil && other.ID != o.ID {
		return &admin.Conflict{Detail: fmt.Sprintf("tenant %s has an authorization %q already: %s, made through the API", o.Tenant, o.Name, other.ID)}
	}
	if i := r.file.FindAuthorization(o.Tenant, o.Name); i >= 0 {
		return &admin.Conflict{Detail: fmt.Sprintf("there is an authorization %q already: it is written at %s", o.Name, r.file.Place(fmt.Sprintf("authorizations[%d]", i)))}
	}
	entry := r.audit(a, action, o)
	if old != nil {
		entry.Before = r.redactedText(old)
	}
	entry.After = r.redactedText(o)
	if err := r.change(ctx, store.Change{Old: old, New: o, Entries: []*store.Entry{entry}, Replay: replay}, o.ID); err != nil {
		return r.changeError(err)
	}
	r.log.Info("authorization "+past(action), "authorization", o.Name, "id", o.ID, "tenant", o.Tenant, "token", a.Name)
	return nil
}

func (r *Relay) storedAuthorization(a admin.Actor, id, match string) (*store.Object, error) {
	o := r.store.Get(id)
	if o == nil || o.Kind != store.Authorizations || !sees(a, o.Tenant) {
		for i := range r.file.Authorizations {
			if c := &r.file.Authorizations[i]; fileID+c.Name == id && (c.Tenant == "" || sees(a, c.Tenant)) {
				return nil, &admin.Conflict{Detail: "it comes from a file and is changed there"}
			}
		}
		return nil, admin.ErrNotFound
	}
	return o, matches(match, o.Revision)
}

// EditAuthorization changes an authorization. The webhooks that use it must still be allowed to.
func (m management) EditAuthorization(ctx context.Context, a admin.Actor, e admin.Edit) (v admin.Authorization, err error) {
	r := m.r
	r.mu.Lock()
	defer r.mu.Unlock()
	old, err := r.storedAuthorization(a, e.ID, e.Match)
	if err != nil {
		return v, err
	}
	body, err := members(old.Text)
	if err != nil {
		return v, err
	}
	patch, err := members(e.Patch)
	if err != nil {
		return v, err
	}
	if t, ok := patch["tenant"]; ok && !sameJSON(t, body["tenant"]) {
		return v, admin.Mistakes{{Path: "tenant", Message: "the tenant of an authorization cannot be changed"}}
	}
	if body, err = merged(body, patch, r.redactedText(old)); err != nil {
		return v, err
	}
	o := *old
	o.Revision++
	o.UpdatedAt, o.UpdatedBy, o.Name = time.Now().UTC(), a.Name, textOf(body["name"])
	if o.Name != old.Name {
		if used := r.users(old); len(used) > 0 {
			return v, &admin.Conflict{Detail: fmt.Sprintf("it is used under its name by %s", list(used))}
		}
	}
	if next, wrong := r.file.MakeAuthorization(mustJSON(body)); wrong == nil {
		if bad := r.outside(old, next.Value.Endpoint); len(bad) > 0 {
			return v, admin.Mistakes{{Path: "endpoint", Message: fmt.Sprintf("%s, which use it, send elsewhere", list(bad))}}
		}
	}
	if err = r.saveAuthorization(ctx, a, old, &o, body, nil, "update"); err != nil {
		return v, err
	}
	return r.authorizationByID(a, o.ID)
}

// users names the webhooks that use an authorization.
func (r *Relay) users(o *store.Object) (names []string) {
	for i := range r.cfg.Webhooks {
		if w := &r.cfg.Webhooks[i]; w.Tenant == o.Tenant && w.Authorization == o.Name {
			names = append(names, w.Name)
		}
	}
	return names
}

// outside names those of them that an endpoint would not allow.
func (r *Relay) outside(o *store.Object, endpoint string) (names []string) {
	for i := range r.cfg.Webhooks {
		if w := &r.cfg.Webhooks[i]; w.Tenant == o.Tenant && w.Authorization == o.Name && endpoint != "" && !config.Under(endpoint, w.URL) {
			names = append(names, w.Name)
		}
	}
	return names
}

func list(names []string) string {
	if len(names) > 5 {
		return fmt.Sprintf("%q and %d more", names[:5], len(names)-5)
	}
	return fmt.Sprintf("%q", names)
}

// DeleteAuthorization deletes an authorization that nothing uses.
func (m management) DeleteAuthorization(ctx context.Context, a admin.Actor, id, match string) error {
	r := m.r
	r.mu.Lock()
	defer r.mu.Unlock()
	o, err := r.storedAuthorization(a, id, match)
	if err != nil {
		return err
	}
	if used := r.users(o); len(used) > 0 {
		return &admin.Conflict{Detail: fmt.Sprintf("it is used by %s", list(used))}
	}
	entry := r.audit(a, "delete", o)
	entry.Before = r.redactedText(o)
	if err := r.change(ctx, store.Change{Old: o, Entries: []*store.Entry{entry}}, ""); err != nil {
		return r.changeError(err)
	}
	r.log.Info("authorization deleted", "authorization", o.Name, "id", id, "tenant", o.Tenant, "token", a.Name)
	return nil
}

// CreateEventType adds a type to a tenant's catalogue.
func (m management) CreateEventType(ctx context.Context, a admin.Actor, c admin.Creation) error {
	r := m.r
	r.mu.Lock()
	defer r.mu.Unlock()
	body, err := members(c.Body)
	if err != nil {
		return err
	}
	tenant, err := r.tenantFor(a, textOf(body["tenant"]))
	if err != nil {
		return err
	}
	body["tenant"] = quoted(tenant)
	now := time.Now().UTC()
	o := &store.Object{Kind: store.EventTypes, Tenant: tenant, Name: textOf(body["name"]), Revision: 1, CreatedAt: now, UpdatedAt: now, CreatedBy: a.Name, UpdatedBy: a.Name,
		ID: string(event.AppendTypeID(nil, "et", event.NewUUID(now)))}
	if i := findEventType(r.cfg, tenant, o.Name); i >= 0 {
		return &admin.Conflict{Detail: fmt.Sprintf("there is an event type %q already %s", o.Name, r.file.Place(fmt.Sprintf("event_types[%d]", i)))}
	}
	return r.saveEventType(ctx, a, nil, o, body, "create")
}

func (r *Relay) saveEventType(ctx context.Context, a admin.Actor, old, o *store.Object, body map[string]json.RawMessage, action string) error {
	o.Text = mustJSON(body)
	if len(o.Text) > store.MaxText {
		return admin.Mistakes{{Message: fmt.Sprintf("the definition has %d bytes, at most %d are kept", len(o.Text), store.MaxText)}}
	}
	entry := r.audit(a, action, o)
	if old != nil {
		entry.Before = json.RawMessage(old.Text)
	}
	entry.After = json.RawMessage(o.Text)
	return r.changeError(r.change(ctx, store.Change{Old: old, New: o, Entries: []*store.Entry{entry}}, o.ID))
}

func (r *Relay) storedEventType(a admin.Actor, name, tenant, match string) (*store.Object, error) {
	tenants := a.Tenants
	if tenant != "" {
		tenants = []string{tenant}
	}
	for _, o := range r.store.All(store.EventTypes) {
		if o.Name == name && reaches(tenants, o.Tenant) && sees(a, o.Tenant) {
			return o, matches(match, o.Revision)
		}
	}
	if slices.ContainsFunc(r.file.EventTypes, func(t config.EventType) bool { return t.Name == name && (t.Tenant == "" || sees(a, t.Tenant)) }) {
		return nil, &admin.Conflict{Detail: "it comes from a file and is changed there"}
	}
	return nil, admin.ErrNotFound
}

// EditEventType changes a type of a tenant's catalogue. Its name stays.
func (m management) EditEventType(ctx context.Context, a admin.Actor, name, tenant, match string, patch json.RawMessage) error {
	r := m.r
	r.mu.Lock()
	defer r.mu.Unlock()
	old, err := r.storedEventType(a, name, tenant, match)
	if err != nil {
		return err
	}
	body, err := members(old.Text)
	if err != nil {
		return err
	}
	change, err := members(patch)
	if err != nil {
		return err
	}
	for _, key := range []string{"name", "tenant"} {
		if v, ok := change[key]; ok && !sameJSON(v, body[key]) {
			return admin.Mistakes{{Path: key, Message: "cannot be changed: make a new event type"}}
		}
	}
	if body, err = merged(body, change, nil); err != nil {
		return err
	}
	o := *old
	o.Revision++
	o.UpdatedAt, o.UpdatedBy = time.Now().UTC(), a.Name
	return r.saveEventType(ctx, a, old, &o, body, "update")
}

// DeleteEventType removes a type from a tenant's catalogue.
func (m management) DeleteEventType(ctx context.Context, a admin.Actor, name, tenant, match string) error {
	r := m.r
	r.mu.Lock()
	defer r.mu.Unlock()
	o, err := r.storedEventType(a, name, tenant, match)
	if err != nil {
		return err
	}
	entry := r.audit(a, "delete", o)
	entry.Before = json.RawMessage(o.Text)
	return r.changeError(r.change(ctx, store.Change{Old: o, Entries: []*store.Entry{entry}}, ""))
}
