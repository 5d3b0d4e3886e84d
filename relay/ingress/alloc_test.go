package ingress

import (
	"context"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// direct prepares a server and one request, to be handled without a network.
func direct(tb testing.TB, body string) (*harness, *fasthttp.RequestCtx) {
	h := start(tb, func(o *Options) {
		o.MaxBody = 1 << 20
		o.Policy.Tokens = []Token{{Name: "shop", Token: "secret", Tenant: "acme"}}
	})
	h.queue.append = func(_ context.Context, e *event.Event, _ []event.WebhookID, _ *queue.Dedup) (queue.Receipt, error) {
		return queue.Receipt{ID: e.ID}, nil
	}
	ctx := &fasthttp.RequestCtx{}
	ctx.Init(&fasthttp.Request{}, nil, nil)
	r := &ctx.Request
	r.SetRequestURI("http://relay.example/v1/events")
	r.Header.SetMethod("POST")
	r.Header.SetContentType("application/json")
	r.Header.Set("Authorization", "Bearer secret")
	r.Header.Set("Idempotency-Key", `"8e03978e-40d5-43dd-bc93-6894a57f9324"`)
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	r.SetBodyString(body)
	return h, ctx
}

// raceEnabled is set in builds with the race detector, in which sync.Pool drops things at random to find more races.
var raceEnabled bool

func TestHandlerAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("pools do not keep what they are given under the race detector")
	}
	for name, body := range map[string]string{
		"own id":          `{"id":"o-1","type":"order.paid","program":"summer","data":{"total":19.90}}`,
		"idempotency key": `{"type":"order.paid","data":{"total":19.90}}`,
		"escapes":         `{"type":"order.p\u0061id","tenant":"\u0061cme"}`,
	} {
		t.Run(name, func(t *testing.T) {
			h, ctx := direct(t, body)
			n := testing.AllocsPerRun(200, func() {
				h.bodyLimit(&ctx.Request.Header)
				h.serve(ctx)
				if ctx.Response.StatusCode() != 202 {
					t.Fatalf("status %d: %s", ctx.Response.StatusCode(), ctx.Response.Body())
				}
				ctx.Response.Reset()
			})
			const budget = 2 // measured: 0; a garbage collection in between may empty the pools
			if n > budget {
				t.Errorf("%v allocations, want at most %d", n, budget)
			}
		})
	}
}

func BenchmarkHandler(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"size=200", 1}, {"size=1k", 15}, {"size=64k", 1000}} {
		b.Run(size.name, func(b *testing.B) {
			body := `{"id":"order-1","type":"order.paid","data":{"items":[` +
				strings.TrimSuffix(strings.Repeat(`{"sku":"A-17","name":"A plain blue shirt","price":19.99,"n":2},`, size.n), ",") + `]}}`
			h, ctx := direct(b, body)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				h.bodyLimit(&ctx.Request.Header)
				h.serve(ctx)
				ctx.Response.Reset()
			}
		})
	}
}
