package payload

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

var jsonSeeds = []string{testData, `null`, `[]`, `{}`, `"a\u0000\ud83d\ude00\ud800x\ufffe"`, `[-0, 1e5, 1.0, [[]], {"a":{"a":[1,{"b":null}]}}]`,
	`{"":"", "a b":1, "xmlns":2, "é":3, "漢":4, "a:b":5, "-x":6, "<":"&", "a=&+%[]":"b=&+%[]~*"}`, ` { "a" : [ 1 , 2 ] } `, `{"a":1,"a":2}`,
	strings.Repeat("[", 128) + strings.Repeat("]", 128), strings.Repeat("[", 129) + strings.Repeat("]", 129), `01`, `1.`, `"\x"`, `[1,]`, `{"a"}`, "\"\xff\"", "\"\n\""}

// What check accepts is JSON to everybody, and nothing else is; decoded and written again it says the same.
func FuzzCheck(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := check(b)
		valid := json.Valid(b) && utf8.Valid(b)
		if err != nil {
			if valid && nesting(b) <= maxDepth {
				t.Fatalf("refused: %v", err)
			}
			if err.at < 0 || err.at > len(b) {
				t.Fatalf("an error at %d of %d", err.at, len(b))
			}
			return
		}
		if !valid || nesting(b) > maxDepth {
			t.Fatal("accepted")
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, b); err != nil || !bytes.Equal(appendCompact(nil, v), compact.Bytes()) {
			t.Fatalf("compact %s, want %s (%v)", appendCompact(nil, v), compact.Bytes(), err)
		}
		m := newMachine()
		decoded := m.decode(v)
		got, err2 := m.appendValue(nil, decoded, 0)
		if err2 != nil || v[0] != '"' && !bytes.Equal(got, compact.Bytes()) { // a lone string may have been escaped in another way
			t.Fatalf("unchanged, but written as %s (%v)", got, err2)
		}
		clear(m.origins)
		again, err2 := m.appendValue(nil, decoded, 0)
		if err2 != nil || !reflect.DeepEqual(decodeStandard(t, again), decodeStandard(t, b)) {
			t.Fatalf("written anew as %s (%v)", again, err2)
		}
	})
}

func nesting(b []byte) int {
	depth, most := 0, 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = stringEnd(b, i) - 1
		case '[', '{':
			depth++
			most = max(most, depth)
		case ']', '}':
			depth--
		}
	}
	return most
}

func decodeStandard(t *testing.T, b []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return v
}

// leaf is one scalar of a document, with the keys that lead to it.
type leaf struct{ path, text string }

// Whatever the JSON, the XML is well-formed for encoding/xml, and the same keys and texts come out of it.
func FuzzXML(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add([]byte(s))
	}
	d := mustCompile(f, Spec{Type: XML})
	f.Fuzz(func(t *testing.T, source []byte) {
		out, err := d.Append(nil, &Input{Body: source})
		if err != nil || !utf8.Valid(out) {
			t.Fatalf("%v: %q", err, out)
		}
		got := xmlLeaves(t, out)
		v, bad := check(source)
		if bad != nil {
			return
		}
		var want []leaf
		if v[0] == '[' {
			want = jsonLeaves(want, "event/item", v)
		} else {
			want = jsonLeaves(want, "event", v)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s\ngot  %q\nwant %q", out, got, want)
		}
	})
}

func xmlLeaves(t *testing.T, document []byte) []leaf {
	t.Helper()
	var leaves []leaf
	var path, text []string
	open := false // the last thing was a start tag or text in it
	d := xml.NewDecoder(bytes.NewReader(document))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return leaves
		}
		if err != nil {
			t.Fatalf("%v in %s", err, document)
		}
		switch token := token.(type) {
		case xml.StartElement:
			name := token.Name.Local
			for _, a := range token.Attr {
				if a.Name.Local == "name" {
					name = a.Value
				}
			}
			path, text, open = append(path, name), nil, true
		case xml.CharData:
			text = append(text, string(token))
		case xml.EndElement:
			if open {
				leaves = append(leaves, leaf{strings.Join(path, "/"), strings.Join(text, "")})
			}
			path, text, open = path[:len(path)-1], nil, false
		}
	}
}

func jsonLeaves(leaves []leaf, path string, v []byte) []leaf {
	switch v[0] {
	case '{':
		before := len(leaves)
		members := 0
		for c := walk(v); ; members++ {
			key, value, ok := c.member()
			if !ok {
				break
			}
			leaves = jsonLeaves(leaves, path+"/"+xmlText(unquoted(key)), value)
		}
		if len(leaves) == before { // <a></a>: nothing but empty arrays in it, or nothing at all
			return append(leaves, leaf{path, ""})
		}
		return leaves
	case '[':
		elements := 0
		for c := walk(v); ; elements++ {
			value, ok := c.element()
			if !ok {
				break
			}
			if value[0] == '[' {
				before := len(leaves)
				if leaves = jsonLeaves(leaves, path+"/"+itemName, value); len(leaves) == before {
					leaves = append(leaves, leaf{path, ""})
				}
				continue
			}
			leaves = jsonLeaves(leaves, path, value)
		}
		if elements == 0 && path == "event/"+itemName {
			return append(leaves, leaf{"event", ""})
		}
		return leaves
	case '"':
		return append(leaves, leaf{path, xmlText(unquoted(v))})
	case 'n':
		return append(leaves, leaf{path, ""})
	}
	return append(leaves, leaf{path, string(v)})
}

// xmlText is what XML 1.0 can hold of s.
func xmlText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
			return utf8.RuneError
		}
		return r
	}, s)
}

