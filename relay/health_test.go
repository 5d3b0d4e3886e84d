package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"edgerelay/relay/queue"
)

// probe asks both listeners; what fails by name comes from the admin side.
func (r *running) probe(path string) (ingress, admin int, failing string) {
	r.t.Helper()
	get := func(url string, token string) (int, string) {
		req, err := http.NewRequest("GET", url, nil)
		if err != nil {
			r.t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err.Error() // it does not listen any more
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			return 0, err.Error()
		}
		return resp.StatusCode, string(text)
	}
	token, _ := r.AdminToken()
	ingress, _ = get("http://"+r.IngressAddr().String()+path, "")
	admin, text := get("http://"+r.AdminAddr().String()+path+"?verbose", token)
	for _, check := range strings.Split(text, `{"name":`)[1:] {
		if strings.Contains(check, `"ok":false`) {
			failing += strings.Split(check, `"`)[1] + " "
		}
	}
	return ingress, admin, failing
}

// flips waits until both listeners answer so.
func (r *running) flips(path string, status int, failing string) {
	r.t.Helper()
	r.eventually(fmt.Sprintf("%s answers %d: %q", path, status, failing), func() bool {
		i, a, f := r.probe(path)
		return i == status && a == status && strings.TrimSpace(f) == failing
	})
}

func TestReadyFlipsWithTheQueuesRoomAndBack(t *testing.T) {
	rec := receiver(t, nil, "w")
	text := func(more string) string { return "queue: { max_bytes: 1MiB }\nwebhooks:\n" + hook(rec, "w", more) }
	r := start(t, t.TempDir(), text(", status: paused, on_paused: hold"))
	r.flips("/readyz", 200, "")
	body := `{"type":"a","data":"` + strings.Repeat("x", 100<<10) + `"}`
	full := false
	for range 30 {
		resp, err := http.Post("http://"+r.IngressAddr().String()+"/v1/events", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if full = resp.StatusCode == 503 && resp.Header.Get("Retry-After") != ""; full {
			break
		}
	}
	if !full {
		t.Fatal("the queue never was full")
	}
	r.flips("/readyz", 503, "queue space")
	r.flips("/healthz", 200, "") // a restart would not help
	if err := r.Reload(context.Background(), r.load(text(""))); err != nil {
		t.Fatal(err)
	}
	r.flips("/readyz", 200, "")
}

func TestReadyFlipsWithTheDiskAndBack(t *testing.T) {
	var free atomic.Int64
	free.Store(10 << 30)
	dir := t.TempDir()
	r := &running{t: t, dir: dir}
	var err error
	r.Relay, err = New(context.Background(), Options{Config: r.load(""), Log: testLog(t), Version: "test", free: func(string) (int64, error) { return free.Load(), nil }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.flips("/readyz", 200, "")
	free.Store(1 << 20)
	r.flips("/readyz", 503, "disk space")
	r.flips("/healthz", 200, "")
	free.Store(10 << 30)
	r.flips("/readyz", 200, "")
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestNotReadyWhileDraining(t *testing.T) {
	hold, asked := make(chan struct{}), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(asked); <-hold }))
	defer srv.Close()
	r := start(t, t.TempDir(), "webhooks: [ { name: w, events: ['*'], url: '"+srv.URL+"' } ]")
	r.send(`{"type":"a","data":1}`)
	<-asked
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	r.eventually("not ready while it drains", func() bool {
		_, admin, failing := r.probe("/readyz")
		return admin == 503 && strings.TrimSpace(failing) == "accepting"
	})
	if _, admin, _ := r.probe("/healthz"); admin != 200 {
		t.Errorf("healthz says %d while it drains", admin)
	}
	close(hold)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
}

func TestHealthFlipsWhenTheStoreHangsAndBack(t *testing.T) {
	r := start(t, t.TempDir(), "")
	real := r.pulse
	r.flips("/healthz", 200, "")
	real.last.Store(int64(-2 * pulseLate)) // as if there had been no proof for so long
	r.flips("/healthz", 503, "store writes")
	r.flips("/readyz", 503, "store writes")
	real.beat(context.Background()) // the disk answers again
	r.flips("/healthz", 200, "")
	r.flips("/readyz", 200, "")
}

// TestPulse: commits are proofs, and so is any answer of the store; only silence is none.
func TestPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		commits, writes := int64(0), 0
		hang, answer := false, error(nil)
		p := newPulse(func() int64 { return commits }, func(ctx context.Context) error {
			writes++
			if hang {
				<-ctx.Done()
				return ctx.Err()
			}
			return answer
		}, time.Second, 10*time.Second)
		pass := func(d time.Duration) {
			for range int(d / time.Second) {
				<-time.After(time.Second) // of the bubble: no real time passes
				p.beat(context.Background())
			}
		}
		pass(20 * time.Second)
		if p.err() != nil || writes != 20 {
			t.Errorf("idle: %v after %d writes", p.err(), writes)
		}
		hang = true
		pass(5 * time.Second)
		if p.err() != nil {
			t.Errorf("a short hang: %v", p.err())
		}
		pass(6 * time.Second)
		if p.err() == nil {
			t.Error("a long hang is not seen")
		}
		commits++
		before := writes
		pass(time.Second)
		if p.err() != nil || writes != before {
			t.Errorf("after a commit: %v, %d writes", p.err(), writes-before)
		}
		hang, answer = false, queue.ErrDiskLow
		pass(20 * time.Second)
		if p.err() != nil {
			t.Errorf("a refusal is taken for silence: %v", p.err())
		}
		answer = errors.New("other")
		pass(20 * time.Second)
		if p.err() != nil {
			t.Error("an error is taken for silence")
		}
	})
}
