package bench

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

func generate(t *testing.T, l Load) *Generator {
	t.Helper()
	g, err := NewGenerator(l)
	if err != nil {
		t.Fatal(err)
	}
	g.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		g.Stop(ctx)
	})
	return g
}

func TestGeneratorAndSinkAgree(t *testing.T) {
	for _, tt := range []struct {
		name string
		rate float64
	}{{"closed loop", 0}, {"open loop", 20_000}} {
		s := startSink(t, SinkOptions{Scheme: "none"})
		g := generate(t, Load{Target: Target{URL: "http://" + s.Addr() + "/", Body: EventBody(1024)}, Connections: 8, Rate: tt.rate, Events: 1000})
		<-g.Done()
		sent, c := g.Sent(), s.Counts()
		if sent != (Sent{Attempts: 1000, Accepted: 1000}) || c.Distinct != 1000 || c.Duplicates+c.OutOfOrder+c.Unknown != 0 {
			t.Errorf("%s: sent %+v, sink %+v, %v", tt.name, sent, c, g.Err())
		}
		promised, got := g.Ledger(), s.Ledger(0)
		if promised.Count() != 1000 || promised.Without(got) != 0 || got.Without(promised) != 0 {
			t.Errorf("%s: the ledgers differ", tt.name)
		}
		if n := g.Latency().TotalCount(); n != 1000 {
			t.Errorf("%s: %d latencies", tt.name, n)
		}
	}
}

func TestGeneratorCountsOnlyPromises(t *testing.T) {
	s := startSink(t, SinkOptions{Scheme: "none"})
	s.Behave(0, Behaviour{Status: 503, Share: 0.5})
	g := generate(t, Load{Target: Target{URL: "http://" + s.Addr() + "/", Body: EventBody(256)}, Connections: 2, Events: 10})
	<-g.Done()
	sent := g.Sent()
	if sent.Accepted != 10 || sent.Refused < 8 || sent.Failed != 0 || g.Ledger().Count() != 10 || g.Ledger().Without(s.Ledger(0)) != 0 {
		t.Errorf("%+v, ledger %d", sent, g.Ledger().Count())
	}
	if err := g.Err(); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("last error %v", err)
	}
}

func TestGeneratorDoesNotReuseANumberOfUnknownFate(t *testing.T) {
	s := startSink(t, SinkOptions{Scheme: "none"})
	s.Behave(0, Behaviour{Reset: true, Share: 0.5})
	g := generate(t, Load{Target: Target{URL: "http://" + s.Addr() + "/", Body: EventBody(256)}, Connections: 1, Events: 5})
	<-g.Done()
	if sent := g.Sent(); sent.Accepted != 5 || sent.Failed < 4 {
		t.Errorf("%+v", sent)
	}
	if l := g.Ledger()[0]; l.has(0) == l.has(1) { // every second one was answered
		t.Errorf("ledger %b", l)
	}
}

func TestStopEndsRequestsThatHang(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	arrived, release := make(chan struct{}, 10), make(chan struct{})
	server := &fasthttp.Server{Handler: func(*fasthttp.RequestCtx) { arrived <- struct{}{}; <-release }}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	for _, rate := range []float64{0, 1000} {
		g := generate(t, Load{Target: Target{URL: "http://" + ln.Addr().String() + "/", Body: Placeholder}, Connections: 2, Rate: rate})
		<-arrived
		<-arrived
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		g.Stop(ctx)
		if sent := g.Sent(); sent.Failed != 2 || sent.Accepted != 0 {
			t.Errorf("rate %v: %+v", rate, sent)
		}
	}
	close(release)
	if err := server.Shutdown(); err != nil {
		t.Error(err)
	}
	<-served
}
