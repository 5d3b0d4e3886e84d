package bench

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"

	"github.com/valyala/fasthttp"

	"edgerelay/relay/sign"
)

// Forward is the limit that a relay is measured against: a process that takes each request and hands it on, with nothing stored, nothing
// parsed and nothing retried. It prints "listening ADDR" to out and serves until in ends. With a secret it also signs what it sends.
func Forward(to, secret string, in io.Reader, out io.Writer) error {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "http" || u.Port() == "" {
		return fmt.Errorf("forward to %q: want http://host:port/path", to)
	}
	f := &forwarder{to: u.RequestURI(), host: u.Host, client: &fasthttp.HostClient{Addr: u.Host, MaxConns: 1 << 16, MaxIdleConnDuration: time.Minute,
		NoDefaultUserAgentHeader: true, DisableHeaderNamesNormalizing: true}}
	if secret != "" {
		if f.signer, err = sign.New("standard", []string{secret}); err != nil {
			return err
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("forward: %w", err)
	}
	server := &fasthttp.Server{Handler: f.handle, MaxRequestBodySize: 64 << 20, NoDefaultDate: true, Logger: quiet{}}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	fmt.Fprintln(out, "listening", ln.Addr())
	go func() {
		io.Copy(io.Discard, in) // until the parent closes it or is gone
		ln.Close()
	}()
	if err := <-served; err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("forward: %w", err)
	}
	return nil
}

type forwarder struct {
	to, host string
	client   *fasthttp.HostClient
	signer   *sign.Signer // nil = unsigned
}

func (f *forwarder) handle(ctx *fasthttp.RequestCtx) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.Header.SetMethod(fasthttp.MethodPost)
	req.SetRequestURI(f.to)
	req.Header.SetHost(f.host)
	req.Header.SetContentType("application/json")
	body := ctx.Request.Body()
	req.SetBodyRaw(body)
	if f.signer != nil {
		var scratch sign.Scratch
		var headers [4]sign.Header
		id, _ := findStamp(body)
		var text [stampSize]byte
		id.put(text[:])
		for _, h := range f.signer.Sign(headers[:0], &scratch, sign.Message{ID: text[:], Unix: ctx.Time().Unix(), Body: body}) {
			req.Header.SetBytesV(h.Name, h.Value)
		}
	}
	if err := f.client.Do(req, resp); err != nil {
		ctx.Error("cannot forward", fasthttp.StatusBadGateway)
		return
	}
	ctx.SetStatusCode(resp.StatusCode())
}
