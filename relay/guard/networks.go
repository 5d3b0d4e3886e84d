package guard

import (
	"net"
	"net/netip"
)

// Networks has a Guard for everybody: what one tenant may reach, another need not. It never changes, but for the listeners.
type Networks struct {
	common  *Guard
	tenants map[string]*Guard
}

// NewNetworks makes the guards. tenants are the networks that a tenant may reach besides those of o. old, which may be nil, is what was in
// force before: it says which addresses the relay listens on.
func NewNetworks(o Options, tenants map[string][]netip.Prefix, old *Networks) *Networks {
	own := new(listeners)
	if old != nil {
		own = old.common.own
	}
	n := &Networks{common: newGuard(o, own), tenants: map[string]*Guard{}}
	for id, grants := range tenants {
		if len(grants) == 0 {
			continue
		}
		granted := o
		granted.Allow = append(append([]netip.Prefix(nil), o.Allow...), grants...)
		n.tenants[id] = newGuard(granted, own)
	}
	return n
}

// For returns the Guard of a tenant. Tenants without grants of their own share one, which is Common's.
func (n *Networks) For(tenant string) *Guard {
	if g := n.tenants[tenant]; g != nil {
		return g
	}
	return n.common
}

// Common is the Guard for what belongs to no tenant.
func (n *Networks) Common() *Guard { return n.common }

// Own says where the relay itself listens.
func (n *Networks) Own(addrs ...net.Addr) { n.common.own.set(addrs) }
