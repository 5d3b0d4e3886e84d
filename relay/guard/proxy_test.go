package guard

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"

	"edgerelay/relay/guard/dnstest"
)

// connectProxy is a proxy that connects to wherever to leads, and remembers what it was asked for.
type connectProxy struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []string
	auth   []string
	answer string            // instead of connecting
	to     map[string]string // what a target stands for here
}

func newConnectProxy(t *testing.T, encrypted bool) *connectProxy {
	p := &connectProxy{to: map[string]string{}}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked, p.auth = append(p.asked, r.Method+" "+r.RequestURI), append(p.auth, r.Header.Get("Proxy-Authorization"))
		answer, to := p.answer, p.to[r.RequestURI]
		p.mu.Unlock()
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if answer != "" {
			io.WriteString(conn, answer)
			return
		}
		out, err := net.Dial("tcp", to)
		if err != nil {
			io.WriteString(conn, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
			return
		}
		defer out.Close()
		io.WriteString(conn, "HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
		go io.Copy(out, rw)
		io.Copy(conn, out)
	}))
	if encrypted {
		p.StartTLS()
	} else {
		p.Start()
	}
	t.Cleanup(p.CloseClientConnections)
	return p
}

func (p *connectProxy) seen() (asked, auth string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked, auth = strings.Join(p.asked, "; "), strings.Join(p.auth, "; ")
	p.asked, p.auth = nil, nil
	return asked, auth
}

func proxied(t *testing.T, p *connectProxy, z *dnstest.Zone, change func(*ProxyOptions)) *Guard {
	t.Helper()
	u, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	o := ProxyOptions{URL: u}
	if c := p.Certificate(); c != nil {
		o.TLS = p.Client().Transport.(*http.Transport).TLSClientConfig
	}
	if change != nil {
		change(&o)
	}
	return New(Options{Proxy: NewProxy(o), Resolver: z.Resolver()})
}

var public, public6 = netip.MustParseAddr("93.184.215.14"), netip.MustParseAddr("2606:2800:21f:cb07::1")

// TestThroughAProxy: what is asked of the proxy is the address that was checked, and what comes back is the receiver's.
func TestThroughAProxy(t *testing.T) {
	receiver, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	go func() {
		for {
			conn, err := receiver.Accept()
			if err != nil {
				return
			}
			if line, _ := bufio.NewReader(conn).ReadString('\n'); line == "hello?\n" {
				io.WriteString(conn, "hello\n")
			}
			conn.Close()
		}
	}()
	z := &dnstest.Zone{Names: map[string][][]netip.Addr{"receiver.test": dnstest.One(public), "proxy.only.test": dnstest.One(netip.MustParseAddr("10.0.0.1"))}}
	for _, c := range []struct {
		name      string
		encrypted bool
		change    func(*ProxyOptions)
		addr      string
		asked     string
		auth      string
	}{
		{"a name", false, nil, "receiver.test:443", "93.184.215.14:443", ""},
		{"an address", false, nil, "93.184.215.14:80", "93.184.215.14:80", ""},
		{"with credentials", false, func(o *ProxyOptions) { o.Username, o.Password = "Aladdin", "open sesame" }, "receiver.test:443", "93.184.215.14:443", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},
		{"encrypted", true, func(o *ProxyOptions) { o.Username = "u" }, "receiver.test:443", "93.184.215.14:443", "Basic dTo="},
		{"names are the proxy's", false, func(o *ProxyOptions) { o.ResolveThere = true }, "nowhere.test:443", "nowhere.test:443", ""},
	} {
		p := newConnectProxy(t, c.encrypted)
		p.to[c.asked] = receiver.Addr().String()
		conn, err := proxied(t, p, z, c.change).Dial(t.Context(), c.addr)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		io.WriteString(conn, "hello?\n")
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || line != "hello\n" || conn.Connected.IsZero() || conn.Connect <= 0 {
			t.Errorf("%s: %q %v %+v", c.name, line, err, conn)
		}
		conn.Close()
		if asked, auth := p.seen(); asked != "CONNECT "+c.asked || auth != c.auth {
			t.Errorf("%s: %q %q", c.name, asked, auth)
		}
	}
}

