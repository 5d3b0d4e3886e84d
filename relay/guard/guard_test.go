package guard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

// listen returns a listener that must not, or must, be reached.
func listen(t *testing.T) (ln net.Listener, port string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return ln, port
}

func dial(t *testing.T, g *Guard, addr string) error {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	conn, err := g.Dial(ctx, addr)
	if err == nil {
		conn.Close()
	}
	return err
}

func refused(err error) bool {
	_, no := Refused(err)
	return no
}

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, t := range texts {
		all = append(all, netip.MustParsePrefix(t))
	}
	return all
}

// TestSpecialAddresses dials real addresses: nothing may be connected, whatever form the address has.
func TestSpecialAddresses(t *testing.T) {
	_, port := listen(t)
	g := New(Options{})
	for _, host := range []string{"127.0.0.1", "127.1", "localhost", "localhost.", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::ffff:7f00:1", "::127.0.0.1",
		"64:ff9b::7f00:1", "2002:7f00:1::", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "169.254.169.254", "100.100.100.200",
		"192.0.0.192", "168.63.129.16", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "3fff::1"} {
		err := dial(t, g, net.JoinHostPort(host, port))
		if err == nil {
			t.Errorf("%s: connected", host)
			continue
		}
		if _, parse := netip.ParseAddr(host); parse == nil && !refused(err) {
			t.Errorf("%s: failed, but not by the guard: %v", host, err)
		}
	}
}

func TestGrantsAndDenials(t *testing.T) {
	ln, _ := listen(t)
	addr := ln.Addr().String()
	for _, c := range []struct {
		name        string
		allow, deny []netip.Prefix
		want        bool
	}{
		{"nothing is granted", nil, nil, false},
		{"the network is granted", prefixes("127.0.0.0/8"), nil, true},
		{"others are", prefixes("10.0.0.0/8", "::1/128"), nil, false},
		{"granted and denied", prefixes("127.0.0.0/8"), prefixes("127.0.0.1/32"), false},
		{"another is denied", prefixes("127.0.0.0/8"), prefixes("127.0.0.2/32", "8.8.8.0/24"), true},
	} {
		err := dial(t, New(Options{Allow: c.allow, Deny: c.deny}), addr)
		if (err == nil) != c.want || err != nil && !refused(err) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestGrantsOfATenant: what one tenant may reach, another may not.
func TestGrantsOfATenant(t *testing.T) {
	ln, _ := listen(t)
	addr := ln.Addr().String()
	n := NewNetworks(Options{}, map[string][]netip.Prefix{"a": prefixes("127.0.0.0/8"), "b": prefixes("10.0.0.0/8"), "c": nil}, nil)
	for tenant, want := range map[string]bool{"a": true, "b": false, "c": false, "d": false} {
		if err := dial(t, n.For(tenant), addr); (err == nil) != want {
			t.Errorf("%s: %v", tenant, err)
		}
	}
	if n.For("c") != n.Common() || n.For("d") != n.Common() || n.For("a") == n.Common() {
		t.Error("tenants without grants share a guard, others do not")
	}
}

// TestOwnListeners: whatever is granted, nobody is connected to the relay itself; another port of the same address is fine.
func TestOwnListeners(t *testing.T) {
	own, port := listen(t)
	other, _ := listen(t)
	all := Options{Allow: prefixes("0.0.0.0/0", "::/0")}
	for _, at := range []net.Addr{own.Addr(), &net.TCPAddr{IP: net.IPv4zero, Port: own.Addr().(*net.TCPAddr).Port}, &net.TCPAddr{IP: net.IPv6unspecified, Port: own.Addr().(*net.TCPAddr).Port}} {
		first := NewNetworks(all, nil, nil)
		first.Own(at, nil)
		n := NewNetworks(all, map[string][]netip.Prefix{"a": prefixes("10.0.0.0/8")}, first) // a reload
		for _, g := range []*Guard{n.Common(), n.For("a")} {
			for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0", "::ffff:127.0.0.1"} {
				if err := dial(t, g, net.JoinHostPort(host, port)); !errors.Is(err, errOwn) {
					t.Errorf("listening on %v: %s: %v", at, host, err)
				}
			}
			if err := dial(t, g, other.Addr().String()); err != nil {
				t.Error(err)
			}
		}
	}
}
