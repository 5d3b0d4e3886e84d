package deliver

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"edgerelay/relay/guard"
	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
)

// client is the HTTP side of one webhook: its own connections, so that nobody else's receiver can use them up.
type client struct {
	http           *fasthttp.HostClient
	guard          *guard.Guard
	timeout        time.Duration
	static         bool    // nothing of the request but its body, type, trace and signature depends on the event
	ownContentType bool    // a configured header says the content type
	tokens         *tokens // nil = no access tokens
}

const (
	maxResponse = 64 << 10         // bytes of an answer's body; what is longer is not read, and its connection closed
	readBuffer  = 16 << 10         // an answer's headers must fit
	maxIdleConn = 4 * time.Second  // below the keep-alive time of common servers, so that we close first
	maxConnLife = 10 * time.Minute // so that a change in DNS is noticed
)

func newClient(w *webhooks.Webhook, g *guard.Guard) *client {
	c := &client{guard: g, timeout: w.Timeout, http: &fasthttp.HostClient{
		Addr: w.Host, IsTLS: w.TLS, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		DialTimeout: dialer(g),
		MaxConns:    w.Concurrency + 1, MaxIdleConnDuration: maxIdleConn,
		ReadBufferSize: readBuffer, WriteTimeout: w.Timeout, // the latter is that of the TLS handshake; do sets all others
		// Nothing is sent behind our back: the client's own Do, which resends and follows defaults, is never called.
		MaxIdemponentCallAttempts: 1, RetryIfErr: func(*fasthttp.Request, int, error) (bool, bool) { return false, false },
	}}
	_, c.static = w.URL.Constant()
	c.static = c.static && w.Method != fasthttp.MethodGet
	for i := range w.Headers {
		_, constant := w.Headers[i].Value.Constant()
		c.static = c.static && constant
		c.ownContentType = c.ownContentType || strings.EqualFold(w.Headers[i].Name, fasthttp.HeaderContentType)
	}
	return c
}

func (c *client) close() { c.http.CloseIdleConnections() }

// send makes the request and says what came of it.
func (w *worker) send(c *client) Outcome {
	w.sent = true
	err := c.do(&w.exchange, &w.request, &w.response, time.Now().Add(c.timeout))
	if w.exchange.Resent {
		w.d.opt.Metrics.DeliveryResends.Inc()
	}
	if err != nil {
		return classify(err)
	}
	status := w.response.StatusCode()
	switch {
	case status >= 200 && status < 300:
		return Outcome{Status: status}
	case status == fasthttp.StatusGone:
		return Outcome{Reason: queue.ReasonGone, Status: status, Detail: "the receiver answered 410 Gone"}
	}
	return Outcome{Reason: queue.ReasonStatus, Status: status, Detail: fmt.Sprintf("the receiver answered %d", status),
		RetryAfter: ParseRetryAfter(w.response.Header.Peek("Retry-After"), w.d.opt.Now())}
}

// classify finds the reason behind an error of the client. Details say what happened, not where to: the URL may hold secrets.
func classify(err error) Outcome {
	if why, refused := guard.Refused(err); refused {
		return Outcome{Reason: queue.ReasonBlocked, Detail: why}
	}
	var files *filesError
	var proxy *guard.ProxyError
	var dns *net.DNSError
	var op *net.OpError
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &files):
		return Outcome{Reason: queue.ReasonTLS, Detail: files.Error(), Ours: true}
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.ENOBUFS),
		errors.Is(err, fasthttp.ErrNoFreeConns):
		return Outcome{Reason: queue.ReasonConnect, Detail: "we have no connection to spare: " + rootCause(err), Ours: true}
	case errors.As(err, &proxy) && !proxy.Timeout():
		return Outcome{Reason: queue.ReasonConnect, Detail: proxy.Error()}
	case errors.As(err, &dns):
		return Outcome{Reason: queue.ReasonDNS, Detail: "the receiver's name does not resolve: " + dns.Err}
	case errors.As(err, &verify), errors.As(err, &record), errors.As(err, &alert), errors.As(err, &unknown),
		errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error"): // an alert, from crypto/tls
		return Outcome{Reason: queue.ReasonTLS, Detail: "TLS: " + rootCause(err)}
	case timedOut(err), errors.Is(err, os.ErrDeadlineExceeded):
		return Outcome{Reason: queue.ReasonTimeout, Detail: "no complete answer in time"}
	case errors.As(err, &op) && op.Op == "dial":
		return Outcome{Reason: queue.ReasonConnect, Detail: "cannot connect: " + rootCause(err)}
	case errors.Is(err, fasthttp.ErrConnectionClosed), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.As(err, &op):
		return Outcome{Reason: queue.ReasonReset, Detail: "the connection broke before a complete answer"}
	}
	return Outcome{Reason: queue.ReasonProtocol, Detail: "the answer is not usable HTTP"}
}

// rootCause is the innermost error's text: the outer ones repeat addresses.
func rootCause(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}
