package ingress

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"github.com/valyala/fasthttp"

	"edgerelay/relay/metrics"
)

// request is what the header of a request decides by itself.
type request struct {
	route    metrics.Route
	producer *producer // of an event; never nil without a problem
	problem  problem
}

// bodyLimit runs between header and body. The body of a request that will be refused anyway is not read: somebody without a token
// cannot make the relay hold megabytes. fasthttp then calls refuse with ErrBodyTooLarge.
func (s *Server) bodyLimit(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if s.check(h).problem.kind == nil {
		return fasthttp.RequestConfig{MaxRequestBodySize: s.opts.MaxBody}
	}
	if h.ContentLength() == -1 {
		// fasthttp begins to read a chunked body before it looks at the limit, and forgets the header when it meets it. With a length
		// in its place it does neither.
		h.SetContentLength(math.MaxInt32)
	}
	return fasthttp.RequestConfig{MaxRequestBodySize: 1}
}

// check looks at everything that is not the event itself. It runs twice per request, before and after the body, because fasthttp gives
// no place to keep the first result; it allocates nothing unless something is wrong.
func (s *Server) check(h *fasthttp.RequestHeader) request {
	r := request{route: metrics.RouteOther}
	if detail := framingFault(h); detail != "" {
		r.problem = problem{kind: kindFraming, detail: detail}
		return r
	}
	target := path(h.RequestURI())
	switch string(target) {
	case "/v1/events":
		r.route = metrics.RouteEvents
		if !h.IsPost() {
			r.problem.kind = kindMethodEvents
			return r
		}
		r.producer, r.problem = s.checkEvent(h)
		return r
	case "/healthz":
		r.route = metrics.RouteHealth
	case "/readyz":
		r.route = metrics.RouteReady
	default:
		r.problem = unknownRoute(target)
		return r
	}
	if !h.IsGet() && !h.IsHead() {
		r.problem.kind = kindMethodHealth
	}
	return r
}

func unknownRoute(target []byte) problem {
	switch {
	case string(target) == "/v1/events/batch":
		return problem{kind: kindNotAvailable, detail: "batches are not available in this version: send events one by one to /v1/events"}
	case bytes.HasPrefix(target, []byte("/v1/sources/")):
		return problem{kind: kindNotAvailable, detail: "sources are not available in this version: send events to /v1/events"}
	}
	return problem{kind: kindNotFound, detail: "events are sent to /v1/events"}
}

// path is the target without its query, as it was sent: nothing is decoded or cleaned, so no two spellings lead to one route.
func path(target []byte) []byte {
	if len(target) > 0 && target[0] != '/' { // absolute-form, http://host/path, which every server must take
		_, rest, ok := bytes.Cut(target, []byte("://"))
		slash := bytes.IndexByte(rest, '/')
		if !ok || slash < 0 {
			return nil
		}
		target = rest[slash:]
	}
	if q := bytes.IndexByte(target, '?'); q >= 0 {
		target = target[:q]
	}
	return target
}

func (s *Server) checkEvent(h *fasthttp.RequestHeader) (*producer, problem) {
	if s.draining.Load() {
		return nil, problem{kind: kindDraining}
	}
	who := s.policy.Load().authenticate(h.Peek(fasthttp.HeaderAuthorization))
	if who == nil {
		return nil, problem{kind: kindUnauthorized}
	}
	if len(h.ContentEncoding()) > 0 {
		return nil, problem{kind: kindEncoding, detail: "send the event without Content-Encoding"}
	}
	if detail := mediaTypeFault(h); detail != "" {
		return nil, problem{kind: kindMediaType, detail: detail}
	}
	return who, problem{}
}

// mediaTypeFault says why the body is not an event as JSON, or nothing. Parameters do not matter: JSON is UTF-8, and that is checked.
func mediaTypeFault(h *fasthttp.RequestHeader) string {
	media, _, _ := bytes.Cut(h.ContentType(), []byte(";"))
	media = bytes.TrimSpace(media)
	switch {
	case len(h.Peek("Ce-Specversion")) > 0 || hasPrefixFold(media, "application/cloudevents"):
		return `CloudEvents are not available in this version: send {"type":…,"data":…} as application/json, without ce- headers`
	case len(media) == 0 || equalFold(media, "application/json"):
		return ""
	}
	return `send {"type":…,"data":…} with Content-Type: application/json`
}

// framingFault says why it is in doubt where the request ends, or nothing. fasthttp tolerates some of these. A proxy in front of us may read them
// differently, and then one producer's bytes would become another one's request; so each of them ends the connection.
func framingFault(h *fasthttp.RequestHeader) string {
	if !h.IsHTTP11() && string(h.Protocol()) != "HTTP/1.0" {
		return "only HTTP/1.1 and HTTP/1.0 are spoken here"
	}
	var length, encoding bool
	for raw := h.RawHeaders(); len(raw) > 0; {
		end := bytes.IndexByte(raw, '\n')
		if end < 1 || raw[end-1] != '\r' {
			return "a header line does not end in CR LF"
		}
		line := raw[:end-1]
		raw = raw[end+1:]
		if len(line) == 0 {
			break
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 1 || bytes.ContainsAny(line[:colon], " \t") {
			return "white space in front of or within a header's name"
		}
		switch colon {
		case len("Content-Length"):
			length = length || equalFold(line[:colon], "Content-Length")
		case len("Transfer-Encoding"):
			if !equalFold(line[:colon], "Transfer-Encoding") {
				continue
			}
			if encoding || !equalFold(bytes.TrimSpace(line[colon+1:]), "chunked") { // fasthttp takes "identity" for nothing
				return "a Transfer-Encoding other than chunked"
			}
			encoding = true
		}
	}
	if encoding && length {
		return "both Content-Length and Transfer-Encoding"
	}
	return ""
}

// wantsClose reads the Connection header as the list of names that it is; fasthttp knows only the plain word "close".
func wantsClose(h *fasthttp.RequestHeader) bool {
	if h.ConnectionClose() {
		return true
	}
	for rest := h.Peek(fasthttp.HeaderConnection); len(rest) > 0; {
		var option []byte
		option, rest, _ = bytes.Cut(rest, []byte(","))
		if equalFold(bytes.TrimSpace(option), "close") {
			return true
		}
	}
	return false
}

// equalFold compares ASCII without regard to case and without allocating.
func equalFold(b []byte, s string) bool { return len(b) == len(s) && hasPrefixFold(b, s) }

func hasPrefixFold(b []byte, s string) bool {
	return len(b) >= len(s) && strings.EqualFold(string(b[:len(s)]), s)
}

func (s *Server) tooLarge() problem {
	return problem{kind: kindTooLarge, detail: fmt.Sprintf("an event may have at most %d bytes", s.opts.MaxBody)}
}
