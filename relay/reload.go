package relay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"time"

	"edgerelay/config"
	"edgerelay/relay/event"
	"edgerelay/relay/sign"
	"edgerelay/relay/store"
	"edgerelay/relay/webhooks"
)

// build compiles a configuration's webhooks. broken says which of those that were made through the API cannot be used, changed which one is being changed.
func (r *Relay) build(ctx context.Context, c *config.Config, broken map[string]string, changed string) (*built, error) {
	b := &builder{cfg: c, host: r.host, old: r.built, metrics: r.metrics, disabled: r.stillDisabled(c), broken: broken, changed: changed,
		secret: func(w *webhooks.Webhook, spec sign.Spec) (string, error) {
			secret, fresh, err := r.keptSecret(w, spec)
			if fresh {
				r.logFresh(w, spec)
			}
			return secret, err
		}}
	if r.built == nil {
		var err error
		if b.failing, err = r.readFailing(); err != nil {
			return nil, err
		}
	}
	out, problems := b.build(ctx)
	if len(problems) > 0 {
		return nil, problems
	}
	r.enable(ctx, c)
	return out, nil
}

// use makes c and its webhooks the ones in force and returns the webhooks that were.
func (r *Relay) use(c *config.Config, b *built) (old *built) {
	old, r.built, r.cfg = r.built, b, c
	r.table.Store(b.table)
	b.networks.Own(r.addrs[:]...)
	r.deliver.SetNetworks(b.networks)
	r.deliver.SetLimits(limitsOf(c))
	r.queue.SetQuotas(quotas(c))
	r.deliver.Update(b.targets)
	r.forgetSeries(old, b)
	return old
}

// forgetSeries removes the metrics of transforms that are not configured any more: reloads must not make series without end.
func (r *Relay) forgetSeries(old, now *built) {
	if old == nil {
		return
	}
	used := map[string]bool{}
	for i := range now.targets {
		for _, s := range now.targets[i].Steps {
			used[s.Pool.Name()] = true
		}
	}
	for i := range old.targets {
		for _, s := range old.targets[i].Steps {
			if name := s.Pool.Name(); !used[name] {
				used[name] = true
				r.metrics.ForgetTransform(name)
			}
		}
	}
}

// Reload puts c in force: webhooks, authorizations, transforms, event types, tenants, tokens. On a mistake everything stays as it was. What only a
// restart can change is named in the log.
func (r *Relay) Reload(ctx context.Context, c *config.Config) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopping {
		return errStopping
	}
	alerts, err := alertSettings(c)
	if err != nil {
		r.metrics.Reloaded(false, time.Now())
		return err
	}
	file := c
	c, made, broken, err := r.compose(file, store.Change{})
	var b *built
	if err == nil {
		b, err = r.build(ctx, c, broken, "")
	}
	if err == nil {
		if err = r.setAccess(c, b); err != nil {
			b.close(ctx)
		}
	}
	if err != nil {
		r.metrics.Reloaded(false, time.Now())
		return err
	}
	if keys := needRestart(r.boot, c); len(keys) > 0 {
		r.log.Warn("some changes take effect after a restart only", "keys", strings.Join(keys, ", "))
		c.DataDir, file.DataDir = r.boot.DataDir, r.boot.DataDir
	}
	r.file, r.made = file, made
	old := r.use(c, b)
	r.news.mails.Update(alerts)
	r.metrics.Reloaded(true, time.Now())
	r.log.Info("configuration reloaded", "webhooks", len(c.Webhooks))
	old.close(ctx) // waits for runs under way
	return nil
}

// setAccess replaces the tokens of both listeners.
func (r *Relay) setAccess(c *config.Config, b *built) error {
	tokens, err := configuredTokens(c)
	if err != nil {
		return err
	}
	if len(tokens) > 0 {
		if err := r.admin.SetTokens(tokens); err != nil {
			return err
		}
	}
	return r.ingress.SetPolicy(r.policy(c, b))
}

