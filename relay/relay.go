// Package relay is edgerelay without its command line: New opens it, Run serves until it is told to stop, Reload swaps its webhooks.
//
// The walk of an event, each step a function call:
//
//		producer ─► 1 ingress ─► 2 match ─► 3 queue ─► 4 transform ─► 5 payload ─► 6 sign ─► 7 send ─► 8 verdict ─► ack | retry at T | dead
//		            accept        which      durable     WASM           JSON/XML/     HMAC     HTTP      settle once
//		            check         webhooks   fsync       modules        plain/form
//
//	  - Ingress checks an event, asks the webhooks' Table where it goes, appends it to the queue with that list, and answers 202 when the
//	    queue says that it is durable (package ingress, package webhooks, package queue/badgerq).
//	  - The queue hands deliveries out; settle takes one through steps 4 to 8, and finish is the only place where it is acknowledged, put
//	    off or given up (package deliver).
//	  - A lease is never a pop: what was not settled when the process died is handed out again.
//	  - The admin wing reads what this path leaves behind; nothing on the path calls it.
//
// This package may import everything below it. It owns the goroutines of Run, and stops the parts in this order: ingress, sending,
// history, queue, transforms, admin; jobs end between ingress and sending.
package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"edgerelay/config"
	"edgerelay/relay/admin"
	"edgerelay/relay/deliver"
	"edgerelay/relay/event"
	"edgerelay/relay/history"
	"edgerelay/relay/ingress"
	"edgerelay/relay/metrics"
	"edgerelay/relay/queue"
	"edgerelay/relay/queue/badgerq"
	"edgerelay/relay/replay"
	"edgerelay/relay/series"
	"edgerelay/relay/store"
	"edgerelay/relay/trace"
	"edgerelay/relay/webhooks"
	"edgerelay/transform"
)

// ErrLocked is what New wraps when another process uses the data directory.
var ErrLocked = badgerq.ErrLocked

// Options of a Relay.
type Options struct {
	Config  *config.Config
	Log     *slog.Logger
	Version string // for the User-Agent and the API
	// Unmetered runs transforms without the accounting of fuel: for `edgerelay bench` only.
	Unmetered bool

	// Load reads the configuration again, for reloads that the API asks for; nil = it cannot be. Loaded is told what has come into force by ReloadFiles.
	Load   func() (*config.Config, error)
	Loaded func(*config.Config)

	free func(dir string) (int64, error) // instead of the file system's answer, for tests
}

// Relay is one running edgerelay.
type Relay struct {
	free      func(dir string) (int64, error) // instead of the file system's answer, for tests
	log       *slog.Logger
	version   string
	unmetered bool // see Options
	started   time.Time

	metrics  *metrics.Metrics
	host     *transform.Host
	queue    *badgerq.Queue
	deliver  *deliver.Deliverer
	recorder *history.Recorder
	history  *history.Store // nil = nothing is remembered
	jobs     *replay.Manager
	announce announcer
	news     news
	pulse    *pulse
	tracer   *trace.Tracer // nil = no spans
	ingress  *ingress.Server
	admin    *admin.Server
	store    *store.Store
	table    atomic.Pointer[webhooks.Table]
	trials   trials
	series   *series.Store
	load     func() (*config.Config, error) // see Options
	loaded   func(*config.Config)
	boot     *config.Config // what it was started with: some keys stay as they are there
	loading  sync.Mutex     // one ReloadFiles at a time; taken before mu

	mu         sync.Mutex     // one reload at a time; guards what follows
	file       *config.Config // what the files say
	cfg        *config.Config // that, and what was made through the API
	viewed     *config.Config // what views were made of
	viewIDs    []event.WebhookID
	views      []admin.Webhook
	made       map[string]*madeWebhook
	built      *built
	disabled   map[event.WebhookID]string
	failMu     sync.Mutex // one failing at a time
	adminToken string
	keeper     chan struct{} // wakes keep
	freshToken bool
	stopping   bool // no reload any more
	draining   atomic.Bool
	onStop     []stop // in the order of starting; stopped from the end
	addrs      [2]net.Addr
}

