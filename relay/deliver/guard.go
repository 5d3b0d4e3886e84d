package deliver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"code.dny.dev/ssrf"
)

// guard dials receivers. It looks at the address that is really connected to, so neither DNS nor a redirect can lead it astray: private,
// loopback, link-local and other special networks are refused unless they were allowed.
type guard struct {
	dialer *net.Dialer
}

// dialTimeout bounds name resolution and connecting.
const dialTimeout = 5 * time.Second

// azureWire is a public address behind which Azure keeps a host-local service.
var azureWire = netip.MustParsePrefix("168.63.129.16/32")

func newGuard(allow []netip.Prefix) *guard {
	var v4, v6 []netip.Prefix
	for _, p := range allow {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	g := ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...), ssrf.WithDeniedV4Prefixes(azureWire))
	return &guard{dialer: &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, Control: g.Safe}}
}

// dial has the signature that fasthttp wants.
func (g *guard) dial(addr string, timeout time.Duration) (net.Conn, error) {
	if timeout <= 0 || timeout > dialTimeout {
		timeout = dialTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return g.dialTimed(ctx, addr)
}

// refused says whether err is the guard's own.
func refused(err error) bool {
	return errors.Is(err, ssrf.ErrProhibitedIP) || errors.Is(err, ssrf.ErrProhibitedNetwork) || errors.Is(err, ssrf.ErrProhibitedPort) || errors.Is(err, ssrf.ErrInvalidHostPort)
}
