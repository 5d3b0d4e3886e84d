package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestBombs feeds texts that are made to exhaust or confuse the parser. Each must be refused with its own message, and soon: the bound
// is far above what even the race detector needs, and far below what an exponential or quadratic way would take.
func TestBombs(t *testing.T) {
	body := "webhooks:\n  - name: w\n    events: [x]\n    url: https://a.example/\n    payload: { body: *h }\n"
	laughs := "tenants:\n"
	for i, name := range strings.Split("abcdefgh", "") {
		item := "lol"
		if i > 0 {
			item = "*" + string(rune('a'+i-1))
		}
		laughs += fmt.Sprintf("  - &%s [%s]\n", name, strings.TrimSuffix(strings.Repeat(item+", ", 30), ", "))
	}
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	deepAlias := "tenants:\n  - &a " + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "\n  - " + strings.Repeat("[", 40) + "*a" + strings.Repeat("]", 40) + "\n"
	for _, tt := range []struct{ name, text, want string }{
		{"billion laughs", laughs + body, "aliases make this too large"},
		{"quadratic blow-up", "data_dir: &a " + strings.Repeat("x", 100_000) + "\ntenants: [" + strings.Repeat("*a, ", 900) + "]\n", "aliases make this too large"},
		{"merge bomb", "a: &a {" + many(1000, "k%d: x, ") + "}\nb: &b { <<: [" + strings.Repeat("*a, ", 400) + "] }\nc: &c { <<: [" + strings.Repeat("*b, ", 400) + "] }\n", "aliases make this too large"},
		{"too many aliases", "data_dir: &a x\ntenants: [" + strings.Repeat("*a, ", 1001) + "]\n", "more than 1000 aliases"},
		{"alias of itself", "tenants: &a [x, *a]\n", "alias *a contains itself"},
		{"merge of itself", "log: &a { <<: *a }\n", "alias *a contains itself"},
		{"aliases in a ring", "tenants: &a [&b [*a], *b]\n", "alias *a contains itself"},
		{"depth of lists", strings.Repeat("[", 65) + strings.Repeat("]", 65), "nested deeper than 64 levels"},
		{"depth of mappings", strings.Repeat("{a: ", 100) + strings.Repeat("}", 100), "nested deeper than 64 levels"},
		{"depth beyond the parser's own limit", strings.Repeat("[", 20_000), "exceeded max depth"},
		{"depth of blocks", strings.Repeat("- ", 20_000) + "x", "exceeded max depth"},
		{"depth through aliases", deepAlias, "nested deeper than 64 levels"},
		{"too large", "a: " + strings.Repeat("x", maxFileSize), "is larger than 4MiB"},
		{"a hundred thousand keys", many(100_000, "k%d: \n"), "more than 200 mistakes"},
		{"one key again and again", strings.Repeat("a: \n", 100_000), "duplicate key"},
		{"long key", "? " + strings.Repeat("k", 2_000_000) + "\n: 1\n", "unknown key"},
		{"many anchors", "tenants:\n" + many(50_000, "  - &a%d x\n"), "want keys with values"},
		{"invalid UTF-8", "data_dir: a\xffb\n", "test.yaml:1:12: byte 0xff is not UTF-8"},
		{"UTF-16", "\xff\xfea\x00:\x00 \x00b\x00", "test.yaml:1:1: byte 0xff is not UTF-8"},
		{"NUL", "log: {}\ndata_dir: a\x00b\n", "test.yaml:2:12: character U+0000 is not allowed"},
		{"C1 control", "data_dir: a\u0080b\n", "test.yaml:1:12: character U+0080 is not allowed"},
		{"binary tag", "data_dir: !!binary AAAA\n", "tag !!binary is not supported"},
		{"set tag", "tenants: !!set { a }\n", "tag !!set is not supported"},
		{"custom tag", "webhooks: !include other.yaml\n", "tag !include is not supported"},
		{"directive", "%YAML 1.1\n---\ndata_dir: !e!x y\n", "undefined tag handle"},
		{"many documents", strings.Repeat("---\n", 100_000), "a second YAML document"},
		{"merge in the tree", "<<: { data_dir: x }\nlog: { <<: { level: loud } }\n", `"loud" is not allowed`},
		{"complex keys", "? [a, b]\n: c\n", "a key must be a text"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			_, err := Parse("test.yaml", []byte(tt.text))
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("took %v", took)
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				text := fmt.Sprint(err)
				t.Errorf("got %.300s\nwant %s", text, tt.want)
			}
		})
	}
}

// FuzzLoad wants no panic, no hang, mistakes that have a place in the file, and of a good config that its print is good too.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(positionText))
	f.Add(Starter())
	for _, name := range mustGlob("testdata/*/*.yaml", "../examples/*.yaml") {
		f.Add(mustRead(name))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("fuzz.yaml", text)
		if err != nil {
			for _, p := range err.(Problems) {
				if p.File != "fuzz.yaml" || p.Line < 0 || p.Message == "" {
					t.Errorf("problem %+v", p)
				}
			}
			return
		}
		c.Warnings()
		printed, err := c.Print()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse("printed.yaml", printed); err != nil {
			for _, p := range err.(Problems) {
				if !strings.Contains(p.Message, "redacted") && !strings.Contains(string(printed), redacted) {
					t.Errorf("what Print made does not load: %v\n%s", p, printed)
				}
			}
		}
	})
}
