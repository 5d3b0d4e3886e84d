package deliver

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"edgerelay/relay/history"
)

// timedConn is a connection that knows when things happened on it. fasthttp does not say which of its connections a request went over, but
// asks every one for its addresses when a request begins, and shows them with the answer: so the local address is what carries the times.
type timedConn struct {
	net.Conn
	dns       time.Duration
	connect   time.Duration
	connected time.Time
	used      bool // a request has gone over it
	current   atomic.Pointer[exchange]
}

// exchange is one request on a connection, disguised as an address.
type exchange struct {
	net.Addr
	conn      *timedConn
	begin     time.Time
	wrote     atomic.Bool
	firstByte atomic.Int64 // nanoseconds after begin; 0 = nothing came
	dns       time.Duration
	connect   time.Duration
	tls       time.Duration
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// LocalAddr is asked once per request, when it has got its connection.
func (c *timedConn) LocalAddr() net.Addr {
	x := exchanges.Get().(*exchange)
	x.Addr, x.conn, x.begin = c.Conn.LocalAddr(), c, time.Now()
	x.wrote.Store(false)
	x.firstByte.Store(0)
	x.dns, x.connect, x.tls = 0, 0, 0
	if !c.used {
		c.used = true
		x.dns, x.connect, x.tls = c.dns, c.connect, x.begin.Sub(c.connected)
	}
	c.current.Store(x)
	return x
}

func (c *timedConn) Write(b []byte) (int, error) {
	if x := c.current.Load(); x != nil && !x.wrote.Load() {
		x.wrote.Store(true)
	}
	return c.Conn.Write(b)
}

func (c *timedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if x := c.current.Load(); x != nil && n > 0 && x.wrote.Load() && x.firstByte.Load() == 0 {
		x.firstByte.Store(int64(max(time.Since(x.begin), 1)))
	}
	return n, err
}

// dialTimed connects as dial does and notes how long the name and the connection took.
func (g *guard) dialTimed(ctx context.Context, addr string) (net.Conn, error) {
	d := *g.dialer
	var resolved atomic.Int64 // nanoseconds until the first address was tried
	begin := time.Now()
	d.Control = func(network, address string, c syscall.RawConn) error {
		resolved.CompareAndSwap(0, int64(max(time.Since(begin), 1)))
		return g.dialer.Control(network, address, c)
	}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	t := &timedConn{Conn: conn, dns: time.Duration(resolved.Load()), connected: time.Now()}
	t.connect = t.connected.Sub(begin) - t.dns
	return t, nil
}

// timings reads what is known about the request of the answer in resp, and lets its exchange go.
func timings(resp *fasthttp.Response, isTLS bool) (t history.Timings) {
	x, ok := resp.LocalAddr().(*exchange)
	if !ok {
		return t
	}
	t = history.Timings{DNS: x.dns, Connect: x.connect, FirstByte: time.Duration(x.firstByte.Load())}
	if isTLS {
		t.TLS = x.tls
	}
	// Whoever uses the connection next has put an exchange of its own there by now, or will.
	x.conn.current.CompareAndSwap(x, nil)
	x.conn, x.Addr = nil, nil
	exchanges.Put(x)
	return t
}
