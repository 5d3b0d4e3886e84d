package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// trial is what a webhook would do with an event, or did in a test.
type trial struct {
	Event struct {
		ID     string `json:"id"`
		Type   string `json:"type"`
		Source string `json:"source"`
	} `json:"event"`
	Webhook   string         `json:"webhook"`
	Matches   bool           `json:"matches"`
	Mismatch  string         `json:"mismatch"`
	Action    string         `json:"action"`
	Reason    string         `json:"reason"`
	Detail    string         `json:"detail"`
	Steps     []trialStep    `json:"steps"`
	Request   *message       `json:"request"`
	Response  *message       `json:"response"`
	Timings   map[string]any `json:"timings"`
	Notes     []string       `json:"notes"`
	Published *trial         `json:"published"`
	Diff      *string        `json:"diff"`
}

type trialStep struct {
	Module  string   `json:"module"`
	Action  string   `json:"action"`
	Reason  string   `json:"reason"`
	Error   string   `json:"error"`
	Message string   `json:"message"`
	Trace   []string `json:"trace"`
	Log     []struct {
		Level string `json:"level"`
		Text  string `json:"text"`
	} `json:"log"`
	Fuel   int64   `json:"fuel"`
	Micros float64 `json:"micros"`
	Memory int64   `json:"memory"`
	Output int     `json:"output_bytes"`
}

// message is a request or an answer.
type message struct {
	Method  string `json:"method"`
	URL     string `json:"url"`
	Status  int    `json:"status"`
	Headers []struct {
		Name     string `json:"name"`
		Value    string `json:"value"`
		Redacted bool   `json:"redacted"`
	} `json:"headers"`
	Body       *string `json:"body"`
	BodyBase64 string  `json:"body_base64"`
	BodyBytes  int     `json:"body_bytes"`
	Truncated  bool    `json:"body_truncated"`
}

// BodyText is the body as it is shown.
func (m *message) BodyText() string {
	switch {
	case m.Body != nil:
		return pretty([]byte(*m.Body))
	case m.BodyBase64 != "":
		return "(not text; base64)\n" + m.BodyBase64
	}
	return ""
}

// Head is the first line and the headers.
func (m *message) Head() string {
	var b strings.Builder
	if m.Method != "" {
		fmt.Fprintf(&b, "%s %s\n", m.Method, m.URL)
	} else {
		fmt.Fprintf(&b, "%d %s\n", m.Status, http.StatusText(m.Status))
	}
	for _, h := range m.Headers {
		fmt.Fprintf(&b, "%s: %s\n", h.Name, h.Value)
	}
	return b.String()
}

// Text is the whole request, for one box.
func (t *trial) Text() string {
	if t.Request == nil {
		return ""
	}
	text := t.Request.Head() + "\n" + t.Request.BodyText()
	if t.Request.Truncated {
		text += "\n…"
	}
	return text
}

// Note says what is special about the outcome; "" = nothing.
func (t *trial) Note() string {
	switch {
	case t.Action != "send" && t.Request == nil:
		return strings.TrimSpace("Nothing would be sent (" + t.Action + "): " + first(t.Detail, t.Reason))
	case !t.Matches:
		return "This event would not go to the webhook: " + t.Mismatch
	}
	return ""
}

// OK says whether a test was received well.
func (t *trial) OK() bool {
	return t.Response != nil && t.Response.Status >= 200 && t.Response.Status < 300
}

// Took is how long a test's request took.
func (t *trial) Took() string {
	return millis(number(t.Timings["send_micros"]))
}

// Verdict is the outcome of a test in one line.
func (t *trial) Verdict() string {
	switch {
	case t.Response != nil:
		return fmt.Sprintf("The receiver answered %d %s in %s", t.Response.Status, http.StatusText(t.Response.Status), t.Took())
	case t.Request != nil:
		return "The receiver did not answer: " + first(t.Detail, t.Reason)
	}
	return "Nothing was sent: " + first(t.Detail, t.Reason, t.Action)
}

// DiffLines are the lines of the comparison with how they are shown.
func (t *trial) DiffLines() (out []diffLine) {
	if t.Diff == nil || *t.Diff == "" {
		return nil
	}
	for _, l := range strings.Split(strings.TrimRight(*t.Diff, "\n"), "\n") {
		kind := ""
		switch {
		case strings.HasPrefix(l, "+"):
			kind = "add"
		case strings.HasPrefix(l, "-"):
			kind = "del"
		}
		out = append(out, diffLine{kind, l})
	}
	return out
}

type diffLine struct{ Kind, Text string }

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

func number(v any) float64 {
	f, _ := v.(float64)
	return f
}

// testDraft sends an example to the receiver of a webhook that need not be saved.
func (q *request) testDraft(id string, def definition, event string) (*trial, error) {
	in, err := tryRequest(event)
	if err != nil {
		return nil, err
	}
	in["draft"] = draftOf(def)
	if id != "" {
		in["webhook"] = id
	}
	t := new(trial)
	return t, q.api.post("/api/v1/test", in, t)
}

// testSaved sends an example to the receiver of a webhook.
func (q *request) testSaved(id, event string) (*trial, error) {
	in, err := tryRequest(event)
	if err != nil {
		return nil, err
	}
	t := new(trial)
	return t, q.api.post("/api/v1/webhooks/"+url.PathEscape(id)+"/test", in, t)
}
