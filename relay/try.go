package relay

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"edgerelay/config"
	"edgerelay/relay/admin"
	"edgerelay/relay/deliver"
	"edgerelay/relay/metrics"
	"edgerelay/relay/sign"
	"edgerelay/relay/webhooks"
	"edgerelay/transform"
)

// Sample names the event of an offline trial: the text of one, or the example of a type; neither = the first example that fits the webhook.
type Sample struct {
	Event   []byte
	Example string
}

// Offline tries webhooks without a running relay: no data directory, no queue, nothing is sent. `edgerelay try -c` is made of it.
type Offline struct {
	host    *transform.Host
	version string
	now     time.Time
	event   *trialEvent       // of the first trial
	secrets map[string]string // that were made for webhooks without one, by id and scheme
}

// NewOffline makes one. Every trial that is made with it is of the first one's event, happens at the same moment and signs with the same secrets, so that two
// can be compared.
func NewOffline(ctx context.Context, version string) (*Offline, error) {
	host, err := transform.NewHost(ctx, transform.Options{})
	if err != nil {
		return nil, err
	}
	return &Offline{host: host, version: version, now: time.Now(), secrets: map[string]string{}}, nil
}

// Close frees the engine.
func (o *Offline) Close(ctx context.Context) error { return o.host.Close(ctx) }

// Try says what webhook i of c would send for the sample. A mistake in the webhook is a config.Problems.
func (o *Offline) Try(ctx context.Context, c *config.Config, i int, s Sample) (*admin.Trial, error) {
	ctx, cancel := context.WithTimeout(ctx, trialTime)
	defer cancel()
	e := o.event
	if e == nil {
		var err error
		if e, err = sampleEvent(c, &c.Webhooks[i], s.Event, s.Example, o.now); err != nil {
			return nil, err
		}
		o.event = e
	}
	var notes []string
	b := &builder{cfg: c, host: o.host, secret: func(w *webhooks.Webhook, spec sign.Spec) (string, error) {
		notes = append(notes, noteSecret)
		key := w.ID.String() + " " + spec.Scheme
		if o.secrets[key] == "" {
			o.secrets[key] = spec.NewSecret()
		}
		return o.secrets[key], nil
	}}
	a, problems := b.alone(ctx, i)
	if problems != nil {
		return nil, problems
	}
	defer a.close(ctx)
	ua := cmp.Or(c.Sender.UserAgent, "edgerelay/"+o.version)
	d := deliver.New(deliver.Options{Metrics: metrics.New(), Log: slog.New(slog.DiscardHandler), UserAgent: ua})
	return previewAlone(ctx, d, a, e, o.now, notes), nil
}

// sampleEvent makes the event that people asked for.
func sampleEvent(c *config.Config, w *config.Webhook, text []byte, example string, now time.Time) (*trialEvent, error) {
	if len(text) > 0 {
		return givenEvent(text, w, now)
	}
	return exampleEvent(c, example, w, now)
}

// Compare says what is different between two trials of the same event, as a diff of what they would send; "" = nothing.
func Compare(published, draft *admin.Trial) string {
	return diffLines(trialLines(published), trialLines(draft))
}

// trialLines writes what would be sent, a line for each header and, if the body is JSON, for each of its values.
func trialLines(t *admin.Trial) []string {
	if t.Request == nil {
		return []string{strings.TrimSpace(fmt.Sprintf("%s %s %s", t.Action, t.Reason, t.Detail))}
	}
	r := t.Request
	lines := []string{r.Method + " " + r.URL}
	var headers []string
	for _, h := range r.Headers {
		headers = append(headers, h.Name+": "+h.Value)
	}
	slices.Sort(headers)
	lines = append(append(lines, headers...), "")
	switch {
	case r.Body == nil && r.BodyBase64 == "":
	case r.Body == nil:
		lines = append(lines, "base64 "+r.BodyBase64)
	default:
		body := *r.Body
		var b bytes.Buffer
		if json.Indent(&b, []byte(body), "", "  ") == nil {
			body = b.String()
		}
		lines = append(lines, strings.Split(body, "\n")...)
	}
	if r.Truncated {
		lines = append(lines, fmt.Sprintf("… %d bytes", r.BodyBytes))
	}
	return lines
}
