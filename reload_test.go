package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"edgerelay/bench"
)

var reloadCount = flag.Int("reload.count", 100, "how often TestReloads makes the relay load its config again")

const reloadToken = "a-token-for-the-reload-test"

// operator speaks with a relay's management API.
type operator struct {
	t    *testing.T
	base string
}

func (o operator) do(method, path string) (int, []byte) {
	o.t.Helper()
	req, err := http.NewRequest(method, o.base+path, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+reloadToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return resp.StatusCode, text
}

// metric reads one series without labels.
func (o operator) metric(name string) float64 {
	o.t.Helper()
	_, text := o.do("GET", "/metrics")
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte(name+" ")); ok {
			v, err := strconv.ParseFloat(string(bytes.TrimSpace(rest)), 64)
			if err != nil {
				o.t.Fatal(err)
			}
			return v
		}
	}
	o.t.Fatalf("no metric %s", name)
	return 0
}

// reloadConfig is the config of reload n: every tenth is invalid, in one of two ways.
func reloadConfig(dir string, rec *bench.Receiver, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\ndata_dir: %s\ningress: { listen: 127.0.0.1:0 }\nsender: { allow_private_networks: [127.0.0.0/8] }\nretry: { initial: 50ms, max_retries: 50 }\n", filepath.Join(dir, "data"))
	fmt.Fprintf(&b, "admin: { listen: 127.0.0.1:0, tokens: [{ name: ops, token: %s, tenants: ['*'] }] }\n", reloadToken)
	fmt.Fprintf(&b, "validate_events: %v\nevent_types: [{ name: order.created, schema: { type: object, maxProperties: %d } }]\nwebhooks:\n", n%2 == 0, 10+n)
	hook := func(name, more string) {
		fmt.Fprintf(&b, "  - { name: %s, events: ['*'], url: '%s', secret: %s%s }\n", name, rec.URL(name), crashSecret, more)
	}
	hook("same", "")
	hook("changed", fmt.Sprintf(", headers: { X-Version: v%d }, transform: [{ plugin: redact, config: { fields: [data.mail], mask: 'm%d' } }]", n, n))
	switch {
	case n%20 == 9:
		b.WriteString("webhoks: []\n")
	case n%20 == 19:
		b.WriteString("  - { name: invalid, events: [a], url: 'https://a.example/', filter: 'data.n >' }\n")
	case n%3 == 0:
		b.WriteString("  - { name: comes-and-goes, events: [never], url: 'https://a.example/' }\n")
	}
	return b.String()
}

// TestReloads makes the real program load its config again and again under load, through the API and now and then by a signal as well. Every event that was accepted
// arrives, an invalid config changes nothing, and neither goroutines nor resident memory grow with the number of reloads.
//
//	go test -run 'TestReloads$' -reload.count 1000 -v .
func TestReloads(t *testing.T) {
	if testing.Short() {
		t.Skip("a process under load: not with -short")
	}
	rec, err := bench.Start(bench.Options{Hooks: []bench.Hook{{Name: "same", Scheme: "standard", Secrets: []string{crashSecret}}, {Name: "changed", Scheme: "standard", Secrets: []string{crashSecret}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close(context.Background())
	dir := t.TempDir()
	file := filepath.Join(dir, "edgerelay.yaml")
	write := func(n int) { // by renaming, because a signal's reload may read at any time
		err := os.WriteFile(file+".new", []byte(reloadConfig(dir, rec, n)), 0o600)
		if err == nil {
			err = os.Rename(file+".new", file)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(0)
	d := startDaemon(t, file)
	defer d.kill()
	o := operator{t, "http://" + d.admin}
	var l ledger
	stop, produced := make(chan struct{}), make(chan struct{})
	go func() { defer close(produced); l.produce(d.ingress, 2, stop) }()

	warm := max(*reloadCount/5, 1)
	var before, peak float64
	invalid := 0
	begin := time.Now()
	for n := 1; n <= *reloadCount; n++ {
		write(n)
		if n%50 == 0 {
			d.cmd.Process.Signal(syscall.SIGHUP) // at the same time
		}
		status, text := o.do("POST", "/api/v1/config/reload")
		var answer struct {
			Applied bool
			Errors  []struct{ Path string }
		}
		if err := json.Unmarshal(text, &answer); err != nil {
			t.Fatalf("reload %d: %d %s", n, status, text)
		}
		if wrong := n%10 == 9; wrong {
			if invalid++; status != http.StatusUnprocessableEntity || len(answer.Errors) != 1 {
				t.Fatalf("reload %d of an invalid config: %d %s", n, status, text)
			}
			if status, text := o.do("GET", "/api/v1/config"); status != 200 || !bytes.Contains(text, []byte("X-Version: v"+strconv.Itoa(n-1)+"\n")) {
				t.Fatalf("after the invalid reload %d the old config is not in force: %d %s", n, status, text)
			}
		} else if status != http.StatusOK || !answer.Applied {
			t.Fatalf("reload %d: %d %s", n, status, text)
		}
		if rss := o.metric("process_resident_memory_bytes"); n == warm {
			before = rss
		} else if n > warm {
			peak = max(peak, rss)
		}
	}
	took := time.Since(begin)
	close(stop)
	<-produced
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	lost := 0
	for _, hook := range []string{"same", "changed"} {
		for _, id := range l.ids {
			if err := rec.Wait(ctx, hook, func(bench.Counts) bool { return rec.Received(hook, id) }); err != nil {
				lost++
			}
		}
	}
	if s := rec.Snapshot(); lost > 0 || s.BadSignatures > 0 {
		t.Errorf("%d deliveries of %d events are lost, %d have a bad signature", lost, len(l.ids), s.BadSignatures)
	}
	// The HTTP client of a webhook that has changed goes by itself, a few seconds after its last connection.
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	goroutines := o.metric("go_goroutines")
	for goroutines > 120 && ctx.Err() == nil {
		<-tick.C
		goroutines = o.metric("go_goroutines")
	}
	if ctx.Err() != nil {
		t.Errorf("%v goroutines after %d reloads", goroutines, *reloadCount)
	}
	if peak > before*1.5+64<<20 {
		t.Errorf("%.0f MiB resident after %d reloads, up to %.0f MiB after %d", before/(1<<20), warm, peak/(1<<20), *reloadCount)
	}
	t.Logf("%d reloads, %d of them invalid, in %v under %.0f events/s; %d events, 0 lost; resident %.0f MiB after %d reloads, at most %.0f MiB later; %v goroutines at the end",
		*reloadCount, invalid, took.Round(time.Millisecond), float64(len(l.ids))/took.Seconds(), len(l.ids), before/(1<<20), warm, peak/(1<<20), goroutines)
	if status, _ := o.do("GET", "/readyz"); status != 200 {
		t.Errorf("not ready: %d", status)
	}
}
