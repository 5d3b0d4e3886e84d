package relay

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"

	"edgerelay/config"
	"edgerelay/relay/deliver"
	"edgerelay/relay/event"
	"edgerelay/relay/payload"
	"edgerelay/relay/sign"
	"edgerelay/relay/webhooks"
	"edgerelay/transform"
)

// notValid begins the reason of a webhook that is held because it cannot be compiled.
const notValid = "its definition is not valid any more: "

// unit is one compiled webhook. As long as nothing about it changes, one configuration hands it on to the next: its lane, its circuit and its instances go on as
// if nothing had happened, and a change of one webhook among ten thousand compiles one.
type unit struct {
	def    config.Webhook
	auth   *webhooks.Authorization
	limits int    // what the transforms' limits follow from
	kept   string // the signing secret, if it is not in def
	files  string // which versions of the files that it names
	target deliver.Target

	pools   []*transform.Pool
	modules []*transform.Module
	refs    atomic.Int64 // configurations that have it
}

// take adds a reference, unless the last one is gone.
func (u *unit) take() bool {
	for {
		n := u.refs.Load()
		if n == 0 {
			return false
		}
		if u.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release drops a reference, and with the last one closes the transforms; it waits for runs under way.
func (u *unit) release(ctx context.Context) {
	if u.refs.Add(-1) > 0 {
		return
	}
	for _, p := range u.pools {
		p.Close(ctx)
	}
	for _, m := range u.modules {
		m.Close(ctx)
	}
}

// webhookID is the id of a configured webhook.
func webhookID(c *config.Webhook) event.WebhookID {
	if c.ID != "" {
		if id, err := event.ParseWebhookID(c.ID); err == nil {
			return id
		}
	}
	return event.NamedWebhookID(c.Tenant, c.Name)
}

func originOf(c *config.Webhook) string {
	if c.ID != "" {
		return webhooks.OriginAPI
	}
	return webhooks.OriginFile
}

// unit compiles webhook i, or takes it over. Of a mistake in a webhook that was made through the API and is not being changed just now only that webhook
// suffers: it is held, and the others work.
func (b *builder) unit(ctx context.Context, i int) *unit {
	c := &b.cfg.Webhooks[i]
	id := webhookID(c)
	if problem := b.broken[c.ID]; c.ID != "" && problem != "" {
		u := &unit{def: *c, target: deliver.Target{Webhook: heldWebhook(c, id), Disabled: notValid + problem}}
		u.refs.Store(1)
		return u
	}
	if b.old != nil {
		if u := b.old.units[id]; u != nil && b.same(u, c) && u.take() {
			return u
		}
	}
	whole, before := b.out, len(b.problems)
	b.out = &built{schemas: whole.schemas, auths: whole.auths, networks: whole.networks}
	b.kept = ""
	w := b.webhook(i)
	steps := b.steps(ctx, i)
	u := &unit{def: *c, auth: b.auth(c), limits: int(b.cfg.Ingress.MaxBody), kept: b.kept, files: filesPrint(c), pools: b.out.pools, modules: b.out.modules,
		target: deliver.Target{Webhook: w, Steps: steps}}
	u.refs.Store(1)
	b.out = whole
	if problems := b.problems[before:]; len(problems) > 0 && c.ID != "" && c.ID != b.changed {
		text := config.ObjectPath("webhooks", problems[0].Path) + ": " + problems[0].Message
		b.problems = b.problems[:before]
		u.target = deliver.Target{Webhook: heldWebhook(c, id), Disabled: notValid + text}
	}
	return u
}

// same says whether u is what c would be compiled to.
func (b *builder) same(u *unit, c *config.Webhook) bool {
	if u.limits != int(b.cfg.Ingress.MaxBody) || u.auth != b.auth(c) || !reflect.DeepEqual(u.def, *c) || strings.HasPrefix(u.target.Disabled, notValid) {
		return false
	}
	if u.kept != "" {
		secret, err := b.secret(u.target.Webhook, sign.Spec{Scheme: c.Signing.Scheme, Algorithm: c.Signing.Algorithm})
		if err != nil || secret != u.kept {
			return false
		}
	}
	return u.files == filesPrint(c)
}

// heldWebhook stands in for one that cannot be compiled, so that its deliveries wait instead of being buried.
func heldWebhook(c *config.Webhook, id event.WebhookID) *webhooks.Webhook {
	w := &webhooks.Webhook{ID: id, Name: c.Name, Tenant: c.Tenant, Program: c.Program, Origin: webhooks.OriginAPI, Method: "POST", Scheme: sign.None, Concurrency: 1,
		Status: webhooks.StatusPaused, Host: "invalid.invalid:443", TLS: true, Events: []string{"*"}}
	w.URL, _ = payload.CompileTemplate("https://invalid.invalid/")
	w.Payload, _ = payload.Compile(payload.Spec{Type: "json"})
	w.Signer, _ = sign.Build(sign.Spec{Scheme: sign.None})
	return w
}

// filesPrint tells versions of the modules and plugins that c names apart.
func filesPrint(c *config.Webhook) string {
	var b strings.Builder
	for i := range c.Transform {
		if name := string(c.Transform[i].Wasm); name != "" {
			printFiles(&b, name)
		}
	}
	return b.String()
}

func printFiles(b *strings.Builder, name string) {
	info, err := os.Stat(name)
	if err != nil {
		fmt.Fprintf(b, "%s %v\n", name, err)
		return
	}
	fmt.Fprintf(b, "%s %d %d\n", name, info.Size(), info.ModTime().UnixNano())
	dir := name
	if !info.IsDir() {
		dir = filepath.Dir(name) // a manifest may lie beside a module
	}
	entries, err := os.ReadDir(dir)
	if err != nil || !info.IsDir() && len(entries) > 64 {
		return
	}
	for _, e := range entries {
		if i, err := e.Info(); err == nil && !e.IsDir() {
			fmt.Fprintf(b, "  %s %d %d\n", e.Name(), i.Size(), i.ModTime().UnixNano())
		}
	}
}

// authKey finds compiled authorizations.
type authKey struct{ tenant, name string }

// authUnit is a compiled authorization with what it was made of.
type authUnit struct {
	def      config.Authorization
	compiled *webhooks.Authorization
}

// auth is the compiled authorization that a webhook names, nil = none.
func (b *builder) auth(c *config.Webhook) *webhooks.Authorization {
	if c.Authorization == "" {
		return nil
	}
	if a, ok := b.out.auths[authKey{c.Tenant, c.Authorization}]; ok {
		return a.compiled
	}
	return b.out.auths[authKey{"", c.Authorization}].compiled
}

// sameAuthorization takes an authorization over that has not changed, with the access tokens that it may have by now.
func (b *builder) sameAuthorization(c *config.Authorization) bool {
	if b.old == nil {
		return false
	}
	key := authKey{c.Tenant, c.Name}
	old, ok := b.old.auths[key]
	if !ok || old.compiled == nil || !reflect.DeepEqual(old.def, *c) {
		return false
	}
	b.out.auths[key] = old
	return true
}
