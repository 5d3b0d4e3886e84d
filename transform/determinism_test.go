package transform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"testing"
	"time"
)

// TestDeterminism: a thousand events, twice, on two hosts and over several instances, give the same bytes and the same fuel.
func TestDeterminism(t *testing.T) {
	if raceEnabled && testing.Short() {
		t.Skip("the language runtimes take minutes under the race detector")
	}
	mask, err := os.ReadFile("../plugins/mask/mask.wasm")
	if err != nil {
		t.Fatal(err)
	}
	guests := map[string]struct {
		wasm   []byte
		events int
		cfg    PoolConfig
	}{
		"native": {mask, 1000, PoolConfig{}},
		"Go":     {goModule(t), 1000, PoolConfig{Sample: []byte(`{"type":"sample"}`)}},
		"fresh":  {counting(), 1000, PoolConfig{Isolation: IsolationFresh}},
	}
	if _, err := fetchEngine(); err == nil {
		guests["JavaScript"] = struct {
			wasm   []byte
			events int
			cfg    PoolConfig
		}{packFiles(t, "t.js", "let m = new Map(); export default (e, ctx) => { m.set(e, 1); return [e, m.size, Math.random(), Date.now(), new Date().toString(), ctx] }"), 1000, PoolConfig{}}
	}
	for name, g := range guests {
		t.Run(name, func(t *testing.T) {
			first, second := outcome(t, g.wasm, g.cfg, g.events), outcome(t, g.wasm, g.cfg, g.events)
			if first != second {
				t.Errorf("the results of %d events: %s, then %s", g.events, first, second)
			}
			t.Log(first)
		})
	}
}

// outcome is a hash of everything that n events lead to.
func outcome(t *testing.T, wasm []byte, cfg PoolConfig, n int) string {
	t.Helper()
	h := newHost(t, Options{})
	cfg.Size, cfg.Limits.Timeout = 2, time.Minute
	p := newPool(t, h, wasm, cfg)
	sum := sha256.New()
	total := int64(0)
	var out Result
	for i := range n {
		if i == n/3 { // another instance takes over
			p.mu.Lock()
			idle := p.idle
			p.idle = nil
			p.mu.Unlock()
			for _, in := range idle {
				in.close()
			}
		}
		out.Reset()
		meta := testMeta
		meta.ID = fmt.Appendf(nil, "ev_%d", i)
		event := fmt.Appendf(nil, `{"id":"ev_%d","type":"order.created","data":{"email":"ada%d@example.com","items":[%d,"%x"]}}`, i, i, i*i, i)
		err := p.Run(context.Background(), &meta, event, &out)
		fmt.Fprint(sum, err, out.Action, out.Fuel, out.ContentType, out.Headers, out.Query, out.Log, string(out.Body))
		total += out.Fuel
	}
	return fmt.Sprintf("%s, fuel %d", hex.EncodeToString(sum.Sum(nil)[:8]), total)
}
