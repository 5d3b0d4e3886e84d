package dashboard

import (
	"net/http"
	"net/url"
	"strconv"
	"time"
)

var actionRoutes = []route{
	{"GET /ui/t/{tenant}/webhooks/{id}/delete", (*request).askDelete},
	{"POST /ui/t/{tenant}/webhooks/{id}/delete", (*request).deleteWebhook},
	{"GET /ui/t/{tenant}/webhooks/{id}/rotate", (*request).askRotate},
	{"POST /ui/t/{tenant}/webhooks/{id}/rotate", (*request).rotate},
	{"POST /ui/t/{tenant}/webhooks/{id}/secret", (*request).revealSecret},
	{"POST /ui/t/{tenant}/webhooks/{id}/test", (*request).testWebhook},
	{"POST /ui/t/{tenant}/webhooks/{id}/rollback", (*request).rollback},
	{"POST /ui/t/{tenant}/webhooks/{id}/do/{action}", (*request).act},
	{"GET /ui/t/{tenant}/webhooks/{id}/versions", (*request).versions},
}

// confirmData is a question before something that cannot be undone.
type confirmData struct {
	Title, Text, Button, Action, Back string
	Danger                            bool
	Choices                           []choice
	Fields                            map[string]string
}

type choice struct{ Name, Value, Label, About string }

func (q *request) confirm(section string, d confirmData) error {
	return q.render("confirm", d.Title, section, d)
}

func (q *request) at(suffix string) string {
	return "/webhooks/" + url.PathEscape(q.PathValue("id")) + suffix
}

func (q *request) apiAt(suffix string) string {
	return "/api/v1/webhooks/" + url.PathEscape(q.PathValue("id")) + suffix
}

// doneTexts say what an action did.
var doneTexts = map[string]string{
	"publish":   "The webhook is active. It gets events from now on.",
	"unpublish": "The webhook is a draft again. It gets no events.",
	"pause":     "The webhook is inactive. It gets no events until it is set active.",
}

func (q *request) act() error {
	action := q.PathValue("action")
	if action == "duplicate" {
		var w webhook
		err := q.api.post(q.apiAt("/duplicate"), nil, &w)
		if err := q.done(err, "This is a draft copy. It has a secret of its own."); err != nil {
			return err
		}
		if w.ID != "" {
			return q.to("/webhooks/" + w.ID)
		}
		return q.back("/webhooks")
	}
	text, ok := doneTexts[action]
	if !ok {
		return &problem{Status: http.StatusNotFound, Title: "Not found"}
	}
	if err := q.done(q.api.post(q.apiAt("/"+action), nil, nil), text); err != nil {
		return err
	}
	return q.back(q.at(""))
}

func (q *request) askDelete() error {
	var w webhook
	if err := q.api.get(q.apiAt(""), nil, &w); err != nil {
		return err
	}
	return q.confirm("webhooks", confirmData{Title: "Delete “" + w.Name + "”?", Text: "It gets no more events, and its secret is gone for good. Deliveries that wait for it are not sent.",
		Button: "Delete webhook", Danger: true, Back: q.base() + q.at(""), Choices: []choice{
			{"deliveries", "bury", "Keep what waits", "It is listed as given up, so that it can still be looked at."},
			{"deliveries", "discard", "Discard what waits", "It is removed."}}})
}

func (q *request) deleteWebhook() error {
	query := url.Values{}
	if v := q.PostFormValue("deliveries"); v != "" {
		query.Set("deliveries", v)
	}
	_, err := q.api.ask(http.MethodDelete, q.apiAt(""), query, nil, nil)
	if err := q.done(err, "The webhook is deleted."); err != nil {
		return err
	}
	return q.to("/webhooks")
}

func (q *request) askRotate() error {
	var w webhook
	if err := q.api.get(q.apiAt(""), nil, &w); err != nil {
		return err
	}
	return q.confirm("webhooks", confirmData{Title: "Rotate the secret of “" + w.Name + "”?",
		Text:   "A new secret is generated. For a while requests carry a signature of both, so that the receiver can change over without missing anything.",
		Button: "Rotate secret", Back: q.base() + q.at(""), Choices: []choice{
			{"overlap", "86400", "Both for a day", "The receiver has a day to change over."},
			{"overlap", "3600", "Both for an hour", ""},
			{"overlap", "0", "The new one at once", "When the old one has leaked. Until the receiver has the new one, it refuses requests."}}})
}

func (q *request) rotate() error {
	in := map[string]any{}
	if n, err := strconv.Atoi(q.PostFormValue("overlap")); err == nil {
		in["overlap_seconds"] = n
	}
	var out struct {
		Secret string `json:"secret"`
	}
	err := q.api.post(q.apiAt("/rotate-secret"), in, &out)
	if p, ok := asFault(err); ok {
		q.session.say("bad", p.Error())
		return q.to(q.at(""))
	}
	if err != nil {
		return err
	}
	return q.showWebhook(func(d *webhookData) {
		d.Secrets = []string{out.Secret}
		d.Rotated = true
	})
}

func (q *request) revealSecret() error {
	var out struct {
		Secrets []string `json:"secrets"`
		Public  string   `json:"public_key"`
	}
	err := q.api.get(q.apiAt("/secret"), nil, &out)
	if p, ok := asFault(err); ok {
		q.session.say("bad", p.Error())
		return q.to(q.at(""))
	}
	if err != nil {
		return err
	}
	return q.showWebhook(func(d *webhookData) { d.Secrets, d.Public = out.Secrets, out.Public })
}

// testData is what a test brought.
type testData struct {
	Webhook webhook
	Example string
	Trial   *trial
	Types   []eventType
	Error   string
}

func (q *request) testWebhook() error {
	var d testData
	if err := q.api.get(q.apiAt(""), nil, &d.Webhook); err != nil {
		return err
	}
	d.Example = q.PostFormValue("example")
	var err error
	d.Trial, err = q.testSaved(d.Webhook.ID, d.Example)
	if p, ok := asFault(err); ok {
		d.Trial, d.Error = nil, p.Error()
	} else if err != nil {
		return err
	}
	if d.Types, err = q.catalogue(); err != nil {
		return err
	}
	return q.render("test", "Test of "+d.Webhook.Name, "webhooks", d)
}

// version is an earlier definition.
type version struct {
	Revision   int            `json:"revision"`
	UpdatedAt  time.Time      `json:"updated_at"`
	UpdatedBy  string         `json:"updated_by"`
	Definition map[string]any `json:"definition"`
}

// Text is the definition as it is shown.
func (v version) Text() string { return jsonText(v.Definition) }

type versionsData struct {
	Webhook webhook
	Items   []version
}

func (q *request) versions() error {
	var d versionsData
	if err := q.api.get(q.apiAt(""), nil, &d.Webhook); err != nil {
		return err
	}
	var l list[version]
	if err := orMissing(q.api.get(q.apiAt("/versions"), nil, &l)); err != nil {
		return err
	}
	d.Items = l.Items
	return q.render("versions", "Versions of "+d.Webhook.Name, "webhooks", d)
}

func (q *request) rollback() error {
	n, err := strconv.Atoi(q.PostFormValue("revision"))
	if err != nil {
		return &problem{Status: http.StatusBadRequest, Title: "There is no such version"}
	}
	err = q.api.post(q.apiAt("/rollback"), map[string]any{"revision": n}, nil)
	if err := q.done(err, "The webhook is as it was in version "+itoa(n)+"."); err != nil {
		return err
	}
	return q.back(q.at(""))
}
