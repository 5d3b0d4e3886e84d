package dashboard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxForm bounds a form.
const maxForm = 1 << 20

// request is one request of somebody who has signed in.
type request struct {
	*http.Request
	d       *Dashboard
	w       http.ResponseWriter
	session *session
	who     identity
	tenant  string // "" on pages that are about no tenant
	api     *client
	all     *client // the same, for what is not of one tenant
}

// route is one page or action.
type route struct {
	pattern string // as in ServeMux
	handle  func(*request) error
}

// routes lists what needs a session. The tests go through it.
func (d *Dashboard) routes() []route {
	var list []route
	for _, part := range [][]route{homeRoutes, webhookRoutes, editRoutes, actionRoutes, eventRoutes, deliveryRoutes, authRoutes,
		playgroundRoutes, settingsRoutes} {
		list = append(list, part...)
	}
	return list
}

func (d *Dashboard) mux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ui/", http.StatusSeeOther) })
	mux.HandleFunc("GET /ui", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ui/", http.StatusSeeOther) })
	mux.Handle("GET /ui/static/{hash}/{file...}", d.static)
	mux.HandleFunc("GET /ui/login", d.showLogin)
	mux.HandleFunc("POST /ui/login", d.login)
	mux.HandleFunc("POST /ui/theme", d.setTheme)
	for _, rt := range d.routes() {
		mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) { d.serve(w, r, rt) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		d.plainError(w, r, http.StatusNotFound, "There is no such page", "The address may be mistyped, or the page was moved.")
	})
	return mux
}

// serve finds the session, checks the form, and runs the route.
func (d *Dashboard) serve(w http.ResponseWriter, r *http.Request, rt route) {
	ses := d.sessions.find(d.cookieID(r))
	if ses == nil {
		d.toLogin(w, r)
		return
	}
	q := &request{Request: r, d: d, w: w, session: ses, tenant: r.PathValue("tenant")}
	q.all = &client{api: d.opts.API, ctx: r.Context(), token: ses.token, remote: r.RemoteAddr}
	narrow := *q.all
	narrow.tenant = q.tenant
	q.api = &narrow
	if err := q.prepare(); err != nil {
		q.fail(err)
		return
	}
	if err := rt.handle(q); err != nil {
		q.fail(err)
	}
}

var errForm = &problem{Status: http.StatusForbidden, Title: "The form has expired",
	Detail: "It was made before you last signed in, or by another page. Go back, reload the page and try again. Nothing was changed."}

// prepare checks the form's token and asks who the session's token is: one that was revoked ends here.
func (q *request) prepare() error {
	if q.Method != http.MethodGet && q.Method != http.MethodHead {
		q.Body = http.MaxBytesReader(q.w, q.Body, maxForm)
		if err := q.ParseForm(); err != nil {
			return &problem{Status: http.StatusBadRequest, Title: "The form could not be read", Detail: "It is malformed or larger than 1 MiB."}
		}
		if !q.session.validForm(q.Request) {
			return errForm
		}
	}
	if err := q.all.get("/api/v1/whoami", nil, &q.who); err != nil {
		return err
	}
	if q.tenant != "" && !q.sees(q.tenant) {
		return &problem{Status: http.StatusNotFound, Title: "Not found", Detail: "There is no such page, or it is not for you."}
	}
	return nil
}

// sees says whether the token reaches a tenant. A global one reaches every tenant, also one that is known only from its events.
func (q *request) sees(tenant string) bool {
	if q.who.Global {
		return true
	}
	for _, t := range q.who.Tenants {
		if t == tenant {
			return true
		}
	}
	return false
}

// fail answers an error. A token that is no longer valid leads back to the sign-in.
func (q *request) fail(err error) {
	var p *problem
	switch {
	case errors.Is(err, context.Canceled) && q.Context().Err() != nil:
		return
	case is(err, http.StatusUnauthorized):
		q.d.sessions.close(q.d.cookieID(q.Request))
		q.d.toLogin(q.w, q.Request)
		return
	case errors.As(err, &p):
	default:
		q.d.opts.Log.Error("dashboard page failed", "path", q.URL.Path, "err", err)
		p = &problem{Status: http.StatusInternalServerError, Title: "Something went wrong here", Detail: "The relay's log says more. Deliveries are not affected."}
	}
	q.renderError(p)
}

