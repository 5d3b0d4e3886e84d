package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestJSON checks what the free-form parts of the tree become.
func TestJSON(t *testing.T) {
	t.Setenv("EDGERELAY_TEST_VALUE", `va"l: {ue}`)
	t.Setenv("EDGERELAY_TEST_NUMBER", "12")
	for _, tt := range []struct{ name, yaml, want string }{
		{"order is kept", "{ z: 1, a: 2, m: { y: 3, b: 4 } }", `{"z":1,"a":2,"m":{"y":3,"b":4}}`},
		{"numbers digit by digit", "[0, -1, 1.50, 1e3, 1E-2, 12345678901234567890123, 0.1000000000000000055]", `[0,-1,1.50,1e3,1E-2,12345678901234567890123,0.1000000000000000055]`},
		{"texts stay texts", `["1", '2.5', "true", 'null', "", yes, on, 1.2.3, 0o, 1s]`, `["1","2.5","true","null","","yes","on","1.2.3","0o","1s"]`},
		{"booleans and null", "[true, FALSE, True, null, ~, ]", `[true,false,true,null,null]`},
		{"explicit text", "[!!str 12, !!str true]", `["12","true"]`},
		{"date is a text", "[2024-01-02, 2024-12-14T15:29:18Z]", `["2024-01-02","2024-12-14T15:29:18Z"]`},
		{"no HTML escapes", "a < b & c > d", `"a < b & c > d"`},
		{"unicode", `["ü", "\u263a", "\U0001F600"]`, `["ü","☺","😀"]`},
		{"control characters", `"a\0\tb\x7f"`, "\"a\\u0000\\tb\x7f\""},
		{"templates", `{ a: "{{ data.x }}", "{{ k }}": "x {{ y }} z" }`, `{"a":"{{ data.x }}","{{ k }}":"x {{ y }} z"}`},
		{"expansion never becomes structure", `{ a: "${EDGERELAY_TEST_VALUE}", b: "${EDGERELAY_TEST_NUMBER}" }`, `{"a":"va\"l: {ue}","b":"12"}`},
		{"keys are not expanded", `{ "${EDGERELAY_TEST_VALUE}": "$$" }`, `{"${EDGERELAY_TEST_VALUE}":"$"}`},
		{"keys of other types", "{ 1: a, true: b, 1.5: c }", `{"1":"a","true":"b","1.5":"c"}`},
		{"folded text", ">\n  one\n  two\n", `"one two\n"`},
		{"single text", "just {{ data.text }}", `"just {{ data.text }}"`},
		{"merge", "{ <<: { a: 1, b: 2 }, b: 3 }", `{"b":3,"a":1}`},
		{"a quoted << is a key", `{ "<<": 1 }`, `{"<<":1}`},
		{"empty", "{ a: {}, b: [] }", `{"a":{},"b":[]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := "webhooks:\n  - { name: w, events: [x], url: 'https://a.example/' }\n  - name: v\n    events: [x]\n    url: https://a.example/\n    payload:\n      body: "
			indented := strings.ReplaceAll(tt.yaml, "\n", "\n      ")
			c := mustParse(t, text+indented+"\n")
			if got := string(c.Webhooks[1].Payload.Body); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if body := c.Webhooks[0].Payload.Body; body != nil {
				t.Errorf("absent body is %q", body)
			}
			if !strings.Contains(tt.name, "expan") {
				reload(t, c)
			}
		})
	}
}

func TestExpand(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"plain": "secret\n", "two": "secret\n\n", "crlf": "secret\r\n", "none": "secret", "bad": "\xff", "big": strings.Repeat("x", maxSecretFile+1)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("FULL", "value ${NESTED} $$")
	t.Setenv("NOTHING", "")
	t.Setenv("BINARY", "\xff")
	for _, tt := range []struct{ in, want string }{
		{"", ""}, {"plain", "plain"}, {"${FULL}", "value ${NESTED} $$"}, {"a${FULL}b", "avalue ${NESTED} $$b"},
		{"${NOTHING}", ""}, {"${NOTHING:-other}", "other"}, {"${UNSET_X:-other}", "other"}, {"${UNSET_X:-}", ""}, {"${UNSET_X:-http://x:1/?a=b}", "http://x:1/?a=b"},
		{"${UNSET_X:-a\nb}", "a\nb"}, {"$$", "$"}, {"$$$$", "$$"}, {"$${FULL}", "${FULL}"}, {"$", "$"}, {"a$", "a$"}, {"$x $1 $(", "$x $1 $("}, {"{{ $env }} $$x", "{{ $env }} $x"},
		{"${FULL:?needed}", "value ${NESTED} $$"}, {"${file:plain}", "secret"}, {"${file:two}", "secret\n"}, {"${file:crlf}", "secret"}, {"${file:none}", "secret"},
		{"${file:" + dir + "/plain}", "secret"}, {"<${file:plain}>", "<secret>"},
	} {
		if got, _, err := expand(tt.in, dir); err != nil || got != tt.want {
			t.Errorf("%q: %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
	for _, tt := range []struct{ in, want string }{
		{"${UNSET_X}", "UNSET_X is not set"}, {"${UNSET_X:?tell me}", "UNSET_X is not set: tell me"}, {"${NOTHING:?tell me}", "NOTHING is not set: tell me"},
		{"${", "without a closing }"}, {"${A", "without a closing }"}, {"${}", "is not understood"}, {"${a b}", "is not understood"}, {"${A-b}", "is not understood"}, {"${A:b}", "is not understood"},
		{"${file:absent}", "no such file"}, {"${file:bad}", "not UTF-8"}, {"${file:big}", "larger than 1MiB"}, {"${file:}", "names no file"}, {"${file:.}", "is a directory"}, {"${BINARY}", "is not UTF-8"},
	} {
		if got, _, err := expand(tt.in, dir); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %q, %v; want an error with %q", tt.in, got, err, tt.want)
		}
	}
}
