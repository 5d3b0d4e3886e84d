package relay

import (
	"strings"
	"testing"
)

func TestDiffLines(t *testing.T) {
	for _, c := range []struct{ old, next, want string }{
		{"", "", ""},
		{"a b c", "a b c", ""},
		{"a b c", "a x c", " a\n-b\n+x\n c\n"},
		{"a b c d e f g h", "a b c d e f g X", "@@ 4 lines are the same\n e\n f\n g\n-h\n+X\n"},
		{"", "a", "+a\n"},
		{"a", "", "-a\n"},
		{"a b c d", "b d e", "-a\n b\n-c\n d\n+e\n"},
	} {
		if got := diffLines(strings.Fields(c.old), strings.Fields(c.next)); got != c.want {
			t.Errorf("%s -> %s: %q", c.old, c.next, got)
		}
	}
	many := strings.Fields(strings.Repeat("a ", 3000))
	if got := diffLines(many, strings.Fields(strings.Repeat("b ", 3000))); strings.Count(got, "-a\n") != 3000 || strings.Count(got, "+b\n") != 3000 {
		t.Error("a large difference is not complete")
	}
}

// FuzzDiffLines: what a diff says leads from the one text to the other.
func FuzzDiffLines(f *testing.F) {
	f.Add("a b c", "a x c")
	f.Add("a a a b", "b a a")
	f.Fuzz(func(t *testing.T, a, b string) {
		old, next := strings.Fields(a), strings.Fields(b)
		if len(old) > 200 || len(next) > 200 {
			return
		}
		var was, is []string
		for _, l := range changed(old, next) {
			if l[0] != '+' {
				was = append(was, l[1:])
			}
			if l[0] != '-' {
				is = append(is, l[1:])
			}
		}
		if strings.Join(was, " ") != strings.Join(old, " ") || strings.Join(is, " ") != strings.Join(next, " ") {
			t.Errorf("%q %q", was, is)
		}
	})
}
