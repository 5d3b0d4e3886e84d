package plugins_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"edgerelay/plugins"
	"edgerelay/transform"
)

func TestMask(t *testing.T) {
	ctx := context.Background()
	host, err := transform.NewHost(ctx, transform.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close(ctx)
	module, err := host.Compile(ctx, "mask", plugins.Mask)
	if err != nil {
		t.Fatal(err)
	}
	defer module.Close(ctx)
	pool, err := host.NewPool(module, transform.PoolConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close(ctx)

	large := strings.Repeat(`"`+strings.Repeat("x", 50)+` ada@example.com",`, 10_000)
	for _, c := range []struct{ name, in, want string }{
		{"the demo's event", `{"type":"order.created","data":{"order":"A-1001","email":"ada@example.com","amount":129.5,"currency":"EUR"}}`,
			`{"type":"order.created","data":{"order":"A-1001","email":"a***@example.com","amount":129.5,"currency":"EUR"}}`},
		{"nothing to mask", `{"data":{"a":1}}`, `{"data":{"a":1}}`},
		{"empty", ``, ``},
		{"two in one text", `"ada@example.com, Bob.B+x@mail.example.org"`, `"a***@example.com, B***@mail.example.org"`},
		{"end of a sentence", `"ask ada@example.com."`, `"ask a***@example.com."`},
		{"no dot in the domain", `"ada@localhost"`, `"ada@localhost"`},
		{"a dot and nothing behind it", `"ada@example."`, `"ada@example."`},
		{"no name", `"@example.com"`, `"@example.com"`},
		{"only an at", `"a @ b"`, `"a @ b"`},
		{"two ats", `"a@b@example.com"`, `"a@b***@example.com"`},
		{"escape before it", `"\nada@example.com \"bob@example.com\" \u00e9ve@example.com"`, `"\na***@example.com \"b***@example.com\" \u00e9v***@example.com"`},
		{"other letters", `"änne@bücher.example"`, `"ä***@bücher.example"`},
		{"as a key", `{"ada@example.com":1}`, `{"a***@example.com":1}`},
		{"cut off", `"ada@example.co`, `"a***@example.co`},
		{"cut off in an escape", `"ada@example.co\`, `"a***@example.co\`},
		{"larger than the memory it begins with", large, strings.ReplaceAll(large, "ada@", "a***@")},
	} {
		var out transform.Result
		if err := pool.Run(ctx, &transform.Meta{}, []byte(c.in), &out); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if string(out.Body) != c.want {
			t.Errorf("%s:\n got %.200s\nwant %.200s", c.name, out.Body, c.want)
		}
		headers := ""
		for _, f := range out.Headers {
			headers += fmt.Sprintf("%s: %s\n", f.Name, f.Value)
		}
		want := ""
		if c.in != c.want {
			want = "X-Masked: 1\n"
		}
		if headers != want || out.Action != transform.Send {
			t.Errorf("%s: headers %q, action %v", c.name, headers, out.Action)
		}
	}
}
