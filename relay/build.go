package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"edgerelay/config"
	"edgerelay/relay/catalogue"
	"edgerelay/relay/deliver"
	"edgerelay/relay/event"
	"edgerelay/relay/guard"
	"edgerelay/relay/ingress"
	"edgerelay/relay/metrics"
	"edgerelay/relay/payload"
	"edgerelay/relay/sign"
	"edgerelay/relay/webhooks"
	"edgerelay/transform"
)

// built is everything that follows from a configuration's webhooks: what matching and sending need. A reload builds a new one and swaps.
type built struct {
	table   *webhooks.Table
	targets []deliver.Target

	reach    reach
	networks *guard.Networks
	units    map[event.WebhookID]*unit
	auths    map[authKey]authUnit
	pools    []*transform.Pool // of what is compiled just now; then they belong to its unit
	modules  []*transform.Module
	checked  []ingress.EventType          // of which the ingress asks something
	schemas  map[string]*catalogue.Schema // by their text
}

// close lets go of the transforms once nothing runs them any more, and of the webhooks that no other configuration has taken over.
func (b *built) close(ctx context.Context) {
	for _, u := range b.units {
		u.release(ctx)
	}
	b.units = nil
	for _, p := range b.pools {
		p.Close(ctx)
	}
	for _, m := range b.modules {
		m.Close(ctx)
	}
}

// builder turns the configuration's tree into compiled webhooks, collecting every mistake with its place.
type builder struct {
	cfg      *config.Config
	host     *transform.Host
	metrics  *metrics.Metrics // nil while only checking
	secret   func(w *webhooks.Webhook, spec sign.Spec) (string, error)
	kept     string            // what secret returned for the webhook that is being compiled
	broken   map[string]string // those made through the API that cannot be used, and why, by id
	changed  string            // id of the webhook that is being made or changed through the API
	disabled map[event.WebhookID]string
	failing  map[event.WebhookID]deliver.Failing // at the start only
	old      *built                              // what is in force, to take over what has not changed; nil = nothing
	out      *built
	problems config.Problems
}

// Check compiles everything that c names, as Run would, and returns the mistakes. It keeps nothing.
func Check(ctx context.Context, c *config.Config) config.Problems {
	host, err := transform.NewHost(ctx, transform.Options{})
	if err != nil {
		return config.Problems{{Message: err.Error()}}
	}
	defer host.Close(ctx)
	b := &builder{cfg: c, host: host, secret: generated}
	out, problems := b.build(ctx)
	if out != nil {
		out.close(ctx)
	}
	var more config.Problems
	if _, err := alertSettings(c); errors.As(err, &more) {
		problems = append(problems, more...)
	}
	return problems
}

// generated makes a secret that is thrown away again.
func generated(_ *webhooks.Webhook, spec sign.Spec) (string, error) {
	return spec.NewSecret(), nil
}

func (b *builder) build(ctx context.Context) (*built, config.Problems) {
	b.out = &built{units: map[event.WebhookID]*unit{}, auths: map[authKey]authUnit{}}
	b.networks()
	for i := range b.cfg.Authorizations {
		if !b.sameAuthorization(&b.cfg.Authorizations[i]) {
			b.authorization(i)
		}
	}
	b.eventTypes()
	ws := make([]*webhooks.Webhook, 0, len(b.cfg.Webhooks))
	for i := range b.cfg.Webhooks {
		u := b.unit(ctx, i)
		t := u.target
		if b.out.units[t.Webhook.ID] != nil { // the same name twice, which is reported elsewhere
			u.release(ctx)
			continue
		}
		b.out.units[t.Webhook.ID] = u
		if t.Disabled == "" {
			t.Disabled = disabledReason(b.disabled[t.Webhook.ID])
		}
		t.Failing = b.failing[t.Webhook.ID]
		ws = append(ws, t.Webhook)
		b.out.targets = append(b.out.targets, t)
	}
	if len(b.problems) == 0 {
		table, err := webhooks.NewTable(b.matching(ws))
		if err != nil {
			b.problem("webhooks", err)
		}
		b.out.table = table
	}
	if len(b.problems) > 0 {
		b.out.close(ctx)
		b.problems.Sort()
		return nil, b.problems
	}
	return b.out, nil
}

