package dashboard

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

var authRoutes = []route{
	{"GET /ui/t/{tenant}/authorizations", (*request).authorizations},
	{"GET /ui/t/{tenant}/authorizations/new", (*request).newAuthorization},
	{"POST /ui/t/{tenant}/authorizations/new", (*request).createAuthorization},
	{"GET /ui/t/{tenant}/authorizations/{id}/edit", (*request).editAuthorization},
	{"POST /ui/t/{tenant}/authorizations/{id}/edit", (*request).updateAuthorization},
	{"GET /ui/t/{tenant}/authorizations/{id}/delete", (*request).askDeleteAuthorization},
	{"POST /ui/t/{tenant}/authorizations/{id}/delete", (*request).deleteAuthorization},
}

// authorization is a set of credentials, of which the secret parts are not shown.
type authorization struct {
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	Type       string         `json:"type"`
	Endpoint   string         `json:"endpoint"`
	Origin     string         `json:"origin"`
	Revision   int            `json:"revision"`
	UpdatedAt  time.Time      `json:"updated_at"`
	Webhooks   []string       `json:"webhooks"`
	Definition map[string]any `json:"definition"`
}

// authForm is the form of one.
type authForm struct {
	ID, Version                              string
	Name, Type, Endpoint                     string
	Header, Value                            string
	Public                                   bool
	Username, Password, Token                string
	TokenURL, ClientID, ClientSecret, Scopes string
	Faults                                   map[string]string
	Key                                      string
}

func (q *request) authorizations() error {
	var l list[authorization]
	if err := orMissing(q.api.get("/api/v1/authorizations", url.Values{"limit": {"500"}}, &l)); err != nil {
		return err
	}
	return q.render("authorizations", "Authorizations", "webhooks", l.Items)
}

func (q *request) newAuthorization() error {
	return q.authPage(&authForm{Type: "header", Key: random()})
}

func (q *request) authPage(f *authForm) error {
	title, status := "Create authorization", http.StatusOK
	if f.ID != "" {
		title = "Edit " + f.Name
	}
	if len(f.Faults) > 0 {
		status = http.StatusUnprocessableEntity
	}
	return q.renderStatus(status, "authorization", title, "webhooks", f, "auth.js")
}

func (q *request) authFrom() *authForm {
	one := func(name string) string { return strings.TrimSpace(q.PostFormValue(name)) }
	return &authForm{ID: q.PathValue("id"), Version: one("version"), Key: one("key"), Name: one("name"), Type: one("type"), Endpoint: one("endpoint"), Header: one("header"), Value: one("value"),
		Public: one("visibility") == "public", Username: one("username"), Password: one("password"), Token: one("token"), TokenURL: one("token_url"), ClientID: one("client_id"),
		ClientSecret: one("client_secret"), Scopes: one("scopes")}
}

// kept stands for a secret that stays what it is.
const kept = "***"

// definition makes what the API is given. On an edit, a secret that was left empty stays.
func (f *authForm) definition(tenant string) definition {
	secret := func(v string) string {
		if v == "" && f.ID != "" {
			return kept
		}
		return v
	}
	d := definition{"name": f.Name, "type": f.Type}
	if f.ID == "" {
		d["tenant"] = tenant
	}
	if f.Endpoint != "" {
		d["endpoint"] = f.Endpoint
	} else if f.ID != "" {
		d["endpoint"] = nil
	}
	switch f.Type {
	case "header":
		visibility := "secret"
		if f.Public {
			visibility = "public"
		}
		d["headers"] = []any{map[string]any{"name": f.Header, "value": secret(f.Value), "visibility": visibility}}
	case "basic":
		d["username"], d["password"] = f.Username, secret(f.Password)
	case "bearer":
		d["token"] = secret(f.Token)
	case "oauth2":
		d["token_url"], d["client_id"], d["client_secret"] = f.TokenURL, f.ClientID, secret(f.ClientSecret)
		if w := words(f.Scopes); len(w) > 0 {
			d["scopes"] = list2(w)
		}
	}
	return d
}

func (f *authForm) blame(p *problem) {
	f.Faults = map[string]string{}
	for _, e := range p.Errors {
		path := first(e.Path, strings.TrimPrefix(e.Location, "body."))
		key := path
		if i := strings.IndexAny(key, ".["); i >= 0 {
			key = key[:i]
		}
		f.Faults[key] = strings.TrimSpace(e.Message)
	}
	if len(p.Errors) == 0 {
		f.Faults[""] = p.Error()
	}
}

func (q *request) createAuthorization() error {
	f := q.authFrom()
	err := q.api.post("/api/v1/authorizations", f.definition(q.tenant), nil, "Idempotency-Key", f.Key)
	if p, ok := asFault(err); ok {
		f.blame(p)
		return q.authPage(f)
	}
	if err != nil {
		return err
	}
	q.session.say("ok", "“"+f.Name+"” can be used by webhooks now. Its secret values are not shown again.")
	return q.to("/authorizations")
}

func (q *request) authorization() (a authorization, etag string, err error) {
	ans, err := q.api.ask(http.MethodGet, "/api/v1/authorizations/"+url.PathEscape(q.PathValue("id")), nil, nil, &a)
	if err != nil {
		return a, "", err
	}
	return a, ans.header.Get("Etag"), nil
}

func (q *request) editAuthorization() error {
	a, etag, err := q.authorization()
	if err != nil {
		return err
	}
	d := definition(a.Definition)
	f := &authForm{ID: a.ID, Version: etag, Name: a.Name, Type: a.Type, Endpoint: a.Endpoint, Username: text(d["username"]), TokenURL: text(d["token_url"]), ClientID: text(d["client_id"]),
		Scopes: strings.Join(texts(d["scopes"]), " ")}
	if hs, _ := d["headers"].([]any); len(hs) > 0 {
		h := object(hs[0])
		f.Header, f.Public = text(h["name"]), text(h["visibility"]) == "public"
		if f.Public {
			f.Value = text(h["value"])
		}
	}
	return q.authPage(f)
}

func (q *request) updateAuthorization() error {
	f := q.authFrom()
	_, err := q.api.ask(http.MethodPatch, "/api/v1/authorizations/"+url.PathEscape(f.ID), nil, f.definition(q.tenant), nil, "If-Match", f.Version)
	if p, ok := asFault(err); ok {
		f.blame(p)
		return q.authPage(f)
	}
	if err != nil {
		return err
	}
	q.session.say("ok", "Saved. The next delivery uses it.")
	return q.to("/authorizations")
}

func (q *request) askDeleteAuthorization() error {
	a, _, err := q.authorization()
	if err != nil {
		return err
	}
	return q.confirm("webhooks", confirmData{Title: "Delete “" + a.Name + "”?", Text: "Its credentials are gone for good. An authorization that a webhook uses cannot be deleted.",
		Button: "Delete authorization", Danger: true, Back: q.base() + "/authorizations"})
}

func (q *request) deleteAuthorization() error {
	_, err := q.api.ask(http.MethodDelete, "/api/v1/authorizations/"+url.PathEscape(q.PathValue("id")), nil, nil, nil)
	if err := q.done(err, "The authorization is deleted."); err != nil {
		return err
	}
	return q.to("/authorizations")
}
