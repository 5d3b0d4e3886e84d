package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"edgerelay/config"
	"edgerelay/relay/admin"
	"edgerelay/relay/event"
	"edgerelay/relay/queue"
	"edgerelay/relay/sign"
	"edgerelay/relay/store"
)

// merged applies a merge patch (RFC 7396). A text of the patch that is only the redacted form of what is there, as shown, stays what it is.
func merged(body, patch map[string]json.RawMessage, shown json.RawMessage) (map[string]json.RawMessage, error) {
	var old, change, visible any
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("write definition: %w", err)
	}
	for _, one := range []struct {
		text []byte
		into *any
	}{{text, &old}, {mustJSON(patch), &change}, {shown, &visible}} {
		if err := decodeJSON(one.text, one.into); err != nil {
			return nil, err
		}
	}
	next, ok := mergePatch(old, unredact(change, visible, old)).(map[string]any)
	if !ok {
		return members(mustJSON(nil))
	}
	result := make(map[string]json.RawMessage, len(next))
	for name, value := range next {
		if result[name], err = inOrder(value, body[name], patch[name]); err != nil {
			return nil, fmt.Errorf("write definition: %w", err)
		}
	}
	return result, nil
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: members do not marshal: " + err.Error())
	}
	return b
}

// decodeJSON keeps numbers as they are written.
func decodeJSON(text []byte, into *any) error {
	if len(text) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return dec.Decode(into)
}

func mergePatch(old, patch any) any {
	change, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	target, ok := old.(map[string]any)
	if !ok {
		target = map[string]any{}
	}
	for key, value := range change {
		if value == nil {
			delete(target, key)
		} else {
			target[key] = mergePatch(target[key], value)
		}
	}
	return target
}

// unredact replaces what is only the redacted form by what it stands for.
func unredact(patch, shown, old any) any {
	switch p := patch.(type) {
	case map[string]any:
		s, _ := shown.(map[string]any)
		o, _ := old.(map[string]any)
		for key, value := range p {
			p[key] = unredact(value, s[key], o[key])
		}
	case []any:
		s, _ := shown.([]any)
		o, _ := old.([]any)
		for i := range p {
			if i < len(s) && i < len(o) {
				p[i] = unredact(p[i], s[i], o[i])
			}
		}
	case string:
		if s, ok := shown.(string); ok && p == s && strings.Contains(p, "***") && old != nil {
			return old
		}
	}
	return patch
}

// DuplicateWebhook makes a draft that is a copy.
func (m management) DuplicateWebhook(ctx context.Context, a admin.Actor, id, name string) (d admin.Detail, err error) {
	r := m.r
	r.mu.Lock()
	defer r.mu.Unlock()
	o, err := r.stored(a, id, "")
	if err != nil {
		return d, err
	}
	body, err := members(o.Text)
	if err != nil {
		return d, err
	}
	for n := 1; name == ""; n++ {
		try := o.Name + " (copy)"
		if n > 1 {
			try = fmt.Sprintf("%s (copy %d)", o.Name, n)
		}
		if r.store.Find(store.Webhooks, o.Tenant, try) == nil {
			name = try
		}
	}
	delete(body, "secret")
	body["name"], body["status"] = quoted(name), quoted("draft")
	return r.make(ctx, a, body, nil, "duplicate")
}

// DeleteWebhook deletes a webhook. What waits for it is buried by the sending side, as always when a webhook is gone, and then removed if that was asked for.
func (m management) DeleteWebhook(ctx context.Context, a admin.Actor, id, match, deliveries string) error {
	r := m.r
	r.mu.Lock()
	defer r.mu.Unlock()
	o, err := r.stored(a, id, match)
	if err != nil {
		return err
	}
	entry := r.audit(a, "delete", o)
	entry.Before = r.shown(id)
	if err := r.queue.Put(ctx, discardPrefix+id, []byte(deliveries)); err != nil {
		return apiError(err)
	}
	if err := r.change(ctx, store.Change{Old: o, Entries: []*store.Entry{entry}}, ""); err != nil {
		return r.changeError(err)
	}
	if wid, err := event.ParseWebhookID(id); err == nil {
		r.lift(ctx, id)
		r.forgetSecrets(context.WithoutCancel(ctx), o.Tenant, wid)
	}
	r.log.Info("webhook deleted", "webhook", o.Name, "id", id, "tenant", o.Tenant, "token", a.Name, "deliveries", deliveries)
	r.wakeKeeper()
	return nil
}

// WebhookVersions lists the earlier versions, without their secrets.
func (m management) WebhookVersions(a admin.Actor, id string) (all []admin.Version, err error) {
	r := m.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.indexOf(a, id) < 0 {
		return nil, admin.ErrNotFound
	}
	o := r.store.Get(id)
	if o == nil {
		return nil, nil // the versions of a file are the file's owner's
	}
	versions, err := r.store.Versions(o)
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		all = append(all, admin.Version{Revision: v.Revision, UpdatedAt: v.UpdatedAt, UpdatedBy: v.UpdatedBy, Definition: r.redactedText(v)})
	}
	return all, nil
}