// matching returns ws as the table shall see them: a webhook that was disabled by its receiver gets no new events.
func (b *builder) matching(ws []*webhooks.Webhook) []*webhooks.Webhook {
	out := make([]*webhooks.Webhook, len(ws))
	for i, w := range ws {
		switch held := *w; {
		case b.disabled[w.ID] != "":
			held.Status = webhooks.StatusPaused
			w = &held
		case w.Hold && w.Status == webhooks.StatusPaused:
			held.Status = webhooks.StatusActive
			w = &held
		}
		out[i] = w
	}
	return out
}

// problem notes a mistake at path. Errors that know their place inside the text are located there.
func (b *builder) problem(path string, err error) {
	var many payload.Errors
	var one *payload.Error
	switch {
	case errors.As(err, &many):
		for _, e := range many {
			at := path
			if e.Path != "" {
				at += "." + e.Path
			}
			b.located(at, e)
		}
	case errors.As(err, &one):
		at := path
		if one.Path != "" {
			at += "." + one.Path
		}
		b.located(at, one)
	default:
		b.problems = append(b.problems, b.cfg.Problem(path, err.Error()))
	}
}

func (b *builder) located(path string, e *payload.Error) {
	if e.Line > 0 {
		b.problems = append(b.problems, b.cfg.ProblemAt(path, e.Msg, e.Line, e.Column))
		return
	}
	b.problems = append(b.problems, b.cfg.Problem(path, e.Msg))
}

func (b *builder) authorization(i int) {
	c := &b.cfg.Authorizations[i]
	var a *webhooks.Authorization
	var err error
	switch c.Type {
	case "header":
		headers := make([]webhooks.AuthHeader, len(c.Headers))
		for j, h := range c.Headers {
			headers[j] = webhooks.AuthHeader{Name: h.Name, Value: h.Value.Reveal(), Secret: h.Visibility != "public"}
		}
		a, err = webhooks.HeaderAuth(c.Name, c.Endpoint, headers...)
	case "basic":
		a, err = webhooks.BasicAuth(c.Name, c.Endpoint, c.Username, c.Password.Reveal())
	case "bearer":
		a, err = webhooks.BearerAuth(c.Name, c.Endpoint, c.Token.Reveal())
	case "oauth2":
		o := webhooks.OAuth2{TokenURL: c.TokenURL, ClientID: c.ClientID, ClientSecret: c.ClientSecret.Reveal(), Scopes: c.Scopes, InBody: c.AuthStyle == "body"}
		for _, p := range c.Params {
			o.Params = append(o.Params, webhooks.Param{Name: p.Name, Value: p.Value})
		}
		a, err = webhooks.OAuth2Auth(c.Name, c.Endpoint, o)
	case "mtls":
		files := webhooks.Certificate{CertFile: string(c.CertFile), KeyFile: string(c.KeyFile), CAFile: string(c.CAFile)}
		if a, err = webhooks.CertificateAuth(c.Name, c.Endpoint, files); err == nil {
			err = deliver.CheckTLSFiles(files.CertFile, files.KeyFile, files.CAFile)
		}
	}
	if err != nil {
		b.problem(fmt.Sprintf("authorizations[%d]", i), err)
		return
	}
	b.out.auths[authKey{c.Tenant, c.Name}] = authUnit{*c, a}
}

