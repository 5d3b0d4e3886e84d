package transform

import (
	"bytes"
	"context"
	"strings"
	"testing"

	wb "edgerelay/transform/internal/wasmbuild"
)

var testMeta = Meta{ID: []byte("ev_1"), Type: []byte("order.created"), Time: []byte("2024-12-14T15:29:18.700Z"), Tenant: []byte("acme"),
	Webhook: []byte("wh_1"), Attempt: 12, ContentType: []byte("application/json")}

func TestRunEcho(t *testing.T) {
	p := newPool(t, newHost(t, Options{}), echo(), PoolConfig{})
	var out Result
	for range 3 {
		out.Reset()
		if err := p.Run(context.Background(), &testMeta, []byte(`{"a":1}`), &out); err != nil {
			t.Fatal(err)
		}
		if string(out.Body) != `{"a":1}` || out.Action != Send || out.Fuel == 0 {
			t.Fatalf("got %q, %v, fuel %d", out.Body, out.Action, out.Fuel)
		}
	}
	if p.Isolation() != IsolationEvent {
		t.Errorf("isolation %v", p.Isolation())
	}
}

func TestRunAllocations(t *testing.T) {
	p := newPool(t, newHost(t, Options{}), echo(), PoolConfig{})
	var out Result
	input := bytes.Repeat([]byte("x"), 1024)
	allocs := testing.AllocsPerRun(200, func() {
		out.Reset()
		if err := p.Run(context.Background(), &testMeta, input, &out); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 1 {
		t.Errorf("%v allocations for a run, want at most 1", allocs)
	}
}

func TestActions(t *testing.T) {
	h := newHost(t, Options{})
	for result, want := range []Action{Send, Drop, Fail, Retry} {
		var out Result
		if err := newPool(t, h, constant(int32(result)), PoolConfig{}).Run(context.Background(), &testMeta, nil, &out); err != nil {
			t.Fatal(err)
		}
		if out.Action != want {
			t.Errorf("%d: %v", result, out.Action)
		}
	}
	for _, result := range []int32{4, -1} {
		var out Result
		err := newPool(t, h, constant(result), PoolConfig{}).Run(context.Background(), &testMeta, nil, &out)
		if kindOf(t, err) != KindBadResult {
			t.Errorf("%d: %v", result, err)
		}
	}
}

// call returns code that calls set with both strings, which lie in data at 0 and 512.
func setGuest(key, value string) []byte {
	g := newGuest()
	g.Data(0, []byte(key))
	g.Data(4096, []byte(value))
	return g.transform(wb.I32(0), wb.I32(int32(len(key))), wb.I32(4096), wb.I32(int32(len(value))), wb.Call(g.set),
		wb.I32(3), wb.Op(0x71), wb.I32(3), wb.Op(0x71)) // the answer's low two bits: 0 ok, -1 -> 3 retry, -2 -> 2 fail, -3 -> 1 drop
}

func TestSet(t *testing.T) {
	const ok, unknown, refused, tooLarge = Send, Retry, Fail, Drop
	h := newHost(t, Options{})
	for _, c := range []struct {
		key, value string
		want       Action
	}{
		{"content-type", "text/plain; charset=utf-8", ok}, {"content-type", "", refused}, {"content-type", "a\r\nb", refused},
		{"method", "PUT", ok}, {"method", "put", refused}, {"method", "CONNECT", refused},
		{"path", "/v2/items", ok}, {"path", "//evil.example/", refused}, {"path", "https://evil.example/", refused}, {"path", "items", refused},
		{"path", `/\evil.example`, refused}, {"path", "/a?b", refused}, {"path", "/a\nb", refused}, {"path", "/a/../b", refused},
		{"path", "/a/%2E%2e/b", refused}, {"path", "/a%2f..", refused}, {"path", "/a%2fb", ok}, {"path", "/a%2", refused}, {"path", "/caf%C3%A9", ok}, {"path", "", refused},
		{"header:X-A", "1", ok}, {"header:X-A", "", ok}, {"header:X-A", "ü", ok}, {"header:", "1", refused}, {"header:a b", "1", refused},
		{"header:X-A", "1\r\nHost: evil", refused}, {"header:X-A", "1\x00", refused}, {"header:X-A", " 1", refused},
		{"header:Host", "evil", refused}, {"header:hOST", "evil", refused}, {"header:Content-Length", "1", refused},
		{"header:Transfer-Encoding", "chunked", refused}, {"header:Webhook-Signature", "v1,x", refused}, {"header:Authorization", "x", refused},
		{"header:" + strings.Repeat("x", 300), "1", tooLarge}, {"header:X-A", strings.Repeat("x", 9000), tooLarge},
		{"query:q", "a b&c", ok}, {"query:", "1", refused}, {"query:a", "\x00", refused},
		{"host", "evil.example", unknown}, {"url", "x", unknown}, {"", "x", unknown}, {"cookie:a", "x", unknown},
	} {
		var out Result
		if err := newPool(t, h, setGuest(c.key, c.value), PoolConfig{}).Run(context.Background(), &testMeta, nil, &out); err != nil {
			t.Fatalf("set %q %q: %v", c.key, c.value, err)
		}
		if out.Action != c.want {
			t.Errorf("set %q %q: %v, want %v", c.key, c.value, out.Action, c.want)
		}
	}
}

func TestSetReplacesAndCaps(t *testing.T) {
	var r Result
	r.set([]byte("header:X-A"), []byte("1"), 1000)
	r.set([]byte("header:x-a"), []byte("2"), 1000)
	r.set([]byte("query:a"), []byte("1"), 1000)
	r.set([]byte("query:A"), []byte("2"), 1000)
	if len(r.Headers) != 1 || r.Headers[0].Name != "X-A" || string(r.Headers[0].Value) != "2" || len(r.Query) != 2 {
		t.Errorf("headers %v, query %v", r.Headers, r.Query)
	}
	if got := r.set([]byte("header:X-B"), make([]byte, 2000), 1000); got != setRefused { // NULs
		t.Errorf("got %d", got)
	}
	if got := r.set([]byte("header:X-B"), bytes.Repeat([]byte("x"), 2000), 1000); got != setTooLarge {
		t.Errorf("got %d", got)
	}
	r.Reset()
	for i := range 100 {
		r.set([]byte("header:X-"+strings.Repeat("a", i+1)), nil, 1<<20)
	}
	if len(r.Headers) != MaxFields {
		t.Errorf("%d headers", len(r.Headers))
	}
}

func TestMetaAndConfig(t *testing.T) {
	h := newHost(t, Options{})
	for key, want := range map[string]string{"id": "ev_1", "type": "order.created", "time": "2024-12-14T15:29:18.700Z", "tenant": "acme",
		"program": "", "webhook": "wh_1", "attempt": "12", "content-type": "application/json", "nonsense": "", strings.Repeat("x", 500): ""} {
		g := newGuest()
		g.Data(0, []byte(key))
		wasm := g.transform(wb.I32(2048), wb.I32(0), wb.I32(int32(len(key))), wb.I32(2048), wb.I32(100), wb.Call(g.metaGet),
			wb.Tee(0), wb.I32(0), wb.Get(0), wb.I32(0), wb.Op(0x4e, 0x1b), // length, or 0 when it is -1
			wb.Call(g.outputWrite), wb.I32(0))
		var out Result
		if err := newPool(t, h, wasm, PoolConfig{}).Run(context.Background(), &testMeta, nil, &out); err != nil {
			t.Fatal(err)
		}
		if string(out.Body) != want {
			t.Errorf("%s: %q, want %q", key, out.Body, want)
		}
	}
	g := newGuest()
	wasm := g.transform(wb.I32(0), wb.I32(0), wb.I32(4), wb.Call(g.configRead), drop, wb.I32(10), wb.Call(g.outputWrite), wb.I32(0))
	var out Result
	if err := newPool(t, h, wasm, PoolConfig{Config: []byte(`{"long":"configuration"}`)}).Run(context.Background(), &testMeta, nil, &out); err != nil {
		t.Fatal(err)
	}
	if string(out.Body) != "{\"lo\x00\x00\x00\x00\x00\x00" {
		t.Errorf("config_read with a small buffer: %q", out.Body)
	}
}

func TestLimits(t *testing.T) {
	h := newHost(t, Options{})
	g := newGuest()
	output := g.transform(wb.Loop(wb.I32(0), wb.I32(1000), wb.Call(g.outputWrite)), wb.I32(0))
	g = newGuest()
	logs := g.transform(wb.I32(30), wb.Set(0), wb.Op(0x03, 0x40), wb.I32(9), wb.I32(0), wb.I32(100), wb.Call(g.log),
		wb.Get(0), wb.I32(1), wb.Op(0x6b), wb.Tee(0), wb.Op(0x0d, 0, 0x0b), wb.I32(0), wb.I32(5000), wb.Call(g.reason), wb.I32(0))
	var out Result
	if k := kindOf(t, newPool(t, h, output, PoolConfig{Limits: Limits{MaxOutput: 5000}}).Run(context.Background(), &testMeta, nil, &out)); k != KindOutputTooLarge {
		t.Errorf("output: %v", k)
	}
	if k := kindOf(t, newPool(t, h, echo(), PoolConfig{Limits: Limits{MaxInput: 5}}).Run(context.Background(), &testMeta, []byte("123456"), &out)); k != KindInputTooLarge {
		t.Errorf("input: %v", k)
	}
	out.Reset()
	if err := newPool(t, h, logs, PoolConfig{Limits: Limits{MaxLog: 1000}}).Run(context.Background(), &testMeta, nil, &out); err != nil {
		t.Fatal(err)
	}
	if len(out.Log) != 8 || !out.LogTruncated || out.Log[0].Level != LevelError || len(out.Log[0].Text) != 100 || len(out.Log[7].Text) != 44 {
		t.Errorf("log: %d lines, truncated %v, %d", len(out.Log), out.LogTruncated, len(out.Log[7].Text))
	}
	if len(out.Reason) != maxReason {
		t.Errorf("reason: %d bytes", len(out.Reason))
	}
	m, err := h.Compile(context.Background(), "m", echo())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(context.Background())
	if _, err := h.NewPool(m, PoolConfig{Limits: Limits{Memory: 65536}}); kindOf(t, err) != KindRefused {
		t.Errorf("memory below what the module begins with: %v", err)
	}
	if _, err := h.NewPool(m, PoolConfig{Limits: Limits{Memory: 1 << 30}}); kindOf(t, err) != KindRefused {
		t.Errorf("memory above the host's: %v", err)
	}
}
