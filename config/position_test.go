package config

import (
	"fmt"
	"testing"
)

const positionText = `version: 1
webhooks:
  - name: w
    events: [x]
    url: 'https://a.example/{{ data.id }}'
    filter: data.points >= 10
    description: |

      first line
        second line
    headers: { X-A: "{{ id }}", X-B: "$$ {{ id }}" }
    payload:
      body:
        giver: { name: "{{ data.giver }}" }
        list:
          - one
          - "{{ two }}"
        folded: >
          {{ data.a
          + data.b }}
        wrapped: {{ '{{' }} data.a
          + data.b
`

func TestProblem(t *testing.T) {
	c := mustParse(t, positionText[:len(positionText)-len("        wrapped: {{ '{{' }} data.a\n          + data.b\n")])
	for _, tt := range []struct{ path, want string }{
		{"webhooks[0].filter", "6:13"},
		{"webhooks[0].payload.body.giver.name", "14:24"},
		{"webhooks[0].payload.body.list[1]", "17:13"},
		{"webhooks[0].payload.body.list[7]", "16:11"},
		{"webhooks[0].payload.body.giver.nobody.at.all", "14:16"},
		{"webhooks[0].secret", "3:5"},
		{"webhooks[5].secret", "3:3"},
		{"admin.listen", "1:1"},
		{"", "1:1"},
	} {
		p := c.Problem(tt.path, "text")
		if got := fmt.Sprintf("%d:%d", p.Line, p.Col); got != tt.want || p.File != "test.yaml" || p.Path != tt.path {
			t.Errorf("%s is at %s (%+v), want %s", tt.path, got, p, tt.want)
		}
	}
	for _, tt := range []struct {
		path      string
		line, col int
		want      string
	}{
		{"webhooks[0].filter", 1, 1, "6:13"},
		{"webhooks[0].filter", 1, 6, "6:18"},
		{"webhooks[0].url", 1, 19, "5:29"},
		{"webhooks[0].description", 2, 1, "9:7"},
		{"webhooks[0].description", 3, 3, "10:9"},
		{"webhooks[0].headers.X-A", 1, 4, "11:25"},
		{"webhooks[0].headers.X-B", 1, 4, "11:38"}, // $$ was replaced: the start
		{"webhooks[0].payload.body.list[1]", 1, 4, "17:17"},
		{"webhooks[0].payload.body.folded", 1, 4, "19:14"},
		{"webhooks[0].payload.body.folded", 1, 13, "20:13"},
		{"webhooks[0].payload.body.folded", 9, 999, "18:17"},
		{"webhooks[0].missing", 1, 7, "3:5"},
		{"webhooks[0].events", 1, 7, "4:13"},
	} {
		p := c.ProblemAt(tt.path, "text", tt.line, tt.col)
		if got := fmt.Sprintf("%d:%d", p.Line, p.Col); got != tt.want {
			t.Errorf("%s %d:%d is at %s, want %s", tt.path, tt.line, tt.col, got, tt.want)
		}
	}
}

func TestProblemsSort(t *testing.T) {
	ps := Problems{
		{File: "b", Line: 1, Col: 1, Message: "4"},
		{File: "a", Line: 10, Col: 1, Message: "3"},
		{File: "a", Line: 9, Col: 2, Message: "2"},
		{File: "a", Line: 9, Col: 1, Path: "p", Message: "1"},
		{Message: "0"},
	}
	ps.Sort()
	want := "0\na:9:1: p: 1\na:9:2: 2\na:10:1: 3\nb:1:1: 4"
	if got := ps.Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := (Problem{File: "f", Path: "a\nb", Message: "\x1b[31m"}).String(); got != `f: a\u000ab: \u001b[31m` {
		t.Errorf("control characters: %s", got)
	}
}
