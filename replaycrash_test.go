package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"edgerelay/bench"
)

var replayEvents = flag.Int("replay.events", 2000, "how many events TestReplayCrash replays")

const replayToken = "an-admin-token-for-this-test"

// ask asks the daemon's management API.
func (d *daemon) ask(t *testing.T, method, path, body string, out any) {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+d.admin+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+replayToken)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(out); err != nil || res.StatusCode >= 300 {
		t.Fatalf("%s %s: %d %v", method, path, res.StatusCode, err)
	}
}

// sendMany sends events with the numbers 0 to n-1, every second one of the type that is replayed, over some connections.
func sendMany(t *testing.T, addr string, n int) {
	t.Helper()
	var all sync.WaitGroup
	const conns = 32
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	for c := range conns {
		all.Go(func() {
			for i := c; i < n; i += conns {
				typ := "order.created"
				if i%2 == 1 {
					typ = "order.other"
				}
				body := fmt.Sprintf(`{"id":"e%07d","type":%q,"data":{"n":%d}}`, i, typ, i)
				res, err := client.Post("http://"+addr+"/v1/events", "application/json", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				res.Body.Close()
				if res.StatusCode != http.StatusAccepted {
					t.Errorf("event %d: %d", i, res.StatusCode)
					return
				}
			}
		})
	}
	all.Wait()
}

// TestReplayCrash replays half of the events that a relay has delivered, by a filter, to another webhook, and kills it meanwhile. The other webhook
// is held until the job has ended, so what reaches its receiver is what the job has put into the queue: exactly the set, none twice.
func TestReplayCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("kills the real program: not with -short")
	}
	n := 2 * *replayEvents
	rec, err := bench.Start(bench.Options{Hooks: []bench.Hook{{Name: "first", Scheme: "standard", Secrets: []string{crashSecret}}, {Name: "second", Scheme: "standard", Secrets: []string{crashSecret}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close(context.Background())
	dir := t.TempDir()
	file := filepath.Join(dir, "edgerelay.yaml")
	write := func(status string) {
		text := fmt.Sprintf(`version: 1
data_dir: data
ingress: { listen: "127.0.0.1:0" }
admin: { listen: "127.0.0.1:0", tokens: [{ name: test, token: %s, tenants: ["*"] }] }
sender: { allow_private_networks: [127.0.0.0/8] }
webhooks:
- { name: first, events: ["order.*"], url: '%s', secret: %s, concurrency: 64 }
- { name: second, events: [never.sent], url: '%s', secret: %s, concurrency: 64, status: %s, on_paused: hold }
`, replayToken, rec.URL("first"), crashSecret, rec.URL("second"), crashSecret, status)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("paused")
	d := startDaemon(t, file)
	sendMany(t, d.ingress, n)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := rec.Wait(ctx, "first", func(c bench.Counts) bool { return c.Distinct >= int64(n) }); err != nil {
		t.Fatal(err)
	}
	var hooks struct{ Items []struct{ ID, Name string } }
	d.ask(t, "GET", "/api/v1/webhooks", "", &hooks)
	second := ""
	for _, h := range hooks.Items {
		if h.Name == "second" {
			second = h.ID
		}
	}
	begin := time.Now()
	var started struct{ Job struct{ ID string } }
	d.ask(t, "POST", "/api/v1/events/replay", fmt.Sprintf(`{"type":"order.created","to_webhook":%q,"rate":%d}`, second, max(*replayEvents/3, 500)), &started)
	var job struct {
		Status, Note  string
		Matched, Done int
	}
	kills := 0
	for until := *replayEvents / 4; ; {
		if d.ask(t, "GET", "/api/v1/jobs/"+started.Job.ID, "", &job); job.Status != "running" {
			break
		}
		if job.Done >= until && kills < 3 {
			d.kill()
			kills++
			until = job.Done + *replayEvents/5
			d = startDaemon(t, file)
		}
		if ctx.Err() != nil {
			t.Fatalf("the job does not end: %+v", job)
		}
	}
	t.Logf("%d of %d events replayed in %v, over %d kills", job.Done, n, time.Since(begin).Round(time.Millisecond), kills)
	if job.Status != "done" || job.Done != *replayEvents || job.Matched != *replayEvents || kills < 3 {
		t.Errorf("job %+v after %d kills, want %d events", job, kills, *replayEvents)
	}
	stop(t, d)
	write("active")
	d = startDaemon(t, file)
	if err := rec.Wait(ctx, "second", func(c bench.Counts) bool { return c.Distinct >= int64(*replayEvents) }); err != nil {
		t.Error(err)
	}
	stop(t, d)
	got := rec.Snapshot().Hooks["second"]
	if got.Distinct != int64(*replayEvents) || got.Delivered != int64(*replayEvents) {
		t.Errorf("second got %d events, %d of them for the first time; want %d, each once", got.Delivered, got.Distinct, *replayEvents)
	}
	var missing []string
	for i := 0; i < n; i += 2 {
		if id := fmt.Sprintf("e%07d", i); !rec.Received("second", id) {
			missing = append(missing, id)
		}
	}
	if len(missing) > 0 {
		t.Errorf("%d were not replayed, such as %s", len(missing), missing[0])
	}
}

// stop ends a daemon in an orderly way.
func stop(t *testing.T, d *daemon) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, d.stderr.String())
	}
}
