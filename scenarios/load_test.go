package scenarios

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// How large the relay of TestPageTimes is: go test ./scenarios -run TestPageTimes -v -page-webhooks 10000 -page-attempts 1000000
var (
	pageWebhooks = flag.Int("page-webhooks", 0, "measure the time of pages with so many webhooks")
	pageAttempts = flag.Int("page-attempts", 10_000, "and so many attempts")
)

// How long the server takes for each page of a large relay. It is measured, not judged: what a busy machine takes says nothing.
func TestPageTimes(t *testing.T) {
	if *pageWebhooks == 0 {
		t.Skip("-page-webhooks is not set")
	}
	var arrived atomic.Int64
	all := make(chan struct{})
	receiver := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if arrived.Add(1) == int64(*pageAttempts) {
			close(all)
		}
	})}
	good := newReceiver(t)
	good.Server.Config.Handler = receiver.Handler
	var config strings.Builder
	config.WriteString("tenants: [ { id: acme } ]\nwebhooks:\n")
	for i := range *pageWebhooks {
		fmt.Fprintf(&config, "  - { name: hook-%05d, tenant: acme, events: [\"t.%d\"], url: \"%s/%d\", secret: whsec_bm90IGEgcmVhbCBzZWNyZXQgYXQgYWxsIQ== }\n", i, i, good.URL, i)
	}
	p := run(t, config.String())
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	var next atomic.Int64
	var group sync.WaitGroup
	var last atomic.Value
	began := time.Now()
	for range 32 {
		group.Go(func() {
			for n := next.Add(1); n <= int64(*pageAttempts); n = next.Add(1) {
				id := fmt.Sprintf("load-%d", n)
				resp, err := client.Post(p.ingress+"/v1/events", "application/json",
					strings.NewReader(fmt.Sprintf(`{"id":%q,"type":"t.%d","tenant":"acme","data":{"n":%d}}`, id, n%int64(min(*pageWebhooks, 100)), n)))
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				last.Store(id)
			}
		})
	}
	group.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	select {
	case <-all:
	case <-ctx.Done():
		t.Fatalf("only %d arrived", arrived.Load())
	}
	t.Logf("%d webhooks, %d attempts, made in %s", *pageWebhooks, *pageAttempts, time.Since(began).Round(time.Second))

	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar}
	resp, err := browser.PostForm(p.admin+"/ui/login", url.Values{"token": {opsToken}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	var hooks struct{ Items []struct{ ID string } }
	p.api(opsToken, "GET", "/api/v1/webhooks?limit=1", "", &hooks)
	id := hooks.Items[0].ID
	for _, path := range []string{"/", "/webhooks", "/webhooks?search=hook-09", "/webhooks/" + id, "/webhooks/" + id + "/log", "/webhooks/new", "/events", "/events/" + last.Load().(string),
		"/deliveries", "/deliveries?status=delivered", "/live", "/playground", "/settings"} {
		var took []time.Duration
		for range 40 {
			at := time.Now()
			resp, err := browser.Get(p.admin + "/ui/t/acme" + path)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			took = append(took, time.Since(at))
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("%s: %d", path, resp.StatusCode)
			}
		}
		slices.Sort(took)
		t.Logf("%-34s p50 %6.1f ms   p95 %6.1f ms", path[:min(34, len(path))], float64(took[20].Microseconds())/1000, float64(took[37].Microseconds())/1000)
	}
}
