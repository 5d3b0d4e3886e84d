// Package guard is the only way out: every connection that the relay makes to an address which somebody else has chosen goes through a
// Guard, which looks at the address that is really connected to. So neither DNS nor a redirect nor another spelling can lead it astray.
// Private, loopback, link-local and other special networks are refused unless they were granted, and so are the relay's own listeners.
//
// The wiring makes one Networks of the configuration; the sending side asks it for the Guard of a webhook's tenant and dials with it,
// receivers and token endpoints alike. Whoever else connects to the outside uses it too: Dial goes through the configured proxy, Direct does
// not. The package owns the list of special networks (code.dny.dev/ssrf), imports nothing of ours, and starts no goroutines.
package guard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// Timeout bounds finding the address and connecting.
const Timeout = 5 * time.Second

// azureWire is a public address behind which Azure keeps a host-local service.
var azureWire = netip.MustParsePrefix("168.63.129.16/32")

// Options of a Guard.
type Options struct {
	Allow    []netip.Prefix // special networks that may be reached
	Deny     []netip.Prefix // networks that may not, whatever Allow says
	Proxy    *Proxy         // nil = none
	Resolver *net.Resolver  // nil = the system's
}

// Guard dials. It may be used from any goroutine.
type Guard struct {
	safe  *ssrf.Guardian
	deny  []netip.Prefix
	own   *listeners
	proxy *Proxy
	names *net.Resolver
}

// New makes a Guard of its own.
func New(o Options) *Guard { return newGuard(o, new(listeners)) }

func newGuard(o Options, own *listeners) *Guard {
	var v4, v6 []netip.Prefix
	for _, p := range o.Allow {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	names := o.Resolver
	if names == nil {
		names = net.DefaultResolver
	}
	return &Guard{own: own, deny: o.Deny, proxy: o.Proxy, names: names,
		safe: ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...), ssrf.WithDeniedV4Prefixes(azureWire))}
}

var (
	errDenied = errors.New("a network that is listed as denied")
	errOwn    = errors.New("an address that the relay itself listens on")
)

// Check says why address (IP:port) may not be connected to, or nil.
func (g *Guard) Check(address netip.AddrPort) error {
	ip := address.Addr()
	for _, p := range g.deny {
		if p.Contains(ip.Unmap().WithZone("")) {
			return errDenied
		}
	}
	if g.own.have(address) {
		return errOwn
	}
	return g.safe.SafeAddr(ip)
}

// control has the signature of net.Dialer.Control: it sees the address of every connection, after all names have been resolved.
func (g *Guard) control(network, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("%w: %s %s", ssrf.ErrInvalidHostPort, network, address)
	}
	return g.Check(ap)
}

// Refused says whether err is a guard's own, and why it was refused.
func Refused(err error) (why string, refused bool) {
	switch {
	case errors.Is(err, errDenied):
		return "the network guard refuses this address: it is listed in sender.deny_networks", true
	case errors.Is(err, errOwn):
		return "the network guard refuses this address: the relay itself listens there", true
	case errors.Is(err, errNumeric):
		return "the network guard refuses this host: it is a number in disguise, which only the proxy would make an address of", true
	case errors.Is(err, ssrf.ErrProhibitedIP), errors.Is(err, ssrf.ErrInvalidHostPort):
		return "the network guard refuses this address: private, loopback and special networks must be listed in sender.allow_private_networks, or granted to the tenant", true
	}
	return "", false
}

// Conn is a connection that knows how long it took to be made.
type Conn struct {
	net.Conn
	DNS       time.Duration
	Connect   time.Duration
	Connected time.Time
}

// Dial connects to addr (host:port), through the proxy if there is one.
func (g *Guard) Dial(ctx context.Context, addr string) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	if g.proxy != nil && !g.proxy.passes(addr) {
		return g.dialProxy(ctx, addr)
	}
	return g.direct(ctx, addr)
}

// Direct is Dial without a proxy.
func (g *Guard) Direct(ctx context.Context, addr string) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	return g.direct(ctx, addr)
}

func (g *Guard) direct(ctx context.Context, addr string) (*Conn, error) {
	var resolved atomic.Int64 // nanoseconds until the first address was tried
	begin := time.Now()
	d := net.Dialer{Timeout: Timeout, KeepAlive: keepAlive, Resolver: g.names, Control: func(network, address string, c syscall.RawConn) error {
		resolved.CompareAndSwap(0, int64(max(time.Since(begin), 1)))
		return g.control(network, address, c)
	}}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &Conn{Conn: conn, DNS: time.Duration(resolved.Load()), Connected: time.Now()}
	c.Connect = c.Connected.Sub(begin) - c.DNS
	return c, nil
}

const keepAlive = 30 * time.Second

// listeners are the relay's own: a webhook that sends there would feed the relay with itself, or reach its management side from within.
type listeners struct {
	all atomic.Pointer[[]netip.AddrPort]
}

// set takes the addresses. One that stands for every address of the machine is written out.
func (l *listeners) set(addrs []net.Addr) {
	var all []netip.AddrPort
	for _, a := range addrs {
		tcp, ok := a.(*net.TCPAddr)
		if !ok {
			continue
		}
		ap := tcp.AddrPort()
		ap = netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
		all = append(all, ap)
		if !ap.Addr().IsUnspecified() {
			continue
		}
		ours, _ := net.InterfaceAddrs()
		for _, i := range ours {
			if n, ok := i.(*net.IPNet); ok {
				if ip, ok := netip.AddrFromSlice(n.IP); ok {
					all = append(all, netip.AddrPortFrom(ip.Unmap(), ap.Port()))
				}
			}
		}
	}
	l.all.Store(&all)
}

func (l *listeners) have(ap netip.AddrPort) bool {
	all := l.all.Load()
	if all == nil {
		return false
	}
	ip := ap.Addr().Unmap().WithZone("")
	for _, own := range *all {
		// Loopback and the unspecified address are other names of an address that stands for all.
		same := own.Addr() == ip || ip.IsUnspecified() || own.Addr().IsUnspecified() && ip.IsLoopback()
		if same && own.Port() == ap.Port() {
			return true
		}
	}
	return false
}
