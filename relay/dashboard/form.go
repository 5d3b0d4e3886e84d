package dashboard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// hookForm is the form of a webhook, as texts. It is made of a definition (what the API knows) or of what was sent, and makes a definition again.
type hookForm struct {
	Name, Description, Program           string
	Events                               []string // chosen from the catalogue
	Other                                string   // further types and wildcards
	Filter, URL, Method                  string
	SecretOwn                            bool
	Secret, Signing                      string
	UseAuth                              bool
	Authorization                        string
	Headers                              string // Name: value, one per line
	PayloadType, PayloadBody, Root       string
	Transforms                           []transformForm
	Schedule, Rate, Concurrency, Timeout string
	Ordering, OnPaused                   string
	Recipients, Log                      string
	Faults                               map[string]string // by the field's key; "" = not of one field
}

// transformForm is one step of the chain.
type transformForm struct {
	Plugin, Wasm, Config, OnError string
	rest                          map[string]any // what the form does not show
}

// definition is a webhook as the API knows it: the keys of the configuration.
type definition map[string]any

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return fmt.Sprint(v)
}

func texts(v any) (out []string) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			out = append(out, text(e))
		}
	case string:
		out = append(out, v)
	}
	return out
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// jsonText writes v as people edit it.
func jsonText(v any) string {
	if v == nil {
		return ""
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if enc.Encode(v) != nil {
		return ""
	}
	return strings.TrimSpace(b.String())
}

// decode keeps numbers as they are written.
func decode(text []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if dec.More() {
		return fmt.Errorf("there is something after the value")
	}
	return nil
}

// compact is JSON that was found to be JSON, without its blanks.
func compact(text string) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, []byte(text)) != nil {
		return nil
	}
	return b.Bytes()
}