// WebhookSecrets shows the signing secrets, and notes who looked.
func (m management) WebhookSecrets(ctx context.Context, a admin.Actor, id string) (secrets []string, public string, err error) {
	r := m.r
	r.mu.Lock()
	defer r.mu.Unlock()
	i := r.indexOf(a, id)
	if i < 0 {
		return nil, "", admin.ErrNotFound
	}
	c := &r.cfg.Webhooks[i]
	spec := sign.Spec{Scheme: c.Signing.Scheme, Algorithm: c.Signing.Algorithm}
	switch secrets = c.Secret.Reveal(); {
	case spec.Scheme == sign.None:
		return nil, "", &admin.Conflict{Detail: "its requests are not signed: signing.scheme is none"}
	case len(secrets) > 0:
	default:
		w := r.table.Load().Get(webhookID(c))
		if w == nil {
			return nil, "", admin.ErrNotFound
		}
		one, _, err := r.keptSecret(w, spec)
		if err != nil {
			return nil, "", err
		}
		secrets = []string{one}
	}
	if spec.Asymmetric() {
		if public, err = sign.PublicKey(secrets[0]); err != nil {
			return nil, "", err
		}
	}
	return secrets, public, r.store.Note(ctx, &store.Entry{Actor: a.Name, Role: a.Role.String(), Tenant: c.Tenant, Action: "secret.read", Kind: store.Webhooks, Object: id, Name: c.Name})
}

// RotateSecret gives a webhook a new secret. The old ones sign, too, until the overlap is over.
func (m management) RotateSecret(ctx context.Context, a admin.Actor, rotation admin.Rotation) (d admin.Detail, secret string, err error) {
	r := m.r
	r.mu.Lock()
	defer r.mu.Unlock()
	old, err := r.stored(a, rotation.ID, rotation.Match)
	if err != nil {
		return d, "", err
	}
	c := &r.cfg.Webhooks[r.indexOf(a, rotation.ID)]
	spec := sign.Spec{Scheme: c.Signing.Scheme, Algorithm: c.Signing.Algorithm}
	if spec.Scheme == sign.None {
		return d, "", &admin.Conflict{Detail: "its requests are not signed: signing.scheme is none"}
	}
	if secret = rotation.Secret; secret == "" {
		secret = spec.NewSecret()
	}
	body, err := members(old.Text)
	if err != nil {
		return d, "", err
	}
	all := []string{secret}
	if rotation.Overlap > 0 && len(c.Secret) > 0 {
		all = append(all, c.Secret.Reveal()[0])
	}
	body["secret"] = mustJSON(all)
	o := *old
	o.Revision++
	o.UpdatedAt, o.UpdatedBy, o.RetireAt = time.Now().UTC(), a.Name, time.Time{}
	if len(all) > 1 {
		o.RetireAt = o.UpdatedAt.Add(rotation.Overlap)
	}
	d, err = r.save(ctx, a, old, &o, body, nil, "secret.rotate")
	return d, secret, err
}

// retire drops old secrets whose overlap is over; r.mu is held.
func (r *Relay) retire(ctx context.Context, now time.Time) {
	for _, old := range r.store.All(store.Webhooks) {
		if old.RetireAt.IsZero() || now.Before(old.RetireAt) {
			continue
		}
		body, err := members(old.Text)
		var all []string
		if err == nil {
			err = json.Unmarshal(body["secret"], &all)
		}
		o := *old
		o.Revision++
		o.UpdatedAt, o.RetireAt = now.UTC(), time.Time{}
		if err == nil && len(all) > 1 {
			body["secret"] = quoted(all[0])
		}
		if err == nil {
			_, err = r.save(ctx, admin.Actor{Name: "edgerelay", Role: admin.RoleAdmin}, old, &o, body, nil, "secret.retire")
		}
		if err != nil {
			r.log.Error("cannot retire the old secret of a webhook; it is tried again", "webhook", old.Name, "id", old.ID, "error", err)
		}
	}
}

