package relay

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"edgerelay/config"
	"edgerelay/relay/admin"
	"edgerelay/relay/deliver"
	"edgerelay/relay/event"
	"edgerelay/relay/sign"
	"edgerelay/relay/store"
)

// management answers the API's requests to make and change things.
type management struct{ r *Relay }

// reachesAll says whether a reaches a tenant.
func sees(a admin.Actor, tenant string) bool { return reaches(a.Tenants, tenant) }

// tenantFor decides whose a new object is: the token's word holds, and the body may choose among the tenants that it reaches.
func (r *Relay) tenantFor(a admin.Actor, asked string) (string, error) {
	switch {
	case asked == "" && len(a.Tenants) == 1:
		return a.Tenants[0], nil
	case asked == "" && a.Tenants == nil && r.file.DefaultTenant() != "":
		return r.file.DefaultTenant(), nil
	case asked == "":
		return "", admin.Mistakes{{Path: "tenant", Message: "is missing: the token is for several tenants, say whose it is"}}
	case !sees(a, asked):
		return "", admin.Mistakes{{Path: "tenant", Message: fmt.Sprintf("unknown tenant %q", asked)}}
	}
	return asked, nil
}

// members reads a JSON object.
func members(text []byte) (map[string]json.RawMessage, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(text, &m); err != nil || m == nil {
		return nil, admin.Mistakes{{Message: "want an object: keys with values"}}
	}
	return m, nil
}

func textOf(raw json.RawMessage) string {
	var s string
	_ = json.Unmarshal(raw, &s) // what is no text is a mistake that the decoder reports
	return s
}

func quoted(s string) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil {
		panic("BUG: a string does not marshal: " + err.Error())
	}
	return b
}

// Webhook implements admin.Management, as do the methods that follow.
func (m management) Webhook(a admin.Actor, id string) (admin.Detail, error) {
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	return m.r.detail(a, id)
}

// detail describes a webhook; r.mu is held.
func (r *Relay) detail(a admin.Actor, id string) (admin.Detail, error) {
	i := r.indexOf(a, id)
	if i < 0 {
		return admin.Detail{}, admin.ErrNotFound
	}
	lane := deliver.LaneInfo{}
	if wid, err := event.ParseWebhookID(id); err == nil {
		for _, l := range r.deliver.Lanes() {
			if l.Webhook == wid {
				lane = l
			}
		}
	}
	w := r.view(i, webhookID(&r.cfg.Webhooks[i]), lane)
	w.URL = admin.RedactURL(w.URL)
	definition, err := r.cfg.WebhookJSON(i)
	return admin.Detail{Webhook: w, Definition: json.RawMessage(definition)}, err
}

// indexOf finds a webhook that a may see; r.mu is held.
func (r *Relay) indexOf(a admin.Actor, id string) int {
	want, err := event.ParseWebhookID(id)
	if err != nil {
		return -1
	}
	return slices.IndexFunc(r.cfg.Webhooks, func(w config.Webhook) bool {
		return webhookID(&w) == want && sees(a, w.Tenant) && (a.Program == "" || w.Program == a.Program)
	})
}

// stored finds the object behind a webhook that can be changed; r.mu is held.
func (r *Relay) stored(a admin.Actor, id, match string) (*store.Object, error) {
	i := r.indexOf(a, id)
	if i < 0 {
		return nil, admin.ErrNotFound
	}
	o := r.store.Get(id)
	if o == nil {
		where := r.file.Place(fmt.Sprintf("webhooks[%d]", i))
		return nil, &admin.Conflict{Detail: "it comes from a file and is changed there: " + where}
	}
	return o, matches(match, o.Revision)
}

// matches compares If-Match with a revision.
func matches(match string, revision int) error {
	if match == "" || match == "*" {
		return nil
	}
	for tag := range strings.SplitSeq(match, ",") {
		if strings.Trim(strings.TrimPrefix(strings.TrimSpace(tag), "W/"), `"`) == strconv.Itoa(revision) {
			return nil
		}
	}
	return admin.ErrPrecondition
}

