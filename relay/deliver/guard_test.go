package deliver

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// TestGuardRefusesSpecialAddresses dials real addresses: nothing may be connected, whatever form the address has.
func TestGuardRefusesSpecialAddresses(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	g := newGuard(nil)
	for _, host := range []string{"127.0.0.1", "127.1", "localhost", "localhost.", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::ffff:7f00:1", "::127.0.0.1",
		"64:ff9b::7f00:1", "2002:7f00:1::", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "169.254.169.254", "100.100.100.200",
		"192.0.0.192", "168.63.129.16", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "3fff::1"} {
		conn, err := g.dial(net.JoinHostPort(host, port), time.Second)
		if err == nil {
			conn.Close()
			t.Errorf("%s: connected to %s", host, conn.RemoteAddr())
			continue
		}
		if _, parse := netip.ParseAddr(host); parse == nil && !refused(err) {
			t.Errorf("%s: failed, but not by the guard: %v", host, err)
		}
	}
}

func TestGuardAllowsWhatIsListed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn, err := newGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}).dial(ln.Addr().String(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if _, err := newGuard([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}).dial(ln.Addr().String(), time.Second); !refused(err) {
		t.Errorf("another network is listed: %v", err)
	}
}