// keepOrder puts what people have written as JSON in the place of what a map made of it, so that its members keep their order.
func keepOrder(d definition, raw []byte) error {
	var in struct {
		Payload struct {
			Body json.RawMessage `json:"body"`
		} `json:"payload"`
		Transform []struct {
			Config json.RawMessage `json:"config"`
		} `json:"transform"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return err
	}
	if p := object(d["payload"]); p["body"] != nil && in.Payload.Body[0] != '"' {
		p["body"] = compact(string(in.Payload.Body))
	}
	steps, _ := d["transform"].([]any)
	for i, s := range steps {
		if m := object(s); m["config"] != nil {
			m["config"] = compact(string(in.Transform[i].Config))
		}
	}
	return nil
}

// formOf fills the form with what is defined. Types that are not in the catalogue go into the field for others.
func formOf(d definition, catalogue []eventType) *hookForm {
	f := &hookForm{Name: text(d["name"]), Description: text(d["description"]), Program: text(d["program"]), Filter: text(d["filter"]), URL: text(d["url"]),
		Method: text(d["method"]), Authorization: text(d["authorization"]), Rate: text(d["rate_limit"]), Concurrency: text(d["concurrency"]), Timeout: text(d["timeout"]),
		Ordering: text(d["ordering"]), OnPaused: text(d["on_paused"]), Log: text(d["log"]), Signing: text(object(d["signing"])["scheme"]),
		Recipients: strings.Join(texts(d["error_recipients"]), ", "), Schedule: strings.Join(texts(object(d["retry"])["schedule"]), ", ")}
	f.UseAuth = f.Authorization != ""
	var others []string
	for _, e := range texts(d["events"]) {
		if slices.ContainsFunc(catalogue, func(t eventType) bool { return t.Name == e }) {
			f.Events = append(f.Events, e)
		} else {
			others = append(others, e)
		}
	}
	f.Other = strings.Join(others, ", ")
	f.Headers = headerLines(d["headers"])
	p := object(d["payload"])
	f.PayloadType, f.Root = text(p["type"]), text(p["root"])
	if body, ok := p["body"].(string); ok {
		f.PayloadBody = body
	} else {
		f.PayloadBody = jsonText(p["body"])
	}
	steps, _ := d["transform"].([]any)
	for _, s := range steps {
		m := object(s)
		t := transformForm{Plugin: text(m["plugin"]), Wasm: text(m["wasm"]), Config: jsonText(m["config"]), OnError: text(m["on_error"]), rest: map[string]any{}}
		for k, v := range m {
			if !slices.Contains([]string{"plugin", "wasm", "config", "on_error"}, k) {
				t.rest[k] = v
			}
		}
		f.Transforms = append(f.Transforms, t)
	}
	return f
}

// headerLines writes headers as lines, sorted by name because an object has no order.
func headerLines(v any) string {
	m := object(v)
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	var lines []string
	for _, n := range names {
		lines = append(lines, n+": "+text(m[n]))
	}
	return strings.Join(lines, "\n")
}

// formFrom reads what was sent.
func formFrom(v url.Values) *hookForm {
	one := func(name string) string { return strings.TrimSpace(strings.ReplaceAll(v.Get(name), "\r\n", "\n")) }
	f := &hookForm{Name: one("name"), Description: one("description"), Program: one("program"), Events: v["events"], Other: one("other"), Filter: one("filter"), URL: one("url"),
		Method: one("method"), SecretOwn: one("secret_mode") == "own", Secret: one("secret"), Signing: one("signing"), UseAuth: one("use_authorization") != "",
		Authorization: one("authorization"), Headers: one("headers"), PayloadType: one("payload_type"), PayloadBody: one("payload_body"), Root: one("root"),
		Schedule: one("schedule"), Rate: one("rate_limit"), Concurrency: one("concurrency"), Timeout: one("timeout"), Ordering: one("ordering"), OnPaused: one("on_paused"),
		Recipients: one("error_recipients"), Log: one("log")}
	for i := range v["transform_plugin"] {
		at := func(name string) string {
			if i < len(v[name]) {
				return strings.TrimSpace(v[name][i])
			}
			return ""
		}
		t := transformForm{Plugin: at("transform_plugin"), Wasm: at("transform_wasm"), Config: at("transform_config"), OnError: at("transform_on_error")}
		if rest := at("transform_rest"); rest != "" {
			if decode([]byte(rest), &t.rest) != nil {
				t.rest = nil
			}
		}
		if t.Plugin != "" || t.Wasm != "" {
			f.Transforms = append(f.Transforms, t)
		}
	}
	return f
}

// Rest is what the form does not show, on its way through it.
func (t transformForm) Rest() string {
	if len(t.rest) == 0 {
		return ""
	}
	return jsonText(t.rest)
}

// AllEvents are the chosen types and the others.
func (f *hookForm) AllEvents() []string {
	out := slices.Clone(f.Events)
	for _, e := range words(f.Other) {
		if !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out
}

// Has says whether an event type is chosen.
func (f *hookForm) Has(name string) bool { return slices.Contains(f.Events, name) }

// words splits at commas, blanks and line breaks.
func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' || r == ';' })
}

func (f *hookForm) fault(key, message string) {
	if f.Faults == nil {
		f.Faults = map[string]string{}
	}
	if f.Faults[key] == "" {
		f.Faults[key] = message
	}
}

// definition makes what the API is given. Mistakes that only a form can have are noted in f; the rest is for the API to find.
func (f *hookForm) definition(tenant string) definition {
	d := definition{"name": f.Name, "tenant": tenant, "events": list2(f.AllEvents()), "url": f.URL}
	set := func(key, value string) {
		if value != "" {
			d[key] = value
		}
	}
	for key, value := range map[string]string{"description": f.Description, "program": f.Program, "filter": f.Filter, "method": f.Method, "rate_limit": f.Rate,
		"timeout": f.Timeout, "ordering": f.Ordering, "on_paused": f.OnPaused, "log": f.Log} {
		set(key, value)
	}
	if f.UseAuth {
		if f.Authorization == "" {
			f.fault("authorization", "choose one, or switch the authorization off")
		}
		set("authorization", f.Authorization)
	}
	if f.SecretOwn {
		if f.Secret == "" {
			f.fault("secret", "type a secret, or let one be generated")
		}
		set("secret", f.Secret)
	}
	if f.Signing != "" && f.Signing != "standard" {
		d["signing"] = map[string]any{"scheme": f.Signing}
	}
	if f.Concurrency != "" {
		if n, err := strconv.Atoi(f.Concurrency); err == nil {
			d["concurrency"] = n
		} else {
			f.fault("concurrency", "want a whole number")
		}
	}
	if h := f.headers(); len(h) > 0 {
		d["headers"] = h
	}
	if w := words(f.Schedule); len(w) > 0 {
		d["retry"] = map[string]any{"schedule": list2(w)}
	}
	if w := words(f.Recipients); len(w) > 0 {
		d["error_recipients"] = list2(w)
	}
	f.payload(d)
	f.transforms(d)
	return d
}

func list2(in []string) []any {
	out := make([]any, len(in))
	for i, s := range in {
		out[i] = s
	}
	return out
}

func (f *hookForm) headers() map[string]any {
	out := map[string]any{}
	for i, line := range strings.Split(f.Headers, "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		if !ok || name == "" {
			f.fault("headers", fmt.Sprintf("line %d is not of the form Name: value", i+1))
			continue
		}
		if _, twice := out[name]; twice {
			f.fault("headers", name+" is there twice")
		}
		out[name] = strings.TrimSpace(value)
	}
	return out
}

func (f *hookForm) payload(d definition) {
	p := map[string]any{}
	if f.PayloadType != "" && f.PayloadType != "json" {
		p["type"] = f.PayloadType
	}
	if f.Root != "" && f.PayloadType == "xml" {
		p["root"] = f.Root
	}
	switch {
	case f.PayloadBody == "":
	case f.PayloadType == "plain" || f.PayloadType == "raw":
		p["body"] = f.PayloadBody
	default:
		var v any
		if err := decode([]byte(f.PayloadBody), &v); err != nil {
			f.fault("payload.body", "is not JSON: "+err.Error()+". Put texts and {{ expressions }} into quotes.")
		} else {
			p["body"] = compact(f.PayloadBody) // as it was typed: the order of the members is theirs
		}
	}
	if len(p) > 0 {
		d["payload"] = p
	}
}

func (f *hookForm) transforms(d definition) {
	var steps []any
	for i, t := range f.Transforms {
		step := map[string]any{}
		for k, v := range t.rest {
			step[k] = v
		}
		if t.Plugin != "" {
			step["plugin"] = t.Plugin
		} else {
			step["wasm"] = t.Wasm
		}
		if t.OnError != "" && t.OnError != "retry" {
			step["on_error"] = t.OnError
		}
		if t.Config != "" {
			var v any
			if err := decode([]byte(t.Config), &v); err != nil {
				f.fault(fmt.Sprintf("transform[%d]", i), "its configuration is not JSON: "+err.Error())
			}
			step["config"] = compact(t.Config)
		}
		steps = append(steps, step)
	}
	if steps != nil {
		d["transform"] = steps
	}
}

// formKeys are the keys that the form shows; a change of the others is never made by it.
var formKeys = []string{"name", "description", "events", "filter", "url", "method", "authorization", "headers", "secret", "signing", "transform", "payload", "retry", "rate_limit",
	"concurrency", "timeout", "ordering", "on_paused", "error_recipients", "log"}

// change is what the form makes different from before: only what was edited, null for what was taken away.
func (f *hookForm) change(before definition, catalogue []eventType, tenant string) definition {
	same := formOf(before, catalogue)
	same.SecretOwn = false
	was, now := same.definition(tenant), f.definition(tenant)
	out := definition{}
	for _, key := range formKeys {
		a, had := was[key]
		b, has := now[key]
		switch {
		case has && !had:
			out[key] = mergeDiff(before[key], b) // a default that the form does not show may be there
		case has && jsonText(a) != jsonText(b):
			out[key] = mergeDiff(a, b)
		case had && !has && before[key] != nil:
			out[key] = nil
		}
	}
	return out
}

// mergeDiff is the JSON merge patch (RFC 7396) that makes b of a.
func mergeDiff(a, b any) any {
	old, ok := plain(a).(map[string]any)
	if !ok {
		return b
	}
	now, ok := plain(b).(map[string]any)
	if !ok {
		return b
	}
	out := map[string]any{}
	for k, v := range now {
		if before, had := old[k]; !had {
			out[k] = v
		} else if jsonText(before) != jsonText(v) {
			out[k] = mergeDiff(before, v)
		}
	}
	for k := range old {
		if _, has := now[k]; !has {
			out[k] = nil
		}
	}
	return out
}

// plain is v as maps and lists.
func plain(v any) any {
	raw, ok := v.(json.RawMessage)
	if !ok {
		return v
	}
	var out any
	if decode(raw, &out) != nil {
		return v
	}
	return out
}

// blame puts what the API found wrong beside the fields that it is about.
func (f *hookForm) blame(p *problem) {
	if len(p.Errors) == 0 {
		f.fault("", p.Error())
	}
	for _, e := range p.Errors {
		path := e.Path
		if path == "" {
			path = strings.TrimPrefix(strings.TrimPrefix(e.Location, "body."), "draft.")
		}
		path = strings.TrimPrefix(path, "draft.")
		key := path
		if i := strings.IndexAny(key, ".["); i >= 0 && !strings.HasPrefix(key, "payload.body") && !strings.HasPrefix(key, "transform[") {
			key = key[:i]
		}
		switch {
		case strings.HasPrefix(key, "payload.body"):
			f.fault("payload.body", strings.TrimPrefix(strings.TrimPrefix(path, "payload.body"), ".")+" "+e.Message)
		case strings.HasPrefix(key, "transform["):
			end := strings.IndexByte(key, ']') + 1
			f.fault(key[:end], strings.TrimPrefix(path[end:], ".")+" "+e.Message)
		case slices.Contains(formKeys, key):
			f.fault(key, strings.TrimSpace(strings.TrimLeft(strings.TrimPrefix(path, key), ".")+" "+e.Message))
		default:
			f.fault("", strings.TrimSpace(path+" "+e.Message))
		}
	}
}
