package deliver

import (
	"fmt"
	"strconv"

	"github.com/valyala/fasthttp"

	"edgerelay/relay/sign"
	"edgerelay/relay/webhooks"
)

// prepare makes the request but for its signature. What is the same for every attempt of a webhook stays in w.request from one attempt
// to the next.
func (w *worker) prepare(t *Target, c *client, body []byte, contentType string) error {
	h := &w.request.Header
	if w.prepared != c || !w.shaped.BodyOnly() {
		if err := w.build(t, c, body); err != nil {
			return err
		}
	}
	if hasBody(h, t.Webhook) {
		if !c.ownContentType {
			h.SetContentType(contentType)
		}
		w.request.SetBodyRaw(body)
	}
	if w.sampled {
		h.SetBytesV("traceparent", w.span.Append(w.traceparent[:0]))
	} else if trace := w.delivery.Event.Trace; len(trace) > 0 {
		h.SetBytesV("traceparent", trace)
	} else {
		h.Del("traceparent")
	}
	return nil
}

// build makes everything of the request that does not change from attempt to attempt, and whatever definitions and transforms add.
func (w *worker) build(t *Target, c *client, body []byte) error {
	h := &w.request.Header
	wh := t.Webhook
	w.prepared = nil
	w.request.Reset()
	h.DisableNormalizing()
	h.SetNoDefaultContentType(true)
	h.SetMethod(reasonOr(w.shaped.Method, wh.Method))
	h.SetUserAgent(w.d.opt.UserAgent)
	if err := w.setURL(wh, body); err != nil {
		return err
	}
	if a := wh.Authorization; a != nil && a.Endpoint != "" && (!c.static || w.shaped.Path != "") {
		if err := w.checkEndpoint(a); err != nil {
			return err
		}
	}
	for i := range wh.Headers {
		if err := w.setHeader(&wh.Headers[i]); err != nil {
			return err
		}
	}
	for i := range w.shaped.Headers {
		h.SetBytesV(w.shaped.Headers[i].Name, w.shaped.Headers[i].Value)
	}
	if wh.Authorization != nil {
		for _, a := range wh.Authorization.Headers {
			h.Set(a.Name, a.Value)
		}
	}
	if c.static && w.shaped.BodyOnly() {
		w.prepared = c
	}
	return nil
}

// hasBody: a GET carries its payload as the query, a DELETE none unless it is asked to.
func hasBody(h *fasthttp.RequestHeader, wh *webhooks.Webhook) bool {
	return !h.IsGet() && (!h.IsDelete() || wh.SendBody)
}

// setURL fills in the URL. The host is fixed when the webhook is loaded; only the path and the query can depend on the event.
func (w *worker) setURL(wh *webhooks.Webhook, body []byte) (err error) {
	text, constant := wh.URL.Constant()
	if constant {
		w.text = append(w.text[:0], text...)
	} else if w.text, err = wh.URL.Append(w.text[:0], &w.input, escapeURL); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	w.request.SetRequestURIBytes(w.text)
	uri := w.request.URI()
	if w.shaped.Path != "" {
		uri.SetPath(w.shaped.Path)
	}
	if w.request.Header.IsGet() {
		appendQuery(uri, body)
	}
	for i := range w.shaped.Query {
		uri.QueryArgs().SetBytesV(w.shaped.Query[i].Name, w.shaped.Query[i].Value)
	}
	return nil
}

func appendQuery(uri *fasthttp.URI, query []byte) {
	if len(query) == 0 {
		return
	}
	if old := uri.QueryString(); len(old) > 0 {
		query = append(append(append(make([]byte, 0, len(old)+1+len(query)), old...), '&'), query...)
	}
	uri.SetQueryStringBytes(query)
}

// escapeURL makes a value safe inside a path segment or a query value: everything but unreserved characters (RFC 3986, 2.3) is escaped.
func escapeURL(dst []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~':
			dst = append(dst, c)
		default:
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}

// setHeader fills in one configured header. A value that could end the header, or begin another, is refused.
func (w *worker) setHeader(h *webhooks.Header) (err error) {
	if text, ok := h.Value.Constant(); ok {
		w.request.Header.Set(h.Name, text)
		return nil
	}
	if w.text, err = h.Value.Append(w.text[:0], &w.input, nil); err != nil {
		return fmt.Errorf("header %s: %w", h.Name, err)
	}
	for _, c := range w.text {
		if c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("header %s: its value has a control character", h.Name)
		}
	}
	w.request.Header.SetBytesV(h.Name, w.text)
	return nil
}

// What every request carries.
var (
	headerID        = []byte("webhook-id")
	headerTimestamp = []byte("webhook-timestamp")
)

// sign adds the signature of exactly the bytes that are sent, for the time of this attempt. The event's id and the attempt's time go
// with every request, also where the scheme does not sign them.
func (w *worker) sign(t *Target, id []byte, unix int64) {
	h := &w.request.Header
	w.text = strconv.AppendInt(w.text[:0], unix, 10)
	h.SetCanonical(headerID, id)
	h.SetCanonical(headerTimestamp, w.text)
	if t.Webhook.Signer == nil {
		return
	}
	m := sign.Message{ID: id, Unix: unix, Body: w.request.Body()}
	if t.Webhook.Signer.CoversRequest() {
		uri := w.request.URI()
		uri.DisablePathNormalizing = true // as the client does: the URL that is signed is the one that is sent
		m.Method, m.Target, m.ContentType = h.Method(), uri.FullURI(), h.ContentType()
	}
	w.headers = t.Webhook.Signer.Sign(w.headers[:0], &w.scratch, m)
	for i := range w.headers {
		h.SetBytesV(w.headers[i].Name, w.headers[i].Value)
	}
}
