package deliver

import (
	"bytes"
	"net"
	"strings"
	"time"
	"unsafe"

	"edgerelay/relay/history"
	"edgerelay/relay/queue"
	"edgerelay/transform"
)

// record tells the history about the attempt that was just settled. It allocates nothing once the worker's buffers have grown, and never
// waits. What it hands over are views: the history copies.
func (w *worker) record(del *queue.Delivery, t *Target, start time.Time, o Outcome, r *result, took time.Duration) {
	h := w.d.opt.History
	keep := t == nil || !t.Webhook.LogErrors || r.verdict.Action != Ack
	if !h.Wants(keep) {
		return
	}
	a := &w.attempt
	a.Reset()
	e := &del.Event
	a.Delivery, a.Webhook, a.Event, a.Keep = del.ID(), del.Webhook, e, keep
	a.EventID, a.Type, a.Tenant, a.Program, a.Mark = e.ID, e.Type, e.Tenant, e.Program, e.Mark
	a.Number, a.Start, a.Detail, a.HTTPStatus = del.Attempts+1, start, o.Detail, o.Status
	a.Reason = o.Reason.String()
	switch {
	case o.Reason == queue.ReasonDropped:
		a.Status = history.StatusDropped
	case r.verdict.Action == Ack:
		a.Status = history.StatusDelivered
	case r.verdict.Action == Retry:
		a.Status, a.Next = history.StatusRetrying, r.verdict.Due
	default:
		a.Status = history.StatusDead
	}
	a.Timings.Total = took
	if t != nil {
		a.WebhookName = t.Webhook.Name
		w.recordLog(a)
	}
	if w.sent {
		w.recordExchange(a, t, h.CaptureBody())
	}
	h.Attempt(a)
}

// recordExchange describes the request that was made and the answer.
func (w *worker) recordExchange(a *history.Attempt, t *Target, most int) {
	isTLS := t.Webhook.TLS
	total := a.Timings.Total
	a.Timings = w.exchange.Times
	a.Timings.Total = total
	req := &w.request
	uri := req.URI()
	uri.DisablePathNormalizing = true // as the client does
	a.Method = req.Header.Method()
	a.URL = w.redactURL(uri.Scheme(), uri.Host(), uri.RequestURI(), isTLS)
	for name, value := range req.Header.All() {
		a.AddRequestHeader(name, w.visible(t, name, value))
	}
	body := req.Body()
	a.RequestSize, a.RequestBody = len(body), body[:min(len(body), most)]
	a.SameAsEvent = sameBytes(body, a.Event.Envelope)
	resp := &w.response
	if addr, ok := resp.RemoteAddr().(*net.TCPAddr); ok {
		a.Remote = addr.AddrPort().AppendTo(a.Remote[:0])
	}
	if resp.StatusCode() == 0 || a.HTTPStatus == 0 {
		return // nothing usable came
	}
	for name, value := range resp.Header.All() {
		a.AddResponseHeader(name, w.visible(t, name, value))
	}
	body = resp.Body()
	a.ResponseSize, a.ResponseBody = len(body), body[:min(len(body), most)]
}

// sameBytes says whether a and b are the same memory.
func sameBytes(a, b []byte) bool {
	return len(a) == len(b) && len(a) > 0 && unsafe.SliceData(a) == unsafe.SliceData(b)
}

// maxTransformLog bounds what is kept of what transforms wrote to their logs.
const maxTransformLog = 16 << 10

var logLevels = [...]string{transform.LevelDebug: "debug ", transform.LevelInfo: "info ", transform.LevelWarn: "warn ", transform.LevelError: "error "}

// recordLog keeps what the transforms logged, a line each.
func (w *worker) recordLog(a *history.Attempt) {
	for i := range w.shaped.Log {
		l := &w.shaped.Log[i]
		if len(a.TransformLog)+len(l.Text) > maxTransformLog {
			a.TransformLog = append(a.TransformLog, "…\n"...)
			return
		}
		a.TransformLog = append(append(append(a.TransformLog, logLevels[l.Level]...), l.Text...), '\n')
	}
}

var redacted = []byte(Redacted)

// visible returns what may be kept of a header's value: names that people give to credentials show none.
func (w *worker) visible(t *Target, name, value []byte) []byte {
	secret, known := w.secretNames[string(name)]
	if !known {
		if len(w.secretNames) > 256 || w.secretNames == nil {
			w.secretNames = map[string]bool{}
		}
		secret = looksSecret(string(name))
		w.secretNames[string(name)] = secret
	}
	if a := t.Webhook.Authorization; a != nil {
		for i := range a.Headers {
			if strings.EqualFold(a.Headers[i].Name, string(name)) {
				secret = a.Headers[i].Secret
			}
		}
	}
	if secret {
		return redacted
	}
	return value
}

// secretWords are what names of headers and query parameters with credentials have in them.
var secretWords = []string{"auth", "cookie", "credential", "key", "passw", "secret", "session", "sig", "token"}

func looksSecret(name string) bool {
	name = strings.ToLower(name)
	for _, word := range secretWords {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// redactURL puts the URL together, without the values of query parameters that look like credentials.
func (w *worker) redactURL(scheme, host, target []byte, isTLS bool) []byte {
	if len(scheme) == 0 || isTLS {
		scheme = httpsScheme
	}
	w.text = append(append(append(append(w.text[:0], scheme...), "://"...), host...), target...)
	at := bytes.IndexByte(w.text, '?')
	if at < 0 {
		return w.text
	}
	query := string(w.text[at+1:])
	w.text = w.text[:at+1]
	for i, part := range strings.Split(query, "&") {
		if i > 0 {
			w.text = append(w.text, '&')
		}
		name, _, has := strings.Cut(part, "=")
		if has && looksSecret(name) {
			w.text = append(append(append(w.text, name...), '='), Redacted...)
		} else {
			w.text = append(w.text, part...)
		}
	}
	return w.text
}

var httpsScheme = []byte("https")
