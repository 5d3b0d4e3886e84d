package guard

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Proxy is an HTTP proxy that connections are asked of with CONNECT.
//
// A proxy connects where we cannot look, so what a Guard promises needs care. Unless ResolveThere is set, names are resolved here, the
// addresses checked, and the proxy is told an address: what it connects to is what was checked. With ResolveThere it gets the name, and only
// addresses that are written as such are checked here; the rest is up to the proxy's own rules.
type Proxy struct {
	addr          string
	tls           *tls.Config // nil = plain
	authorization string      // "" = none
	there         bool
	names         []string // passed by: exact, or beginning with a dot for everything below
	networks      []netip.Prefix
}

// ProxyOptions describe a Proxy.
type ProxyOptions struct {
	URL          *url.URL // http or https, host and port
	Username     string
	Password     string
	TLS          *tls.Config // for https; nil = the system's authorities
	ResolveThere bool
	// Bypass lists what is connected to directly: names, .suffixes, addresses and networks in CIDR notation. The last two are compared with
	// hosts that are written as addresses.
	Bypass []string
}

// NewProxy makes a Proxy.
func NewProxy(o ProxyOptions) *Proxy {
	p := &Proxy{there: o.ResolveThere}
	port := o.URL.Port()
	if o.URL.Scheme == "https" {
		p.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		if o.TLS != nil {
			p.tls = o.TLS.Clone()
		}
		p.tls.ServerName = o.URL.Hostname()
		if port == "" {
			port = "443"
		}
	} else if port == "" {
		port = "80"
	}
	p.addr = net.JoinHostPort(o.URL.Hostname(), port)
	if o.Username != "" || o.Password != "" {
		p.authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(o.Username+":"+o.Password))
	}
	for _, b := range o.Bypass {
		if prefix, err := netip.ParsePrefix(b); err == nil {
			p.networks = append(p.networks, prefix.Masked())
		} else if ip, err := netip.ParseAddr(b); err == nil {
			p.networks = append(p.networks, netip.PrefixFrom(ip, ip.BitLen()))
		} else {
			p.names = append(p.names, strings.TrimSuffix(strings.ToLower(b), "."))
		}
	}
	return p
}

// passes says whether addr is connected to directly.
func (p *Proxy) passes(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		for _, n := range p.networks {
			if n.Contains(ip.Unmap()) {
				return true
			}
		}
		return false
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	for _, name := range p.names {
		if host == name || strings.HasPrefix(name, ".") && strings.HasSuffix(host, name) {
			return true
		}
	}
	return false
}

// ProxyError is a refusal by the proxy, or trouble on the way to it.
type ProxyError struct {
	Status int // of its answer; 0 = there was none
	err    error
}

// Error says what happened in words for people.
func (e *ProxyError) Error() string {
	switch {
	case e.Status == http.StatusProxyAuthRequired:
		return "the proxy wants other credentials (407): see sender.proxy"
	case e.Status == http.StatusForbidden:
		return "the proxy forbids this receiver (403)"
	case e.Status != 0:
		return fmt.Sprintf("the proxy cannot reach the receiver (%d)", e.Status)
	}
	return "cannot get through the proxy: " + rootCause(e.err)
}

func (e *ProxyError) Unwrap() error { return e.err }

// Timeout says whether it was one.
func (e *ProxyError) Timeout() bool {
	var t interface{ Timeout() bool }
	return e.Status == http.StatusGatewayTimeout || errors.As(e.err, &t) && t.Timeout()
}

func rootCause(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

// errNumeric is a host such as 0x7f.1 or 2130706433, which is no address and no name, but which some resolvers make an address of.
var errNumeric = errors.New("a host that ends in a number")

// maxTries is how many addresses of one name are asked of the proxy.
const maxTries = 3

// dialProxy connects through the proxy.
func (g *Guard) dialProxy(ctx context.Context, addr string) (*Conn, error) {
	begin := time.Now()
	targets, err := g.targets(ctx, addr)
	if err != nil {
		return nil, err
	}
	resolved := time.Since(begin)
	var first error
	for i, target := range targets {
		if i == maxTries {
			break
		}
		conn, err := g.proxy.connect(ctx, target)
		if err == nil {
			c := &Conn{Conn: conn, DNS: resolved, Connected: time.Now()}
			c.Connect = c.Connected.Sub(begin) - resolved
			return c, nil
		}
		if first == nil {
			first = err
		}
		var pe *ProxyError
		if !errors.As(err, &pe) || pe.Status < 500 { // another address would fare no better
			break
		}
	}
	return nil, first
}

// targets lists what the proxy may be asked for, checked.
func (g *Guard) targets(ctx context.Context, addr string) ([]string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
	if err != nil {
		return nil, err
	}
	var ips []netip.Addr
	ip, notIP := netip.ParseAddr(host)
	switch {
	case notIP == nil:
		ips = []netip.Addr{ip}
	case g.proxy.there && endsInNumber(host):
		return nil, errNumeric
	case g.proxy.there && localName(host): // where the proxy is, that is somebody
		ips = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	case g.proxy.there:
		return []string{addr}, nil
	default:
		if ips, err = g.names.LookupNetIP(ctx, "ip", host); err != nil {
			return nil, err
		}
	}
	var targets []string
	var refusal error
	for _, ip := range ips {
		ip = ip.Unmap()
		ap := netip.AddrPortFrom(ip, uint16(n))
		if err := g.Check(ap); err != nil {
			refusal = err
			continue
		}
		targets = append(targets, ap.String())
	}
	if len(targets) == 0 {
		return nil, refusal
	}
	return targets, nil
}

func localName(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// endsInNumber: its last label begins with a digit, as every spelling of an IPv4 address does and no public name.
func endsInNumber(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	return last == "" || last[0] >= '0' && last[0] <= '9'
}

// connect asks the proxy for a connection to target.
func (p *Proxy) connect(ctx context.Context, target string) (net.Conn, error) {
	// The operator chose the proxy, and it usually has a private address: no guard stands before it.
	d := net.Dialer{Timeout: Timeout, KeepAlive: keepAlive}
	conn, err := d.DialContext(ctx, "tcp", p.addr)
	if err != nil {
		return nil, &ProxyError{err: err}
	}
	if p.tls != nil {
		secure := tls.Client(conn, p.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, &ProxyError{err: err}
		}
		conn = secure
	}
	if err := p.ask(ctx, conn, target); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (p *Proxy) ask(ctx context.Context, conn net.Conn, target string) error {
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	request := "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n"
	if p.authorization != "" {
		request += "Proxy-Authorization: " + p.authorization + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return &ProxyError{err: err}
	}
	const maxAnswer = 16 << 10
	br := bufio.NewReader(io.LimitReader(conn, maxAnswer))
	resp, err := http.ReadResponse(br, &http.Request{Method: http.MethodConnect})
	switch {
	case err != nil:
		return &ProxyError{err: err}
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return &ProxyError{Status: resp.StatusCode}
	case br.Buffered() > 0: // nobody has spoken to the receiver yet
		return &ProxyError{err: errors.New("it sent something before it was asked")}
	}
	conn.SetDeadline(time.Time{})
	return nil
}