// TestWebhook sends a test event.
func (m management) TestWebhook(ctx context.Context, a admin.Actor, t *admin.TestRequest) (*admin.Trial, error) {
	r := m.r
	c := r.config()
	at := -1
	if t.ID != "" {
		r.mu.Lock()
		at = r.indexOf(a, t.ID)
		c = r.cfg
		r.mu.Unlock()
		if at < 0 {
			return nil, admin.ErrNotFound
		}
	}
	with := c
	if len(t.Draft) > 0 {
		var err error
		if with, at, _, err = r.draft(c, r.completed(c, t.Draft, at), at, a.Tenants); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	var e *trialEvent
	var err error
	if t.Stored != "" {
		e, err = r.remembered(ctx, t.Stored, with.Webhooks[at].Tenant, true, now)
	} else {
		e, err = r.eventFor(ctx, with, &with.Webhooks[at], &admin.TryRequest{Event: t.Event, Example: t.Example}, now)
	}
	if err != nil {
		return nil, err
	}
	trial, err := r.testWebhook(ctx, with, at, e)
	if err != nil {
		if problems, ok := err.(config.Problems); ok {
			return nil, mistakes(problems, "draft", fmt.Sprintf("webhooks[%d]", at))
		}
		if err == errBusyTrials {
			return nil, fmt.Errorf("%w: %w", admin.ErrUnavailable, err)
		}
	}
	return trial, err
}

// completed gives a changed definition of a stored webhook back what is redacted in it, and its secret.
func (r *Relay) completed(c *config.Config, draft json.RawMessage, at int) json.RawMessage {
	if at < 0 || c.Webhooks[at].ID == "" {
		return draft
	}
	o := r.store.Get(c.Webhooks[at].ID)
	shown, err := c.WebhookJSON(at)
	if o == nil || err != nil {
		return draft
	}
	body, err := members(o.Text)
	if err != nil {
		return draft
	}
	patch, err := members(draft)
	if err != nil {
		return draft
	}
	if _, given := patch["secret"]; !given {
		patch["secret"] = body["secret"]
	}
	next, err := merged(map[string]json.RawMessage{}, patch, nil)
	if err != nil {
		return draft
	}
	var change, visible, old any
	if decodeJSON(mustJSON(next), &change) != nil || decodeJSON(shown, &visible) != nil || decodeJSON(o.Text, &old) != nil {
		return draft
	}
	return mustJSON(unredact(change, visible, old))
}

// discardPrefix marks deleted webhooks with what shall become of their deliveries: bury or discard.
const discardPrefix = "discard/"

// discard settles the deliveries of deleted webhooks: those that wait for a retry are made due, so that the sending side buries them now and not in hours; dead ones are
// removed if that was asked for. It goes on until none is left.
func (r *Relay) discard(ctx context.Context) (more bool) {
	marks := map[event.WebhookID]string{}
	err := r.queue.Scan(discardPrefix, func(key string, fate []byte) bool {
		if id, err := event.ParseWebhookID(strings.TrimPrefix(key, discardPrefix)); err == nil {
			marks[id] = string(fate)
		}
		return true
	})
	for id, fate := range marks {
		left := 0
		if err == nil {
			left, err = r.each(queue.Filter{State: queue.StateRetrying, Webhook: id}, func(d event.DeliveryID) error { return r.queue.Redrive(ctx, d) })
		}
		if err == nil && fate == "discard" {
			var dead int
			dead, err = r.each(queue.Filter{State: queue.StateDead, Webhook: id}, func(d event.DeliveryID) error { return r.queue.Discard(ctx, d) })
			left += dead
		}
		if waiting, atLeast := r.queue.Waiting(id); err == nil && left+waiting == 0 && !atLeast {
			err = r.queue.Put(ctx, discardPrefix+id.String(), nil)
		} else {
			more = true
		}
	}
	if err != nil && ctx.Err() == nil {
		r.log.Warn("cannot settle the deliveries of a deleted webhook; it is tried again", "error", err)
	}
	return more
}

// each does something with every delivery that matches, and counts them. One that is gone or busy by now is somebody else's.
func (r *Relay) each(f queue.Filter, do func(event.DeliveryID) error) (n int, err error) {
	for cursor := ""; ; {
		page, next, err := r.queue.List(f, cursor, 500)
		if err != nil {
			return n, err
		}
		for i := range page {
			if err := do(page[i].ID); err != nil && !errors.Is(err, queue.ErrNotFound) && !errors.Is(err, queue.ErrBusy) {
				return n, err
			}
			n++
		}
		if next == "" {
			return n, nil
		}
		cursor = next
	}
}

// keep does what has to be done from time to time: old secrets retire, deliveries of deleted webhooks are removed.
func (r *Relay) keep(ctx context.Context) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		r.mu.Lock()
		if !r.stopping {
			r.retire(ctx, time.Now())
		}
		r.mu.Unlock()
		if r.discard(ctx) {
			tick.Reset(time.Second)
		} else {
			tick.Reset(keepEvery)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.keeper:
		}
	}
}

// keepEvery is how often keep looks.
const keepEvery = 30 * time.Second

// wakeKeeper lets keep look soon.
func (r *Relay) wakeKeeper() {
	select {
	case r.keeper <- struct{}{}:
	default:
	}
}