// CreateWebhook makes a webhook, durably, before it returns.
func (m management) CreateWebhook(ctx context.Context, a admin.Actor, c admin.Creation) (d admin.Detail, replayed bool, err error) {
	r := m.r
	r.mu.Lock()
	defer r.mu.Unlock()
	body, err := members(c.Body)
	if err != nil {
		return d, false, err
	}
	tenant, err := r.tenantFor(a, cmpOr(c.Tenant, textOf(body["tenant"])))
	if err != nil {
		return d, false, err
	}
	replay, id, err := r.replay(a, tenant, "webhook "+c.Program, c)
	if err != nil {
		return d, false, err
	}
	if id != "" {
		d, err = r.detail(a, id)
		return d, true, err
	}
	if c.Program == "" && textOf(body["program"]) != "" {
		return d, false, admin.Mistakes{{Path: "program", Message: "a webhook of a program is made at /api/v1/programs/{program}/webhooks"}}
	}
	if given := textOf(body["program"]); given != "" && given != c.Program {
		return d, false, admin.Mistakes{{Path: "program", Message: "is not the program of the address"}}
	}
	body["tenant"] = quoted(tenant)
	if c.Program != "" {
		body["program"] = quoted(c.Program)
	}
	d, err = r.make(ctx, a, body, replay, "create")
	return d, false, err
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// replay looks an Idempotency-Key up: id is what was made the first time.
func (r *Relay) replay(a admin.Actor, tenant, what string, c admin.Creation) (fresh *store.Replay, id string, err error) {
	if c.Key == "" {
		return nil, "", nil
	}
	hash := func(parts ...string) string {
		sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
		return hex.EncodeToString(sum[:])
	}
	fresh = &store.Replay{Tenant: tenant, Key: hash(a.Name, c.Key), Body: hash(what, string(c.Body)), At: time.Now().UTC()}
	old := r.store.Replayed(tenant, fresh.Key)
	switch {
	case old == nil:
		return fresh, "", nil
	case old.Body != fresh.Body:
		return nil, "", admin.ErrKeyReused
	}
	return nil, old.Object, nil
}

// make stores a new webhook and puts it in force; r.mu is held.
func (r *Relay) make(ctx context.Context, a admin.Actor, body map[string]json.RawMessage, replay *store.Replay, action string) (d admin.Detail, err error) {
	if raw, ok := body["secret"]; !ok || string(raw) == "null" || string(raw) == `""` {
		delete(body, "secret")
		var signing struct{ Scheme, Algorithm string }
		_ = json.Unmarshal(body["signing"], &signing) // a mistake in it is reported by the decoder
		spec := sign.Spec{Scheme: cmpOr(signing.Scheme, sign.Standard), Algorithm: signing.Algorithm}
		if spec.Scheme != sign.None {
			if secret, ok := newSecret(spec); ok {
				body["secret"] = quoted(secret)
			}
		}
	}
	now := time.Now().UTC()
	id := event.AppendTypeID(nil, event.PrefixWebhook, event.NewUUID(now))
	o := &store.Object{Kind: store.Webhooks, Tenant: textOf(body["tenant"]), ID: string(id), Name: textOf(body["name"]), Revision: 1,
		CreatedAt: now, UpdatedAt: now, CreatedBy: a.Name, UpdatedBy: a.Name}
	if replay != nil {
		replay.Object = o.ID
	}
	return r.save(ctx, a, nil, o, body, replay, action)
}

// newSecret makes a secret, unless the scheme is not one: that is for the checks to say.
func newSecret(spec sign.Spec) (secret string, ok bool) {
	if !slices.Contains(sign.Schemes(), spec.Scheme) {
		return "", false
	}
	return spec.NewSecret(), true
}

// save checks, stores and puts in force a new version of a webhook; r.mu is held.
func (r *Relay) save(ctx context.Context, a admin.Actor, old, o *store.Object, body map[string]json.RawMessage, replay *store.Replay, action string) (d admin.Detail, err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return d, fmt.Errorf("write definition: %w", err)
	}
	o.Text = text
	if len(text) > store.MaxText {
		return d, admin.Mistakes{{Message: fmt.Sprintf("the definition has %d bytes, at most %d are kept", len(text), store.MaxText)}}
	}
	if other := r.store.Find(store.Webhooks, o.Tenant, o.Name); other != nil && other.ID != o.ID {
		return d, &admin.Conflict{Detail: fmt.Sprintf("tenant %s has a webhook %q already: %s, made through the API", o.Tenant, o.Name, other.ID)}
	}
	if i := slices.IndexFunc(r.file.Webhooks, func(w config.Webhook) bool { return w.Tenant == o.Tenant && w.Name == o.Name }); i >= 0 {
		return d, &admin.Conflict{Detail: fmt.Sprintf("tenant %s has a webhook %q already: it is written at %s", o.Tenant, o.Name, r.file.Place(fmt.Sprintf("webhooks[%d]", i)))}
	}
	entry := r.audit(a, action, o)
	if old != nil {
		entry.Before = r.shown(old.ID)
	}
	entry.After = r.redactedText(o)
	if err := r.change(ctx, store.Change{Old: old, New: o, Entries: []*store.Entry{entry}, Replay: replay}, o.ID); err != nil {
		return d, r.changeError(err)
	}
	r.log.Info("webhook "+past(action), "webhook", o.Name, "id", o.ID, "tenant", o.Tenant, "token", a.Name, "revision", o.Revision)
	return r.detail(a, o.ID)
}

