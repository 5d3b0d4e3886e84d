package cli

import (
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestNotifyManager(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a protocol of systemd")
	}
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	if err := notifyManager("READY=1"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, err := conn.Read(b)
	if err != nil || string(b[:n]) != "READY=1" {
		t.Errorf("%q, %v", b[:n], err)
	}

	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	if err := notifyManager("READY=1"); err == nil {
		t.Error("nobody listens, and there is no error")
	}
	t.Setenv("NOTIFY_SOCKET", "")
	if err := notifyManager("READY=1"); err != nil {
		t.Errorf("without a service manager: %v", err)
	}
}

func TestRunRefusesBeforeItStarts(t *testing.T) {
	bad := writeConfig(t, "data_dri: x\n")
	if code, stdout, stderr := runCommand(t, "", "run", "-c", bad); code != exitConfig || stdout != "" || !strings.Contains(stderr, bad+":1:1: data_dri: unknown key") {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	expression := writeConfig(t, "data_dir: d\ningress: { listen: '127.0.0.1:0' }\nadmin: { listen: '127.0.0.1:0' }\n"+hookText)
	if code, stdout, stderr := runCommand(t, "", "run", "-c", expression); code != exitConfig || stdout != "" || !strings.Contains(stderr, "webhooks[0].filter: ") {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if code, _, stderr := runCommand(t, "", "run", "-c", filepath.Join(t.TempDir(), "missing.yaml")); code != exitConfig || !strings.Contains(stderr, "cannot be read") {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	listen := writeConfig(t, "data_dir: d\ningress: { listen: '"+taken.Addr().String()+"' }\nadmin: { listen: '127.0.0.1:0' }\n")
	if code, stdout, stderr := runCommand(t, "", "run", "-c", listen); code != exitFailure || stdout != "" || !strings.Contains(stderr, "address already in use") {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}