// stop is one thing to end, with its name for errors.
type stop struct {
	name string
	fn   func(context.Context) error
}

// New opens the data directory, compiles everything and binds the listeners. After an error nothing is left open.
// A mistake in the configuration is a config.Problems.
func New(ctx context.Context, o Options) (*Relay, error) {
	r := &Relay{free: o.free, log: o.Log, version: o.Version, started: time.Now(), metrics: metrics.New(), cfg: o.Config, series: series.New(), disabled: map[event.WebhookID]string{}, trials: newTrials(), load: o.Load, loaded: o.Loaded, boot: o.Config, file: o.Config, keeper: make(chan struct{}, 1), unmetered: o.Unmetered}
	if err := r.open(ctx); err != nil {
		stopCtx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return nil, errors.Join(err, r.stopAll(stopCtx))
	}
	return r, nil
}

func (r *Relay) open(ctx context.Context) (err error) {
	dir := string(r.cfg.DataDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	// What is stopped last is started first.
	if err := r.openAdmin(dir); err != nil {
		return err
	}
	if r.host, err = transform.NewHost(ctx, transform.Options{CacheDir: filepath.Join(dir, cacheDir), Log: r.log, Unmetered: r.unmetered}); err != nil {
		return err
	}
	r.stopLast("transforms", r.host.Close)
	r.stopLast("transform pools", func(ctx context.Context) error {
		if r.built != nil {
			r.built.close(ctx)
		}
		return nil
	})
	if err := r.openQueue(dir); err != nil {
		return err
	}
	if err := r.readDisabled(); err != nil {
		return err
	}
	if err := r.openStore(ctx, dir); err != nil {
		return err
	}
	r.file = r.boot
	c, made, broken, err := r.compose(r.file, store.Change{})
	if err != nil {
		return err
	}
	b, err := r.build(ctx, c, broken, "")
	if err != nil {
		return err
	}
	r.made = made
	r.use(c, b)
	if err := r.openJobs(); err != nil {
		return err
	}
	r.announce.release(r.deliver.Ready)
	r.metrics.Reloaded(true, r.started)
	if err := r.openIngress(); err != nil { // nobody can send before everything is there
		return err
	}
	return r.openDashboard()
}

// stopLast registers something to be stopped after everything that is registered later.
func (r *Relay) stopLast(name string, fn func(context.Context) error) {
	r.onStop = append(r.onStop, stop{name, fn})
}

func (r *Relay) openQueue(dir string) error {
	opt := badgerq.DefaultOptions(filepath.Join(dir, queueDir))
	c := &r.cfg.Queue
	opt.Sync, opt.MaxBytes, opt.MinFree, opt.Log = c.Durability == "fsync", int64(c.MaxBytes), int64(c.MinFreeDisk), r.log
	opt.MaxEvent = int(r.cfg.Ingress.MaxBody) + 64<<10
	opt.Quotas = quotas(r.cfg)
	opt.OnCommit = func(took time.Duration, events int) {
		r.metrics.CommitDuration.Observe(took.Seconds())
		r.metrics.CommitEvents.Observe(float64(events))
	}
	opt.Ready = r.announce.ready
	if r.free != nil {
		opt.Free = r.free
	}
	q, err := badgerq.Open(opt)
	if err != nil {
		return err
	}
	r.queue = q
	r.stopLast("queue", func(context.Context) error { return q.Close() })
	r.openHistory(dir)
	r.openPulse()
	r.openTracing()
	if err := r.openAlerts(); err != nil {
		return err
	}
	ua := r.cfg.Sender.UserAgent
	if ua == "" {
		ua = "edgerelay/" + r.version
	}
	r.deliver = deliver.New(deliver.Options{Queue: q, Metrics: r.metrics, Log: r.log, UserAgent: ua,
		MaxInFlight: r.cfg.Sender.MaxInFlight, Disable: r.disable, Failing: r.failing, Notice: r.noticed, Tracer: r.tracer, History: r.recorder})
	r.stopLast("sending", r.deliver.Close)
	r.metrics.WatchQueue(r.queueSnapshot)
	r.metrics.WatchWebhooks(r.circuits)
	return nil
}

func (r *Relay) openIngress() error {
	c := &r.cfg.Ingress
	ln, tlsConfig, err := r.listen(c.Listen, c.TLS)
	if err != nil {
		return fmt.Errorf("ingress: %w", err)
	}
	r.addrs[0] = ln.Addr()
	r.built.networks.Own(r.addrs[:]...)
	r.ingress, err = ingress.New(ingress.Options{Listener: ln, TLS: tlsConfig, Policy: r.policy(r.cfg, r.built), MaxBody: int(c.MaxBody), Queue: r.queue, Table: &r.table,
		Durability: r.cfg.Queue.Durability, Metrics: r.metrics, Log: r.log, Accepted: r.accepted(), Tracer: r.tracer, Alive: r.pulse.err})
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	r.stopLast("ingress", r.ingress.Close)
	return nil
}

// policy is who may send what.
func (r *Relay) policy(c *config.Config, b *built) ingress.Policy {
	p := ingress.Policy{EventTypes: b.checked, Strict: c.StrictEventTypes}
	for _, t := range c.Ingress.Tokens {
		p.Tokens = append(p.Tokens, ingress.Token{Name: t.Name, Token: t.Token.Reveal(), Tenant: t.Tenant, Program: t.Program})
	}
	now := time.Now()
	for _, t := range r.store.Tokens() {
		p.Closed = p.Closed || t.Kind == store.Ingress
		if t.Kind == store.Ingress && t.Valid(now) {
			one := ingress.Token{Name: t.Name, Hash: t.Hash, Program: t.Program, Expires: t.ExpiresAt}
			if t.Tenants[0] != "*" {
				one.Tenant = t.Tenants[0]
			}
			p.Tokens = append(p.Tokens, one)
		}
	}
	for _, t := range c.Tenants {
		p.Tenants = append(p.Tenants, t.ID)
	}
	p.Rates = tenantRates(c)
	return p
}

// openAdmin binds the management listener. Without configured tokens one is made and kept.
func (r *Relay) openAdmin(dir string) error {
	c := &r.cfg.Admin
	tokens, err := r.adminTokens(dir)
	if err != nil {
		return err
	}
	ln, tlsConfig, err := r.listen(c.Listen, c.TLS)
	if err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	r.addrs[1] = ln.Addr()
	r.admin, err = admin.New(admin.Options{Listener: ln, TLS: tlsConfig, Tokens: tokens, Version: r.version, Deliveries: deliveries{r}, History: remembered{r}, Jobs: jobs{r}, Webhooks: r.webhooks, Manage: management{r}, Schemas: config.ObjectSchemas,
		Try: trier{r}, EventTypes: r.eventTypes, Config: configuration{r}, PublicCatalogue: c.PublicCatalogue,
		Stats: r.stats, Watch: r.watch, Series: r.readSeries, Plugins: listPlugins, Keys: r.publicKeys, Health: r.health, Ready: r.ready, Metrics: r.metrics.Handler(), Log: r.log})
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	r.stopLast("admin", r.admin.Close)
	return nil
}

func (r *Relay) adminTokens(dir string) ([]admin.Token, error) {
	tokens, err := configuredTokens(r.cfg)
	if err != nil || len(tokens) > 0 {
		return tokens, err
	}
	if r.adminToken, r.freshToken, err = keep(filepath.Join(dir, adminKeyFile), admin.NewToken); err != nil {
		return nil, err
	}
	return []admin.Token{{Name: "generated", Token: r.adminToken, Tenants: []string{"*"}, Role: admin.RoleAdmin}}, nil
}

func configuredTokens(c *config.Config) (tokens []admin.Token, err error) {
	for _, t := range c.Admin.Tokens {
		role, err := admin.ParseRole(t.Role)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, admin.Token{Name: t.Name, Token: t.Token.Reveal(), Tenants: t.Tenants, Role: role})
	}
	return tokens, nil
}