func past(action string) string {
	switch {
	case strings.HasSuffix(action, "e"):
		return action + "d"
	case action == "rollback":
		return "rolled back"
	}
	return action + "ed"
}

// changeError puts a refused change into the API's words.
func (r *Relay) changeError(err error) error {
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		out := make(admin.Mistakes, 0, len(problems))
		for _, p := range problems {
			path := p.Path
			for _, list := range []string{store.Webhooks, store.Authorizations, store.EventTypes} {
				path = config.ObjectPath(list, path)
			}
			out = append(out, admin.Mistake{Path: path, Message: p.Message})
		}
		return out
	case errors.Is(err, errStopping):
		return errors.Join(admin.ErrUnavailable, err)
	}
	return apiError(err)
}

func (r *Relay) audit(a admin.Actor, action string, o *store.Object) *store.Entry {
	return &store.Entry{Actor: a.Name, Role: a.Role.String(), Tenant: o.Tenant, Action: action, Kind: o.Kind, Object: o.ID, Name: o.Name}
}

// shown is the definition of a webhook in force, without secrets.
func (r *Relay) shown(id string) json.RawMessage {
	for i := range r.cfg.Webhooks {
		if r.cfg.Webhooks[i].ID == id {
			if text, err := r.cfg.WebhookJSON(i); err == nil {
				return json.RawMessage(text)
			}
		}
	}
	return nil
}

// redactedText is the definition of a stored object, without secrets, as far as it can be read.
func (r *Relay) redactedText(o *store.Object) json.RawMessage {
	var text config.JSON
	var err error
	switch o.Kind {
	case store.Webhooks:
		w, _ := r.cfg.MakeWebhook(o.Text)
		if w == nil {
			return nil
		}
		text, err = r.file.With(config.MadeObjects{Webhooks: []*config.Made[config.Webhook]{w}}).WebhookJSON(len(r.file.Webhooks))
	case store.Authorizations:
		a, wrong := r.cfg.MakeAuthorization(o.Text)
		if wrong != nil {
			return nil
		}
		text, err = r.file.With(config.MadeObjects{Authorizations: []*config.Made[config.Authorization]{a}}).AuthorizationJSON(len(r.file.Authorizations))
	default:
		return json.RawMessage(o.Text)
	}
	if err != nil {
		return nil
	}
	return json.RawMessage(text)
}

// EditWebhook changes a webhook: a merge patch, another status, or back to an earlier version.
func (m management) EditWebhook(ctx context.Context, a admin.Actor, e admin.Edit) (d admin.Detail, err error) {
	r := m.r
	r.mu.Lock()
	defer r.mu.Unlock()
	old, err := r.stored(a, e.ID, e.Match)
	var conflict *admin.Conflict
	if errors.As(err, &conflict) {
		return r.editFileWebhook(ctx, a, e, err)
	}
	if err != nil {
		return d, err
	}
	body, err := members(old.Text)
	if err != nil {
		return d, err
	}
	switch {
	case e.Revision > 0:
		if body, err = r.earlier(old, e.Revision, body); err != nil {
			return d, err
		}
	case e.Patch != nil:
		patch, err := members(e.Patch)
		if err != nil {
			return d, err
		}
		if err := r.checkPatch(old, patch, body); err != nil {
			return d, err
		}
		if body, err = merged(body, patch, r.shown(old.ID)); err != nil {
			return d, err
		}
	default:
		body["status"] = quoted(e.Status)
		r.lift(ctx, old.ID)
	}
	o := *old
	o.Revision++
	o.UpdatedAt, o.UpdatedBy, o.Name = time.Now().UTC(), a.Name, textOf(body["name"])
	return r.save(ctx, a, old, &o, body, nil, e.Action)
}

