package dashboard

import (
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

var deliveryRoutes = []route{
	{"GET /ui/t/{tenant}/deliveries", (*request).deliveries},
	{"GET /ui/t/{tenant}/deliveries/{id}", (*request).delivery},
	{"POST /ui/t/{tenant}/deliveries/{id}/retry", (*request).retry},
	{"GET /ui/t/{tenant}/deliveries/redrive", (*request).askRedrive},
	{"POST /ui/t/{tenant}/deliveries/redrive", (*request).redrive},
	{"GET /ui/t/{tenant}/deliveries/purge", (*request).askPurge},
	{"POST /ui/t/{tenant}/deliveries/purge", (*request).purge},
	{"GET /ui/t/{tenant}/jobs", (*request).jobs},
	{"GET /ui/t/{tenant}/jobs/{id}", (*request).job},
	{"POST /ui/t/{tenant}/jobs/{id}/cancel", (*request).cancelJob},
}

// deliveriesData is the list of what waits, or was given up.
type deliveriesData struct {
	Query url.Values
	Items []delivery
	Next  string
	Hook  webhook
}

func (q *request) deliveries() error {
	d := deliveriesData{Query: q.URL.Query()}
	query := pass(d.Query, "status", "webhook", "event", "cursor")
	query.Set("limit", "50")
	var l list[delivery]
	if err := q.api.get("/api/v1/deliveries", query, &l); err != nil {
		return err
	}
	d.Items, d.Next = l.Items, q.older(l.Next)
	if id := d.Query.Get("webhook"); id != "" {
		if err := orMissing(q.api.get("/api/v1/webhooks/"+url.PathEscape(id), nil, &d.Hook)); err != nil {
			return err
		}
	}
	return q.render("deliveries", "Deliveries", "deliveries", d)
}

// deliveryData is one delivery with its attempts.
type deliveryData struct {
	Delivery delivery
	Envelope json.RawMessage
	Attempts []attempt
}

func (q *request) delivery() error {
	var in struct {
		delivery
		Envelope json.RawMessage `json:"envelope"`
		Made     []attempt       `json:"attempts_made"`
	}
	if err := q.api.get("/api/v1/deliveries/"+url.PathEscape(q.PathValue("id")), nil, &in); err != nil {
		return err
	}
	d := deliveryData{Delivery: in.delivery, Envelope: in.Envelope, Attempts: in.Made}
	return q.render("delivery", "Delivery of "+in.Type, "deliveries", d)
}

func (q *request) retry() error {
	id := url.PathEscape(q.PathValue("id"))
	var out struct {
		Replayed bool `json:"replayed"`
	}
	err := q.api.post("/api/v1/deliveries/"+id+"/retry", nil, &out)
	text := "It is being tried again now."
	if out.Replayed {
		text = "It was settled already, and is sent again now."
	}
	if err := q.done(err, text); err != nil {
		return err
	}
	return q.back("/deliveries/" + id)
}

// startedJob is what starting a job, or counting, answers.
type startedJob struct {
	Job   *job `json:"job"`
	Count *struct {
		Matched  int64 `json:"matched"`
		Complete bool  `json:"complete"`
	} `json:"count"`
}

// job is something that takes longer than a page.
type job struct {
	ID        string           `json:"id"`
	Kind      string           `json:"kind"`
	Status    string           `json:"status"`
	By        string           `json:"by"`
	CreatedAt time.Time        `json:"created_at"`
	EndedAt   time.Time        `json:"ended_at"`
	Matched   int64            `json:"matched"`
	Done      int64            `json:"done"`
	Skipped   map[string]int64 `json:"skipped"`
	At        time.Time        `json:"at"`
	Note      string           `json:"note"`
}

func (q *request) deadFilter() map[string]any {
	in := map[string]any{}
	for _, name := range []string{"webhook", "event"} {
		if v := q.FormValue(name); v != "" {
			in[name] = v
		}
	}
	return in
}

// askDead counts first, so that the question says how many.
func (q *request) askDead(kind string, d confirmData) error {
	in := q.deadFilter()
	in["dry_run"] = true
	var out startedJob
	if err := q.api.post("/api/v1/deliveries/"+kind, in, &out); err != nil {
		return err
	}
	n := "an unknown number of deliveries"
	if out.Count != nil {
		n = plural(int(out.Count.Matched), "delivery", "deliveries")
		if !out.Count.Complete {
			n = "more than " + n
		}
	}
	d.Text = "This concerns " + n + ". " + d.Text
	d.Back, d.Fields = q.base()+"/deliveries?status=dead", map[string]string{}
	for _, name := range []string{"webhook", "event"} {
		if v := q.FormValue(name); v != "" {
			d.Fields[name] = v
		}
	}
	return q.confirm("deliveries", d)
}

func (q *request) askRedrive() error {
	return q.askDead("redrive", confirmData{Title: "Send all dead deliveries again?", Text: "They get a fresh schedule of retries. The receivers get each of them at least once more.", Button: "Send again"})
}

func (q *request) askPurge() error {
	return q.askDead("purge", confirmData{Title: "Remove all dead deliveries?", Text: "They cannot be sent any more. The log of their attempts stays.", Button: "Remove", Danger: true})
}

func (q *request) redrive() error { return q.startDead("redrive") }

func (q *request) purge() error { return q.startDead("purge") }

func (q *request) startDead(kind string) error {
	var out startedJob
	err := q.api.post("/api/v1/deliveries/"+kind, q.deadFilter(), &out)
	if err := q.done(err, "It has begun."); err != nil {
		return err
	}
	if out.Job != nil {
		return q.to("/jobs/" + out.Job.ID)
	}
	return q.to("/deliveries?status=dead")
}

func (q *request) jobs() error {
	var l list[job]
	if err := orMissing(q.api.get("/api/v1/jobs", nil, &l)); err != nil {
		return err
	}
	return q.render("jobs", "Jobs", "settings", l.Items)
}

func (q *request) job() error {
	var j job
	if err := q.api.get("/api/v1/jobs/"+url.PathEscape(q.PathValue("id")), nil, &j); err != nil {
		return err
	}
	if j.Status == "running" {
		q.w.Header().Set("Refresh", "2")
	}
	return q.render("job", "Job", "deliveries", j)
}

func (q *request) cancelJob() error {
	id := url.PathEscape(q.PathValue("id"))
	_, err := q.api.ask(http.MethodPost, "/api/v1/jobs/"+id+"/cancel", nil, nil, nil)
	if err := q.done(err, "It is being cancelled. What was done stays done."); err != nil {
		return err
	}
	return q.to("/jobs/" + id)
}
