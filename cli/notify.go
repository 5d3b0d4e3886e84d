package cli

import (
	"fmt"
	"net"
	"os"
	"strings"
)

// notifyManager tells systemd the daemon's state (READY=1, STOPPING=1, RELOADING=1) when it has asked to be told: it then sets
// NOTIFY_SOCKET. The protocol is one datagram, which is not worth a dependency.
func notifyManager(state string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	if name, abstract := strings.CutPrefix(path, "@"); abstract {
		path = "\x00" + name // Linux's abstract sockets have no file
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	return nil
}