// lift takes the mark of a webhook away that was disabled: somebody wants it otherwise now.
func (r *Relay) lift(ctx context.Context, id string) {
	wid, err := event.ParseWebhookID(id)
	if err != nil || r.disabled[wid] == "" {
		return
	}
	delete(r.disabled, wid)
	if err := r.queue.Put(context.WithoutCancel(ctx), disabledPrefix+id, nil); err != nil {
		r.log.Error("cannot remove the mark of a disabled webhook", "id", id, "error", err)
	}
}

// checkPatch refuses what cannot be edited.
func (r *Relay) checkPatch(old *store.Object, patch, body map[string]json.RawMessage) error {
	fixed := map[string]string{"tenant": "the tenant of a webhook cannot be changed", "program": "the program of a webhook cannot be changed"}
	if r.file.Policy.LockEndpoint {
		fixed["url"] = "policy.lock_endpoint: the url cannot be changed"
		fixed["secret"] = "policy.lock_endpoint: the secret cannot be changed, only rotated"
	}
	var wrong admin.Mistakes
	shown, err := members(r.shown(old.ID))
	if err != nil {
		shown = nil
	}
	for key, message := range fixed {
		value, ok := patch[key]
		if ok && !sameJSON(value, body[key]) && !sameJSON(value, shown[key]) && !(string(value) == "null" && body[key] == nil) {
			wrong = append(wrong, admin.Mistake{Path: key, Message: message})
		}
	}
	if len(wrong) > 0 {
		return wrong
	}
	return nil
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}

// earlier returns the definition of an earlier version, with the secret and the status of today.
func (r *Relay) earlier(o *store.Object, revision int, today map[string]json.RawMessage) (map[string]json.RawMessage, error) {
	versions, err := r.store.Versions(o)
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		if v.Revision != revision {
			continue
		}
		body, err := members(v.Text)
		if err != nil {
			return nil, err
		}
		for _, key := range []string{"secret", "status"} {
			if delete(body, key); today[key] != nil {
				body[key] = today[key]
			}
		}
		if r.file.Policy.LockEndpoint {
			body["url"] = today["url"]
		}
		return body, nil
	}
	return nil, admin.Mistakes{{Path: "revision", Message: fmt.Sprintf("there is no earlier version %d", revision)}}
}

// editFileWebhook pauses a webhook that comes from a file, or makes it active again; nothing else of it can be changed here. refused is what is answered to that.
func (r *Relay) editFileWebhook(ctx context.Context, a admin.Actor, e admin.Edit, refused error) (d admin.Detail, err error) {
	status := e.Status
	if e.Patch != nil {
		patch, err := members(e.Patch)
		if err != nil {
			return d, err
		}
		if status = textOf(patch["status"]); len(patch) != 1 || status == "" {
			return d, refused
		}
	}
	i := r.indexOf(a, e.ID)
	w := &r.cfg.Webhooks[i]
	id := "pause:" + e.ID
	old := r.store.Get(id)
	now := time.Now().UTC()
	next := &store.Object{Kind: statusKind, Tenant: w.Tenant, ID: id, Name: w.Name, Revision: 1, CreatedAt: now, UpdatedAt: now, CreatedBy: a.Name, UpdatedBy: a.Name, Text: store.Text(`{}`)}
	entry := &store.Entry{Actor: a.Name, Role: a.Role.String(), Tenant: w.Tenant, Action: e.Action, Kind: store.Webhooks, Object: e.ID, Name: w.Name}
	switch {
	case status == "active" && (w.Status == "active" || old != nil):
		next = nil
		r.lift(ctx, e.ID)
	case status == "paused" && (w.Status == "active" || old != nil):
		if old != nil {
			next.Revision = old.Revision + 1
		}
	default:
		return d, refused
	}
	if err := r.change(ctx, store.Change{Old: old, New: next, Entries: []*store.Entry{entry}}, ""); err != nil {
		return d, r.changeError(err)
	}
	return r.detail(a, e.ID)
}
