package dashboard

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"path"
	"strings"
)

//go:embed templates
var templateFiles embed.FS

// pages are the parsed templates by name, each with the layout.
type pages map[string]*template.Template

// parsePages reads the layout and the parts once, and every page on top of them.
func parsePages(d *Dashboard) (pages, error) {
	funcs := template.FuncMap{}
	maps.Copy(funcs, formats(d.opts.Now))
	funcs["static"] = d.static.url
	base, err := template.New("").Funcs(funcs).ParseFS(templateFiles, "templates/layout/*.html")
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	out := pages{}
	for _, name := range names {
		t, err := base.Clone()
		if err == nil {
			t, err = t.ParseFS(templateFiles, name)
		}
		if err != nil {
			return nil, err
		}
		out[strings.TrimSuffix(path.Base(name), ".html")] = t
	}
	return out, nil
}

// view is what a template gets.
type view struct {
	Title   string
	Section string // which entry of the navigation is current
	Theme   string
	Path    string // of this page, for forms that come back here
	Base    string // where the tenant's pages begin; "" without a tenant
	Tenant  string
	Who     identity
	Several bool // whether the operator may choose among tenants
	CSRF    string
	Flash   []flash
	Version string
	Ingress string
	Scripts []string // modules of this page
	D       any      // what is particular to the page
}

func (q *request) view(title, section string, data any) *view {
	v := &view{Title: title, Section: section, Theme: theme(q.Request), Path: q.here(), Tenant: q.tenant, Who: q.who, CSRF: q.session.csrf, D: data,
		Flash: q.session.messages(), Version: q.d.opts.Version, Ingress: q.d.opts.Ingress, Several: q.who.Global || len(q.who.Tenants) > 1}
	if q.tenant != "" {
		v.Base = q.base()
	}
	return v
}

// here is the address of the page that is shown, also when it is shown in answer to a form.
func (q *request) here() string {
	if q.Method == http.MethodGet {
		return q.URL.RequestURI()
	}
	if back := local(q.PostFormValue("back")); back != "" {
		return back
	}
	return "/ui/"
}

// render answers with a page.
func (q *request) render(name, title, section string, data any, scripts ...string) error {
	return q.renderStatus(http.StatusOK, name, title, section, data, scripts...)
}

func (q *request) renderStatus(status int, name, title, section string, data any, scripts ...string) error {
	v := q.view(title, section, data)
	v.Scripts = scripts
	return q.d.write(q.w, status, name, v)
}

// write executes a page before anything is sent, so that a failure can still become an error page.
func (d *Dashboard) write(w http.ResponseWriter, status int, name string, v *view) error {
	t := d.pages[name]
	if t == nil {
		return fmt.Errorf("there is no page %q", name)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "page", v); err != nil {
		return fmt.Errorf("render page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
	return nil
}

// errorData is what the error page shows.
type errorData struct {
	Problem *problem
	Advice  string
	Back    string
}

func advice(status int) string {
	switch status {
	case http.StatusNotFound:
		return "It may have been deleted, or belong to a tenant that your token does not reach."
	case http.StatusForbidden:
		return "Ask somebody whose token has the role for it."
	case http.StatusServiceUnavailable:
		return "Wait a moment and reload the page."
	}
	return ""
}

func (q *request) renderError(p *problem) {
	data := errorData{Problem: p, Advice: advice(p.Status), Back: "/ui/"}
	if p == errForm {
		data.Advice = ""
	}
	if q.tenant != "" && q.who.Name != "" && q.sees(q.tenant) {
		data.Back = q.base() + "/"
	} else {
		q.tenant = ""
	}
	if err := q.renderStatus(p.Status, "error", p.Title, "", data); err != nil {
		q.d.opts.Log.Error("dashboard error page failed", "err", err)
		http.Error(q.w, p.Title, p.Status)
	}
}

// plainError is an error page for somebody who is perhaps not signed in.
func (d *Dashboard) plainError(w http.ResponseWriter, r *http.Request, status int, title, detail string) {
	v := &view{Title: title, Theme: theme(r), Path: "/ui/", Version: d.opts.Version,
		D: errorData{Problem: &problem{Status: status, Title: title, Detail: detail}, Back: "/ui/"}}
	if err := d.write(w, status, "error", v); err != nil {
		d.opts.Log.Error("dashboard error page failed", "err", err)
		http.Error(w, title, status)
	}
}

// loginData is what the sign-in page shows.
type loginData struct {
	Error string
	Next  string
}

func (d *Dashboard) renderLogin(w http.ResponseWriter, r *http.Request, status int, message string) {
	next := local(r.FormValue("next"))
	v := &view{Title: "Sign in", Theme: theme(r), Path: "/ui/login", Version: d.opts.Version, D: loginData{Error: message, Next: next}}
	if next != "" {
		v.Path += "?next=" + url.QueryEscape(next)
	}
	if err := d.write(w, status, "login", v); err != nil {
		d.opts.Log.Error("sign-in page failed", "err", err)
		http.Error(w, "sign-in page failed", http.StatusInternalServerError)
	}
}