// TestGuardBeforeAProxy: the proxy is never asked for what may not be reached, whoever resolves names.
func TestGuardBeforeAProxy(t *testing.T) {
	private, loop := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("127.0.0.1")
	z := &dnstest.Zone{Names: map[string][][]netip.Addr{"private.test": dnstest.One(private), "loop.test": dnstest.One(loop), "loop6.test": dnstest.One(netip.IPv6Loopback()),
		"mixed.test": dnstest.One(loop, public, netip.IPv6Loopback(), public6), "mapped.test": dnstest.One(netip.MustParseAddr("::ffff:127.0.0.1")),
		"rebound.test": {{public}, {loop}}}, Aliases: map[string]string{"alias.test": "private.test"}}
	p := newConnectProxy(t, false)
	p.answer = "HTTP/1.1 403 Forbidden\r\n\r\n"
	for _, there := range []bool{false, true} {
		g := proxied(t, p, z, func(o *ProxyOptions) { o.ResolveThere = there })
		for _, host := range []string{"127.0.0.1", "10.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "169.254.169.254", "168.63.129.16", "[64:ff9b::7f00:1]", "0.0.0.0",
			"localhost", "LocalHost.", "a.localhost", "2130706433", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1", "127.0.0.1.", "[fe80::1%25lo]", "[::1%25lo]"} {
			if err := dial(t, g, host+":80"); err == nil {
				t.Errorf("resolve there %v: %s: connected", there, host)
			}
			if asked, _ := p.seen(); asked != "" {
				t.Errorf("resolve there %v: %s: the proxy was asked: %s", there, host, asked)
			}
		}
	}
	g := proxied(t, p, z, nil)
	for _, host := range []string{"private.test", "loop.test", "loop6.test", "mapped.test", "alias.test", "unknown.test"} {
		if err := dial(t, g, host+":80"); err == nil || refused(err) == (host == "unknown.test") {
			t.Errorf("%s: %v", host, err)
		}
		if asked, _ := p.seen(); asked != "" {
			t.Errorf("%s: the proxy was asked: %s", host, asked)
		}
	}
	// Of several addresses only those that may be reached are asked for; a name that changes its mind is found out.
	p.answer = "HTTP/1.1 502 Bad Gateway\r\n\r\n"
	dial(t, g, "mixed.test:80")
	if asked, _ := p.seen(); strings.Contains(asked, "127.0.0.1") || strings.Contains(asked, "[::1]") || !strings.Contains(asked, "CONNECT 93.184.215.14:80") || !strings.Contains(asked, "CONNECT ["+public6.String()+"]:80") {
		t.Errorf("mixed: %s", asked)
	}
	dial(t, g, "rebound.test:80")
	if err := dial(t, g, "rebound.test:80"); !refused(err) {
		t.Errorf("rebound: %v", err)
	}
	if asked, _ := p.seen(); asked != "CONNECT 93.184.215.14:80" {
		t.Errorf("rebound: %s", asked)
	}
}

// TestProxyTrouble: what goes wrong at the proxy is told as such.
func TestProxyTrouble(t *testing.T) {
	z := &dnstest.Zone{Names: map[string][][]netip.Addr{"receiver.test": dnstest.One(public)}}
	p := newConnectProxy(t, false)
	for answer, want := range map[string]string{
		"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n":        "other credentials",
		"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno":     "forbids",
		"HTTP/1.1 503 Service Unavailable\r\n\r\n":                  "cannot reach the receiver (503)",
		"HTTP/1.1 200 OK\r\n\r\nsurprise":                           "before it was asked",
		"SSH-2.0-x\r\n\r\n":                                         "cannot get through the proxy",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 64<<10):      "cannot get through the proxy",
		"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n": "(302)",
	} {
		p.mu.Lock()
		p.answer = answer
		p.mu.Unlock()
		err := dial(t, proxied(t, p, z, func(o *ProxyOptions) { o.Username, o.Password = "u", "CANARY" }), "receiver.test:443")
		var pe *ProxyError
		if !errors.As(err, &pe) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%.30q: %v", answer, err)
		}
		p.seen()
	}
	gone := newConnectProxy(t, false)
	gone.Close()
	var pe *ProxyError
	if err := dial(t, proxied(t, gone, z, nil), "receiver.test:443"); !errors.As(err, &pe) {
		t.Errorf("a proxy that is not there: %v", err)
	}
	encrypted := newConnectProxy(t, true)
	if err := dial(t, proxied(t, encrypted, z, func(o *ProxyOptions) { o.TLS = &tls.Config{} }), "receiver.test:443"); !errors.As(err, &pe) {
		t.Errorf("a proxy with a certificate of nobody: %v", err)
	}
}

// TestBypass: some hosts are connected to directly, and guarded as ever.
func TestBypass(t *testing.T) {
	ln, port := listen(t)
	z := &dnstest.Zone{Names: map[string][][]netip.Addr{"direct.test": dnstest.One(netip.MustParseAddr("127.0.0.1")), "a.below.test": dnstest.One(netip.MustParseAddr("127.0.0.1"))}}
	p := newConnectProxy(t, false)
	p.answer = "HTTP/1.1 403 Forbidden\r\n\r\n"
	u, _ := url.Parse(p.URL)
	o := Options{Resolver: z.Resolver(), Proxy: NewProxy(ProxyOptions{URL: u, Bypass: []string{"Direct.test.", ".below.test", "127.0.0.0/8"}})}
	for _, host := range []string{"direct.test", "DIRECT.test.", "a.below.test", "127.0.0.1"} {
		if err := dial(t, New(o), net.JoinHostPort(host, port)); !refused(err) {
			t.Errorf("%s without a grant: %v", host, err)
		}
		granted := o
		granted.Allow = prefixes("127.0.0.0/8")
		if err := dial(t, New(granted), net.JoinHostPort(host, port)); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if asked, _ := p.seen(); asked != "" {
		t.Errorf("the proxy was asked: %s", asked)
	}
	g := New(o)
	dial(t, g, "93.184.215.14:80")
	if asked, _ := p.seen(); asked != "CONNECT 93.184.215.14:80" {
		t.Errorf("asked %q", asked)
	}
	granted := o
	granted.Allow = prefixes("127.0.0.0/8")
	if conn, err := New(granted).Direct(t.Context(), ln.Addr().String()); err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}
}
