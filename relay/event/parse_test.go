package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func TestParse(t *testing.T) {
	cases := map[string]struct {
		body string
		want Fields
	}{
		"only a type": {`{"type":"a"}`, Fields{Type: []byte("a"), Data: []byte("null")}},
		"everything": {
			`{"id":"o-1","type":"order.paid","time":"2024-12-14T15:29:18.7+01:00","tenant":"acme","program":"summer","data":{"a":[1,2]}}`,
			Fields{ID: []byte("o-1"), Type: []byte("order.paid"), Time: []byte("2024-12-14T15:29:18.7+01:00"), Tenant: []byte("acme"),
				Program: []byte("summer"), Data: []byte(`{"a":[1,2]}`)},
		},
		"white space and order": {" \t\r\n{ \"data\" :\n [ 1 , {} ]\t, \"type\" : \"t\" } \n",
			Fields{Type: []byte("t"), Data: []byte("[ 1 , {} ]")}},
		"escaped name and values": {`{"ty\u0070e":"a\u002eb","tenant":"\u00fc\ud83d\ude00\/\"\\","id":"\u0061"}`,
			Fields{ID: []byte("a"), Type: []byte("a.b"), Tenant: []byte(`ü😀/"\`), Data: []byte("null")}},
		"text beyond ASCII":       {`{"type":"t","tenant":"Zürich","data":"日本"}`, Fields{Type: []byte("t"), Tenant: []byte("Zürich"), Data: []byte(`"日本"`)}},
		"data keeps its own text": {`{"type":"t","data":1.50e+02}`, Fields{Type: []byte("t"), Data: []byte("1.50e+02")}},
		"data null":               {`{"type":"t","data":null}`, Fields{Type: []byte("t"), Data: []byte("null")}},
		"repeated names in data are the producer's business": {`{"type":"t","data":{"a":1,"a":2}}`, Fields{Type: []byte("t"), Data: []byte(`{"a":1,"a":2}`)}},
		"deepest": {`{"type":"t","data":` + nested(MaxDepth-1) + `}`, Fields{Type: []byte("t"), Data: []byte(nested(MaxDepth - 1))}},
		"longest": {`{"type":"` + strings.Repeat("x", 255) + `"}`, Fields{Type: bytes.Repeat([]byte("x"), 255), Data: []byte("null")}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Parse([]byte(c.body), nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, pair := range [][2][]byte{{got.ID, c.want.ID}, {got.Type, c.want.Type}, {got.Time, c.want.Time},
				{got.Tenant, c.want.Tenant}, {got.Program, c.want.Program}, {got.Data, c.want.Data}} {
				if !bytes.Equal(pair[0], pair[1]) || (pair[0] == nil) != (pair[1] == nil) {
					t.Errorf("%s = %q, want %q", memberNames[i], pair[0], pair[1])
				}
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	cases := map[string]struct{ body, want string }{
		"empty":                        {``, "an event is a JSON object (at byte 0)"},
		"array":                        {`[]`, "an event is a JSON object (at byte 0)"},
		"byte order mark":              {"\ufeff{}", "an event is a JSON object (at byte 0)"},
		"no members":                   {`{}`, `member "type" is missing (at byte 2)`},
		"unknown member":               {`{"type":"t","payload":1}`, `unknown member "payload": an event has`},
		"unknown long member":          {`{"` + strings.Repeat("k", 500) + `":1}`, `kkk...": an event has`},
		"unknown escaped member":       {`{"\u0069\u0064\u0069\u0064\u0069\u0064\u0069\u0064\u0069\u0064":1}`, "unknown member"},
		"names are case-sensitive":     {`{"Type":"t"}`, `unknown member "Type"`},
		"repeated":                     {`{"type":"t","type":"t"}`, `member "type" appears twice (at byte 12)`},
		"repeated by escape":           {`{"type":"t","t\u0079pe":"t"}`, `member "type" appears twice`},
		"repeated data":                {`{"data":1,"data":1,"type":"t"}`, `member "data" appears twice`},
		"type is a number":             {`{"type":7}`, `member "type" must be a string (at byte 8)`},
		"id is null":                   {`{"id":null,"type":"t"}`, `member "id" must be a string`},
		"empty id":                     {`{"id":"","type":"t"}`, `member "id" must be 1 to 255`},
		"id with a dot":                {`{"id":"a.b","type":"t"}`, `member "id" must be 1 to 255`},
		"long id":                      {`{"id":"` + strings.Repeat("x", 256) + `","type":"t"}`, `member "id" must be 1 to 255`},
		"long escaped id":              {`{"id":"` + strings.Repeat(`\u0061`, 256) + `","type":"t"}`, `member "id" is longer than 255`},
		"type with a space":            {`{"type":"a b"}`, `member "type" must be 1 to 255`},
		"type with a glob":             {`{"type":"a.*"}`, `member "type" must be 1 to 255`},
		"empty tenant":                 {`{"tenant":"","type":"t"}`, `member "tenant" must have 1 to 255 bytes`},
		"tenant with a line break":     {`{"tenant":"a\nb","type":"t"}`, `member "tenant" must have 1 to 255 bytes and no control characters`},
		"program with NUL":             {`{"program":"\u0000","type":"t"}`, `member "program" must have`},
		"half a surrogate pair":        {`{"tenant":"\ud83d","type":"t"}`, "half of a surrogate pair"},
		"surrogates the wrong way":     {`{"tenant":"\ude00\ud83d","type":"t"}`, "half of a surrogate pair"},
		"time without a zone":          {`{"type":"t","time":"2024-12-14T15:29:18"}`, `member "time" must be a time of RFC 3339`},
		"cut":                          {`{"type":"t"`, "unexpected end, want ',' or '}'"},
		"cut in a string":              {`{"type":"t`, "unexpected end, want the closing quote"},
		"comma before the end":         {`{"type":"t",}`, "unexpected '}', want a string"},
		"no comma":                     {`{"type":"t" "data":1}`, `unexpected '"', want ',' or '}'`},
		"no colon":                     {`{"type" "t"}`, "want ':' after a member's name"},
		"two values":                   {`{"type":"t"}{}`, "want nothing after the value (at byte 12)"},
		"name without quotes":          {`{type:"t"}`, `want a string`},
		"single quotes":                {`{'type':'t'}`, `want a string`},
		"comment":                      {`{"type":"t"/**/}`, "want ',' or '}'"},
		"too deep":                     {`{"type":"t","data":` + nested(MaxDepth) + `}`, "nested deeper than 128 levels"},
		"a million brackets":           {`{"data":` + strings.Repeat("[", 1<<20), "nested deeper than 128 levels"},
		"a million objects":            {`{"data":` + strings.Repeat(`{"a":`, 1<<20), "nested deeper than 128 levels"},
		"invalid UTF-8 in data":        {"{\"type\":\"t\",\"data\":\"\xff\"}", "invalid UTF-8 in a string (at byte 20)"},
		"overlong UTF-8":               {"{\"type\":\"t\",\"data\":\"\xc0\x80\"}", "invalid UTF-8"},
		"surrogate in UTF-8":           {"{\"type\":\"t\",\"data\":\"\xed\xa0\x80\"}", "invalid UTF-8"},
		"control character":            {"{\"type\":\"t\",\"data\":\"\x01\"}", "control character 0x01 in a string must be escaped"},
		"NUL after the value":          {"{\"type\":\"t\"}\x00", "unexpected byte 0x00"},
		"brackets do not match":        {`{"type":"t","data":[1}`, "unexpected '}', want ',' or ']'"},
		"invalid UTF-8 outside string": {"{\"type\":\"t\",\"data\":\xff}", "unexpected byte 0xff, want a value"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f, err := Parse([]byte(c.body), nil)
			if err == nil {
				t.Fatalf("accepted: %+v", f)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want %q", err, c.want)
			}
			if e := (*ParseError)(nil); !errors.As(err, &e) {
				t.Errorf("error is a %T", err)
			}
		})
	}
}

func TestValid(t *testing.T) {
	good := []string{`0`, `-0`, `1.5`, `1e9`, `1E-9`, `-0.0e+00`, `""`, `"\u00ff\b\f\n\r\t\/\\\""`, `[]`, ` [ ] `, `{}`, `[{}]`, `{"":[]}`, `true`, `false`, `null`,
		`"\ud800"`, `{"a":{"b":[{"c":null}]},"d":1}`, nested(MaxDepth)}
	for _, s := range good {
		if err := Valid([]byte(s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	bad := []string{``, ` `, `01`, `-`, `+1`, `.5`, `1.`, `1e`, `1e+`, `0x1`, `NaN`, `Infinity`, `tru`, `True`, `nul`, `"`, `"\x"`, `"\u12"`, `"\u12g4"`, `"\`, `[1,]`, `[,1]`, `[1 2]`,
		`{"a"}`, `{"a":}`, `{1:2}`, `{"a":1,}`, `[`, `]`, `{`, `}`, "\"\n\"", "\"\x7f\xff\"", "1\v", "\u00a01", `1 2`, nested(MaxDepth + 1)}
	for _, s := range bad {
		if Valid([]byte(s)) == nil {
			t.Errorf("%q accepted", s)
		}
	}
}

func TestValidTime(t *testing.T) {
	good := []string{"2024-12-14T15:29:18Z", "2024-12-14T15:29:18.7Z", "2024-12-14T15:29:18.123456789123Z", "2024-02-29T00:00:00+14:00", "0000-01-01T00:00:00-23:59", "2000-02-29T23:59:59Z"}
	for _, s := range good {
		if _, err := time.Parse(time.RFC3339Nano, s); !validTime([]byte(s)) || err != nil {
			t.Errorf("%s refused (Go: %v)", s, err)
		}
	}
	bad := []string{"", "2024-12-14", "2024-12-14 15:29:18Z", "2024-12-14T15:29:18", "2024-12-14t15:29:18Z", "2024-12-14T15:29:18z", "2024-13-14T15:29:18Z", "2024-00-14T15:29:18Z",
		"2024-12-00T15:29:18Z", "2024-02-30T15:29:18Z", "2023-02-29T15:29:18Z", "1900-02-29T00:00:00Z", "2024-04-31T15:29:18Z", "2024-12-14T24:00:00Z", "2024-12-14T15:60:18Z", "2024-12-14T15:29:60Z",
		"2024-12-14T15:29:18.Z", "2024-12-14T15:29:18,7Z", "2024-12-14T15:29:18+0100", "2024-12-14T15:29:18+24:00", "2024-12-14T15:29:18+01:60", "2024-12-14T15:29:18.5", "2024-12-14T15:29:18ZZ",
		"2O24-12-14T15:29:18Z", "2024-12-14T5:29:18.00Z", "2024-12-14T15:29:18." + strings.Repeat("1", 60) + "Z"}
	for _, s := range bad {
		if validTime([]byte(s)) {
			t.Errorf("%q accepted", s)
		}
	}
}

func TestBuildEvent(t *testing.T) {
	accepted := time.Date(2024, 12, 14, 16, 29, 18, 700_400_000, time.FixedZone("", 3600))
	cases := map[string]struct{ body, want, id, time, data string }{
		"the relay's id and time": {`{"type":"a.b","data":{"n":1.0}}`,
			`{"id":"we_1","type":"a.b","time":"2024-12-14T15:29:18.700Z","data":{"n":1.0}}`, "we_1", "2024-12-14T15:29:18.700Z", `{"n":1.0}`},
		"the producer's id and time": {`{"type":"a","id":"mine","time":"2020-01-01T00:00:00+02:00"}`,
			`{"id":"mine","type":"a","time":"2020-01-01T00:00:00+02:00","data":null}`, "mine", "2020-01-01T00:00:00+02:00", "null"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f, err := Parse([]byte(c.body), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, dst := range [][]byte{nil, make([]byte, 3, 4), make([]byte, 0, 4096)} {
				e, out := BuildEvent(dst, &f, []byte("we_1"), accepted)
				if got := string(out[len(dst):]); got != c.want || string(e.Envelope) != c.want {
					t.Errorf("envelope %s\n    want %s", got, c.want)
				}
				e.Tenant = []byte("acme")
				got, _, _, err := DecodeRecord(AppendRecord(nil, &e, nil))
				if err != nil {
					t.Fatal(err)
				}
				if string(got.ID) != c.id || string(got.Time) != c.time || string(got.Data) != c.data || string(got.Envelope) != c.want {
					t.Errorf("after the record: id %s, time %s, data %s, envelope %s", got.ID, got.Time, got.Data, got.Envelope)
				}
				if got.Accepted != accepted.UnixMicro() {
					t.Errorf("accepted %d, want %d", got.Accepted, accepted.UnixMicro())
				}
			}
		})
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	body := []byte(`{"id":"\u0061","type":"order.\u0070aid","time":"2024-12-14T15:29:18\u005a","tenant":"\u00fc","program":"s","data":{"a":[1,2,{"b":"\n"}]}}`)
	scratch, dst := make([]byte, 0, ScratchSize), make([]byte, 0, 4096)
	now := time.Now()
	allocs := testing.AllocsPerRun(100, func() {
		f, err := Parse(body, scratch)
		if err != nil {
			t.Fatal(err)
		}
		_, dst = BuildEvent(dst[:0], &f, nil, now)
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

// oracle says what Parse must make of body, by means of encoding/json.
func oracle(body []byte) (f Fields, ok, known bool) {
	if !utf8.Valid(body) || depth(body) > MaxDepth {
		return f, false, true
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') || !json.Valid(body) {
		return f, false, true
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		name, isName := t.(string)
		var raw json.RawMessage
		if err != nil || !isName || d.Decode(&raw) != nil || seen[name] {
			return f, false, true
		}
		seen[name] = true
		if name == "data" {
			f.Data = raw
			continue
		}
		var s *string
		if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
			return f, false, true
		}
		if strings.ContainsRune(*s, utf8.RuneError) && bytes.Contains(raw, []byte(`\`)) {
			return f, false, false // encoding/json hides half surrogate pairs, Parse refuses them
		}
		v := []byte(*s)
		m := -1
		for i, n := range memberNames {
			if n == name {
				m = i
			}
		}
		if m < 0 || f.set(member(m), v) != "" {
			return f, false, true
		}
	}
	if f.Data == nil {
		f.Data = []byte("null")
	}
	return f, f.Type != nil, true
}

// depth counts the deepest nesting of valid JSON.
func depth(b []byte) (deepest int) {
	level, inString := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			level++
			deepest = max(deepest, level)
		case c == '}' || c == ']':
			level--
		}
	}
	return deepest
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"id":"o-1","type":"order.paid","time":"2024-12-14T15:29:18.7Z","tenant":"acme","program":"s","data":{"a":[1,{"b":[true,null]}]}}`,
		`{"ty\u0070e":"a\u002eb","tenant":"\ud83d\ude00\/"}`, `{"type":"t","type":"t"}`, `[1,-0.5e+9,"\ud800"]`, `{"a":{"b":{"c":[[[]]]}}}`, "\"\xff\"", nested(129)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if want := json.Valid(body) && utf8.Valid(body) && depth(body) <= MaxDepth; (Valid(body) == nil) != want {
			t.Fatalf("Valid: %v, encoding/json says %v", Valid(body), want)
		}
		got, err := Parse(body, nil)
		want, ok, known := oracle(body)
		if !known {
			return
		}
		if (err == nil) != ok {
			t.Fatalf("Parse: %v, oracle says %v", err, ok)
		}
		if err != nil {
			return
		}
		for i, pair := range [][2][]byte{{got.ID, want.ID}, {got.Type, want.Type}, {got.Time, want.Time}, {got.Tenant, want.Tenant},
			{got.Program, want.Program}, {got.Data, want.Data}} {
			if !bytes.Equal(pair[0], pair[1]) {
				t.Fatalf("%s = %q, want %q", memberNames[i], pair[0], pair[1])
			}
		}
		e, _ := BuildEvent(nil, &got, []byte("we_1"), time.UnixMilli(1))
		if Valid(e.Envelope) != nil {
			t.Fatalf("envelope is not JSON: %s", e.Envelope)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"size=200", 2}, {"size=1k", 14}, {"size=64k", 900}} {
		body := []byte(`{"id":"order-1","type":"order.paid","data":{"items":[` +
			strings.TrimSuffix(strings.Repeat(`{"sku":"A-17","name":"A plain blue shirt","price":19.99,"n":2},`, size.n), ",") + `]}}`)
		scratch := make([]byte, 0, ScratchSize)
		b.Run(size.name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(body, scratch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
