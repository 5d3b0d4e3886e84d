package transform

import (
	"strings"
	"testing"
)

func TestOutputRequest(t *testing.T) {
	for _, c := range []struct {
		name, output, want string // body, content type, action and reason; or a part of the error after "!"
	}{
		{"nothing", ``, "|  send "},
		{"empty", `{}`, "|  send "},
		{"text", `{"body":"a\n"}`, "a\n|  send "},
		{"json", `{"json":{"b":1,"a":2.50}}`, `{"b":1,"a":2.50}| application/json send `},
		{"json of another type", `{"json":1,"content_type":"application/vnd.x+json"}`, "1| application/vnd.x+json send "},
		{"bytes", `{"body_base64":"AP8="}`, "\x00\xff|  send "},
		{"dropped", `{"drop":true}`, "|  drop "},
		{"dropped for a reason", `{"drop":"not ours"}`, "|  drop not ours"},
		{"not dropped", `{"drop":false,"body":"x"}`, "x|  send "},
		{"dropped by a number", `{"drop":1}`, "!neither true nor false nor a reason"},
		{"not JSON", `hello`, "!invalid character"},
		{"an array", `[]`, "!cannot unmarshal array"},
		{"two values", `{} {}`, "!something follows"},
		{"unknown member", `{"bdy":"x"}`, `!unknown field "bdy"`},
		{"two bodies", `{"body":"x","json":1}`, "!alternatives"},
		{"bad base64", `{"body_base64":"?"}`, "!body_base64"},
		{"method", `{"method":"BREW"}`, `!method "BREW" is refused`},
		{"path", `{"path":"//evil.example"}`, `!path "//evil.example" is refused`},
		{"content type", `{"content_type":"a\r\nb"}`, "!is refused"},
		{"header", `{"headers":{"Host":"evil"}}`, `!header "Host" is refused`},
		{"header of a number", `{"headers":{"X":1}}`, "!cannot unmarshal number"},
		{"large", `{"body":"` + strings.Repeat("x", 101) + `"}`, "!more than 100 bytes"},
	} {
		in := &instance{pool: &Pool{output: OutputRequest, limits: Limits{MaxOutput: 100, MaxHeaders: 1000}}, out: &Result{Body: []byte(c.output)}}
		if err := in.finishOutput(); err != nil {
			part, isError := strings.CutPrefix(c.want, "!")
			if err.Kind != KindBadResult || !isError || !strings.Contains(err.Msg, part) {
				t.Errorf("%s: %v, want %s", c.name, err, c.want)
			}
			continue
		}
		if got := string(in.out.Body) + "| " + in.out.ContentType + " " + in.out.Action.String() + " " + in.out.Reason; got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	for s, want := range map[string]Output{"": OutputBody, "body": OutputBody, "request": OutputRequest} {
		if o, err := ParseOutput(s); err != nil || o != want {
			t.Errorf("%q: %v %v", s, o, err)
		}
	}
	if _, err := ParseOutput("headers"); err == nil {
		t.Error("headers is no output")
	}
}
