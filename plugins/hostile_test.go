package plugins_test

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"edgerelay/plugins"
	"edgerelay/plugins/kit"
	"edgerelay/transform"
)

// configs are enough to run every plugin with everything that it can do.
var configs = map[string]string{
	"slack":   `{"channel":"{{data.a}}","title":"{{data.a}}","text":"{{data}} {{{data.b}}}","fields":[{"name":"{{data.a}}","value":"{{data.b}}"}],"link":{"url":"{{data.a}}"},"footer":"{{id}}"}`,
	"discord": `{"text":"{{data}}","title":"{{data.a}}","description":"{{data}}","fields":[{"name":"{{data.a}}","value":"{{data.b}}"}],"link":{"url":"{{data.a}}"},"footer":"{{data.b}}"}`,
	"teams":   `{"title":"{{data.a}}","text":"{{data}}","fields":[{"name":"{{data.a}}","value":"{{data.b}}"}],"link":{"url":"{{data.a}}"},"footer":"{{data.b}}"}`,
	"pagerduty": `{"routing_key":"0123456789abcdef0123456789ABCDEF","dedup_key":"{{data.a}}","summary":"{{data}}","severity":"{{data.b}}",
		"custom_details":{"x":"{{data}}","y":["{{data.a}}"]},"link":{"url":"{{data.a}}"},"resolve":["*a*b"]}`,
	"cloudevents": `{"source":"{{data.a | s}}","subject":"{{data.b}}","extensions":{"x":"{{data.a}}"}}`,
	"splunk-hec":  `{"host":"{{data.a}}","body":{"x":"{{data}}","y":"a{{data.b}}"},"fields":{"x":"{{data.b}}"}}`,
	"redact":      `{"fields":["data.a",{"path":"**.b","mode":"hash"},{"path":"data.*[0]","mode":"remove"},{"path":"data.c","keep_last":3}],"salt":"0123456789abcdef"}`,
	"pick":        `{"fields":["data.a","**.b","data.*[0].c"]}`,
	"flatten":     `{}`,
	"csv-line":    `{"columns":["id","data","data.a","data.b[0]"],"header":true,"escape_formulas":true}`,
}

// everyPlugin makes a pool for each.
func everyPlugin(t testing.TB) map[string]*transform.Pool {
	t.Helper()
	host := newHost(t)
	pools := map[string]*transform.Pool{}
	for _, p := range plugins.List() {
		if err := p.Validate([]byte(configs[p.Name])); err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		pools[p.Name] = newPool(t, host, newModule(t, host, p.Name, p.Wasm), transform.PoolConfig{Config: []byte(configs[p.Name]), QuarantineAfter: -1})
	}
	return pools
}

// checkRun wants a decision, and of what is sent that it is JSON, or for CSV that it is UTF-8.
func checkRun(t *testing.T, name string, pool *transform.Pool, input []byte) {
	t.Helper()
	var out transform.Result
	m := transform.Meta{ID: []byte("evt_1"), Type: []byte("a.b"), Time: []byte("2024-12-14T15:29:18.7Z")}
	if err := pool.Run(context.Background(), &m, input, &out); err != nil {
		t.Fatalf("%s: %v\ninput: %.300q", name, err, input)
	}
	if out.Action == transform.Fail {
		if out.Reason == "" {
			t.Errorf("%s fails without a reason: %.300q", name, input)
		}
		return
	}
	switch {
	case len(out.Body) == 0 || !utf8.Valid(out.Body):
		t.Errorf("%s: body %.300q of %.300q", name, out.Body, input)
	case name != "csv-line" && !json.Valid(out.Body):
		t.Errorf("%s: not JSON: %.300q of %.300q", name, out.Body, input)
	case name == "flatten" && strings.Count(string(input), "{") < 50:
		decoded(t, out.Body)
	}
}

