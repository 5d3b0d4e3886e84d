package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Objects that are made through the API are the same structs as those of the files, read from JSON by the same decoder and checked by the same code, with the
// same messages. What is different: ${…} is text, and the places of mistakes are paths within the object.

// object decodes one JSON object into v, as an entry of list.
func (c *Config) object(list string, text []byte, v any) (*Config, Problems) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	node, err := jsonNode(dec)
	if err != nil {
		return nil, Problems{{Message: "is not JSON: " + err.Error()}}
	}
	quoteTexts(node)
	one := *c
	one.index = &index{places: map[string]place{}}
	one.report = &report{}
	d := &decoder{file: &file{}, index: one.index, report: one.report, literal: true, foreign: true}
	if x, ok := v.(defaulter); ok {
		x.setDefaults()
	}
	d.decode(list+"[0]", node, reflect.ValueOf(v).Elem(), "")
	return &one, nil
}

// within cuts the path of the object off the paths of what is wrong with it.
func (r *report) within(list string) Problems {
	var all Problems
	for _, p := range r.problems {
		all = append(all, Problem{Path: ObjectPath(list, p.Path), Message: p.Message})
	}
	return all
}

// ObjectPath is path without the entry of list that it begins with.
func ObjectPath(list, path string) string {
	rest, ok := strings.CutPrefix(path, list+"[")
	if !ok {
		return path
	}
	_, rest, _ = strings.Cut(rest, "]")
	return strings.TrimPrefix(rest, ".")
}

// MakeWebhook reads a webhook from JSON and checks it against c: its tenants, authorizations, event types and policies. Its name is not compared with others.
// After mistakes it returns what could be read.
func (c *Config) MakeWebhook(text []byte) (*Made[Webhook], Problems) {
	var w Webhook
	one, problems := c.object("webhooks", text, &w)
	if problems != nil {
		return nil, problems
	}
	one.Webhooks = []Webhook{w}
	one.settleWebhook(0)
	one.checkWebhook("webhooks[0]", &one.Webhooks[0])
	return &Made[Webhook]{one.Webhooks[0], one.index}, one.report.within("webhooks")
}

// MakeAuthorization reads an authorization from JSON and checks it.
func (c *Config) MakeAuthorization(text []byte) (*Made[Authorization], Problems) {
	var a Authorization
	one, problems := c.object("authorizations", text, &a)
	if problems != nil {
		return nil, problems
	}
	one.checkAuthorization("authorizations[0]", &a)
	if a.Type == "mtls" {
		one.fault("authorizations[0].type", "mtls names files, which only a configuration file can do")
	}
	if len(one.report.problems) > 0 {
		return nil, one.report.within("authorizations")
	}
	return &Made[Authorization]{a, one.index}, nil
}

// MakeEventType reads an event type from JSON and checks it. Its name is not compared with others.
func (c *Config) MakeEventType(text []byte) (*Made[EventType], Problems) {
	var t EventType
	one, problems := c.object("event_types", text, &t)
	if problems != nil {
		return nil, problems
	}
	one.EventTypes = []EventType{t}
	one.checkEventTypes()
	if len(one.report.problems) > 0 {
		return nil, one.report.within("event_types")
	}
	return &Made[EventType]{t, one.index}, nil
}

// Made is an object that was made through the API, with what is known of its text. It is never changed.
type Made[T any] struct {
	Value T
	index *index // as if it were the first of its list
}

// MadeObjects are all of them.
type MadeObjects struct {
	Webhooks       []*Made[Webhook]
	Authorizations []*Made[Authorization]
	EventTypes     []*Made[EventType]
}

// With returns c with what was made through the API, after what comes from the files. It shares everything with c, and is not checked: each object was.
func (c *Config) With(m MadeObjects) *Config {
	all := *c
	all.index = &index{places: map[string]place{}, made: map[string]*index{}}
	if c.index != nil {
		all.index.places, all.index.files = c.index.places, c.index.files
	}
	all.Webhooks = appendMade(all.index, "webhooks", c.Webhooks, m.Webhooks)
	all.Authorizations = appendMade(all.index, "authorizations", c.Authorizations, m.Authorizations)
	all.EventTypes = appendMade(all.index, "event_types", c.EventTypes, m.EventTypes)
	return &all
}

func appendMade[T any](x *index, list string, file []T, made []*Made[T]) []T {
	all := make([]T, len(file), len(file)+len(made))
	copy(all, file)
	for _, m := range made {
		x.made[list+"["+strconv.Itoa(len(all))+"]"] = m.index
		all = append(all, m.Value)
	}
	return all
}

// Place says where the object at path was written, such as hooks.yaml:12; "" when it was not written in a file.
func (c *Config) Place(path string) string {
	p, exact, ok := c.index.nearest(path)
	if !ok || !exact || p.file.name == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", p.file.name, p.node.Line)
}

// WebhookJSON is webhook i with everything resolved, as Print would show it.
func (c *Config) WebhookJSON(i int) (JSON, error) {
	return c.objectJSON(fmt.Sprintf("webhooks[%d]", i), &c.Webhooks[i])
}

// AuthorizationJSON is authorization i as Print would show it: secrets are ***.
func (c *Config) AuthorizationJSON(i int) (JSON, error) {
	return c.objectJSON(fmt.Sprintf("authorizations[%d]", i), &c.Authorizations[i])
}

func (c *Config) objectJSON(path string, v any) (JSON, error) {
	var root yaml.Node
	if err := root.Encode(v); err != nil {
		return nil, fmt.Errorf("print %s: %w", path, err)
	}
	c.redactTree(path, "", &root, false)
	d := &decoder{file: &file{}, index: &index{places: map[string]place{}}, report: &report{}, literal: true}
	var b bytes.Buffer
	d.json(&b, "", &root)
	return b.Bytes(), d.report.err()
}

// ObjectSchemas are JSON Schemas of the objects that can be made through the API, by their names in its document.
func ObjectSchemas() map[string]json.RawMessage {
	var all struct {
		Properties map[string]struct{ Items json.RawMessage }
	}
	if err := json.Unmarshal(Schema(), &all); err != nil {
		panic("BUG: schema is not JSON: " + err.Error())
	}
	patch := func(text json.RawMessage) json.RawMessage { // everything may be absent
		var members map[string]json.RawMessage
		if err := json.Unmarshal(text, &members); err != nil {
			panic("BUG: schema is not JSON: " + err.Error())
		}
		delete(members, "required")
		out, err := json.Marshal(members)
		if err != nil {
			panic("BUG: schema is not JSON: " + err.Error())
		}
		return out
	}
	return map[string]json.RawMessage{"WebhookPatch": patch(all.Properties["webhooks"].Items), "AuthorizationPatch": patch(all.Properties["authorizations"].Items),
		"EventTypePatch": patch(all.Properties["event_types"].Items), "WebhookDefinition": all.Properties["webhooks"].Items, "AuthorizationDefinition": all.Properties["authorizations"].Items,
		"EventTypeDefinition": all.Properties["event_types"].Items}
}

// Under says whether target is an URL under endpoint, so that credentials that are bound to endpoint may go there.
func Under(endpoint, target string) bool { return under(endpoint, target) }

// ParseDuration reads a time span as the configuration takes it, such as 90d.
func ParseDuration(text string) (time.Duration, error) {
	var d Duration
	if text == "" {
		return 0, errDuration
	}
	err := d.parseText(text)
	return time.Duration(d), err
}
