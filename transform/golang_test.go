package transform

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func header(out *Result, name string) string {
	for _, f := range out.Headers {
		if f.Name == name {
			return string(f.Value)
		}
	}
	return ""
}

func TestGoGuest(t *testing.T) {
	h := newHost(t, Options{})
	p := newPool(t, h, goModule(t), PoolConfig{Config: []byte(`{"Prefix":"p."}`), Size: 1})
	if p.Isolation() != IsolationEvent {
		t.Fatalf("isolation %v", p.Isolation())
	}
	run := func(id, body string) *Result {
		t.Helper()
		out, meta := new(Result), testMeta
		meta.ID = []byte(id)
		if err := p.Run(context.Background(), &meta, []byte(body), out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	first := run("ev_1", `{"type":"order.created"}`)
	var got map[string]any
	if err := json.Unmarshal(first.Body, &got); err != nil {
		t.Fatalf("%q: %v", first.Body, err)
	}
	if got["type"] != "p.ORDER.CREATED" || got["runs"] != 1.0 {
		t.Errorf("%s", first.Body)
	}
	if header(first, "X-Time") != "2024-12-14T15:29:18.7Z" {
		t.Errorf("the clock is not the event's time: %q", header(first, "X-Time"))
	}
	if len(first.Log) != 1 || string(first.Log[0].Text) != "hello log" || first.Log[0].Level != LevelInfo {
		t.Errorf("log %v", first.Log)
	}
	other := run("ev_2", `{"type":"x"}`)
	if header(other, "X-Random") == header(first, "X-Random") {
		t.Error("two events have the same random numbers")
	}
	again := run("ev_1", `{"type":"order.created"}`)
	if string(again.Body) != string(first.Body) || again.Fuel != first.Fuel || header(again, "X-Random") != header(first, "X-Random") {
		t.Errorf("the same event again: %s fuel %d, first %s fuel %d", again.Body, again.Fuel, first.Body, first.Fuel)
	}
	if got := header(run("ev_3", `{"do":"sleep"}`), "X-Slept"); got != "1h0m0s" {
		t.Errorf("slept %q", got)
	}
	if out := run("ev_4", `{"do":"drop"}`); out.Action != Drop {
		t.Errorf("drop: %v", out.Action)
	}
	if out := run("ev_5", `nonsense`); out.Action != Fail || len(out.Log) != 1 || out.Log[0].Level != LevelWarn {
		t.Errorf("nonsense: %v %v", out.Action, out.Log)
	}
	if s := p.module.Stats(); s.Instances != 1 || s.Runs != 6 {
		t.Errorf("stats %+v", s)
	}
}

func TestGoGuestSample(t *testing.T) {
	h := newHost(t, Options{})
	p := newPool(t, h, goModule(t), PoolConfig{Size: 2, Sample: []byte(`{"type":"sample"}`)})
	var fuel []int64
	for range 2 {
		var out Result
		if err := p.Run(context.Background(), &testMeta, []byte(`{"type":"x"}`), &out); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(out.Body), `"runs":2`) { // the sample was the first
			t.Errorf("%s", out.Body)
		}
		fuel = append(fuel, out.Fuel)
	}
	in, err := p.newInstance(context.Background()) // restored, not run again
	if err != nil {
		t.Fatal(err)
	}
	p.idle = append(p.idle, in)
	var out Result
	if err := p.Run(context.Background(), &testMeta, []byte(`{"type":"x"}`), &out); err != nil {
		t.Fatal(err)
	}
	if fuel[0] != fuel[1] || out.Fuel != fuel[0] {
		t.Errorf("fuel %v, on a restored instance %d", fuel, out.Fuel)
	}
	_, err = h.NewPool(p.module, PoolConfig{Sample: []byte(`{"do":"panic"}`)})
	if kindOf(t, err) != KindInit || !strings.Contains(err.Error(), "sample event") {
		t.Errorf("a sample that fails: %v", err)
	}
}

func TestGoGuestFailures(t *testing.T) {
	h := newHost(t, Options{})
	p := newPool(t, h, goModule(t), PoolConfig{Size: 1})
	var out Result
	err := p.Run(context.Background(), &testMeta, []byte(`{"do":"panic"}`), &out)
	if kindOf(t, err) != KindTrap || !strings.Contains(err.Error(), "panic: as asked") {
		t.Errorf("panic: %v", err)
	}
	if !slices.ContainsFunc(out.Log, func(l LogLine) bool { return strings.Contains(string(l.Text), "main.go:") }) {
		t.Errorf("no source line in the log: %v", out.Log)
	}
	if err := p.Run(context.Background(), &testMeta, []byte(`{"do":"exit"}`), &out); kindOf(t, err) != KindExit || !strings.Contains(err.Error(), "code 7") {
		t.Errorf("exit: %v", err)
	}
	out.Reset()
	if err := p.Run(context.Background(), &testMeta, []byte(`{"type":"x"}`), &out); err != nil || !strings.Contains(string(out.Body), `"runs":1`) {
		t.Errorf("after it: %v %s", err, out.Body)
	}
	m, err := h.Compile(context.Background(), "bad config", goModule(t))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(context.Background())
	_, err = h.NewPool(m, PoolConfig{Config: []byte(`[1]`)})
	if kindOf(t, err) != KindInit || !strings.Contains(err.Error(), "cannot unmarshal array") {
		t.Errorf("bad config: %v", err)
	}
	if h.Compilations() != 1 {
		t.Errorf("%d compilations of one module", h.Compilations())
	}
}