// webhook compiles one webhook but for its transforms. After a mistake it returns what there is, so that the others are found too.
func (b *builder) webhook(i int) *webhooks.Webhook {
	c := &b.cfg.Webhooks[i]
	path := fmt.Sprintf("webhooks[%d]", i)
	w := &webhooks.Webhook{ID: webhookID(c), Name: c.Name, Description: c.Description, Tenant: c.Tenant, Program: c.Program,
		Origin: originOf(c), Events: c.Events, Method: c.Method, SendBody: c.SendBody, Scheme: c.Signing.Scheme, Concurrency: c.Concurrency,
		Timeout: time.Duration(c.Timeout), Status: webhooks.Status(c.Status), LogErrors: c.Log == "errors", Hold: c.OnPaused == "hold",
		Retry: webhooks.RetryPolicy{Schedule: c.Retry.Delays(), Jitter: c.Retry.Jitter}}
	var err error
	if w.Recipients, err = config.Addresses(c.ErrorRecipients); err != nil {
		b.problem(path+".error_recipients", err)
	}
	for j, p := range c.Events {
		if err := webhooks.CheckPattern(p); err != nil {
			b.problem(fmt.Sprintf("%s.events[%d]", path, j), err)
		}
	}
	if c.Filter != "" {
		if w.Filter, err = payload.CompileFilter(c.Filter); err != nil {
			b.problem(path+".filter", err)
		}
	}
	b.target(w, c, path)
	for _, h := range c.Headers {
		value, err := payload.CompileTemplate(h.Value)
		if err != nil {
			b.problem(path+".headers."+h.Name, err)
			continue
		}
		w.Headers = append(w.Headers, webhooks.Header{Name: h.Name, Value: value})
	}
	spec := payload.Spec{Type: c.Payload.Type, Body: c.Payload.Body, Root: c.Payload.Root}
	if c.Method == http.MethodGet {
		spec.Type, spec.Root = payload.Form, "" // its query is made like a form, whatever the type
	}
	if w.Payload, err = payload.Compile(spec); err != nil {
		b.problem(path+".payload", err)
	}
	b.signer(w, c, path)
	b.order(w, c, path)
	return w
}

// target compiles the URL and binds the credentials to it.
func (b *builder) target(w *webhooks.Webhook, c *config.Webhook, path string) {
	var err error
	if w.URL, err = payload.CompileTemplate(c.URL); err != nil {
		b.problem(path+".url", err)
		return
	}
	if w.Host, w.TLS, err = hostOf(c.URL); err != nil {
		b.problem(path+".url", err)
		return
	}
	w.CAFile, w.Insecure = string(c.TLS.CAFile), c.TLS.Insecure
	if err = deliver.CheckTLSFiles("", "", w.CAFile); err != nil {
		b.problem(path+".tls.ca_file", err)
	}
	if c.Authorization == "" {
		return
	}
	a := b.auth(c)
	if a != nil && !a.Allows(c.URL) {
		b.problem(path+".authorization", fmt.Errorf("the credentials of %q are for %s only, and this webhook sends elsewhere", a.Name, a.Endpoint))
	}
	w.Authorization = a
}

// hostOf reads the host and port of a URL whose path and query may hold {{ }}.
func hostOf(text string) (hostport string, tls bool, err error) {
	head := text
	if at := strings.Index(text, "{{"); at >= 0 {
		head = text[:at]
	}
	u, err := url.Parse(head)
	if err != nil || u.Hostname() == "" {
		return "", false, fmt.Errorf("%q has no host that can be known before an event comes", text)
	}
	port := u.Port()
	tls = u.Scheme == "https"
	switch {
	case port != "":
	case tls:
		port = "443"
	default:
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port), tls, nil
}

func (b *builder) signer(w *webhooks.Webhook, c *config.Webhook, path string) {
	s := &c.Signing
	spec := sign.Spec{Scheme: s.Scheme, Secrets: c.Secret.Reveal(), Algorithm: s.Algorithm, KeyIDs: s.KeyIDs,
		HMAC: sign.HMACOptions{Hash: s.Hash, Encoding: s.Encoding, Header: s.Header, Prefix: s.Prefix, Content: s.Content, TimestampHeader: s.TimestampHeader}}
	if len(spec.Secrets) == 0 && w.Scheme != sign.None {
		secret, err := b.secret(w, spec)
		if err != nil {
			b.problem(path, err)
			return
		}
		b.kept = secret
		spec.Secrets = []string{secret}
	}
	var err error
	var option *sign.OptionError
	if w.Signer, err = sign.Build(spec); errors.As(err, &option) {
		b.problem(path+".signing."+option.Option, errors.New(option.Msg))
	} else if err != nil {
		b.problem(path+".secret", err)
	}
}
