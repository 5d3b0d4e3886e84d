package dashboard

import (
	"net/url"
	"strings"
	"time"
)

var webhookRoutes = []route{
	{"GET /ui/t/{tenant}/webhooks", (*request).webhooks},
	{"GET /ui/t/{tenant}/webhooks/{id}", (*request).webhook},
}

// webhook is a webhook as the API shows it.
type webhook struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Tenant      string    `json:"tenant"`
	Program     string    `json:"program"`
	Origin      string    `json:"origin"`
	Events      []string  `json:"events"`
	URL         string    `json:"url"`
	Method      string    `json:"method"`
	Status      string    `json:"status"`
	Reason      string    `json:"disabled_reason"`
	Revision    int       `json:"revision"`
	UpdatedAt   time.Time `json:"updated_at"`
	UpdatedBy   string    `json:"updated_by"`
	Circuit     string    `json:"circuit"`
	Locked      bool      `json:"locked"`
	Last        time.Time `json:"last_delivery_at"`
	Counters    counters  `json:"counters"`
}

// trouble says how much a webhook needs somebody: 0 = not at all.
func (w webhook) trouble() int {
	switch {
	case w.Status == "disabled":
		return 4
	case w.Circuit == "open":
		return 3
	case w.Counters.Dead > 0:
		return 2
	case w.Circuit == "half_open":
		return 1
	}
	return 0
}

// Shown is the state in one word: what was chosen, or what the relay found.
func (w webhook) Shown() string {
	switch {
	case w.Status != "active":
		return w.Status
	case w.Circuit == "open":
		return "failing"
	case w.Circuit == "half_open":
		return "probing"
	}
	return w.Status
}

// Why explains the state when it is not simply active.
func (w webhook) Why() string {
	switch {
	case w.Reason != "":
		return w.Reason
	case w.Status == "draft":
		return "A draft gets no events. Test it, then publish it."
	case w.Status == "paused":
		return "Paused by somebody. It gets no events until it is set active."
	case w.Circuit == "open":
		return "The receiver fails again and again, so deliveries wait. One attempt at a time finds out when it is back."
	case w.Circuit == "half_open":
		return "The receiver failed. It is being tried with one delivery at a time."
	}
	return ""
}

// webhooksData is the list in its two sections.
type webhooksData struct {
	Query    url.Values
	Global   []webhook
	Linked   []webhook
	Next     string
	Filtered bool
	Types    []string
	Programs map[string]string
}

// pass copies the filters that were set from the page's address to the API's.
func pass(from url.Values, names ...string) url.Values {
	to := url.Values{}
	for _, n := range names {
		if v := from.Get(n); v != "" {
			to.Set(n, v)
		}
	}
	return to
}

func (q *request) webhooks() error {
	d := webhooksData{Query: q.URL.Query()}
	query := pass(d.Query, "search", "status", "event", "method", "program", "cursor")
	d.Filtered = len(query) > 0
	query.Set("limit", "50")
	var l list[webhook]
	if err := q.api.get("/api/v1/webhooks", query, &l); err != nil {
		return err
	}
	for _, w := range l.Items {
		if w.Program == "" {
			d.Global = append(d.Global, w)
		} else {
			d.Linked = append(d.Linked, w)
		}
	}
	d.Next = q.older(l.Next)
	return q.render("webhooks", "Webhooks", "webhooks", d)
}

// webhookData is one webhook with what it did.
type webhookData struct {
	Webhook  webhook
	Facts    definition
	Headers  string
	Payload  string
	Steps    []string
	Attempts []attempt
	Waiting  []delivery
	Chart    *chart
	Latency  *chart
	Day      bool
	Secrets  []string // only when somebody asked
	Public   string
	Rotated  bool
	Examples []eventType
}

func (q *request) webhook() error { return q.showWebhook(nil) }

func (q *request) showWebhook(more func(*webhookData)) error {
	var d webhookData
	id := q.PathValue("id")
	var err error
	if d.Webhook, d.Facts, _, err = q.defined(id); err != nil {
		return err
	}
	d.Headers = headerLines(d.Facts["headers"])
	if p := object(d.Facts["payload"]); p["body"] != nil {
		if body, ok := p["body"].(string); ok {
			d.Payload = body
		} else {
			d.Payload = jsonText(p["body"])
		}
	}
	for _, t := range formOf(d.Facts, nil).Transforms {
		d.Steps = append(d.Steps, first(t.Plugin, t.Wasm))
	}
	var made list[attempt]
	if err := orMissing(q.api.get("/api/v1/attempts", url.Values{"webhook": {id}, "limit": {"10"}}, &made)); err != nil {
		return err
	}
	d.Attempts = made.Items
	var l list[delivery]
	if err := q.api.get("/api/v1/deliveries", url.Values{"webhook": {id}, "limit": {"5"}}, &l); err != nil {
		return err
	}
	d.Waiting = l.Items
	d.Day = q.URL.Query().Get("span") == "day"
	if d.Chart, d.Latency, err = q.charts(id); err != nil {
		return err
	}
	if d.Examples, err = q.catalogue(); err != nil {
		return err
	}
	if more != nil {
		more(&d)
	}
	return q.render("webhook", d.Webhook.Name, "webhooks", d)
}

// Fact is one key of the definition as a text.
func (d webhookData) Fact(key string) string { return text(d.Facts[key]) }

// Scheme is how requests are signed.
func (d webhookData) Scheme() string {
	return first(text(object(d.Facts["signing"])["scheme"]), "standard")
}

// PayloadType is the format of the body.
func (d webhookData) PayloadType() string {
	return first(text(object(d.Facts["payload"])["type"]), "json")
}

// Schedule are the waits between attempts.
func (d webhookData) Schedule() string {
	return strings.Join(texts(object(d.Facts["retry"])["schedule"]), ", ")
}

// Recipients get the error reports.
func (d webhookData) Recipients() string {
	return strings.Join(texts(d.Facts["error_recipients"]), ", ")
}

// delivery is a delivery that waits or was given up.
type delivery struct {
	ID           string    `json:"id"`
	Webhook      string    `json:"webhook"`
	WebhookName  string    `json:"webhook_name"`
	Event        string    `json:"event"`
	Type         string    `json:"type"`
	Tenant       string    `json:"tenant"`
	Program      string    `json:"program"`
	Status       string    `json:"status"`
	Attempts     int       `json:"attempts"`
	AcceptedAt   time.Time `json:"accepted_at"`
	FirstAttempt time.Time `json:"first_attempt_at"`
	NextAttempt  time.Time `json:"next_attempt_at"`
	SettledAt    time.Time `json:"settled_at"`
	LastFailure  *failure  `json:"last_failure"`
}

// failure is what the last failed attempt left behind.
type failure struct {
	Reason     string    `json:"reason"`
	HTTPStatus int       `json:"http_status"`
	Detail     string    `json:"detail"`
	At         time.Time `json:"at"`
}
