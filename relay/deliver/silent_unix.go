//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package deliver

import (
	"errors"
	"net"
	"syscall"
)

// silent says that an idle connection is as it was left. A receiver that has closed it, or has sent something that nobody asked for, can be
// seen without writing to it, and nothing needs to be sent twice then.
func silent(conn net.Conn) bool {
	conn = underneath(conn)
	if t, ok := conn.(*timedConn); ok {
		conn = t.Conn
	}
	sc, ok := conn.(syscall.Conn)
	if !ok {
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
