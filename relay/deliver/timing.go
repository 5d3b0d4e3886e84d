package deliver

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"edgerelay/relay/guard"
)

// dialer returns a function as fasthttp wants it: it connects by g, whose time limit is shorter than any other.
func dialer(g *guard.Guard) func(addr string, timeout time.Duration) (net.Conn, error) {
	return func(addr string, timeout time.Duration) (net.Conn, error) {
		conn, err := dial(g, addr, timeout)
		if err != nil {
			return nil, err
		}
		return conn, nil
	}
}

func dial(g *guard.Guard, addr string, timeout time.Duration) (*guard.Conn, error) {
	if timeout <= 0 || timeout > guard.Timeout {
		timeout = guard.Timeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return g.Dial(ctx, addr)
}

// opened notes what it took to make conn, which is new.
func (x *exchange) opened(conn net.Conn, now time.Time) {
	t, encrypted := conn.(*tls.Conn)
	if encrypted {
		conn = t.NetConn()
	}
	if g, ok := conn.(*guard.Conn); ok {
		x.Times.DNS, x.Times.Connect = g.DNS, g.Connect
		if encrypted {
			x.Times.TLS = now.Sub(g.Connected)
		}
	}
}
