package dashboard

import (
	"encoding/json"
	"net/url"
	"testing"
)

// merge is RFC 7396, as the API does it.
func merge(old, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	o, ok := old.(map[string]any)
	if !ok {
		o = map[string]any{}
	}
	for k, v := range p {
		if v == nil {
			delete(o, k)
		} else {
			o[k] = merge(o[k], v)
		}
	}
	return o
}

func read(t *testing.T, text string) definition {
	t.Helper()
	var d definition
	if err := decode([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// What an edit sends, merged into what there was, is what the form said; and a form that nobody touched sends nothing.
func TestEditSendsWhatChanged(t *testing.T) {
	const before = `{"name":"a","tenant":"t","events":["x.y","order.*"],"url":"https://a.example","method":"POST","headers":{"X-A":"1","X-B":"2"},
		"payload":{"type":"json","body":{"b":1,"a":{"c":"{{ data.c }}","d":2}}},"transform":[{"plugin":"slack","config":{"z":1,"a":2},"fuel":5000,"on_error":"retry"}],
		"retry":{"schedule":["5s","5m"],"jitter":0.2},"concurrency":16,"log":"all","on_paused":"drop","error_recipients":["a@example.com"],"signing":{"scheme":"standard"}}`
	types := []eventType{{Name: "x.y"}}
	form := func() url.Values {
		f := formOf(read(t, before), types)
		return url.Values{"name": {f.Name}, "events": f.Events, "other": {f.Other}, "url": {f.URL}, "method": {f.Method}, "headers": {f.Headers}, "payload_type": {f.PayloadType},
			"payload_body": {f.PayloadBody}, "transform_plugin": {"slack", ""}, "transform_wasm": {"", ""}, "transform_config": {f.Transforms[0].Config, ""},
			"transform_rest": {f.Transforms[0].Rest(), ""}, "transform_on_error": {"retry", "retry"}, "schedule": {f.Schedule}, "concurrency": {f.Concurrency}, "log": {f.Log},
			"on_paused": {f.OnPaused}, "error_recipients": {f.Recipients}, "signing": {f.Signing}, "secret_mode": {"keep"}}
	}
	for name, tt := range map[string]struct {
		change func(url.Values)
		want   string // the patch
		after  map[string]string
	}{
		"nothing":         {func(url.Values) {}, `{}`, nil},
		"a header goes":   {func(v url.Values) { v.Set("headers", "X-B: 2") }, `{"headers":{"X-A":null}}`, map[string]string{"headers": `{"X-B":"2"}`}},
		"all headers go":  {func(v url.Values) { v.Del("headers") }, `{"headers":null}`, nil},
		"a member goes":   {func(v url.Values) { v.Set("payload_body", `{"a":{"d":2}}`) }, `{"payload":{"body":{"a":{"c":null},"b":null}}}`, map[string]string{"payload": `{"body":{"a":{"d":2}},"type":"json"}`}},
		"no body":         {func(v url.Values) { v.Set("payload_body", "") }, `{"payload":null}`, nil},
		"the name":        {func(v url.Values) { v.Set("name", "b") }, `{"name":"b"}`, nil},
		"events":          {func(v url.Values) { v.Set("other", "a.b, c.d e.f") }, `{"events":["x.y","a.b","c.d","e.f"]}`, nil},
		"recipients":      {func(v url.Values) { v.Set("error_recipients", "a@example.com; b@example.com") }, `{"error_recipients":["a@example.com","b@example.com"]}`, nil},
		"schedule":        {func(v url.Values) { v.Set("schedule", "1s") }, `{"retry":{"schedule":["1s"]}}`, map[string]string{"retry": `{"jitter":0.2,"schedule":["1s"]}`}},
		"a secret":        {func(v url.Values) { v.Set("secret_mode", "own"); v.Set("secret", "whsec_x") }, `{"secret":"whsec_x"}`, nil},
		"step's config":   {func(v url.Values) { v["transform_config"][0] = `{"q":1}` }, `{"transform":[{"config":{"q":1},"fuel":5000,"plugin":"slack"}]}`, nil},
		"the step goes":   {func(v url.Values) { v["transform_plugin"][0] = "" }, `{"transform":null}`, nil},
		"signing by name": {func(v url.Values) { v.Set("signing", "github") }, `{"signing":{"scheme":"github"}}`, nil},
	} {
		v := form()
		tt.change(v)
		f := formFrom(v)
		patch := f.change(read(t, before), types, "t")
		got, err := json.Marshal(patch)
		if err != nil || len(f.Faults) > 0 {
			t.Fatalf("%s: %v %v", name, err, f.Faults)
		}
		if string(got) != tt.want {
			t.Errorf("%s: sends %s, want %s", name, got, tt.want)
		}
		after := merge(map[string]any(read(t, before)), map[string]any(read(t, string(got)))).(map[string]any)
		for key, want := range tt.after {
			if one, _ := json.Marshal(after[key]); string(one) != want {
				t.Errorf("%s: %s is then %s, want %s", name, key, one, want)
			}
		}
	}
}

func TestFormsFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		v   url.Values
		key string
	}{
		"header without colon": {url.Values{"headers": {"X-A"}}, "headers"}, "header twice": {url.Values{"headers": {"A: 1\nA: 2"}}, "headers"},
		"body": {url.Values{"payload_type": {"json"}, "payload_body": {`{"a":`}}, "payload.body"}, "two values": {url.Values{"payload_body": {`{} {}`}}, "payload.body"},
		"concurrency": {url.Values{"concurrency": {"many"}}, "concurrency"}, "secret": {url.Values{"secret_mode": {"own"}}, "secret"},
		"authorization": {url.Values{"use_authorization": {"1"}}, "authorization"},
		"config":        {url.Values{"transform_plugin": {"slack"}, "transform_config": {"{"}}, "transform[0]"},
	} {
		f := formFrom(tt.v)
		f.definition("t")
		if f.Faults[tt.key] == "" || len(f.Faults) != 1 {
			t.Errorf("%s: %v", name, f.Faults)
		}
	}
	f := formFrom(url.Values{"payload_type": {"plain"}, "payload_body": {"{{ data.a }} is not JSON"}})
	if p := object(f.definition("t")["payload"]); p["body"] != "{{ data.a }} is not JSON" || f.Faults != nil {
		t.Errorf("plain: %v %v", p, f.Faults)
	}
}

func TestBlame(t *testing.T) {
	f := &hookForm{}
	f.blame(&problem{Errors: []fault{{Path: "url", Message: "is no URL"}, {Path: "payload.body.a", Message: "bad"}, {Path: "transform[1].config", Message: "is missing"},
		{Path: "draft.events[0]", Message: "is no pattern"}, {Path: "colour", Message: "unknown"}}})
	for key, want := range map[string]string{"url": "is no URL", "payload.body": "a bad", "transform[1]": "config is missing", "events": "[0] is no pattern", "": "colour unknown"} {
		if f.Faults[key] != want {
			t.Errorf("%q: %q, want %q", key, f.Faults[key], want)
		}
	}
}