// FuzzPlugins gives every plugin events that nobody would send.
func FuzzPlugins(f *testing.F) {
	pools := everyPlugin(f)
	deep := strings.Repeat(`{"b":`, 127) + "{}" + strings.Repeat("}", 127)
	for _, seed := range []string{``, `{}`, `[]`, `"x"`, `{"data":null}`, `{"data":{"a":"x","b":["=1",{"c":2}],"c":"123456789"}}`, `{"data":{"a":{"b":{"a":1}},"b":null}}`,
		`{"data":[{"b":1},[{"c":{}}]]}`, `{"id":5,"type":{},"time":[],"data":"` + strings.Repeat("ä😀`<", 3000) + `"}`, deep, `{"data":{"a":"https://x/\"<>|","b":"\u0000\ud800"}}`,
		`{"data":{"a.b":1,"a":{"b":2},"":{"":3}}}`, `{"data":{"a":1,"\u0061":2,"a":{"b":[[]]}}}`, `{"data":tru}`, `{"time":"2024-02-30T25:61:61.+99:99","data":0}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		for name, pool := range pools {
			checkRun(t, name, pool, input)
		}
	})
}

// FuzzConfigs gives every plugin configurations that no schema has looked at, as when its file is used as a module of one's own: it starts
// or says why not.
func FuzzConfigs(f *testing.F) {
	host := newHost(f)
	modules := map[string]*transform.Module{}
	for _, p := range plugins.List() {
		modules[p.Name] = newModule(f, host, p.Name, p.Wasm)
		f.Add([]byte(configs[p.Name]))
	}
	for _, seed := range []string{``, `[]`, `{"fields":5}`, `{"fields":[{},[],null,5,""]}`, `{"text":"{{"}`, `{"text":"{{{a}}"}`, `{"text":"\\{{x}} {{a.b[0][\"c\"] | d}}"}`,
		`{"fields":["**"]}`, `{"fields":["a[","a[x]","a[\"","a..b","a.","[0]b"]}`, `{"columns":[{"path":5}],"delimiter":""}`, `{"title":{}, "link":5, "blocks":"x"}`,
		`{"depth":99999999999,"separator":5,"extensions":[1],"color":-1,"keep_last":1e9,"fields":["a"]}`, `{"fields":["` + strings.Repeat("*.", 600) + `a","` + strings.Repeat("*.", 600) + `a"]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, config []byte) {
		for name, module := range modules {
			pool, err := host.NewPool(module, transform.PoolConfig{Config: config, Size: 1, QuarantineAfter: -1, Limits: transform.Limits{Timeout: time.Minute}})
			if err != nil {
				if !strings.Contains(err.Error(), "init: init returned 1: ") {
					t.Errorf("%s: %v\nconfig: %.300q", name, err, config)
				}
				continue
			}
			var out transform.Result
			if err := pool.Run(context.Background(), &transform.Meta{ID: []byte("evt_1"), Type: []byte("a")}, []byte(`{"data":{"a":"x"}}`), &out); err != nil {
				t.Errorf("%s: %v\nconfig: %.300q", name, err, config)
			}
			pool.Close(context.Background())
		}
	})
}

// TestBadInput: what is not an event, in a chain or by mistake.
func TestBadInput(t *testing.T) {
	host := newHost(t)
	for _, c := range []struct{ plugin, config, input, want string }{
		{"redact", `{"fields":["data.a"]}`, `{"data": nope}`, "fail: the input is not JSON: a value is missing, or is not JSON, at byte 10"},
		{"slack", `{}`, "name,order\r\n", "fail: the input is not JSON: a value is missing, or is not JSON, at byte 1"},
		{"pick", `{"fields":["*.a"],"envelope":false}`, `[{"a":1,"b":2},{"b":3},{"a":4}]`, `send: [{"a":1},{"a":4}]`},
		{"splunk-hec", `{}`, `{"time":"yesterday","data":{"a":1}}`, `send: {"source":"edgerelay","sourcetype":"_json","event":{"a":1}}`},
		{"splunk-hec", `{}`, `{"time":"1969-12-31T23:59:59Z","data":1}`, `send: {"source":"edgerelay","sourcetype":"_json","event":1}`},
		{"flatten", `{}`, `[{"a":1}]`, `send: {"0.a":1}`},
		{"csv-line", `{"columns":["[0].a","type"]}`, `[{"a":1}]`, "send: 1,order.created\r\n"},
	} {
		p, _ := plugins.Get(c.plugin)
		pool := newPool(t, host, newModule(t, host, p.Name, p.Wasm), transform.PoolConfig{Config: []byte(c.config)})
		out := run(t, pool, envelope{transform.Meta{Type: []byte("order.created")}, []byte(c.input)})
		got := out.Action.String() + ": " + out.Reason
		if out.Action == transform.Send {
			got += string(out.Body)
		}
		if got != c.want {
			t.Errorf("%s %s:\n got %s\nwant %s", c.plugin, c.input, got, c.want)
		}
	}
}

