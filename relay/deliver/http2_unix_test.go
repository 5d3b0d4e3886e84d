//go:build unix

package deliver

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"edgerelay/relay/webhooks"
)

// BenchmarkOverTLS compares what an attempt costs over HTTP/1.1, as the relay speaks it, and over HTTP/2 with net/http, against the same server and
// with the same number of requests at a time. cpu-us/op is what the whole process used, the server included, which is the same code for
// both; conns is how many connections that took. It is the evidence for a decision in RATIONALE.md.
func BenchmarkOverTLS(b *testing.B) {
	ca := newAuthority(b, "ours")
	pair, err := tls.X509KeyPair(ca.issue(1))
	if err != nil {
		b.Fatal(err)
	}
	body := []byte(`{"id":"we_01jf2wkmvcfw6ts1qmgzya291c","type":"order.created","time":"2026-01-02T03:04:05.678Z","data":{"pad":"` + strings.Repeat("x", 900) + `"}}`)
	for _, delay := range []time.Duration{0, 20 * time.Millisecond} {
		for _, inFlight := range []int{1, 16, 64} {
			if delay > 0 && inFlight == 1 {
				continue // nothing but waiting
			}
			for _, version := range []string{"HTTP/1.1", "HTTP/2"} {
				b.Run(fmt.Sprintf("%s/in-flight-%d/answers-after-%v", version, inFlight, delay), func(b *testing.B) {
					var conns atomic.Int64
					s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						io.Copy(io.Discard, r.Body)
						if delay > 0 {
							<-time.After(delay)
						}
						if r.ProtoMajor == 1 != (version == "HTTP/1.1") {
							b.Errorf("it came over %s", r.Proto)
						}
					}))
					s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
					s.EnableHTTP2 = true
					s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
						if state == http.StateNew {
							conns.Add(1)
						}
					}
					s.StartTLS()
					defer s.Close()
					var one func() error
					if version == "HTTP/2" {
						transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
						defer transport.CloseIdleConnections()
						one = func() error {
							req, err := http.NewRequest("POST", s.URL+"/hooks", bytes.NewReader(body))
							if err != nil {
								return err
							}
							req.Header.Set("Content-Type", "application/json")
							resp, err := transport.RoundTrip(req)
							if err != nil {
								return err
							}
							io.Copy(io.Discard, resp.Body)
							return resp.Body.Close()
						}
					} else {
						file := filepath.Join(b.TempDir(), "ca.pem")
						write(b, file, ca.pem(), time.Now())
						r := newRig(b, s.URL+"/hooks", "POST", func(w *webhooks.Webhook) {
							w.Host, w.TLS, w.CAFile, w.Timeout, w.Concurrency = strings.TrimPrefix(s.URL, "https://"), true, file, 5*time.Second, inFlight
						})
						defer r.client.close()
						type pairOf struct {
							req  fasthttp.Request
							resp fasthttp.Response
						}
						free := make(chan *pairOf, inFlight)
						for range inFlight {
							p := &pairOf{}
							p.req.SetRequestURI(s.URL + "/hooks")
							p.req.Header.SetMethod("POST")
							p.req.Header.SetContentType("application/json")
							p.req.SetBodyRaw(body)
							free <- p
						}
						one = func() error {
							p := <-free
							defer func() { free <- p }()
							var x exchange
							return r.client.do(&x, &p.req, &p.resp, time.Now().Add(5*time.Second))
						}
					}
					if err := one(); err != nil {
						b.Fatal(err)
					}
					var left atomic.Int64
					left.Store(int64(b.N))
					done := make(chan struct{})
					b.ReportAllocs()
					before := cpuTime()
					b.ResetTimer()
					for range inFlight {
						go func() {
							for left.Add(-1) >= 0 {
								if err := one(); err != nil {
									b.Error(err)
								}
							}
							done <- struct{}{}
						}()
					}
					for range inFlight {
						<-done
					}
					b.StopTimer()
					b.ReportMetric(float64((cpuTime()-before).Microseconds())/float64(b.N), "cpu-us/op")
					b.ReportMetric(float64(conns.Load()), "conns")
				})
			}
		}
	}
}

// cpuTime is what the process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
