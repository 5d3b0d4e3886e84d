package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
)

// problem is an error as clients see it (RFC 9457). It is also a Go error, so that handlers return it.
type problem struct {
	Type   string `json:"type"` // the last part of a URN; stable
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

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
