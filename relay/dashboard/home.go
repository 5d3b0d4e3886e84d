package dashboard

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"time"
)

var homeRoutes = []route{
	{"GET /ui/{$}", (*request).home},
	{"GET /ui/tenants", (*request).tenants},
	{"GET /ui/webhooks/{id}", (*request).findWebhook},
	{"GET /ui/deliveries/{id}", (*request).findDelivery},
	{"POST /ui/logout", (*request).logout},
	{"GET /ui/t/{tenant}/{$}", (*request).overview},
}

// tenant is a business unit.
type tenant struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Programs []program `json:"programs"`
}

type program struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// home sends people where they belong: a channel operator to the one tenant, a global one to the search, unless there is nothing to choose.
func (q *request) home() error {
	if !q.who.Global && len(q.who.Tenants) == 1 {
		q.tenant = q.who.Tenants[0]
		return q.to("/")
	}
	l, err := q.listTenants(url.Values{"limit": {"2"}})
	if err != nil {
		return err
	}
	if len(l.Items) == 1 {
		q.tenant = l.Items[0].ID
		return q.to("/")
	}
	http.Redirect(q.w, q.Request, "/ui/tenants", http.StatusSeeOther)
	return nil
}

// findWebhook and findDelivery lead from a link that knows no tenant, as e-mails have them, to the page.
func (q *request) findWebhook() error { return q.find("webhooks") }

func (q *request) findDelivery() error { return q.find("deliveries") }

func (q *request) find(kind string) error {
	id := url.PathEscape(q.PathValue("id"))
	var found struct {
		Tenant string `json:"tenant"`
	}
	if err := q.all.get("/api/v1/"+kind+"/"+id, nil, &found); err != nil {
		return err
	}
	q.tenant = found.Tenant
	return q.to("/" + kind + "/" + id)
}

// tenantsData is the search that a global operator lands on.
type tenantsData struct {
	Search string
	Items  []tenant
	Next   string
}

func (q *request) tenants() error {
	d := tenantsData{Search: q.URL.Query().Get("search")}
	query := url.Values{"limit": {"50"}}
	if d.Search != "" {
		query.Set("search", d.Search)
	}
	if c := q.URL.Query().Get("cursor"); c != "" {
		query.Set("cursor", c)
	}
	l, err := q.listTenants(query)
	if err != nil {
		return err
	}
	d.Items, d.Next = l.Items, q.older(l.Next)
	return q.render("tenants", "Tenants", "tenants", d)
}

// listTenants asks for tenants. A relay whose configuration declares none has those of its webhooks.
func (q *request) listTenants(query url.Values) (l list[tenant], err error) {
	err = q.all.get("/api/v1/tenants", query, &l)
	if err != nil && !is(err, http.StatusNotFound) || len(l.Items) > 0 || query.Has("search") {
		return l, err
	}
	var hooks list[webhook]
	if err := q.all.get("/api/v1/webhooks", url.Values{"limit": {"1000"}}, &hooks); err != nil {
		return l, err
	}
	for _, w := range hooks.Items {
		if n := len(l.Items); n == 0 || l.Items[n-1].ID != w.Tenant { // they are sorted by tenant
			l.Items = append(l.Items, tenant{ID: w.Tenant})
		}
	}
	if len(l.Items) == 0 {
		l.Items = []tenant{{ID: "default"}}
	}
	return l, nil
}

// older is the address of the next page of the list that is shown.
func (q *request) older(cursor string) string {
	if cursor == "" {
		return ""
	}
	values := q.URL.Query()
	values.Set("cursor", cursor)
	return q.URL.Path + "?" + values.Encode()
}

func (q *request) logout() error {
	if q.PostFormValue("everywhere") != "" {
		q.d.sessions.closeToken(q.session.token)
	} else {
		q.d.sessions.close(q.d.cookieID(q.Request))
	}
	q.d.setCookie(q.w, "", -1)
	http.Redirect(q.w, q.Request, "/ui/login", http.StatusSeeOther)
	return nil
}

// stats is GET /api/v1/stats.
type stats struct {
	Version  string    `json:"version"`
	Started  time.Time `json:"started_at"`
	Webhooks struct {
		Total        int      `json:"total"`
		Active       int      `json:"active"`
		OpenCircuits int      `json:"open_circuits"`
		Counters     counters `json:"counters"`
	} `json:"webhooks"`
	Queue *struct {
		Pending  int64     `json:"pending"`
		Retrying int64     `json:"retrying"`
		Dead     int64     `json:"dead"`
		Bytes    int64     `json:"bytes"`
		OldestAt time.Time `json:"oldest_at"`
		DiskFree int64     `json:"disk_free_bytes"`
		Full     bool      `json:"full"`
		DiskLow  bool      `json:"disk_low"`
	} `json:"queue"`
}

type counters struct {
	Delivered int64 `json:"delivered"`
	Failed    int64 `json:"failed"`
	Dead      int64 `json:"dead"`
	InFlight  int64 `json:"in_flight"`
}

// Rate is the share of attempts that succeeded, in per cent; -1 = there were none.
func (c counters) Rate() int {
	all := c.Delivered + c.Failed
	if all == 0 {
		return -1
	}
	return int(c.Delivered * 100 / all)
}

// overviewData is what the first page of a tenant shows.
type overviewData struct {
	Stats   stats
	Relay   *stats // of the whole relay, when the operator may see it
	Trouble []webhook
	Dead    []delivery
	Chart   *chart
	Latency *chart
	Any     bool // whether there is any webhook
	Curl    string
}

func (q *request) overview() error {
	var d overviewData
	if err := q.api.get("/api/v1/stats", nil, &d.Stats); err != nil {
		return err
	}
	if q.who.Global {
		d.Relay = new(stats)
		if err := q.all.get("/api/v1/stats", nil, d.Relay); err != nil {
			return err
		}
	}
	hooks, err := q.troubled()
	if err != nil {
		return err
	}
	d.Trouble, d.Any = hooks, d.Stats.Webhooks.Total > 0
	var dead list[delivery]
	if err := q.api.get("/api/v1/deliveries", url.Values{"status": {"dead"}, "limit": {"5"}}, &dead); err != nil {
		return err
	}
	d.Dead = dead.Items
	d.Curl = q.curl()
	if d.Chart, d.Latency, err = q.charts(""); err != nil {
		return err
	}
	return q.render("overview", "Overview", "overview", d)
}

// troubled returns the webhooks that need somebody, worst first.
func (q *request) troubled() ([]webhook, error) {
	var l list[webhook]
	if err := q.api.get("/api/v1/webhooks", url.Values{"limit": {"100"}, "health": {"failing"}}, &l); err != nil {
		return nil, err
	}
	hooks := slices.DeleteFunc(l.Items, func(w webhook) bool { return w.trouble() == 0 })
	slices.SortStableFunc(hooks, func(a, b webhook) int {
		return cmp.Or(cmp.Compare(b.trouble(), a.trouble()), cmp.Compare(b.Counters.Dead, a.Counters.Dead), cmp.Compare(b.Counters.Failed, a.Counters.Failed))
	})
	return hooks[:min(len(hooks), 8)], nil
}

// curl is how to send the first event.
func (q *request) curl() string {
	if q.d.opts.Ingress == "" {
		return ""
	}
	return "curl -d '{\"type\": \"order.created\", \"tenant\": \"" + q.tenant + "\", \"data\": {\"id\": 42}}' " + q.d.opts.Ingress + "/v1/events"
}