func (r *Relay) listen(addr string, t config.TLS) (net.Listener, *tls.Config, error) {
	var c *tls.Config
	if t.Enabled() {
		kept, err := newCertificate(string(t.CertFile), string(t.KeyFile), r.log, time.Now)
		if err != nil {
			return nil, nil, err
		}
		c = kept.config()
	}
	ln, err := net.Listen("tcp", addr)
	return ln, c, err
}

// IngressAddr is the address that producers use; with port 0 in the configuration, the one that was given.
func (r *Relay) IngressAddr() net.Addr { return r.addrs[0] }

// AdminAddr is the address of the management API.
func (r *Relay) AdminAddr() net.Addr { return r.addrs[1] }

// AdminToken returns the generated admin token, "" when tokens are configured, and whether it was made just now.
func (r *Relay) AdminToken() (token string, fresh bool) { return r.adminToken, r.freshToken }

// Run serves until ctx ends, or until a part fails; then it drains, within the configured time, and returns.
func (r *Relay) Run(ctx context.Context) error {
	ended := make(chan error, 2)
	var serving sync.WaitGroup
	for _, serve := range []func() error{r.ingress.Serve, r.admin.Serve} {
		serving.Go(func() {
			if err := serve(); err != nil {
				ended <- err
			}
		})
	}
	sampling, stopSampling := context.WithCancel(context.Background())
	defer stopSampling()
	serving.Go(func() { r.sample(sampling) })
	serving.Go(func() { r.keep(sampling) })
	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
	case <-r.queue.Failed():
		err = r.queue.Err()
	}
	stopSampling()
	r.draining.Store(true)
	stopCtx, cancel := context.WithTimeout(context.Background(), time.Duration(r.cfg.ShutdownTimeout))
	defer cancel()
	err = errors.Join(err, r.stopAll(stopCtx))
	serving.Wait()
	return err
}