// Whatever the object, the form is what net/url reads back: the same names and values in the same order.
func FuzzForm(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		out, err := AppendForm(nil, source)
		v, bad := check(source)
		if (err == nil) != (bad == nil && v[0] == '{') {
			t.Fatalf("%s: %v", source, err)
		}
		if err != nil {
			return
		}
		want := formPairs(nil, "", v)
		var got []leaf
		for pair := range strings.SplitSeq(string(out), "&") {
			if len(out) == 0 {
				break
			}
			name, value, _ := strings.Cut(pair, "=")
			values, err := url.ParseQuery(pair)
			if err != nil {
				t.Fatalf("%q: %v", pair, err)
			}
			name, _ = url.QueryUnescape(name)
			value, _ = url.QueryUnescape(value)
			if x := values[name]; len(x) != 1 || x[0] != value {
				t.Fatalf("%q: %v", pair, values)
			}
			got = append(got, leaf{name, value})
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s\ngot  %q\nwant %q", out, got, want)
		}
	})
}

func formPairs(pairs []leaf, name string, v []byte) []leaf {
	switch v[0] {
	case '{':
		for c := walk(v); ; {
			key, value, ok := c.member()
			if !ok {
				return pairs
			}
			inner := string(appendUnquoted(nil, key))
			if len(name) > 0 {
				inner = name[1:] + "[" + inner + "]"
			}
			pairs = formPairs(pairs, "/"+inner, value) // the slash only says that there is a name
		}
	case '[':
		for c := walk(v); ; {
			value, ok := c.element()
			if !ok {
				return pairs
			}
			pairs = formPairs(pairs, name+"[]", value)
		}
	}
	return append(pairs, leaf{name[1:], string(appendRawText(nil, v, nil))})
}

var expressionSeeds = []string{`data.points >= 10`, `data.a.b[0]["c"] ?? id`, `filter(data.items, {let x = .q; x > 1})`, `data?.a?.b()`, `sum(data.items, .p) / 0`,
	`{"a": [1.0, {"b": data}]}`, `if data.flag {1} else {"a"}`, `reduce(1..9, #acc + #)`, `date(time).Year() + 1`, `"a" matches data.x`, `groupBy(data.items, .n)["a"]`,
	`sortBy(data.items, .q, "desc") | map(.n) | join(",")`, `not (1 in [data.x]) && true`, `toJSON(fromJSON(data.s))`, `data[1:][-1]`, `$env`, `1 ?: 2`, `all(data, #)`,
	`(data)()`, `-data ** +data`, `get(data, data)`, `let f = data; f.x`, `count(data.items) > 1`, `uniq(flatten(data.alpha))`, `1..data.n`, `string(values(data))`}

// Filters never panic, and say the same when they are asked twice.
func FuzzFilter(f *testing.F) {
	for _, s := range expressionSeeds {
		f.Add(s, testData)
	}
	f.Fuzz(func(t *testing.T, text, data string) {
		filter, err := CompileFilter(text)
		if err != nil {
			checkError(t, err)
			return
		}
		in := &Input{ID: []byte("we_1"), Type: []byte("a.b"), Time: []byte("2024-12-14T15:29:18.700Z"), Data: []byte(data)}
		got, err := filter.Match(in)
		if err != nil && got {
			t.Fatal("a match with an error")
		}
		again, err2 := filter.Match(in)
		if got != again || (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
			t.Fatalf("first %v, %v, then %v, %v", got, err, again, err2)
		}
	})
}

func checkError(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Line < 1 || e.Column < 1 || strings.Contains(e.Msg, "\n") || !utf8.ValidString(e.Msg) {
		t.Fatalf("not a good error: %#v", err)
	}
}

// Templates never panic; a text without {{ is itself.
func FuzzTemplate(f *testing.F) {
	for _, s := range expressionSeeds {
		f.Add("a {{ "+s+" }} b", testData)
	}
	f.Add("{{ '}}' }}{{", "1")
	f.Add("{{{{}}}}", "1")
	f.Fuzz(func(t *testing.T, text, data string) {
		x, err := CompileTemplate(text)
		if err != nil {
			checkError(t, err)
			return
		}
		constant, ok := x.Constant()
		if ok != !strings.Contains(text, "{{") || ok && constant != text {
			t.Fatalf("Constant: %q, %v", constant, ok)
		}
		got, err := x.Append(nil, &Input{Data: []byte(data)}, nil)
		if ok && (err != nil || string(got) != text) {
			t.Fatalf("got %q, %v", got, err)
		}
	})
}

// Whatever a definition and the data are, what comes out of it is JSON, and the other encodings of it are in order too.
func FuzzDefinition(f *testing.F) {
	for _, s := range expressionSeeds {
		quoted := string(appendQuoted(nil, "{{ "+s+" }}"))
		f.Add(`{"a": `+quoted+`, "b": [`+quoted+`, "x {{ data.text }} y"]}`, testData)
	}
	for _, s := range jsonSeeds {
		f.Add(s, s)
		f.Add(`{"{{": "{{ data }}", "x": "<{{ data }}>"}`, s)
	}
	f.Fuzz(func(t *testing.T, body, data string) {
		in := &Input{ID: []byte("we_1"), Type: []byte("a.b"), Data: []byte(data)}
		for _, kind := range []string{JSON, XML, Form, Plain, Raw} {
			d, err := Compile(Spec{Type: kind, Body: []byte(body)})
			if err != nil {
				continue
			}
			out, err := d.Append(nil, in)
			switch {
			case err != nil:
				continue
			case kind != Raw && !utf8.Valid(out):
				t.Fatalf("%s: not UTF-8: %q", kind, out)
			case kind == JSON && !json.Valid(out):
				t.Fatalf("not JSON: %s", out)
			case kind == XML:
				xmlLeaves(t, out)
			case kind == Form:
				if _, err := url.ParseQuery(string(out)); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
		}
	})
}