// base is where the pages of the tenant begin.
func (q *request) base() string { return "/ui/t/" + url.PathEscape(q.tenant) }

// to redirects to a page of the tenant after a form.
func (q *request) to(path string) error {
	http.Redirect(q.w, q.Request, q.base()+path, http.StatusSeeOther)
	return nil
}

// back redirects to the page that the form names, if it is one of ours; else to path.
func (q *request) back(path string) error {
	if next := local(q.PostFormValue("back")); next != "" {
		http.Redirect(q.w, q.Request, next, http.StatusSeeOther)
		return nil
	}
	return q.to(path)
}

// local returns an address under /ui/ as it is, and "" for everything else, so that no link leads away from here.
func local(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || !strings.HasPrefix(next, "/ui/") || strings.ContainsAny(next, "\\\r\n") || strings.Contains(u.Path, "//") {
		return ""
	}
	return next
}

// done says what a form did; a problem of the API is said too, and is no error of the page.
func (q *request) done(err error, text string) error {
	var p *problem
	switch {
	case err == nil:
		q.session.say("ok", text)
	case errors.As(err, &p) && p.Status != http.StatusUnauthorized && p.Status != http.StatusNotFound:
		q.session.say("bad", p.Error())
	default:
		return err
	}
	return nil
}

func (d *Dashboard) toLogin(w http.ResponseWriter, r *http.Request) {
	target := "/ui/login"
	if next := local(r.URL.RequestURI()); r.Method == http.MethodGet && next != "" && next != "/ui/" {
		target += "?next=" + url.QueryEscape(next)
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}

func (d *Dashboard) showLogin(w http.ResponseWriter, r *http.Request) {
	if d.sessions.find(d.cookieID(r)) != nil {
		http.Redirect(w, r, "/ui/", http.StatusSeeOther)
		return
	}
	d.renderLogin(w, r, http.StatusOK, "")
}

// login opens a session for a valid token. The id is always a new one.
func (d *Dashboard) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
	addr := address(r)
	if d.attempts.blocked(addr) {
		w.Header().Set("Retry-After", fmt.Sprint(int(strikeWindow.Seconds())))
		d.renderLogin(w, r, http.StatusTooManyRequests, "Too many attempts from this address. Wait a quarter of an hour and try again.")
		return
	}
	token := strings.TrimSpace(r.PostFormValue("token"))
	c := &client{api: d.opts.API, ctx: r.Context(), token: token, remote: r.RemoteAddr}
	var who identity
	err := io.ErrUnexpectedEOF
	if token != "" && !strings.ContainsAny(token, "\r\n") {
		err = c.get("/api/v1/whoami", nil, &who)
	}
	switch {
	case err == nil:
	case is(err, http.StatusUnauthorized) || token == "" || errors.Is(err, io.ErrUnexpectedEOF):
		d.attempts.failed(addr)
		d.opts.Log.Warn("dashboard sign-in failed", "remote", addr)
		d.renderLogin(w, r, http.StatusUnauthorized, "This token is not valid. It may be mistyped, expired or revoked.")
		return
	default:
		d.opts.Log.Error("dashboard sign-in failed", "err", err)
		d.renderLogin(w, r, http.StatusServiceUnavailable, "Signing in is not possible just now. The relay's log says more.")
		return
	}
	d.attempts.succeeded(addr)
	d.sessions.close(d.cookieID(r))
	id, _ := d.sessions.open(token)
	d.setCookie(w, id, 0)
	d.opts.Log.Info("dashboard sign-in", "token", who.Name, "remote", addr)
	next := local(r.PostFormValue("next"))
	if next == "" {
		next = "/ui/"
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// setTheme keeps what the reader prefers; it says nothing about them, so it needs no session.
func (d *Dashboard) setTheme(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
	c := &http.Cookie{Name: "edgerelay_theme", Path: "/ui/", MaxAge: 365 * 24 * 3600, SameSite: http.SameSiteStrictMode, Secure: d.opts.Secure, HttpOnly: true}
	switch v := r.PostFormValue("theme"); v {
	case "light", "dark":
		c.Value = v
	default:
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
	next := local(r.PostFormValue("back"))
	if next == "" {
		next = "/ui/"
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}

func theme(r *http.Request) string {
	if c, err := r.Cookie("edgerelay_theme"); err == nil && (c.Value == "light" || c.Value == "dark") {
		return c.Value
	}
	return ""
}
