//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package deliver

import "net"

// silent cannot tell here; what is dead is found out by sending.
func silent(net.Conn) bool { return true }
