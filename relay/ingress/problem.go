package ingress

import (
	"encoding/json"
	"errors"
	"net"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"edgerelay/relay/catalogue"
	"edgerelay/relay/metrics"
)

// kind is one sort of error as producers see it. Its name is an interface: programs decide by it.
type kind struct {
	status     int
	name       string // the end of the type, urn:edgerelay:problem:…
	title      string
	retryAfter string // seconds, "" = no Retry-After
	header     string // a header that belongs to this answer, and its value
	value      string
	close      bool // the connection is in doubt, or is to go elsewhere
}

// Every error of the ingress. The list is part of the interface: never rename, only add.
var (
	kindMalformed      = &kind{status: 400, name: "malformed", title: "The event is malformed"}
	kindFraming        = &kind{status: 400, name: "framing", title: "The request is not proper HTTP/1.1", close: true}
	kindKey            = &kind{status: 400, name: "idempotency-key", title: "The Idempotency-Key is malformed"}
	kindUnauthorized   = &kind{status: 401, name: "unauthorized", title: "A valid bearer token is required", header: "WWW-Authenticate", value: "Bearer"}
	kindForbidden      = &kind{status: 403, name: "forbidden", title: "The token is for another tenant or program"}
	kindNotFound       = &kind{status: 404, name: "not-found", title: "There is no such route"}
	kindNotAvailable   = &kind{status: 404, name: "not-available", title: "This version does not have this route yet"}
	kindMethodEvents   = &kind{status: 405, name: "method-not-allowed", title: "Events are sent with POST", header: "Allow", value: "POST"}
	kindMethodHealth   = &kind{status: 405, name: "method-not-allowed", title: "Health is asked with GET", header: "Allow", value: "GET, HEAD"}
	kindTimeout        = &kind{status: 408, name: "timeout", title: "The request did not arrive in time", close: true}
	kindTooLarge       = &kind{status: 413, name: "too-large", title: "The event is too large"}
	kindMediaType      = &kind{status: 415, name: "media-type", title: "Events are sent as application/json", header: "Accept-Post", value: "application/json"}
	kindEncoding       = &kind{status: 415, name: "content-encoding", title: "Compressed requests are not accepted", header: "Accept-Encoding", value: "identity"}
	kindMismatch       = &kind{status: 422, name: "id-mismatch", title: "This id was used within the last 24 hours for a different event"}
	kindUnknownType    = &kind{status: 422, name: "unknown-event-type", title: "The event type is not configured"}
	kindReservedType   = &kind{status: 422, name: "reserved-event-type", title: "The event type is reserved for the relay itself"}
	kindSchema         = &kind{status: 422, name: "schema", title: "The event does not fit the schema of its type"}
	kindTenantRequired = &kind{status: 422, name: "tenant-required", title: "The event must name its tenant"}
	kindRate           = &kind{status: 429, name: "rate-limit", title: "This tenant hands in more events than it may; the event was not stored"}
	kindHeaderTooLarge = &kind{status: 431, name: "header-too-large", title: "The request's header is too large", close: true}
	kindInternal       = &kind{status: 500, name: "internal", title: "The relay failed to handle the request", close: true}
	kindQueueFull      = &kind{status: 503, name: "queue-full", title: "The queue is full; the event was not stored", retryAfter: "30"}
	kindQuota          = &kind{status: 503, name: "tenant-full", title: "Too many bytes of this tenant wait for delivery; the event was not stored", retryAfter: "30"}
	kindDiskLow        = &kind{status: 503, name: "disk-low", title: "The disk is nearly full; the event was not stored", retryAfter: "60"}
	kindQueueFailed    = &kind{status: 503, name: "queue-failed", title: "The queue has failed and waits for a restart", retryAfter: "30"}
	kindDraining       = &kind{status: 503, name: "draining", title: "The relay is shutting down", retryAfter: "5", close: true}
	kindInterrupted    = &kind{status: 503, name: "interrupted", title: "The relay is shutting down; whether the event was stored is not known", retryAfter: "5", close: true}
	kindNotReady       = &kind{status: 503, name: "not-ready", title: "The relay does not take events at the moment", retryAfter: "5"}
	kindBusy           = &kind{status: 503, name: "too-many-connections", title: "Too many connections", retryAfter: "1", close: true}
)

// problem is one error: its kind and, perhaps, what exactly was wrong. The zero value means that there is none.
type problem struct {
	kind       *kind
	detail     string
	violations []catalogue.Violation // of a schema
	retryAfter int                   // seconds, where the kind does not know; 0 = it does
	producer   string                // the token's name, when it is known
}

// body is the answer's body, RFC 9457.
func (p problem) body() []byte {
	b, err := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail,omitempty"`

		Errors []catalogue.Violation `json:"errors,omitempty"`
	}{"urn:edgerelay:problem:" + p.kind.name, p.kind.title, p.kind.status, p.detail, p.violations})
	if err != nil {
		panic("BUG: a struct of strings cannot be encoded: " + err.Error())
	}
	return append(b, '\n')
}

func (s *Server) answer(ctx *fasthttp.RequestCtx, p problem) {
	r := &ctx.Response
	r.SetStatusCode(p.kind.status)
	r.Header.SetContentType("application/problem+json")
	if p.kind.retryAfter != "" {
		r.Header.Set("Retry-After", p.kind.retryAfter)
	} else if p.retryAfter > 0 {
		r.Header.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if p.kind.header != "" {
		r.Header.Set(p.kind.header, p.kind.value)
	}
	s.logRefused(ctx, p)
	if p.kind.close {
		ctx.SetConnectionClose()
		lingerOn(ctx)
	}
	r.SetBody(p.body())
}

// lingerOn keeps the connection's end back for a moment: the producer may still be sending, and closing at once would make the kernel
// send a reset, which takes the answer with it.
func lingerOn(ctx *fasthttp.RequestCtx) {
	if c := innerConn(ctx.Conn()); c != nil {
		c.linger.Store(true)
	}
}

// refuse answers a request that could not be read to its end; fasthttp closes the connection afterwards.
func (s *Server) refuse(ctx *fasthttp.RequestCtx, err error) {
	route, p := metrics.RouteOther, problem{kind: kindFraming}
	var small *fasthttp.ErrSmallBuffer
	switch {
	case errors.As(err, &small):
		p.kind = kindHeaderTooLarge
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		route, p = s.tooLargeOrRefused(&ctx.Request.Header)
	case isTimeout(err):
		p.kind = kindTimeout
	}
	s.answer(ctx, p)
	s.opts.Metrics.IngressRequest(route, p.kind.status)
	lingerOn(ctx)
}

// tooLargeOrRefused finds out why a body was larger than its limit: because it is, or because bodyLimit gave it none.
func (s *Server) tooLargeOrRefused(h *fasthttp.RequestHeader) (metrics.Route, problem) {
	if len(h.RawHeaders()) == 0 { // a chunked body within the usual limit: fasthttp has forgotten the header on the way
		return metrics.RouteEvents, s.tooLarge()
	}
	r := s.check(h)
	if r.problem.kind == nil {
		r.problem = s.tooLarge()
	}
	return r.route, r.problem
}

// isTimeout recognises a read that ran into its deadline. Within a chunked body fasthttp hides the cause, only its text is left.
func isTimeout(err error) bool {
	var ne net.Error
	if errors.As(err, &ne) {
		return ne.Timeout()
	}
	return strings.HasSuffix(err.Error(), "i/o timeout")
}
