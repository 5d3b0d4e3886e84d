package plugins_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"edgerelay/plugins"
	"edgerelay/relay/event"
	"edgerelay/transform"
)

var update = flag.Bool("update", false, "write what the plugins do now into their golden tests")

// expectation is expect.yaml of a golden test. What it does not name does not happen.
type expectation struct {
	Action      string            `yaml:"action,omitempty"` // "" = send
	Reason      string            `yaml:"reason,omitempty"`
	ContentType string            `yaml:"content_type,omitempty"`
	Headers     map[string]string `yaml:"headers,omitempty"`
	Log         []string          `yaml:"log,omitempty"`
	MaxFuel     int64             `yaml:"max_fuel"`
}

// golden is one directory NAME/tests/CASE. The files are those that "edgerelay plugin test" reads.
type golden struct {
	dir    string
	event  envelope
	config []byte
	body   string // name of the file with the expected body
	want   expectation
}

// envelope is what a guest is given.
type envelope struct {
	meta transform.Meta
	text []byte
}

// newEnvelope makes of an event, as a producer sends it, what the relay hands to a transform.
func newEnvelope(t testing.TB, body []byte) envelope {
	t.Helper()
	f, err := event.Parse(body, nil)
	if err != nil {
		t.Fatalf("%v: %.300q", err, body)
	}
	e, _ := event.BuildEvent(nil, &f, []byte("evt_sample"), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	return envelope{transform.Meta{ID: e.ID, Type: e.Type, Time: e.Time, Tenant: f.Tenant, Program: f.Program,
		Webhook: []byte("sample"), Attempt: 1, ContentType: []byte("application/json")}, e.Envelope}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func goldens(t *testing.T, plugin string) (all []golden) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(plugin, "tests", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		g := golden{dir: dir, event: newEnvelope(t, read(t, filepath.Join(dir, "event.json"))), config: read(t, filepath.Join(dir, "config.json")),
			body: filepath.Join(dir, "expected.json")}
		if plugin == "csv-line" {
			g.body = filepath.Join(dir, "expected.txt")
		}
		text, err := os.ReadFile(filepath.Join(dir, "expect.yaml"))
		if err != nil && !(*update && errors.Is(err, os.ErrNotExist)) {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, &g.want); err != nil {
			t.Fatalf("%s: %v", dir, err)
		}
		all = append(all, g)
	}
	return all
}

// run gives one event to the pool.
func run(t *testing.T, pool *transform.Pool, e envelope) *transform.Result {
	t.Helper()
	out := new(transform.Result)
	if err := pool.Run(context.Background(), &e.meta, e.text, out); err != nil {
		t.Fatalf("%v\nevent: %.300q", err, e.text)
	}
	return out
}

func newHost(t testing.TB) *transform.Host {
	t.Helper()
	host, err := transform.NewHost(context.Background(), transform.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return host
}

// newModule compiles a plugin, or another module of the directory.
func newModule(t testing.TB, host *transform.Host, name string, wasm []byte) *transform.Module {
	t.Helper()
	module, err := host.Compile(context.Background(), name, wasm)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { module.Close(context.Background()) })
	return module
}

func newPool(t testing.TB, host *transform.Host, module *transform.Module, cfg transform.PoolConfig) *transform.Pool {
	t.Helper()
	cfg.Size = 1                     // one instance, so that every event meets what the one before it left
	cfg.Limits.Timeout = time.Minute // a busy machine is nobody's fault; fuel and memory bound them
	pool, err := host.NewPool(module, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close(context.Background()) })
	return pool
}

// describe writes a result in the form of expect.yaml, without the fuel.
func describe(out *transform.Result) expectation {
	e := expectation{ContentType: out.ContentType, Reason: out.Reason}
	if out.Action != transform.Send {
		e.Action = out.Action.String()
	}
	for _, f := range out.Headers {
		if e.Headers == nil {
			e.Headers = map[string]string{}
		}
		e.Headers[f.Name] = string(f.Value)
	}
	for _, l := range out.Log {
		e.Log = append(e.Log, string(l.Text))
	}
	return e
}

