package relay

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"edgerelay/config"
	"edgerelay/relay/event"
	"edgerelay/relay/queue"
	"edgerelay/relay/queue/badgerq"
	"edgerelay/relay/sign"
	"edgerelay/relay/store"
	"edgerelay/relay/webhooks"
)

// What is made through the API is kept in the store, and joins what the files say: together they are the configuration in force. Every change compiles what it
// concerns, is made durable, and is put in force, in this order; only then it is answered.

// values adapts the queue's durable values to the store.
type values struct{ q *badgerq.Queue }

func (v values) PutAll(ctx context.Context, pairs []store.Pair) error {
	all := make([]queue.Value, len(pairs))
	for i, p := range pairs {
		all[i] = queue.Value{Key: p.Key, Value: p.Value}
	}
	return v.q.PutAll(ctx, all)
}

func (v values) Scan(prefix string, fn func(key string, value []byte) bool) error {
	return v.q.Scan(prefix, fn)
}

func (r *Relay) openStore(ctx context.Context, dir string) error {
	key, from, err := store.MasterKey(dir)
	if err != nil {
		return err
	}
	if r.store, err = store.Open(ctx, store.Options{KV: values{r.queue}, Key: key}); errors.Is(err, store.ErrKey) {
		return fmt.Errorf("%w (it is from %s): give back the one that was used before, or use another data_dir", err, from)
	}
	return err
}

// madeWebhook is what a stored definition was read as.
type madeWebhook struct {
	object  *store.Object
	file    *config.Config // with which files it was checked
	made    *config.Made[config.Webhook]
	problem string // why it cannot be used
}

// compose makes the configuration in force out of the files' and of what is stored, with one change that is not stored yet. A webhook that does not fit the files any
// more is named in broken. A name that both have is an error.
func (r *Relay) compose(file *config.Config, change store.Change) (c *config.Config, made map[string]*madeWebhook, broken map[string]string, err error) {
	var m config.MadeObjects
	made, broken = map[string]*madeWebhook{}, map[string]string{}
	var problems config.Problems
	for _, o := range r.objects(store.Authorizations, change) {
		a, wrong := file.MakeAuthorization(o.Text)
		if i := file.FindAuthorization(o.Tenant, o.Name); i >= 0 {
			problems = append(problems, collision(file, "authorizations", i, o))
		}
		if len(wrong) > 0 {
			if change.New == o {
				return nil, nil, nil, wrong
			}
			r.log.Error("an authorization that was made through the API is not valid any more", "authorization", o.Name, "tenant", o.Tenant, "error", wrong[0].String())
			continue
		}
		a.Value.ID, a.Value.Tenant = o.ID, o.Tenant
		m.Authorizations = append(m.Authorizations, a)
	}
	for _, o := range r.objects(store.EventTypes, change) {
		t, wrong := file.MakeEventType(o.Text)
		if len(wrong) > 0 {
			if change.New == o {
				return nil, nil, nil, wrong
			}
			r.log.Error("an event type that was made through the API is not valid any more", "event_type", o.Name, "tenant", o.Tenant, "error", wrong[0].String())
			continue
		}
		t.Value.Tenant = o.Tenant
		if at := findEventType(file, o.Tenant, o.Name); at >= 0 {
			problems = append(problems, collision(file, "event_types", at, o))
		}
		m.EventTypes = append(m.EventTypes, t)
	}
	base := file.With(m)
	taken := make(map[[2]string]int, len(file.Webhooks))
	for i := range file.Webhooks {
		taken[[2]string{file.Webhooks[i].Tenant, file.Webhooks[i].Name}] = i
	}
	for _, o := range r.objects(store.Webhooks, change) {
		w := r.made[o.ID]
		if w == nil || w.object != o || w.file != file {
			one, wrong := base.MakeWebhook(o.Text)
			if len(wrong) > 0 && change.New == o || one == nil {
				return nil, nil, nil, wrong
			}
			one.Value.ID, one.Value.Tenant, one.Value.Name = o.ID, o.Tenant, o.Name
			if w = (&madeWebhook{object: o, file: file, made: one}); len(wrong) > 0 {
				w.problem = wrong[0].String()
			}
		}
		if w.problem != "" {
			broken[o.ID] = w.problem
		}
		if i, both := taken[[2]string{o.Tenant, o.Name}]; both {
			problems = append(problems, collision(file, "webhooks", i, o))
		}
		made[o.ID] = w
		m.Webhooks = append(m.Webhooks, w.made)
	}
	if len(problems) > 0 {
		return nil, nil, nil, problems
	}
	c = file.With(m)
	r.pauseFileWebhooks(c, change)
	return c, made, broken, nil
}

func findEventType(c *config.Config, tenant, name string) int {
	for i := range c.EventTypes {
		if t := &c.EventTypes[i]; t.Name == name && (t.Tenant == "" || t.Tenant == tenant) {
			return i
		}
	}
	return -1
}