// TestConfigMistakes: what a schema cannot see is said when the plugin starts.
func TestConfigMistakes(t *testing.T) {
	host := newHost(t)
	for _, c := range []struct{ plugin, config, want string }{
		{"slack", `{"text":"{{type"}`, "text: {{ without a closing }}"},
		{"slack", `{"fields":[{"name":"a","value":"{{ data.* }}"}]}`, "fields[].value: a * cannot stand here: the path must lead to one value"},
		{"discord", `{"title":"{{}}"}`, "title: a path is empty"},
		{"teams", `{"body":[{"type":"TextBlock","text":"{{a..b}}"}]}`, "body: a path has a name missing"},
		{"redact", `{"fields":["data.a","data.items[x]"]}`, "data.items[x]: in the brackets of a path stands a number, a * or a \"name\""},
		{"redact", `{"fields":["data.**"]}`, "data.**: a path cannot end with **: name what is below, or write *"},
		{"redact", `{"fields":["data.a"],"mode":"hash"}`, "salt: is missing: mode hash needs one, at least 16 characters that nobody can guess"},
		{"csv-line", `{"columns":["data.items[*]"]}`, "data.items[*]: a * cannot stand here: the path must lead to one value"},
	} {
		p, _ := plugins.Get(c.plugin)
		if err := p.Validate([]byte(c.config)); err != nil {
			t.Errorf("%s %s: %v", c.plugin, c.config, err)
		}
		_, err := host.NewPool(newModule(t, host, p.Name, p.Wasm), transform.PoolConfig{Config: []byte(c.config)})
		if err == nil || !strings.HasSuffix(err.Error(), "init: init returned 1: "+c.want) {
			t.Errorf("%s %s:\n got %v\nwant %s", c.plugin, c.config, err, c.want)
		}
	}
}

// TestLimits: an event of 1 MiB, the largest that a relay lets in by itself, stays within what the manifest asks for.
func TestLimits(t *testing.T) {
	host := newHost(t)
	items := strings.Repeat(`{"sku":"A-1001-20","name":"Ein Ding für alle","price":129.50,"b":[true,null]},`, 13000)
	event := newEnvelope(t, []byte(`{"type":"order.created","data":{"a":"ada@example.com","b":"x","items":[`+items+`{}]}}`))
	for _, p := range plugins.List() {
		m, ok := kit.Embedded(p.Name)
		if !ok {
			t.Fatalf("no plugin %s", p.Name)
		}
		c := m.PoolConfig()
		c.Config, c.Limits.MaxInput = []byte(configs[p.Name]), len(event.text)
		pool := newPool(t, host, newModule(t, host, p.Name, p.Wasm), c)
		out := run(t, pool, event)
		t.Logf("%-12s %9d of %d units of fuel, %v", p.Name, out.Fuel, p.Limits.Fuel, out.Duration)
	}
}

func BenchmarkPlugins(b *testing.B) {
	text, err := os.ReadFile("slack/tests/default/event.json")
	if err != nil {
		b.Fatal(err)
	}
	event := newEnvelope(b, text)
	for name, pool := range everyPlugin(b) {
		b.Run(name, func(b *testing.B) {
			var out transform.Result
			for b.Loop() {
				out.Reset()
				if err := pool.Run(context.Background(), &event.meta, event.text, &out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(out.Fuel), "fuel/op")
		})
	}
}
