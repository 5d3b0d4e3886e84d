package deliver

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/guard"
	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
)

func allowing(allow ...netip.Prefix) *guard.Guard { return guard.New(guard.Options{Allow: allow}) }

var loopbackNetworks = guard.NewNetworks(guard.Options{Allow: loopback}, nil, nil)

// connectProxy tunnels to whatever it is asked for, and remembers that.
func connectProxy(t *testing.T, answer string) (u *url.URL, seen func() []string) {
	t.Helper()
	var mu sync.Mutex
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.RequestURI)
		mu.Unlock()
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		out, err := net.Dial("tcp", r.RequestURI)
		if err != nil || answer != "" {
			io.WriteString(conn, answer)
			return
		}
		defer out.Close()
		io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
		go io.Copy(out, rw)
		io.Copy(conn, out)
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return asked
	}
}

// TestDeliveriesGoThroughTheProxy: receivers with http and https, and token endpoints; connections are kept, and certificates are those of the
// receiver.
func TestDeliveriesGoThroughTheProxy(t *testing.T) {
	u, seen := connectProxy(t, "")
	ca := newAuthority(t, "ours")
	file := filepath.Join(t.TempDir(), "ca.pem")
	write(t, file, ca.pem(), time.Now())
	secureURL, _ := tlsReceiver(t, ca, nil)
	plain, tokenServer := newReceiver(t), newTokenServer(t)
	networks := guard.NewNetworks(guard.Options{Allow: loopback, Proxy: guard.NewProxy(guard.ProxyOptions{URL: u})}, nil, nil)
	for _, c := range []struct {
		url string
		tls bool
	}{{plain.URL, false}, {secureURL, true}} {
		r := newRig(t, c.url+"/", "POST", func(w *webhooks.Webhook) {
			w.TLS, w.Timeout, w.CAFile = c.tls, 5*time.Second, file
			w.Host = c.url[strings.Index(c.url, "//")+2:]
			var err error
			if w.Authorization, err = webhooks.OAuth2Auth("a", "", *tokenServer.credentials()); err != nil {
				t.Fatal(err)
			}
		})
		r.d.SetNetworks(networks)
		r.client = r.d.clientLocked(r.target.Webhook)
		for range 2 {
			if r.settle(`1`); r.q.action != Ack {
				t.Fatalf("%s: %+v", c.url, r.q.failure)
			}
		}
		if !r.w.exchange.Reused {
			t.Errorf("%s: the connection through the proxy was not kept", c.url)
		}
		want := []string{strings.TrimPrefix(tokenServer.URL, "http://"), r.target.Webhook.Host}
		if asked := seen(); !slices.Equal(asked[len(asked)-2:], want) {
			t.Errorf("%s: asked for %q, want %q", c.url, asked, want)
		}
		r.client.close()
	}
	if asked := seen(); len(asked) != 4 {
		t.Errorf("asked for %q", asked)
	}
}

// TestTroubleWithTheProxy is the receiver's neither in words nor in reason.
func TestTroubleWithTheProxy(t *testing.T) {
	for answer, want := range map[string]string{"HTTP/1.1 407 No\r\n\r\n": "other credentials", "HTTP/1.1 502 No\r\n\r\n": "cannot reach the receiver (502)"} {
		u, _ := connectProxy(t, answer)
		rc := newReceiver(t)
		r := newRig(t, rc.URL+"/", "POST", nil)
		r.d.SetNetworks(guard.NewNetworks(guard.Options{Allow: loopback, Proxy: guard.NewProxy(guard.ProxyOptions{URL: u})}, nil, nil))
		r.client = r.d.clientLocked(r.target.Webhook)
		if r.settle(`1`); r.q.failure.Reason != queue.ReasonConnect || !strings.Contains(r.q.failure.Detail, want) {
			t.Errorf("%q: %+v", answer, r.q.failure)
		}
		if rc.tokensSeen() != nil {
			t.Error("the receiver was reached")
		}
	}
}

// TestGrantOfATenant: a webhook reaches what its own tenant was granted, its tokens included; when that changes, so do connections that exist.
func TestGrantOfATenant(t *testing.T) {
	rc, tokenServer := newReceiver(t), newTokenServer(t)
	a, err := webhooks.OAuth2Auth("a", "", *tokenServer.credentials())
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, rc.URL+"/", "POST", func(w *webhooks.Webhook) { w.Authorization = a })
	other := *r.target.Webhook
	other.ID, other.Tenant = event.NamedWebhookID("other", "w"), "other"
	granted := guard.NewNetworks(guard.Options{}, map[string][]netip.Prefix{"t": loopback}, nil)
	try := func(wh *webhooks.Webhook) queue.Failure {
		r.d.mu.Lock()
		c := r.d.clientLocked(wh)
		r.d.mu.Unlock()
		defer c.close()
		target := Target{Webhook: wh}
		r.w.settle(delivery(`1`), &target, c)
		if r.q.action == Ack {
			return queue.Failure{}
		}
		return r.q.failure
	}
	r.d.SetNetworks(granted)
	if f := try(r.target.Webhook); f.Reason != queue.ReasonNone {
		t.Errorf("the tenant with the grant: %+v", f)
	}
	if f := try(&other); f.Reason != queue.ReasonAuth || !strings.Contains(f.Detail, "network guard") {
		t.Errorf("the other tenant, same authorization: %+v", f)
	}
	other.Authorization = nil
	if f := try(&other); f.Reason != queue.ReasonBlocked {
		t.Errorf("the other tenant: %+v", f)
	}
	l := newLane(r.d, r.target.Webhook.ID)
	l.setTargetLocked(&r.target)
	client := l.client
	l.setTargetLocked(&Target{Webhook: r.target.Webhook})
	if l.client != client {
		t.Error("nothing has changed, and the client has")
	}
	r.d.SetNetworks(guard.NewNetworks(guard.Options{}, nil, granted))
	l.setTargetLocked(&Target{Webhook: r.target.Webhook})
	if l.client == client {
		t.Error("the grant was withdrawn, and the client stays")
	}
}
