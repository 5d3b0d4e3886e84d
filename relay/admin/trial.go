package admin

import (
	"encoding/base64"
	"unicode/utf8"
)

// Trial is what a webhook would do with an event (try), or did (test). It shows no credentials.
type Trial struct {
	Event    TrialEvent     `json:"event"`
	Webhook  string         `json:"webhook" doc:"Name of the webhook."`
	Matches  bool           `json:"matches" doc:"Whether the event, sent to the ingress, would go to the webhook if it were active."`
	Mismatch string         `json:"mismatch,omitempty" doc:"Why it would not."`
	Action   string         `json:"action" enum:"send,drop,fail,retry" doc:"What becomes of the delivery before anything is sent; of a test, what became of it."`
	Reason   string         `json:"reason,omitempty" doc:"Why, as in deliveries: transform, payload, status, timeout …"`
	Detail   string         `json:"detail,omitempty"`
	Steps    []TrialStep    `json:"steps" doc:"The transforms that ran, in order."`
	Request  *TrialRequest  `json:"request,omitempty" doc:"The request to the last byte; absent when there is none."`
	Response *TrialResponse `json:"response,omitempty" doc:"Of a test: what the receiver answered."`
	Timings  TrialTimings   `json:"timings"`
	Notes    []string       `json:"notes,omitempty" doc:"What is different from a delivery."`
}

// TrialEvent is the event that was used.
type TrialEvent struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Time    string `json:"time"`
	Tenant  string `json:"tenant"`
	Program string `json:"program,omitempty"`
	Source  string `json:"source" enum:"given,example,stored" doc:"Where it comes from."`
}

// TrialStep is what one transform did.
type TrialStep struct {
	Module       string     `json:"module"`
	Action       string     `json:"action" enum:"send,drop,fail,retry,error" doc:"error: it was ended, see error."`
	Reason       string     `json:"reason,omitempty" doc:"Of a drop, fail or retry, in the transform's words."`
	Error        string     `json:"error,omitempty" doc:"The kind of the failure, such as fuel."`
	Message      string     `json:"message,omitempty"`
	Trace        []string   `json:"trace,omitempty"`
	Log          []TrialLog `json:"log"`
	LogTruncated bool       `json:"log_truncated,omitempty"`
	Fuel         int64      `json:"fuel" doc:"Units of work; the same for the same event."`
	Micros       float64    `json:"micros" doc:"Time that it took, in microseconds."`
	Memory       int64      `json:"memory" doc:"Bytes of linear memory when it ended."`
	Output       int        `json:"output_bytes" doc:"Bytes that it wrote; 0 = what it was given went on."`
	SentAnyhow   bool       `json:"sent_anyhow,omitempty" doc:"It failed, and on_error is send_original."`
}

// TrialLog is one line that a transform logged.
type TrialLog struct {
	Level string `json:"level"`
	Text  string `json:"text"`
}

// TrialHeader is one header.
type TrialHeader struct {
	Name     string `json:"name"`
	Value    string `json:"value"`
	Redacted bool   `json:"redacted,omitempty" doc:"The value is a credential and not shown."`
}

// TrialBody is a body: as a text if it is one.
type TrialBody struct {
	Body       *string `json:"body,omitempty"`
	BodyBase64 string  `json:"body_base64,omitempty" doc:"Instead of body when that is not UTF-8."`
	BodyBytes  int     `json:"body_bytes" doc:"How long it is."`
	Truncated  bool    `json:"body_truncated,omitempty" doc:"Only the beginning is shown."`
}

// TrialRequest is the request that would be, or was, sent.
type TrialRequest struct {
	Method  string        `json:"method"`
	URL     string        `json:"url"`
	Headers []TrialHeader `json:"headers"`
	TrialBody
}

// TrialResponse is the receiver's answer.
type TrialResponse struct {
	Status  int           `json:"status"`
	Headers []TrialHeader `json:"headers"`
	TrialBody
}

// TrialTimings are in microseconds; 0 = it did not happen, or took nothing.
type TrialTimings struct {
	Compose   float64 `json:"compose_micros" doc:"Transforms, payload and signature."`
	Send      float64 `json:"send_micros,omitempty" doc:"From the request to the whole answer."`
	DNS       float64 `json:"dns_micros,omitempty"`
	Connect   float64 `json:"connect_micros,omitempty"`
	TLS       float64 `json:"tls_micros,omitempty"`
	FirstByte float64 `json:"first_byte_micros,omitempty"`
}

// NewTrialBody shows at most most bytes of body; conceal takes credentials out of a text.
func NewTrialBody(body []byte, most int, conceal func(string) string) TrialBody {
	b := TrialBody{BodyBytes: len(body), Truncated: len(body) > most}
	body = body[:min(len(body), most)]
	for cut := 0; b.Truncated && cut < utf8.UTFMax-1 && !utf8.Valid(body); cut++ { // within a character
		body = body[:len(body)-1]
	}
	switch {
	case len(body) == 0:
	case utf8.Valid(body):
		text := conceal(string(body))
		b.Body = &text
	default:
		b.BodyBase64 = base64.StdEncoding.EncodeToString(body)
	}
	return b
}