// body is what is sent: nothing of a transform that did not send.
func body(out *transform.Result) []byte {
	if out.Action != transform.Send {
		return nil
	}
	return out.Body
}

func TestGolden(t *testing.T) {
	host := newHost(t)
	for _, p := range plugins.List() {
		module := newModule(t, host, p.Name, p.Wasm)
		cases := goldens(t, p.Name)
		if len(cases) < 3 {
			t.Errorf("%s has only %d golden tests", p.Name, len(cases))
		}
		for i, g := range cases {
			t.Run(g.dir, func(t *testing.T) {
				if err := p.Validate(g.config); err != nil {
					t.Fatalf("its configuration does not match the schema: %v", err)
				}
				pool := newPool(t, host, module, transform.PoolConfig{Config: g.config})
				first := run(t, pool, g.event)
				if *update {
					g.write(t, first)
					return
				}
				g.check(t, p, first)
				run(t, pool, cases[(i+1)%len(cases)].event)
				g.same(t, "after another event", first, run(t, pool, g.event), true)
				g.same(t, "once more", first, run(t, pool, g.event), true)
				shared := newPool(t, host, module, transform.PoolConfig{Config: g.config, Isolation: transform.IsolationShared})
				run(t, shared, envelope{text: []byte(`{"data":`)}) // fails in the middle
				run(t, shared, cases[(i+1)%len(cases)].event)
				g.same(t, "in an instance that keeps its state", first, run(t, shared, g.event), false)
			})
		}
	}
}

func (g *golden) check(t *testing.T, p plugins.Plugin, out *transform.Result) {
	t.Helper()
	got, want := describe(out), g.want
	if out.Fuel > want.MaxFuel {
		t.Errorf("used %d units of fuel, more than max_fuel %d", out.Fuel, want.MaxFuel)
	}
	want.MaxFuel = 0
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("got  %s\nwant %s", g, w)
	}
	text, err := os.ReadFile(g.body)
	if err != nil && !(errors.Is(err, os.ErrNotExist) && out.Action != transform.Send) {
		t.Fatal(err)
	}
	if !bytes.Equal(body(out), text) {
		t.Errorf("got\n%s\nwant\n%s", body(out), text)
	}
	if out.Method != "" || out.Path != "" || len(out.Query) > 0 {
		t.Errorf("sets method, path or query, which no plugin here declares")
	}
	for what, used := range map[string]bool{"content-type": out.ContentType != "", "headers": len(out.Headers) > 0, "drop": out.Action == transform.Drop} {
		if used && !slices.Contains(p.Capabilities, what) {
			t.Errorf("uses %s, which its manifest does not declare", what)
		}
	}
}

// same wants the same result again: all of it, and with fuel the same work.
func (g *golden) same(t *testing.T, when string, first, out *transform.Result, fuel bool) {
	t.Helper()
	if !bytes.Equal(body(first), body(out)) || fmt.Sprintf("%+v", describe(first)) != fmt.Sprintf("%+v", describe(out)) {
		t.Errorf("%s: another result:\n%s\nfirst:\n%s", when, body(out), body(first))
	}
	if fuel && first.Fuel != out.Fuel {
		t.Errorf("%s: %d units of fuel, first %d", when, out.Fuel, first.Fuel)
	}
}

// write is -update: the budget gets a tenth more than what is used, for the next compiler.
func (g *golden) write(t *testing.T, out *transform.Result) {
	t.Helper()
	e := describe(out)
	e.MaxFuel = (out.Fuel + out.Fuel/10 + 999) / 1000 * 1000
	text, err := yaml.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(g.dir, "expect.yaml"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	if out.Action != transform.Send {
		return
	}
	if err := os.WriteFile(g.body, out.Body, 0o644); err != nil {
		t.Fatal(err)
	}
}
