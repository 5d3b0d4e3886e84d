package kit

import (
	"strings"
	"testing"
)

func TestSameMeaning(t *testing.T) {
	for _, c := range []struct {
		name   string
		format Format
		a, b   string
		same   bool
	}{
		{"order of members", FormatJSON, `{"a":1,"b":[1,2]}`, "{ \"b\": [1,2],\n \"a\": 1 }", true},
		{"order of elements", FormatJSON, `[1,2]`, `[2,1]`, false},
		{"notation of a number", FormatJSON, `[1.50, 2.0, 1E3, -0]`, `[1.5, 2, 1e+3, 0]`, true},
		{"digits of a number", FormatJSON, `12345678901234567890`, `12345678901234567891`, false},
		{"a hundred is not one", FormatJSON, `100`, `1`, false},
		{"a number is not a text", FormatJSON, `1`, `"1"`, false},
		{"escapes", FormatJSON, `"\u00c9 \/ <"`, `"É / \u003c"`, true},
		{"white space in XML", FormatXML, "<a><b>x</b>\n  <c/></a>", "<?xml version=\"1.0\"?>\n<a>\n<b>x</b><c></c>\n</a>\n", true},
		{"order of attributes", FormatXML, `<a x="1" y="2"/>`, `<a y="2" x="1"/>`, true},
		{"comments", FormatXML, `<a><!-- hello --></a>`, `<a/>`, true},
		{"character references", FormatXML, `<a>&#38;&quot;</a>`, `<a>&amp;"</a>`, true},
		{"text in XML", FormatXML, `<a>x</a>`, `<a>x </a>`, false},
		{"order of elements in XML", FormatXML, `<a><b/><c/></a>`, `<a><c/><b/></a>`, false},
		{"namespaces", FormatXML, `<n:a xmlns:n="urn:x"/>`, `<a xmlns="urn:x"/>`, false},
		{"order of fields", FormatForm, "a=1&b=2\n", "b=2&a=1", true},
		{"encoding of fields", FormatForm, "a=x+%41", "a=x%20A", true},
		{"order of one field's values", FormatForm, "a=1&a=2", "a=2&a=1", false},
		{"texts", FormatText, "a\n", "a", false},
	} {
		a, err := c.format.canonical([]byte(c.a))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		b, err := c.format.canonical([]byte(c.b))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if (a == b) != c.same {
			t.Errorf("%s: same %v, want %v:\n%s\n%s", c.name, a == b, c.same, a, b)
		}
	}
}

func TestCanonicalRefuses(t *testing.T) {
	for _, c := range []struct {
		format     Format
		text, want string
	}{
		{FormatJSON, `{"a":1} x`, "something behind the value"},
		{FormatJSON, `{`, "is not JSON"},
		{FormatXML, `<a></b>`, "is not XML"},
		{FormatXML, `<a>`, "is not XML"},
		{FormatForm, `%zz`, "is not a form"},
	} {
		if _, err := c.format.canonical([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %q: got %v, want %q", c.format, c.text, err, c.want)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{`{"a":[1.50,"x",null]}`, `<a b="c">&lt;<d/></a>`, "a=1&b=%20", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, format := range []Format{FormatJSON, FormatForm, FormatText} {
			once, err := format.canonical([]byte(s))
			if err != nil || format == FormatForm { // a form's canonical text is for people
				continue
			}
			if twice, err := format.canonical([]byte(once)); err != nil || twice != once {
				t.Errorf("%s: %q, then %q (%v)", format, once, twice, err)
			}
		}
		if _, err := FormatXML.canonical([]byte(s)); err != nil && !strings.Contains(err.Error(), "is not XML") {
			t.Error(err)
		}
	})
}

func TestDiff(t *testing.T) {
	for _, c := range []struct{ name, want, got, diff string }{
		{"equal", "a\nb\n", "a\nb\n", ""},
		{"a changed line", "a\nb\nc\n", "a\nx\nc\n", "  a\n- b\n+ x\n  c\n"},
		{"a new line", "a\n", "a\nb\n", "  a\n+ b\n"},
		{"far from it", "1\n2\n3\n4\n5\n6\n", "1\n2\n3\n4\n5\nx\n", "  …\n  4\n  5\n- 6\n+ x\n"},
		{"only the line break", "a", "a\n", "  …\n- ends without a line break\n+ ends with a line break\n"},
	} {
		if got := Diff(c.want, c.got); got != c.diff {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.diff)
		}
	}
	long := strings.Repeat("x\n", maxDiffLines+1)
	if got := Diff(long+"a\n", long+"b\n"); got != "  …\n- a\n+ b\n  …\n" {
		t.Errorf("long texts: %s", got)
	}
}