// Stop ends a relay that was never run.
func (r *Relay) Stop(ctx context.Context) error { return r.stopAll(ctx) }

// stopAll stops everything that was started, the last first, under one deadline.
func (r *Relay) stopAll(ctx context.Context) error {
	r.stopReloads()
	var errs []error
	for i := len(r.onStop) - 1; i >= 0; i-- {
		if err := r.onStop[i].fn(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", r.onStop[i].name, err))
		}
	}
	r.onStop = nil
	return errors.Join(errs...)
}

// Queue gives tests and the demo a look at the counters.
func (r *Relay) Queue() queue.Stats { return r.queue.Stats() }

// announcer keeps what the queue announces until the webhooks are known: a delivery whose webhook is not known would be buried.
type announcer struct {
	to    atomic.Pointer[func(event.WebhookID)]
	mu    sync.Mutex
	early []event.WebhookID
}

func (a *announcer) ready(w event.WebhookID) {
	if to := a.to.Load(); to != nil {
		(*to)(w)
		return
	}
	a.mu.Lock()
	to := a.to.Load()
	if to == nil {
		a.early = append(a.early, w)
	}
	a.mu.Unlock()
	if to != nil {
		(*to)(w)
	}
}

// release passes everything on to to, from now on at once.
func (a *announcer) release(to func(event.WebhookID)) {
	a.mu.Lock()
	a.to.Store(&to)
	early := a.early
	a.early = nil
	a.mu.Unlock()
	for _, w := range early {
		to(w)
	}
}
