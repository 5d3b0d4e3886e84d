package deliver

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// timedConn is a connection that knows how long it took to be made.
type timedConn struct {
	net.Conn
	dns       time.Duration
	connect   time.Duration
	connected time.Time
}

// dialTimed connects and notes how long the name and the connection took.
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

// underneath is the connection that is encrypted, or conn itself.
func underneath(conn net.Conn) net.Conn {
	if t, ok := conn.(*tls.Conn); ok {
		return t.NetConn()
	}
	return conn
}

// opened notes what it took to make conn, which is new.
func (x *exchange) opened(conn net.Conn, now time.Time) {
	t, ok := underneath(conn).(*timedConn)
	if !ok {
		return
	}
	x.Times.DNS, x.Times.Connect = t.dns, t.connect
	if _, encrypted := conn.(*tls.Conn); encrypted {
		x.Times.TLS = now.Sub(t.connected)
	}
}
