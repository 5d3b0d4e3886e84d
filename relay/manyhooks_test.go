package relay

import (
	"fmt"
	"testing"
	"time"

	"edgerelay/relay/admin"
	"edgerelay/relay/event"
	"edgerelay/relay/store"
)

// A change of one webhook among ten thousand compiles one. How long it takes is logged: it follows from what is copied, not from what is compiled.
//
//	go test ./relay -run TestOneAmongTenThousand -v
func TestOneAmongTenThousand(t *testing.T) {
	if testing.Short() {
		t.Skip("ten thousand webhooks: not with -short")
	}
	r := start(t, t.TempDir(), "")
	const n = 10_000
	r.mu.Lock()
	now := time.Now().UTC()
	for i := range n {
		o := &store.Object{Kind: store.Webhooks, Tenant: "default", ID: string(event.AppendTypeID(nil, event.PrefixWebhook, event.NewUUID(now))), Name: fmt.Sprintf("w%d", i), Revision: 1,
			CreatedAt: now, UpdatedAt: now, Text: store.Text(fmt.Sprintf(`{"name":"w%d","tenant":"default","events":["type.%d"],"url":"https://h%d.example/","secret":%q}`, i, i%100, i, testSecret))}
		if i < n-1 { // the last one as the API does it, with all others
			r.store.Load(o)
			continue
		}
		begin := time.Now()
		if err := r.change(t.Context(), store.Change{New: o}, o.ID); err != nil {
			r.mu.Unlock()
			t.Fatal(err)
		}
		t.Logf("all %d compiled in %v", n, time.Since(begin).Round(time.Millisecond))
	}
	before := r.built.units
	r.mu.Unlock()
	var d admin.Detail
	begin := time.Now()
	r.must(201, "", "POST", "/api/v1/webhooks", `{"name":"one more","events":["a"],"url":"https://a.example"}`).decode(t, &d)
	made := time.Since(begin)
	begin = time.Now()
	r.must(200, "", "PATCH", "/api/v1/webhooks/"+d.ID, `{"description":"changed"}`)
	t.Logf("made in %v, changed in %v, among %d", made.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond), n)
	for id, u := range before {
		if r.built.units[id] != u {
			t.Fatalf("%s was compiled again", u.def.Name)
		}
	}
}
