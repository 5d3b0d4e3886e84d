package dashboard

import (
	"net/http"
	"net/url"
	"slices"
)

var playgroundRoutes = []route{
	{"GET /ui/t/{tenant}/playground", (*request).playground},
	{"POST /ui/t/{tenant}/playground", (*request).play},
}

// playData is the playground: an event, a definition, and the request that comes of both.
type playData struct {
	Hooks      []webhook
	Types      []eventType
	ID         string // of the webhook that the definition is of; "" = none
	Webhook    webhook
	Version    string
	Event      string
	Definition string
	Trial      *trial
	Fault      string
	Versions   []version
}

// blank is the definition that the playground begins with when there is no webhook.
const blank = `{
  "name": "draft",
  "events": ["order.*"],
  "url": "https://example.com/hooks",
  "payload": {
    "type": "json",
    "body": { "order": "{{ data.id }}", "at": "{{ time }}" }
  }
}`

func (q *request) playPage(d *playData) error {
	var l list[webhook]
	if err := q.api.get("/api/v1/webhooks", url.Values{"limit": {"100"}}, &l); err != nil {
		return err
	}
	d.Hooks = l.Items
	if d.ID != "" && !slices.ContainsFunc(d.Hooks, func(w webhook) bool { return w.ID == d.ID }) {
		d.Hooks = append(d.Hooks, d.Webhook) // of many the list has the first only
	}
	var err error
	if d.Types, err = q.catalogue(); err != nil {
		return err
	}
	status := http.StatusOK
	if d.Fault != "" {
		status = http.StatusUnprocessableEntity
	}
	if d.ID != "" {
		var v list[version]
		if err := orMissing(q.api.get("/api/v1/webhooks/"+url.PathEscape(d.ID)+"/versions", nil, &v)); err != nil {
			return err
		}
		d.Versions = v.Items
	}
	return q.renderStatus(status, "playground", "Playground", "playground", d)
}

func (q *request) playground() error {
	d := &playData{ID: q.URL.Query().Get("webhook"), Event: q.URL.Query().Get("event"), Definition: blank}
	if d.ID != "" {
		w, def, version, err := q.defined(d.ID)
		if err != nil {
			return err
		}
		d.Webhook, d.Version, d.Definition = w, version, jsonText(draftOf(def))
	}
	return q.playPage(d)
}

func (q *request) play() error {
	d := &playData{ID: q.PostFormValue("webhook"), Version: q.PostFormValue("version"), Event: q.PostFormValue("event"), Definition: q.PostFormValue("definition")}
	var before definition
	if d.ID != "" {
		var err error
		if d.Webhook, before, _, err = q.defined(d.ID); err != nil {
			return err
		}
	}
	var def definition
	if err := decode([]byte(d.Definition), &def); err != nil {
		d.Fault = "The definition is not JSON: " + err.Error()
		return q.playPage(d)
	}
	if def["tenant"] == nil {
		def["tenant"] = q.tenant
	}
	var err error
	switch q.PostFormValue("do") {
	case "save":
		if err = q.savePlayed(d, before, def); err == nil {
			q.session.say("ok", "Saved. The next delivery uses it.")
			return q.to("/playground?webhook=" + url.QueryEscape(d.ID))
		}
	case "test":
		d.Trial, err = q.testDraft(d.ID, def, d.Event)
	default:
		d.Trial, err = q.try(d.ID, def, d.Event, true)
	}
	if p, ok := asFault(err); ok {
		d.Trial, d.Fault = nil, p.Error()
	} else if err != nil {
		return err
	}
	return q.playPage(d)
}

// savePlayed publishes what was tried: only what is different, so that nothing else is touched.
func (q *request) savePlayed(d *playData, before, def definition) error {
	if d.ID == "" {
		return &problem{Status: http.StatusBadRequest, Detail: "Choose a webhook to save to."}
	}
	change := definition{}
	was := draftOf(before)
	for k, v := range def {
		if jsonText(v) != jsonText(was[k]) {
			change[k] = mergeDiff(was[k], v)
		}
	}
	for k := range was {
		if _, ok := def[k]; !ok {
			change[k] = nil
		}
	}
	if len(change) == 0 {
		return nil
	}
	_, err := q.api.ask(http.MethodPatch, "/api/v1/webhooks/"+url.PathEscape(d.ID), nil, change, nil, "If-Match", d.Version)
	return err
}
