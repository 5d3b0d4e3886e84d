//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package deliver

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"

	"edgerelay/relay/guard"
)

// socket finds what conn is made of in the end: it may be encrypted, to the receiver, to a proxy, or both.
func socket(conn net.Conn) syscall.Conn {
	for {
		switch c := conn.(type) {
		case *tls.Conn:
			conn = c.NetConn()
		case *guard.Conn:
			conn = c.Conn
		case syscall.Conn:
			return c
		default:
			return nil
		}
	}
}

// silent says that an idle connection is as it was left. A receiver that has closed it, or has sent something that nobody asked for, can be
// seen without writing to it, and nothing needs to be sent twice then.
func silent(conn net.Conn) bool {
	sc := socket(conn)
	if sc == nil {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		quiet = n <= 0 && (errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR))
		return true
	})
	return err == nil && quiet
}
