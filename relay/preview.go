package relay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"edgerelay/config"
	"edgerelay/relay/admin"
	"edgerelay/relay/deliver"
	"edgerelay/relay/event"
	"edgerelay/relay/queue"
	"edgerelay/relay/sign"
	"edgerelay/relay/webhooks"
)

// The limits of what people may try. One trial compiles its webhook alone and runs it on pools of its own, so that no failure counts against those of
// deliveries, and so that a draft is no different from what is in force.
const (
	maxTrials    = 4 // at the same time
	trialTime    = 20 * time.Second
	maxTrialBody = 256 << 10 // bytes of a body that are shown
)

// errBusyTrials is answered when too many are trying at the same time.
var errBusyTrials = errors.New("too many trials at the same time: try again in a moment")

// trials lets maxTrials at a time in.
type trials chan struct{}

func newTrials() trials { return make(trials, maxTrials) }

func (t trials) begin(ctx context.Context) (context.Context, func(), error) {
	select {
	case t <- struct{}{}:
	default:
		return nil, nil, errBusyTrials
	}
	ctx, cancel := context.WithTimeout(ctx, trialTime)
	return ctx, func() { cancel(); <-t }, nil
}

// alone is a webhook that was compiled by itself, for one trial.
type alone struct {
	target  deliver.Target
	built   *built
	conceal config.Concealed
}

func (a *alone) close(ctx context.Context) { a.built.close(context.WithoutCancel(ctx)) }

// alone compiles webhook i of the builder's config, and nothing else.
func (b *builder) alone(ctx context.Context, i int) (*alone, config.Problems) {
	b.out = &built{auths: map[authKey]authUnit{}}
	a := &alone{built: b.out, conceal: b.cfg.Conceal(i)}
	if j := b.cfg.FindAuthorization(b.cfg.Webhooks[i].Tenant, b.cfg.Webhooks[i].Authorization); j >= 0 {
		b.authorization(j)
	}
	w := b.webhook(i)
	a.target = deliver.Target{Webhook: w, Steps: b.steps(ctx, i)}
	if len(b.problems) > 0 {
		a.close(ctx)
		return nil, b.problems
	}
	return a, nil
}

// trialBuilder builds webhooks of c for trials. A webhook in force signs with the secret that it has; one that has none yet signs with one made for the
// occasion, and the trial says so.
func (r *Relay) trialBuilder(c *config.Config, notes *[]string) *builder {
	return &builder{cfg: c, host: r.host, secret: func(w *webhooks.Webhook, spec sign.Spec) (string, error) {
		if r.table.Load().Get(w.ID) != nil {
			secret, _, err := r.keptSecret(w, spec)
			return secret, err
		}
		*notes = append(*notes, noteSecret)
		return spec.NewSecret(), nil
	}}
}

const (
	noteSecret = "the webhook has no secret yet: it is signed with one that was made for this trial"
	noteOAuth2 = "no access token was asked for: the request carries a placeholder"
)

// preview says what webhook i of c would send for e at now. Nothing is sent.
func (r *Relay) preview(ctx context.Context, c *config.Config, i int, e *trialEvent, now time.Time) (*admin.Trial, config.Problems) {
	var notes []string
	a, problems := r.trialBuilder(c, &notes).alone(ctx, i)
	if problems != nil {
		return nil, problems
	}
	defer a.close(ctx)
	return previewAlone(ctx, r.deliver, a, e, now, notes), nil
}

func previewAlone(ctx context.Context, d *deliver.Deliverer, a *alone, e *trialEvent, now time.Time, notes []string) *admin.Trial {
	if auth := a.target.Webhook.Authorization; auth != nil && auth.OAuth2 != nil {
		notes = append(notes, noteOAuth2)
	}
	return a.describe(d.Preview(ctx, &a.target, &e.Event, now), e, notes)
}

// testWebhook sends e to webhook i of c, marked as a test (webhook-test: true), and says what came of it. It goes around the queue: nothing is stored, counted,
// or tried again, and circuits and pauses do not hold it back. Webhooks of any status can be tested, and drafts that are not stored anywhere (c is then the
// effective config with the draft appended). It takes at most trialTime, and answers errBusyTrials (503) when maxTrials are under way.
func (r *Relay) testWebhook(ctx context.Context, c *config.Config, i int, e *trialEvent) (*admin.Trial, error) {
	ctx, end, err := r.trials.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	var notes []string
	a, problems := r.trialBuilder(c, &notes).alone(ctx, i)
	if problems != nil {
		return nil, problems
	}
	defer a.close(ctx)
	if live := r.table.Load().Get(a.target.Webhook.ID); live != nil && c == r.config() && live.Authorization != nil {
		a.target.Webhook.Authorization = live.Authorization // whose access tokens deliveries use, too
	}
	return a.describe(r.deliver.Test(ctx, &a.target, &e.Event, time.Now()), e, notes), nil
}

