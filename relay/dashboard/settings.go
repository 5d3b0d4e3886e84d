package dashboard

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

var settingsRoutes = []route{
	{"GET /ui/t/{tenant}/settings", (*request).eventTypes},
	{"GET /ui/t/{tenant}/settings/tokens", (*request).tokens},
	{"POST /ui/t/{tenant}/settings/tokens", (*request).createToken},
	{"POST /ui/t/{tenant}/settings/tokens/{id}/revoke", (*request).revokeToken},
	{"GET /ui/t/{tenant}/settings/audit", (*request).audit},
	{"GET /ui/t/{tenant}/settings/config", (*request).config},
	{"POST /ui/t/{tenant}/settings/config", (*request).reload},
}

type eventTypesData struct {
	Search string
	Items  []eventType
}

// ExampleText is the example as it is shown.
func (t eventType) ExampleText() string { return pretty(t.Example) }

// SchemaText is the schema as it is shown.
func (t eventType) SchemaText() string { return pretty(t.Schema) }

func (q *request) eventTypes() error {
	d := eventTypesData{Search: q.URL.Query().Get("search")}
	query := url.Values{"limit": {"500"}}
	if d.Search != "" {
		query.Set("search", d.Search)
	}
	var l list[eventType]
	if err := orMissing(q.api.get("/api/v1/event-types", query, &l)); err != nil {
		return err
	}
	d.Items = l.Items
	return q.render("eventtypes", "Event types", "settings", d)
}

// apiToken is a token without the token itself.
type apiToken struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Kind      string    `json:"kind"`
	Hint      string    `json:"hint"`
	Tenants   []string  `json:"tenants"`
	Program   string    `json:"program"`
	Role      string    `json:"role"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by"`
	ExpiresAt time.Time `json:"expires_at"`
	UsedAt    time.Time `json:"last_used_at"`
	Status    string    `json:"status"`
}

type tokensData struct {
	Items []apiToken
	Form  url.Values
	Fault string
	Fresh string // a token that was made just now
	Name  string
}

func (q *request) tokens() error { return q.tokensPage(tokensData{Form: url.Values{}}) }

func (q *request) tokensPage(d tokensData) error {
	var l list[apiToken]
	if err := orMissing(q.api.get("/api/v1/tokens", url.Values{"limit": {"500"}}, &l)); err != nil {
		return err
	}
	d.Items = l.Items
	status := http.StatusOK
	if d.Fault != "" {
		status = http.StatusUnprocessableEntity
	}
	return q.renderStatus(status, "tokens", "Tokens", "settings", d)
}

func (q *request) createToken() error {
	in := map[string]any{"name": strings.TrimSpace(q.PostFormValue("name")), "kind": q.PostFormValue("kind"), "tenants": []string{q.tenant}}
	for _, name := range []string{"role", "program", "expires"} {
		if v := strings.TrimSpace(q.PostFormValue(name)); v != "" && (name != "role" || in["kind"] == "operator") {
			in[name] = v
		}
	}
	var out struct {
		Token string `json:"token"`
		Name  string `json:"name"`
	}
	err := q.api.post("/api/v1/tokens", in, &out)
	if p, ok := asFault(err); ok {
		return q.tokensPage(tokensData{Form: q.PostForm, Fault: p.Error()})
	}
	if err != nil {
		return err
	}
	return q.tokensPage(tokensData{Form: url.Values{}, Fresh: out.Token, Name: out.Name})
}

func (q *request) revokeToken() error {
	err := q.api.post("/api/v1/tokens/"+url.PathEscape(q.PathValue("id"))+"/revoke", nil, nil)
	if err := q.done(err, "The token is revoked. It opens nothing any more."); err != nil {
		return err
	}
	return q.to("/settings/tokens")
}

// auditEntry is one line of who did what.
type auditEntry struct {
	ID     string          `json:"id"`
	At     time.Time       `json:"at"`
	Actor  string          `json:"actor"`
	Role   string          `json:"role"`
	Action string          `json:"action"`
	Kind   string          `json:"kind"`
	Object string          `json:"object"`
	Name   string          `json:"name"`
	Before json.RawMessage `json:"before"`
	After  json.RawMessage `json:"after"`
}

type auditData struct {
	Query url.Values
	Items []auditEntry
	Next  string
}

func (q *request) audit() error {
	d := auditData{Query: q.URL.Query()}
	query := pass(d.Query, "actor", "action", "object", "cursor")
	query.Set("limit", "50")
	var l list[auditEntry]
	if err := orMissing(q.api.get("/api/v1/audit", query, &l)); err != nil {
		return err
	}
	d.Items, d.Next = l.Items, q.older(l.Next)
	return q.render("audit", "Audit", "settings", d)
}

// report is what a reload changed.
type report struct {
	Changes []struct {
		Action string   `json:"action"`
		Kind   string   `json:"kind"`
		Tenant string   `json:"tenant"`
		Name   string   `json:"name"`
		Fields []string `json:"fields"`
	} `json:"changes"`
	NeedsRestart []string `json:"needs_restart"`
	Warnings     []fault  `json:"warnings"`
}

type configData struct {
	Text   string
	Report *report
	Fault  *problem
}

func (q *request) config() error { return q.configPage(configData{}) }

func (q *request) configPage(d configData) error {
	a, err := q.all.ask(http.MethodGet, "/api/v1/config", nil, nil, nil)
	if err != nil {
		return err
	}
	d.Text = a.body.String()
	return q.render("config", "Configuration", "settings", d)
}

func (q *request) reload() error {
	d := configData{Report: new(report)}
	err := q.all.post("/api/v1/config/reload", nil, d.Report)
	if p, ok := asFault(err); ok {
		d.Report, d.Fault = nil, p
	} else if err != nil {
		return err
	}
	return q.configPage(d)
}
