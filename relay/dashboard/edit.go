package dashboard

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

var editRoutes = []route{
	{"GET /ui/t/{tenant}/webhooks/new", (*request).newWebhook},
	{"POST /ui/t/{tenant}/webhooks/new", (*request).createWebhook},
	{"GET /ui/t/{tenant}/webhooks/{id}/edit", (*request).editWebhook},
	{"POST /ui/t/{tenant}/webhooks/{id}/edit", (*request).updateWebhook},
	{"POST /ui/t/{tenant}/preview", (*request).preview},
}

// eventType is an entry of the catalogue.
type eventType struct {
	Name        string          `json:"name"`
	Tenant      string          `json:"tenant"`
	Description string          `json:"description"`
	Scope       string          `json:"scope"`
	Schema      json.RawMessage `json:"schema"`
	Example     json.RawMessage `json:"example"`
	Validated   bool            `json:"validated"`
	Origin      string          `json:"origin"`
}

// plugin is a transform that comes with the program.
type plugin struct {
	Name         string          `json:"name"`
	Version      string          `json:"version"`
	Description  string          `json:"description"`
	Schema       json.RawMessage `json:"schema"`
	Capabilities []string        `json:"capabilities"`
}

// SchemaText is the schema, for the script that makes fields of it.
func (p plugin) SchemaText() string { return string(p.Schema) }

// formData is what the page of the form shows.
type formData struct {
	Form     *hookForm
	ID       string // "" = a new one
	Webhook  webhook
	Version  string // of the definition that is edited
	Key      string // makes a form that is sent twice create one webhook
	Types    []eventType
	Auths    []authorization
	Plugins  []plugin
	Steps    []stepView
	Locked   bool
	Trial    *trial
	Example  string
	TestedOK bool
}

// stepView is a transform of the form with its number and what is wrong with it.
type stepView struct {
	transformForm
	N     int
	Fault string
}

func (q *request) catalogue() ([]eventType, error) {
	var l list[eventType]
	err := q.api.get("/api/v1/event-types", url.Values{"limit": {"1000"}}, &l)
	return l.Items, orMissing(err)
}

// orMissing makes nothing of a part that the relay does not have.
func orMissing(err error) error {
	if is(err, http.StatusNotFound) {
		return nil
	}
	return err
}

// formPage collects what the form offers.
func (q *request) formPage(f *hookForm, d *formData) error {
	var err error
	if d.Types == nil {
		if d.Types, err = q.catalogue(); err != nil {
			return err
		}
	}
	var auths list[authorization]
	if err := orMissing(q.api.get("/api/v1/authorizations", url.Values{"limit": {"500"}}, &auths)); err != nil {
		return err
	}
	var plugins list[plugin]
	if err := orMissing(q.api.get("/api/v1/plugins", nil, &plugins)); err != nil {
		return err
	}
	d.Form, d.Auths, d.Plugins = f, auths.Items, plugins.Items
	if d.Key == "" {
		d.Key = random()
	}
	for i, t := range append(f.Transforms, transformForm{}) {
		s := stepView{transformForm: t, N: i + 1}
		if i < len(f.Transforms) {
			s.Fault = f.Faults["transform["+itoa(i)+"]"]
		}
		d.Steps = append(d.Steps, s)
	}
	title, status := "Create webhook", http.StatusOK
	if d.ID != "" {
		title = "Edit " + d.Webhook.Name
	}
	if len(f.Faults) > 0 {
		status = http.StatusUnprocessableEntity
	}
	return q.renderStatus(status, "form", title, "webhooks", d, "form.js")
}

func (q *request) newWebhook() error {
	f := &hookForm{Method: "POST", PayloadType: "json", Log: "all", Signing: "standard"}
	if event := q.URL.Query().Get("event"); event != "" {
		f.Events = []string{event}
	}
	return q.formPage(f, &formData{})
}

func (q *request) createWebhook() error {
	f := formFrom(q.PostForm)
	d := &formData{Key: q.PostFormValue("key"), Example: q.PostFormValue("example")}
	def := f.definition(q.tenant)
	do := q.PostFormValue("do")
	if do == "preview" || do == "test" {
		return q.trialPage(f, d, def, do)
	}
	def["status"] = "draft"
	if do == "publish" {
		def["status"] = "active"
	}
	if len(f.Faults) > 0 {
		return q.formPage(f, d)
	}
	var w webhook
	err := q.api.post("/api/v1/webhooks", def, &w, "Idempotency-Key", d.Key)
	if p, ok := asFault(err); ok {
		f.blame(p)
		return q.formPage(f, d)
	}
	if err != nil {
		return err
	}
	if do == "publish" {
		q.session.say("ok", "“"+w.Name+"” is active. It gets events from now on.")
	} else {
		q.session.say("ok", "“"+w.Name+"” is saved as a draft. Test it, then publish it.")
	}
	return q.to("/webhooks/" + w.ID)
}

// asFault says whether an error is about what was typed.
func asFault(err error) (*problem, bool) {
	var p *problem
	if !errors.As(err, &p) {
		return nil, false
	}
	switch p.Status {
	case http.StatusBadRequest, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusPreconditionFailed, http.StatusRequestEntityTooLarge:
		return p, true
	}
	return nil, false
}

// defined asks for a webhook with its definition and version.
func (q *request) defined(id string) (w webhook, d definition, version string, err error) {
	a, err := q.api.ask(http.MethodGet, "/api/v1/webhooks/"+url.PathEscape(id), nil, nil, &w)
	if err != nil {
		return w, nil, "", err
	}
	var whole definition
	if err := decode(a.body.Bytes(), &whole); err != nil {
		return w, nil, "", err
	}
	d = whole
	raw := struct {
		Definition json.RawMessage `json:"definition"`
	}{}
	if inner := object(whole["definition"]); inner != nil {
		d = inner
		if err = json.Unmarshal(a.body.Bytes(), &raw); err == nil {
			err = keepOrder(d, raw.Definition)
		}
		if err != nil {
			return w, nil, "", err
		}
	}
	return w, d, a.header.Get("Etag"), nil
}

