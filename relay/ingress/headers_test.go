package ingress

import (
	"bytes"
	"strings"
	"testing"
)

func TestIdempotencyKey(t *testing.T) {
	cases := map[string]struct {
		header, want string
		ok           bool
	}{
		"none":                        {``, ``, true},
		"bare":                        {`8e03978e-40d5-43dd-bc93-6894a57f9324`, `8e03978e-40d5-43dd-bc93-6894a57f9324`, true},
		"quoted":                      {`"8e03978e-40d5"`, `8e03978e-40d5`, true},
		"quoted with escapes":         {`"a\"b\\c"`, `a"b\c`, true},
		"quoted with a space":         {`"a b"`, `a b`, true},
		"quoted comma":                {`"a,b;c"`, `a,b;c`, true},
		"base64":                      {`YWJj+/==`, `YWJj+/==`, true},
		"longest":                     {strings.Repeat("x", 255), strings.Repeat("x", 255), true},
		"too long":                    {strings.Repeat("x", 256), ``, false},
		"longest in quotes":           {`"` + strings.Repeat(`\"`, 255) + `"`, strings.Repeat(`"`, 255), true},
		"empty quotes":                {`""`, ``, false},
		"one quote":                   {`"`, ``, false},
		"open quotes":                 {`"abc`, ``, false},
		"quote at the end":            {`abc"`, ``, false},
		"quote in the middle":         {`"a"b"`, ``, false},
		"escape at the end":           {`"abc\"`, ``, false},
		"unknown escape":              {`"a\n"`, ``, false},
		"list":                        {`a, b`, ``, false},
		"list without a space":        {`a,b`, ``, false},
		"parameter":                   {`"a";b=1`, ``, false},
		"bare with a space":           {`a b`, ``, false},
		"bare with a backslash":       {`a\b`, ``, false},
		"control character in quotes": {"\"a\tb\"", ``, false},
		"beyond ASCII":                {`schlüssel`, ``, false},
		"beyond ASCII in quotes":      {`"schlüssel"`, ``, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, ok := idempotencyKey(nil, []byte(c.header))
			if ok != c.ok || ok && string(got) != c.want {
				t.Errorf("%q, %v; want %q, %v", got, ok, c.want, c.ok)
			}
		})
	}
}

func FuzzIdempotencyKey(f *testing.F) {
	for _, s := range []string{``, `a`, `"a"`, `"\"\\"`, `"`, `a,b`, "\x00", `"a b"`, strings.Repeat("x", 256)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, header []byte) {
		before := bytes.Clone(header)
		key, ok := idempotencyKey(nil, header)
		if !bytes.Equal(before, header) {
			t.Fatal("the header was changed")
		}
		if !ok || len(header) == 0 {
			return
		}
		if len(key) < 1 || len(key) > maxKey {
			t.Fatalf("key of %d bytes", len(key))
		}
		// Quoted by the book it must be the same key again.
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(string(key)) + `"`
		if again, ok := idempotencyKey(nil, []byte(quoted)); !ok || !bytes.Equal(again, key) {
			t.Fatalf("%q is read as %q, which quoted is read as %q, %v", header, key, again, ok)
		}
	})
}

func TestTraceparent(t *testing.T) {
	good := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	if got := traceparent([]byte(good)); string(got) != good {
		t.Errorf("%q", got)
	}
	for name, s := range map[string]string{
		"empty":          "",
		"capitals":       strings.ToUpper(good),
		"version ff":     "ff" + good[2:],
		"later version":  "01" + good[2:],
		"no trace":       "00-00000000000000000000000000000000-b7ad6b7169203331-01",
		"no parent":      "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"longer":         good + "-x",
		"shorter":        good[:54],
		"other dashes":   strings.Replace(good, "-", "_", 1),
		"not hex":        strings.Replace(good, "a", "g", 1),
		"line break":     good[:54] + "\n",
		"beyond ASCII":   good[:53] + "ü",
		"a zero as dash": "00-0af7651916cd43dd8448eb211c80319c0b7ad6b7169203331-01",
	} {
		if got := traceparent([]byte(s)); got != nil {
			t.Errorf("%s: %q accepted", name, got)
		}
	}
}

func TestPath(t *testing.T) {
	for target, want := range map[string]string{
		"/v1/events": "/v1/events", "/v1/events?a=b?c": "/v1/events", "/": "/", "*": "", "": "", "http://x/v1/events?y": "/v1/events",
		"http://x": "", "x:80": "", "https://x//v1": "//v1", "/a://b/v1": "/a://b/v1", "?": "",
	} {
		if got := string(path([]byte(target))); got != want {
			t.Errorf("%q: %q, want %q", target, got, want)
		}
	}
}
