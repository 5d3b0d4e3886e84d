package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var makeCycles = flag.Int("make.cycles", 10, "how often TestMadeThenKilled kills the relay")

// TestMadeThenKilled makes a webhook through the API and kills the relay as soon as the answer is there, again and again: every webhook that was
// answered for is there after the restart, with its secret and its line in the audit log.
//
//	go test . -run TestMadeThenKilled -make.cycles 100 -v
func TestMadeThenKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("kills the real program: not with -short")
	}
	file := filepath.Join(t.TempDir(), "edgerelay.yaml")
	text := fmt.Sprintf("version: 1\ndata_dir: data\ningress: { listen: '127.0.0.1:0' }\nadmin: { listen: '127.0.0.1:0', tokens: [{ name: test, token: %s, tenants: ['*'] }] }\n", replayToken)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	names, secrets := map[string]string{}, map[string]string{}
	d := startDaemon(t, file)
	for n := range *makeCycles {
		var made struct{ ID, Name string }
		d.ask(t, "POST", "/api/v1/webhooks", fmt.Sprintf(`{"name":"w%d","events":["a"],"url":"https://a.example/%d"}`, n, n), &made)
		d.kill()
		names[made.ID] = fmt.Sprintf("w%d", n)
		d = startDaemon(t, file)
		for id, name := range names {
			var got struct {
				Name, Status string
				Revision     int
			}
			if d.ask(t, "GET", "/api/v1/webhooks/"+id, "", &got); got.Name != name || got.Status != "active" || got.Revision != 1 {
				t.Fatalf("after kill %d: %s is %+v", n, name, got)
			}
		}
		var shown struct{ Secrets []string }
		d.ask(t, "GET", "/api/v1/webhooks/"+made.ID+"/secret", "", &shown)
		secrets[made.ID] = shown.Secrets[0]
	}
	for id, secret := range secrets {
		var shown struct{ Secrets []string }
		if d.ask(t, "GET", "/api/v1/webhooks/"+id+"/secret", "", &shown); len(shown.Secrets) != 1 || shown.Secrets[0] != secret {
			t.Errorf("%s has another secret than before", names[id])
		}
	}
	var log struct{ Items []struct{ Object string } }
	d.ask(t, "GET", "/api/v1/audit?limit=500&action=create", "", &log)
	if len(log.Items) != *makeCycles {
		t.Errorf("the audit log has %d webhooks, want %d", len(log.Items), *makeCycles)
	}
	stop(t, d)
	t.Logf("%d webhooks, each followed by a kill, in %v: all there", len(names), time.Since(begin).Round(time.Millisecond))
}