func (q *request) editWebhook() error {
	w, def, version, err := q.defined(q.PathValue("id"))
	if err != nil {
		return err
	}
	types, err := q.catalogue()
	if err != nil {
		return err
	}
	return q.formPage(formOf(def, types), &formData{ID: w.ID, Webhook: w, Version: version, Types: types, Locked: w.Locked})
}

func (q *request) updateWebhook() error {
	w, before, version, err := q.defined(q.PathValue("id"))
	if err != nil {
		return err
	}
	types, err := q.catalogue()
	if err != nil {
		return err
	}
	f := formFrom(q.PostForm)
	d := &formData{ID: w.ID, Webhook: w, Version: q.PostFormValue("version"), Types: types, Locked: w.Locked, Example: q.PostFormValue("example")}
	if w.Locked {
		f.URL, f.SecretOwn = text(before["url"]), false
	}
	if d.Version == "" {
		d.Version = version
	}
	change := f.change(before, types, q.tenant)
	do := q.PostFormValue("do")
	if do == "preview" || do == "test" {
		whole := definition{}
		for k, v := range before {
			whole[k] = v
		}
		for k, v := range change {
			if whole[k] = v; v == nil {
				delete(whole, k)
			}
		}
		return q.trialPage(f, d, whole, do)
	}
	if len(f.Faults) > 0 {
		return q.formPage(f, d)
	}
	if len(change) > 0 {
		_, err = q.api.ask(http.MethodPatch, "/api/v1/webhooks/"+w.ID, nil, change, nil, "If-Match", d.Version, "Content-Type", "application/merge-patch+json")
		if p, ok := asFault(err); ok {
			if p.Status == http.StatusPreconditionFailed {
				p = &problem{Detail: "Somebody else has changed this webhook meanwhile. Open it in another tab, compare, and save again here."}
				d.Version = version
			}
			f.blame(p)
			return q.formPage(f, d)
		}
		if err != nil {
			return err
		}
	}
	if do == "publish" && w.Status != "active" {
		if err := q.api.post("/api/v1/webhooks/"+w.ID+"/publish", nil, nil); err != nil {
			if err := q.done(err, ""); err != nil {
				return err
			}
			return q.to("/webhooks/" + w.ID)
		}
	}
	q.session.say("ok", "Saved. The next delivery uses it.")
	return q.to("/webhooks/" + w.ID)
}

// trialPage shows the form again, with what would be sent, or with what a test brought.
func (q *request) trialPage(f *hookForm, d *formData, def definition, do string) error {
	if len(f.Faults) == 0 {
		var err error
		if do == "test" {
			d.Trial, err = q.testDraft(d.ID, def, d.Example)
		} else {
			d.Trial, err = q.try(d.ID, def, d.Example, false)
		}
		if p, ok := asFault(err); ok {
			f.blame(p)
		} else if err != nil {
			return err
		}
	}
	return q.formPage(f, d)
}

// draftOf is a definition as a trial takes it: without what the API adds.
func draftOf(def definition) definition {
	out := definition{}
	for k, v := range def {
		switch k {
		case "id", "origin", "circuit", "counters", "last_delivery_at", "revision", "reason", "created_at", "updated_at", "status", "definition", "version", "locked", "disabled":
		default:
			out[k] = v
		}
	}
	if out["secret"] == "***" {
		delete(out, "secret")
	}
	return out
}

// tryRequest says which event a trial uses: none = the example of the first type, an id = a stored one, a name = that type's example, {…} = itself.
func tryRequest(event string) (object map[string]any, err error) {
	object = map[string]any{}
	switch event = strings.TrimSpace(event); {
	case event == "":
	case event[0] == '{':
		var v any
		if err := decode([]byte(event), &v); err != nil {
			return nil, &problem{Status: http.StatusUnprocessableEntity, Detail: "The event is not JSON: " + err.Error()}
		}
		object["event"] = v
	case strings.HasPrefix(event, "we_") || strings.HasPrefix(event, "dl_"):
		object["stored"] = event
	default:
		object["example"] = event
	}
	return object, nil
}

// try asks what would be sent. Nothing is sent.
func (q *request) try(id string, def definition, event string, compare bool) (*trial, error) {
	in, err := tryRequest(event)
	if err != nil {
		return nil, err
	}
	if def != nil {
		draft := draftOf(def)
		if draft["name"] == "" || draft["name"] == nil {
			draft["name"] = "draft"
		}
		in["draft"] = draft
	}
	if id != "" {
		in["webhook"] = id
	}
	if compare && def != nil && id != "" {
		in["compare"] = true
	}
	t := new(trial)
	return t, q.api.post("/api/v1/try", in, t)
}

// preview is try for the script of the form: it answers with the request as text.
func (q *request) preview() error {
	f := formFrom(q.PostForm)
	def := f.definition(q.tenant)
	type out struct {
		Request string            `json:"request"`
		Note    string            `json:"note"`
		Faults  map[string]string `json:"faults"`
	}
	var o out
	if len(f.Faults) == 0 {
		t, err := q.try("", def, q.PostFormValue("example"), false)
		if p, ok := asFault(err); ok {
			f.blame(p)
		} else if err != nil {
			var p *problem
			if !errors.As(err, &p) {
				return err
			}
			o.Note = p.Error()
		} else {
			o.Request, o.Note = t.Text(), t.Note()
		}
	}
	o.Faults = f.Faults
	q.w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(q.w).Encode(o)
}