// objects lists the stored objects of a kind as they will be after change.
func (r *Relay) objects(kind string, change store.Change) []*store.Object {
	all := r.store.All(kind)
	if change.Old == nil && (change.New == nil || change.New.Kind != kind) || change.Old != nil && change.Old.Kind != kind {
		return all
	}
	kept := all[:0]
	for _, o := range all {
		switch {
		case change.Old == nil || o.ID != change.Old.ID:
			kept = append(kept, o)
		case change.New != nil:
			kept = append(kept, change.New)
		}
	}
	if change.Old == nil && change.New != nil {
		kept = append(kept, change.New)
	}
	return kept
}

// collision names both places of a name that a file and the API have given.
func collision(file *config.Config, list string, i int, o *store.Object) config.Problem {
	path := fmt.Sprintf("%s[%d].name", list, i)
	return file.Problem(path, fmt.Sprintf("%q of tenant %s is there twice: here, and made through the API as %s on %s by %s; rename or remove one of them",
		o.Name, o.Tenant, o.ID, o.CreatedAt.Format(time.RFC3339), o.CreatedBy))
}

// statusKind is the kind of the stored objects that pause webhooks of the files.
const statusKind = "status"

// pauseFileWebhooks applies what the API may change of a webhook that comes from a file: whether it is paused.
func (r *Relay) pauseFileWebhooks(c *config.Config, change store.Change) {
	paused := map[string]bool{}
	for _, o := range r.objects(statusKind, change) {
		paused[strings.TrimPrefix(o.ID, "pause:")] = true
	}
	if len(paused) == 0 {
		return
	}
	for i := range c.Webhooks {
		if w := &c.Webhooks[i]; w.ID == "" && w.Status == "active" && paused[webhookID(w).String()] {
			w.Status = "paused"
		}
	}
}

// change compiles, stores and puts in force what c says; r.mu is held. id is the object whose mistakes are the caller's. A mistake is a config.Problems.
func (r *Relay) change(ctx context.Context, c store.Change, id string) error {
	if r.stopping {
		return errStopping
	}
	cfg, made, broken, err := r.compose(r.file, c)
	if err != nil {
		return err
	}
	b, err := r.build(ctx, cfg, broken, id)
	if err != nil {
		return err
	}
	storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := r.store.Apply(storing, c); err != nil {
		b.close(ctx)
		return err
	}
	r.made = made
	old := r.use(cfg, b)
	if err := r.ingress.SetPolicy(r.policy(cfg, b)); err != nil {
		r.log.Error("cannot tell the ingress what was changed", "error", err)
	}
	old.close(context.WithoutCancel(ctx))
	return nil
}

// keptSecret returns the signing secret that was generated for a webhook, making it the first time. fresh says that it was.
func (r *Relay) keptSecret(w *webhooks.Webhook, spec sign.Spec) (secret string, fresh bool, err error) {
	field := "secret"
	if spec.Asymmetric() {
		field = "ed25519"
	}
	id := w.ID.String()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if secret = r.store.Secret(w.Tenant, id, field); secret == "" {
		path := keptPath(string(r.boot.DataDir), w.ID, spec)
		if secret, err = readKept(path); err != nil {
			return "", false, err
		}
		if fresh = secret == ""; fresh {
			secret = spec.NewSecret()
		}
		if err := r.store.SetSecret(ctx, w.Tenant, id, field, secret); err != nil {
			return "", false, err
		}
		if !fresh { // it is sealed now, and durable: the plain file of an earlier version may go
			if err := os.Remove(path); err != nil {
				return "", false, fmt.Errorf("remove the plain secret after sealing it: %w", err)
			}
			r.log.Info("a signing secret was moved from its file to the sealed store", "webhook", w.Name, "file", path)
		}
	}
	if spec.Asymmetric() {
		err = writePublic(string(r.boot.DataDir), w.ID, secret)
	}
	return secret, fresh, err
}

// logFresh tells about a secret that was made just now.
func (r *Relay) logFresh(w *webhooks.Webhook, spec sign.Spec) {
	if spec.Asymmetric() {
		r.log.Info("a signing key was generated; its receiver needs the public half", "webhook", w.Name, "file", keptPath(string(r.boot.DataDir), w.ID, spec)+publicSuffix)
		return
	}
	r.log.Info("a signing secret was generated; its receiver needs it: edgerelay webhooks secret", "webhook", w.Name, "id", w.ID.String())
}

// forgetSecrets removes what was generated for a webhook that is deleted.
func (r *Relay) forgetSecrets(ctx context.Context, tenant string, id event.WebhookID) {
	for _, field := range []string{"secret", "ed25519"} {
		if r.store.Secret(tenant, id.String(), field) == "" {
			continue
		}
		if err := r.store.SetSecret(ctx, tenant, id.String(), field, ""); err != nil {
			r.log.Warn("cannot forget the secret of a webhook that is gone", "id", id.String(), "error", err)
		}
	}
	_ = os.Remove(filepath.Join(string(r.boot.DataDir), secretsDir, id.String()+privateSuffix+publicSuffix)) // mostly there is none
}