// restartSections are the keys that a reload does not touch.
var restartSections = []struct {
	key string
	of  func(*config.Config) any
}{
	{"data_dir", func(c *config.Config) any { return c.DataDir }},
	{"queue", func(c *config.Config) any { return c.Queue }},
	{"tracing", func(c *config.Config) any { return c.Tracing }},
	{"history", func(c *config.Config) any { return c.History }},
	{"ingress.listen", func(c *config.Config) any { return c.Ingress.Listen }},
	{"ingress.tls", func(c *config.Config) any { return c.Ingress.TLS }},
	{"ingress.max_body", func(c *config.Config) any { return c.Ingress.MaxBody }},
	{"admin.listen", func(c *config.Config) any { return c.Admin.Listen }},
	{"admin.public_catalogue", func(c *config.Config) any { return c.Admin.PublicCatalogue }},
	{"admin.tls", func(c *config.Config) any { return c.Admin.TLS }},
	{"sender.user_agent", func(c *config.Config) any { return c.Sender.UserAgent }},
	{"sender.max_in_flight", func(c *config.Config) any { return c.Sender.MaxInFlight }},
}

// needRestart lists the sections in which next differs from what the relay was started with.
func needRestart(boot, next *config.Config) (keys []string) {
	for _, s := range restartSections {
		if !reflect.DeepEqual(s.of(boot), s.of(next)) {
			keys = append(keys, s.key)
		}
	}
	return keys
}

// A receiver that answers 410, or nothing but failures for days, disables its webhook, also over restarts: the mark is kept beside the
// events, with a print of the webhook's URL and the reason. It is lifted when the URL has changed or when the webhook is loaded with
// another status than active.
const disabledPrefix = "disabled/"

// disabledMark is what is stored.
func disabledMark(url, reason string) string { return urlPrint(url) + " " + reason }

// disabledReason is why, in words; "" = there is no mark.
func disabledReason(mark string) string {
	if mark == "" {
		return ""
	}
	if reason := strings.TrimPrefix(mark[min(len(mark), urlPrintSize):], " "); reason != "" {
		return reason
	}
	return "the receiver answered 410 Gone" // the mark of an older version
}

// marks says whether the mark was made when the webhook had this URL.
func marks(mark, url string) bool { return strings.HasPrefix(mark, urlPrint(url)) }

// urlPrintSize is the length of what urlPrint makes.
const urlPrintSize = len("410 ") + 32

func (r *Relay) readDisabled() error {
	return r.queue.Scan(disabledPrefix, func(key string, value []byte) bool {
		if id, err := event.ParseWebhookID(strings.TrimPrefix(key, disabledPrefix)); err == nil {
			r.disabled[id] = string(value)
		}
		return true
	})
}

// disable is called by the sending side when it has disabled a webhook.
func (r *Relay) disable(w *webhooks.Webhook, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.cfg.Webhooks {
		c := &r.cfg.Webhooks[i]
		if webhookID(c) != w.ID {
			continue
		}
		mark := disabledMark(c.URL, reason)
		r.disabled[w.ID] = mark
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.queue.Put(ctx, disabledPrefix+w.ID.String(), []byte(mark)); err != nil {
			r.log.Error("cannot store that a webhook is disabled; a restart will try it again", "webhook", w.Name, "error", err)
		}
	}
	b := &builder{disabled: r.disabled}
	all := make([]*webhooks.Webhook, len(r.built.targets))
	for i := range r.built.targets {
		all[i] = r.built.targets[i].Webhook
	}
	table, err := webhooks.NewTable(b.matching(all))
	if err != nil {
		r.log.Error("cannot take a disabled webhook out of the table", "webhook", w.Name, "error", err)
		return
	}
	r.table.Store(table)
}

// stillDisabled is r.disabled without the webhooks that c has changed.
func (r *Relay) stillDisabled(c *config.Config) map[event.WebhookID]string {
	still := maps.Clone(r.disabled)
	for i := range c.Webhooks {
		w := &c.Webhooks[i]
		id := webhookID(w)
		if mark, marked := still[id]; marked && !(w.Status == string(webhooks.StatusActive) && marks(mark, w.URL)) {
			delete(still, id)
		}
	}
	return still
}

// enable lifts the marks of webhooks that c has changed. It is called once c is known to be good: an invalid configuration changes nothing.
func (r *Relay) enable(ctx context.Context, c *config.Config) {
	still := r.stillDisabled(c)
	for id := range r.disabled {
		if _, marked := still[id]; marked {
			continue
		}
		if err := r.queue.Put(ctx, disabledPrefix+id.String(), nil); err != nil {
			r.log.Error("cannot remove the mark of a disabled webhook", "id", id.String(), "error", err)
		}
		r.log.Info("webhook enabled again: its definition has changed", "id", id.String())
	}
	r.disabled = still
}

func urlPrint(url string) string {
	sum := sha256.Sum256([]byte(url))
	return fmt.Sprintf("410 %s", hex.EncodeToString(sum[:16]))
}