// config is what is in force.
func (r *Relay) config() *config.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cfg
}

// describe puts a trial into the API's words, without what the configuration conceals.
func (a *alone) describe(tr *deliver.Trial, e *trialEvent, notes []string) *admin.Trial {
	o := &tr.Outcome
	out := &admin.Trial{Event: e.describe(), Webhook: a.target.Webhook.Name, Action: actionOf(o), Reason: o.Reason.String(), Detail: a.conceal.Text(o.Detail),
		Steps: []admin.TrialStep{}, Notes: notes}
	out.Mismatch = mismatch(a.target.Webhook, &e.Event)
	out.Matches = out.Mismatch == ""
	for i := range tr.Steps {
		out.Steps = append(out.Steps, a.step(&tr.Steps[i]))
	}
	if m := tr.Request; m != nil {
		out.Request = &admin.TrialRequest{Method: m.Method, URL: a.conceal.URL(m.URL), Headers: a.headers(m.Headers),
			TrialBody: admin.NewTrialBody(m.Body, maxTrialBody, a.conceal.Text)}
	}
	if m := tr.Response; m != nil {
		out.Response = &admin.TrialResponse{Status: m.Status, Headers: a.headers(m.Headers), TrialBody: admin.NewTrialBody(m.Body, maxTrialBody, a.conceal.Text)}
		out.Response.Truncated = out.Response.Truncated || m.Truncated
	}
	out.Timings = admin.TrialTimings{Compose: micros(tr.Compose), Send: micros(tr.Send), DNS: micros(tr.Times.DNS), Connect: micros(tr.Times.Connect),
		TLS: micros(tr.Times.TLS), FirstByte: micros(tr.Times.FirstByte)}
	return out
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// actionOf says what an outcome means for the delivery that it would be.
func actionOf(o *deliver.Outcome) string {
	switch {
	case o.Reason == queue.ReasonNone:
		return "send"
	case o.Reason == queue.ReasonDropped:
		return "drop"
	case o.Final || o.Reason == queue.ReasonGone:
		return "fail"
	}
	return "retry"
}

func (a *alone) step(s *deliver.StepRun) admin.TrialStep {
	out := admin.TrialStep{Module: s.Module, Action: s.Action, Reason: a.conceal.Text(s.Reason), Error: s.Error, Message: a.conceal.Text(s.Message), Trace: s.Trace,
		Log: []admin.TrialLog{}, LogTruncated: s.LogTrimmed, Fuel: s.Fuel, Micros: micros(s.Took), Memory: s.Memory, Output: s.Output, SentAnyhow: s.SentAnyhow}
	for _, l := range s.Log {
		out.Log = append(out.Log, admin.TrialLog{Level: l.Level.String(), Text: a.conceal.Text(strings.ToValidUTF8(string(l.Text), "�"))})
	}
	return out
}

func (a *alone) headers(fields []deliver.Field) []admin.TrialHeader {
	out := make([]admin.TrialHeader, 0, len(fields))
	for _, f := range fields {
		shown := a.conceal.Text(f.Value)
		out = append(out, admin.TrialHeader{Name: f.Name, Value: shown, Redacted: f.Secret || shown != f.Value})
	}
	return out
}

// mismatch says why the ingress would not choose w for e, by the code with which it chooses; "" = it would, once w is active.
func mismatch(w *webhooks.Webhook, e *event.Event) string {
	switch {
	case string(e.Tenant) != w.Tenant:
		return fmt.Sprintf("the event is of tenant %s, the webhook of %s", e.Tenant, w.Tenant)
	case w.Program != "" && string(e.Program) != w.Program:
		return fmt.Sprintf("the event is of program %q, the webhook of %s", e.Program, w.Program)
	}
	active := *w
	active.Status, active.Filter = webhooks.StatusActive, nil
	table, err := webhooks.NewTable([]*webhooks.Webhook{&active})
	if err != nil {
		return err.Error()
	}
	if len(table.Match(nil, e, nil)) == 0 {
		return fmt.Sprintf("the webhook does not subscribe to %s", e.Type)
	}
	if active.Filter = w.Filter; w.Filter == nil {
		return ""
	}
	if table, err = webhooks.NewTable([]*webhooks.Webhook{&active}); err == nil && len(table.Match(nil, e, nil)) == 0 {
		if err = table.FilterError(w.ID); err == nil {
			return "the filter does not let it through"
		}
	}
	if err != nil {
		return "the filter fails, which counts as no: " + err.Error()
	}
	return ""
}
