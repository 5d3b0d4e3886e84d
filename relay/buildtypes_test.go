package relay

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"edgerelay/config"
)

const pointsType = `event_types:
  - name: earned
    schema: { type: object, required: [points], properties: { points: { type: integer, minimum: 1 } } }
    example: { points: %s }
`

func TestExampleMustFitItsSchema(t *testing.T) {
	for example, want := range map[string]string{"5": "", "0": "does not fit the schema: /data/points: minimum: got 0, want 1 (#/properties/points/minimum)"} {
		c, err := config.Parse("x.yaml", []byte(strings.Replace(pointsType, "%s", example, 1)))
		if err != nil {
			t.Fatal(err)
		}
		problems := Check(t.Context(), c)
		if want == "" && problems != nil || want != "" && (len(problems) != 1 || problems[0].Message != want || problems[0].Path != "event_types[0].example" || problems[0].Line != 4) {
			t.Errorf("example %s: %v", example, problems)
		}
	}
	c, err := config.Parse("x.yaml", []byte("event_types: [{ name: a, schema: { $ref: 'https://evil.example/s.json' } }]"))
	if err != nil {
		t.Fatal(err)
	}
	if problems := Check(t.Context(), c); len(problems) != 1 || problems[0].Path != "event_types[0].schema" || !strings.Contains(problems[0].Message, "lies outside") {
		t.Errorf("%v", problems)
	}
}

// post sends an event and returns the status.
func (r *running) post(body string) int {
	r.t.Helper()
	resp, err := http.Post("http://"+r.IngressAddr().String()+"/v1/events", "application/json", strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestValidationFollowsTheReload(t *testing.T) {
	types := strings.Replace(pointsType, "%s", "5", 1)
	r := start(t, t.TempDir(), types)
	good, bad := `{"type":"earned","data":{"points":1}}`, `{"type":"earned","data":{"points":0}}`
	if s := r.post(bad); s != 202 {
		t.Errorf("validation is off: %d", s)
	}
	first := r.built.schemas
	if err := r.Reload(context.Background(), r.load(types+"validate_events: true\n")); err != nil {
		t.Fatal(err)
	}
	if g, b := r.post(good), r.post(bad); g != 202 || b != 422 {
		t.Errorf("validation is on: %d, %d", g, b)
	}
	for text, s := range first {
		if r.built.schemas[text] != s {
			t.Error("a schema that has not changed was compiled again")
		}
	}
	if err := r.Reload(context.Background(), r.load(types+"    validate: false\nvalidate_events: true\n")); err != nil {
		t.Fatal(err)
	}
	if s := r.post(bad); s != 202 {
		t.Errorf("the type is left out: %d", s)
	}
}
