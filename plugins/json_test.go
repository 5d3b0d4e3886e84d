package plugins_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"edgerelay/transform"
)

// probe runs internal/probe: the reader and the writer of the C library alone.
func probe(t testing.TB) func(text []byte) (out []byte, ok bool) {
	t.Helper()
	wasm, err := os.ReadFile("internal/probe/probe.wasm")
	if err != nil {
		t.Fatal(err)
	}
	host := newHost(t)
	pool := newPool(t, host, newModule(t, host, "probe", wasm), transform.PoolConfig{QuarantineAfter: -1})
	return func(text []byte) ([]byte, bool) {
		var out transform.Result
		if err := pool.Run(context.Background(), &transform.Meta{}, text, &out); err != nil {
			t.Fatalf("%v\ninput: %.300q", err, text)
		}
		return out.Body, out.Action == transform.Send
	}
}

// depth is how deep text is nested, as far as brackets outside of texts tell.
func depth(text []byte) int {
	deepest, now, inside := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inside && c == '\\':
			i++
		case c == '"':
			inside = !inside
		case inside:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// decoded reads JSON as Go does, numbers as they are written.
func decoded(t testing.TB, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v: %.300q", err, text)
	}
	return v
}

// FuzzJSON holds the reader and the writer against those of Go: the same texts are JSON, and they mean the same.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-0.5e+10,true,false,null,"x"]}`, ` [ ] `, `{}`, `""`, `0`, `-`, `01`, `1.`, `1e`, `1e5`, `tru`, `nulll`, `[1,]`, `{"a":1,}`, `{"a"}`, `{a:1}`, `{1:2}`,
		`"\u00e9\ud83d\ude00\ud800\udc00\ud800x\udc00\ud800\ud800"`, `"\b\f\n\r\t\/\\\""`, `"\x"`, `"\u12g4"`, "\"\t\"", "\"\x00\"", "\x00", "[1]\x00", "", " ", "\ufeff1",
		"\"\xff\"", "\"\xc3\xa9\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"", "\"\xf0\x9f\x98\x80\"", `{"a":1,"a":2,"\u0061":3}`,
		`"unclosed`, `{"a":`, `[[`, `]`, `1 2`, strings.Repeat("[", 128) + strings.Repeat("]", 128), strings.Repeat("[", 129) + strings.Repeat("]", 129),
		strings.Repeat("[", 100_000), `12345678901234567890.123456789e-400`, "{\"\x7f\u2028\":1}",
	} {
		f.Add([]byte(seed))
	}
	run := probe(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		out, ok := run(text)
		if want := json.Valid(text) && utf8.Valid(text) && depth(text) <= 128; ok != want {
			t.Fatalf("accepted: %v, want %v: %.300q", ok, want, text)
		}
		if ok && !reflect.DeepEqual(decoded(t, out), decoded(t, text)) {
			t.Fatalf("%.300q became %.300q", text, out)
		}
	})
}

// TestJSONKeepsEverything: members that are there twice, the order and the digits stay.
func TestJSONKeepsEverything(t *testing.T) {
	run := probe(t)
	for _, c := range [][2]string{
		{`{"b":1,"a":2,"b":3}`, `{"b":1,"a":2,"b":3}`},
		{"[1.0, 1e2,\n-0.0 , 12345678901234567890123]", `[1.0,1e2,-0.0,12345678901234567890123]`},
		{`"\u0041\u00e9\ud83d\ude00\u0000\u001f\/"`, `"Aé😀\u0000\u001f/"`},
		{`"\ud83d"`, `"` + "\ufffd" + `"`},
	} {
		if out, ok := run([]byte(c[0])); !ok || string(out) != c[1] {
			t.Errorf("%s became %s, want %s", c[0], out, c[1])
		}
	}
}

// TestJSONLarge: events as large as the relay lets in, and those of values as small as they can be, stay within the default limits.
func TestJSONLarge(t *testing.T) {
	run := probe(t)
	for _, large := range []string{
		"[" + strings.Repeat(`{"sku":"A-1001-20","name":"a name of some length","price":129.50},`, 15_000) + "1]",
		"[" + strings.Repeat("1,", 100_000) + "1]",
		`"` + strings.Repeat("x", 1<<20-2) + `"`,
	} {
		if out, ok := run([]byte(large)); !ok || string(out) != large {
			t.Errorf("ok %v, %d bytes became %d", ok, len(large), len(out))
		}
	}
}
