package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// problem is an error as clients see it (RFC 9457). It is also a Go error, so that handlers return it.
type problem struct {
	Type   string    `json:"type" doc:"What kind of problem it is. Stable." example:"urn:edgerelay:problem:not-found"` // here: the last part of the URN
	Title  string    `json:"title"`
	Status int       `json:"status"`
	Detail string    `json:"detail,omitempty" doc:"What it is about this time."`
	Errors []Mistake `json:"errors,omitempty" doc:"Everything that is wrong with the body, with its place."`
}

// Mistake is one thing that is wrong with a body.
type Mistake struct {
	Path    string `json:"path,omitempty" doc:"Where, such as payload.body.giver."`
	Message string `json:"message"`
}

// Mistakes are answered with 422. They are what the interfaces return when they refuse what a body asks for.
type Mistakes []Mistake

// Error joins the mistakes.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, one := range m {
		if lines[i] = one.Message; one.Path != "" {
			lines[i] = one.Path + ": " + one.Message
		}
	}
	return strings.Join(lines, "; ")
}

func (m Mistakes) problem() *problem {
	return &problem{Status: http.StatusUnprocessableEntity, Type: "invalid", Title: "Invalid", Detail: m.Error(), Errors: m}
}

// Conflict is answered with 409: what there is does not allow it.
type Conflict struct{ Detail string }

func (c *Conflict) Error() string { return c.Detail }

// problemPrefix makes the types URNs: names that need no web site behind them.
const problemPrefix = "urn:edgerelay:problem:"

func (p *problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Title, p.Detail) }

func problemNotFound(detail string) *problem {
	return &problem{Status: http.StatusNotFound, Type: "not-found", Title: "Not found", Detail: detail}
}

func problemParameter(detail string) *problem {
	return &problem{Status: http.StatusBadRequest, Type: "invalid-parameter", Title: "Invalid parameter", Detail: detail}
}

func writeProblem(w http.ResponseWriter, p *problem) {
	full := *p
	full.Type = problemPrefix + p.Type
	body, err := json.Marshal(full)
	if err != nil {
		panic("BUG: a problem of strings does not marshal: " + err.Error())
	}
	switch p.Status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="edgerelay"`)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	w.Write(append(body, '\n'))
}

// writeJSON answers with v. It is encoded before the status is sent, so that a failure can still become a 500.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // nosniff and the content type keep browsers from reading it as HTML
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(buf.Bytes())
	return nil
}
