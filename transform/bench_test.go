package transform

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
)

// BenchmarkRun: one event of 1 KiB through a guest, by isolation. The echo guest is the price of the ABI itself.
func BenchmarkRun(b *testing.B) {
	mask, err := os.ReadFile("../plugins/mask/mask.wasm")
	if err != nil {
		b.Fatal(err)
	}
	h := newHost(b, Options{})
	event := []byte(`{"id":"e","type":"order.created","data":{"items":[` + strings.Repeat(`{"sku":"A-1001","price":12.5,"by":"ada@example.com"},`, 18) + `{}]}}`)
	for _, c := range []struct {
		name      string
		wasm      []byte
		isolation Isolation
		input     []byte
		sample    []byte
	}{
		{"echo/shared", echo(), IsolationShared, bytes.Repeat([]byte("x"), 1024), nil},
		{"echo/shared/64KiB", echo(), IsolationShared, bytes.Repeat([]byte("x"), 64<<10), nil},
		{"echo/event", echo(), IsolationEvent, bytes.Repeat([]byte("x"), 1024), nil},
		{"mask/shared", mask, IsolationShared, event, nil},
		{"mask/event", mask, IsolationEvent, event, nil},
		{"mask/fresh", mask, IsolationFresh, event, nil},
		{"go/shared", goModule(b), IsolationShared, event, nil},
		{"go/event", goModule(b), IsolationEvent, event, nil},
		{"go/event/sample", goModule(b), IsolationEvent, event, event},
		{"go/fresh", goModule(b), IsolationFresh, event, nil},
		{"js/shared", packFiles(b, "t.js", slackScript), IsolationShared, event, nil},
		{"js/event", packFiles(b, "t.js", slackScript), IsolationEvent, event, nil},
		{"js/event/sample", packFiles(b, "t.js", slackScript), IsolationEvent, event, event},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := newPool(b, h, c.wasm, PoolConfig{Isolation: c.isolation, Size: 1, Sample: c.sample})
			var out Result
			b.ReportAllocs()
			for b.Loop() {
				out.Reset()
				if err := p.Run(context.Background(), &testMeta, c.input, &out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(out.Fuel), "fuel/op")
		})
	}
}

const slackScript = `export default function (event, ctx) {
  const lines = event.data.items.filter((i) => i.sku).map((i) => "*" + i.sku + "* " + i.price.toFixed(2) + " by " + i.by);
  return { text: event.type, blocks: [{ type: "section", text: { type: "mrkdwn", text: lines.join("\\n") } }] };
}`
