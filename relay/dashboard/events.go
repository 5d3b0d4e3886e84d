package dashboard

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

var eventRoutes = []route{
	{"GET /ui/t/{tenant}/events", (*request).events},
	{"GET /ui/t/{tenant}/events/{id}", (*request).event},
	{"POST /ui/t/{tenant}/events/{id}/replay", (*request).replay},
	{"GET /ui/t/{tenant}/webhooks/{id}/log", (*request).webhookLog},
	{"GET /ui/t/{tenant}/live", (*request).live},
	{"GET /ui/t/{tenant}/stream", (*request).stream},
}

// event is an event with what became of it.
type event struct {
	ID         string    `json:"id"`
	Type       string    `json:"type"`
	Tenant     string    `json:"tenant"`
	Program    string    `json:"program"`
	AcceptedAt time.Time `json:"accepted_at"`
	Bytes      int64     `json:"bytes"`
	Webhooks   []struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"webhooks"`
	Trace      string        `json:"trace"`
	Body       *string       `json:"body"`
	BodyBase64 string        `json:"body_base64"`
	Truncated  bool          `json:"body_truncated"`
	Replayable bool          `json:"replayable"`
	Note       string        `json:"note"`
	Deliveries []eventOfHook `json:"deliveries"`
}

type eventOfHook struct {
	ID          string    `json:"id"`
	Webhook     string    `json:"webhook"`
	WebhookName string    `json:"webhook_name"`
	Status      string    `json:"status"`
	NextAttempt time.Time `json:"next_attempt_at"`
	Attempts    []attempt `json:"attempts"`
}

// Kind is how the delivery's point in the timeline looks.
func (e eventOfHook) Kind() string { return kindOf(e.Status) }

func kindOf(status string) string {
	switch status {
	case "delivered", "dropped":
		return "ok"
	case "dead":
		return "bad"
	}
	return "wait"
}

// attempt is one try of a delivery.
type attempt struct {
	ID           string    `json:"id"`
	Delivery     string    `json:"delivery"`
	Event        string    `json:"event"`
	Type         string    `json:"type"`
	Webhook      string    `json:"webhook"`
	WebhookName  string    `json:"webhook_name"`
	Number       int       `json:"number"`
	Mark         string    `json:"mark"`
	At           time.Time `json:"at"`
	Status       string    `json:"status"`
	Reason       string    `json:"reason"`
	HTTPStatus   int       `json:"http_status"`
	Detail       string    `json:"detail"`
	NextAttempt  time.Time `json:"next_attempt_at"`
	Remote       string    `json:"remote"`
	Timings      timings   `json:"timings"`
	DurationMS   float64   `json:"duration_ms"`
	Request      *message  `json:"request"`
	Response     *message  `json:"response"`
	TransformLog string    `json:"transform_log"`
	Note         string    `json:"note"`
}

type timings struct {
	Compose   float64 `json:"compose_micros"`
	Send      float64 `json:"send_micros"`
	DNS       float64 `json:"dns_micros"`
	Connect   float64 `json:"connect_micros"`
	TLS       float64 `json:"tls_micros"`
	FirstByte float64 `json:"first_byte_micros"`
}

// Ok says whether the attempt ended well.
func (a attempt) Ok() bool { return a.Status == "delivered" || a.Status == "dropped" }

// Kind is how the attempt's point in the timeline looks.
func (a attempt) Kind() string {
	if a.Ok() {
		return "ok"
	}
	return "bad"
}

// Took is how long it took.
func (a attempt) Took() string { return millis(a.DurationMS * 1000) }

// Outcome says in a line what came of it.
func (a attempt) Outcome() string {
	switch {
	case a.Status == "dropped":
		return first(a.Detail, "Dropped by a transform: there was nothing to send")
	case a.Detail != "":
		return a.Detail
	case a.HTTPStatus != 0:
		return "The receiver answered " + itoa(a.HTTPStatus) + " " + http.StatusText(a.HTTPStatus)
	}
	return a.Reason
}

// span is a bar of the drawing of an attempt's time.
type span struct {
	Name, Took string
	X, W       float64
}

// Spans are the parts of an attempt's time, on a scale of 100.
func (a attempt) Spans() (out []span) {
	t := a.Timings
	total := max(a.DurationMS*1000, t.Compose+t.DNS+t.Connect+t.TLS+t.FirstByte)
	if total <= 0 {
		return nil
	}
	at := 0.0
	for _, p := range []struct {
		name   string
		micros float64
	}{{"Transform and payload", t.Compose}, {"DNS", t.DNS}, {"Connect", t.Connect}, {"TLS", t.TLS}, {"Waiting for the answer", t.FirstByte}} {
		if p.micros <= 0 {
			continue
		}
		out = append(out, span{p.name, millis(p.micros), at / total * 100, max(p.micros/total*100, .6)})
		at += p.micros
	}
	return out
}

// eventsData is the search.
type eventsData struct {
	Query    url.Values
	Items    []event
	Next     string
	Reached  time.Time
	Filtered bool
	Off      bool // the relay keeps no history
	Curl     string
}

// windows are the spans of time to search in.
var windows = map[string]time.Duration{"15m": 15 * time.Minute, "1h": time.Hour, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour}

// searched makes the API's query of the page's.
func (q *request) searched(names ...string) url.Values {
	from := q.URL.Query()
	query := pass(from, append(names, "type", "program", "webhook", "search", "cursor")...)
	if d, ok := windows[from.Get("window")]; ok {
		query.Set("from", q.d.opts.Now().Add(-d).UTC().Format(time.RFC3339))
	}
	return query
}

func (q *request) events() error {
	d := eventsData{Query: q.URL.Query()}
	if id := strings.TrimSpace(d.Query.Get("id")); id != "" { // an id leads to the event itself, if there is one
		target := "/events/"
		if strings.HasPrefix(id, "dl_") {
			target = "/deliveries/"
		}
		return q.to(target + url.PathEscape(id))
	}
	query := q.searched()
	d.Filtered = len(query) > 0
	query.Set("limit", "50")
	var l struct {
		list[event]
		Reached time.Time `json:"reached_at"`
	}
	err := q.api.get("/api/v1/events", query, &l)
	if is(err, http.StatusNotFound) {
		d.Off, err = true, nil
	}
	if err != nil {
		return err
	}
	d.Items, d.Next, d.Reached, d.Curl = l.Items, q.older(l.Next), l.Reached, q.curl()
	return q.render("events", "Events", "events", d)
}

// eventData is one event with its journey.
type eventData struct {
	Event event
	Body  string
}

func (q *request) event() error {
	var d eventData
	err := q.api.get("/api/v1/events/"+url.PathEscape(q.PathValue("id")), nil, &d.Event)
	if is(err, http.StatusNotFound) {
		return &problem{Status: http.StatusNotFound, Title: "There is no such event",
			Detail: "No event with this id is in the history of this tenant. Ids are complete and exact; the history keeps events for a while only."}
	}
	if err != nil {
		return err
	}
	switch {
	case d.Event.Body != nil:
		d.Body = pretty([]byte(*d.Event.Body))
	case d.Event.BodyBase64 != "":
		d.Body = d.Event.BodyBase64
	}
	return q.render("event", d.Event.Type, "events", d)
}

func (q *request) replay() error {
	in := map[string]any{}
	if w := q.PostFormValue("webhook"); w != "" {
		in["webhook"] = w
	}
	var out struct {
		Deliveries []struct {
			ID string `json:"id"`
		} `json:"deliveries"`
	}
	id := url.PathEscape(q.PathValue("id"))
	err := q.api.post("/api/v1/events/"+id+"/replay", in, &out)
	if err := q.done(err, "Sent again to "+plural(len(out.Deliveries), "webhook", "webhooks")+"."); err != nil {
		return err
	}
	return q.back("/events/" + id)
}

// logData are the attempts of a webhook.
type logData struct {
	Webhook  webhook
	Query    url.Values
	Items    []attempt
	Next     string
	Reached  time.Time
	Filtered bool
	Errors   bool // only failed attempts are kept
}

func (q *request) webhookLog() error {
	d := logData{Query: q.URL.Query()}
	w, def, _, err := q.defined(q.PathValue("id"))
	if err != nil {
		return err
	}
	d.Webhook, d.Errors = w, text(def["log"]) == "errors"
	query := q.searched("status", "event")
	query.Del("webhook")
	d.Filtered = len(query) > 0
	query.Set("webhook", w.ID)
	query.Set("limit", "50")
	var l struct {
		list[attempt]
		Reached time.Time `json:"reached_at"`
	}
	if err := orMissing(q.api.get("/api/v1/attempts", query, &l)); err != nil {
		return err
	}
	d.Items, d.Next, d.Reached = l.Items, q.older(l.Next), l.Reached
	return q.render("log", "Log of "+w.Name, "webhooks", d, "live.js")
}

// liveData is the page of attempts as they happen.
type liveData struct {
	Query url.Values
	Hooks []webhook
}

func (q *request) live() error {
	d := liveData{Query: q.URL.Query()}
	var l list[webhook]
	if err := q.api.get("/api/v1/webhooks", url.Values{"limit": {"100"}}, &l); err != nil {
		return err
	}
	d.Hooks = l.Items
	return q.render("live", "Live", "live", d, "live.js")
}

// stream passes the API's stream on, with the session's token.
func (q *request) stream() error {
	query := pass(q.URL.Query(), "webhook", "event", "type", "program", "status")
	r, err := q.api.request(http.MethodGet, "/api/v1/stream", query, nil)
	if err != nil {
		return err
	}
	q.d.opts.API.ServeHTTP(q.w, r)
	return nil
}
