package kit

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTrace: a trap names the line of the source, though what has run was rewritten.
func TestTrace(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct{ language, file, old, new, frame string }{
		{"c", "plugin.c", "    er_header(ER_S(\"X-Order\"), order);", "    *(volatile int *)0xffffff00 = 1;", "plugin.c:"},
		{"rust", "src/lib.rs", "    header(\"X-Order\", &order);", "    if order.len() > 1 { panic!(\"as asked\") }", "src/lib.rs:"},
	} {
		t.Run(c.language, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "traced")
			if _, err := New(dir, c.language, "slack"); err != nil {
				t.Fatal(err)
			}
			toolchain(t, c.language, dir)
			file := filepath.Join(dir, c.file)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			before, after, ok := strings.Cut(string(text), c.old)
			if !ok {
				t.Fatal("the template is another one now")
			}
			if err := os.WriteFile(file, []byte(before+c.new+after), 0o644); err != nil {
				t.Fatal(err)
			}
			p, err := Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			if _, err := h.Build(t.Context(), p, &log); err != nil {
				t.Fatalf("%v\n%s", err, &log)
			}
			r, err := h.NewRunner(t.Context(), p, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close(t.Context())
			want := c.frame + lineAfter(before)
			o := r.Run(t.Context(), &p.Events[0])
			if o.Error != "trap" || !slices.ContainsFunc(o.Trace, func(l string) bool { return strings.Contains(l, want) }) {
				t.Errorf("%s %s, want %s in\n%s", o.Error, o.Message, want, strings.Join(o.Trace, "\n"))
			}
		})
	}
}

// lineAfter is the number of the line that comes after text, with a colon behind.
func lineAfter(text string) string {
	n := strings.Count(text, "\n") + 1
	digits := ""
	for ; n > 0; n /= 10 {
		digits = string(rune('0'+n%10)) + digits
	}
	return digits + ":"
}
