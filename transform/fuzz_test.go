package transform

import (
	"bytes"
	"testing"
)

// FuzzSourceMap: whatever the map says, positions come out as numbers from 1, of a file that it names.
func FuzzSourceMap(f *testing.F) {
	f.Add([]byte(`{"version":3,"sources":["a.ts","b.ts"],"mappings":"AAAA,IAAI;;ACCJ;AAAA"}`), 1, 5)
	f.Add([]byte(`{"version":3,"sources":[],"mappings":""}`), 0, 0)
	f.Add([]byte(`{"version":3,"sources":["a"],"mappings":"+/////,D"}`), -1, 1<<40)
	f.Fuzz(func(t *testing.T, raw []byte, line, column int) {
		m, err := parseSourceMap(raw)
		if err != nil {
			return
		}
		file, l, c := m.original("own", line, column)
		if file != "own" && (l < 1 || c < 1) || file == "own" && (l != line || c != column) && len(m.sources) == 0 {
			t.Errorf("%q:%d:%d", file, l, c)
		}
	})
}

// FuzzSplitScript: a module is taken apart only where a script lies behind it, and nothing of it is lost.
func FuzzSplitScript(f *testing.F) {
	f.Add(echo())
	f.Add(withScript(echo(), `{"file":"t.js","kind":"module","code":"export default 1"}`))
	f.Add(withScript(echo(), `{`))
	f.Fuzz(func(t *testing.T, wasm []byte) {
		engine, s, err := splitScript(wasm)
		switch {
		case err != nil:
		case s == nil && !bytes.Equal(engine, wasm):
			t.Error("a module without a script was changed")
		case s != nil && !bytes.HasPrefix(wasm, engine):
			t.Error("the engine is not the beginning of the module")
		}
	})
}

// FuzzOutputRequest: what a guest writes as a request sets what it may set, or is an error.
func FuzzOutputRequest(f *testing.F) {
	for _, s := range []string{`{}`, `{"method":"PUT","path":"/a","headers":{"X":"1"},"query":{"q":"1"},"json":[1]}`, `{"body_base64":"AP8=","drop":"x"}`, `{"headers":{"Host":"x"}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, output []byte) {
		in := &instance{pool: &Pool{output: OutputRequest, limits: Limits{MaxOutput: 1000, MaxHeaders: 1000}}, out: &Result{Body: bytes.Clone(output)}}
		if err := in.finishOutput(); err != nil {
			return
		}
		for _, h := range in.out.Headers {
			if Reserved(h.Name) || bytes.ContainsAny(h.Value, "\r\n\x00") {
				t.Errorf("header %q: %q", h.Name, h.Value)
			}
		}
		if len(in.out.Body) > 1000 {
			t.Errorf("%d bytes of body", len(in.out.Body))
		}
	})
}
