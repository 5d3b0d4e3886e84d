package ingress

import (
	"testing"
	"time"
)

// TestAdmits: a tenant's rate holds, as many as its burst may come at once, a reload does not refill it, and other tenants are not concerned.
func TestAdmits(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	p := Policy{Rates: map[string]Rate{"acme": {Every: 100 * time.Millisecond, Burst: 10}, "slow": {Every: time.Hour, Burst: 1}}}
	c, err := p.compile(nil)
	if err != nil {
		t.Fatal(err)
	}
	taken := func(tenant string) (n int) {
		for c.admits([]byte(tenant), now).kind == nil {
			if n++; n > 1000 {
				break
			}
		}
		return n
	}
	if n := taken("acme"); n != 10 {
		t.Errorf("%d at once, want 10", n)
	}
	if c, err = p.compile(c); err != nil {
		t.Fatal(err)
	}
	if n := taken("acme"); n != 0 {
		t.Errorf("%d after a reload", n)
	}
	now = now.Add(time.Second)
	if n := taken("acme"); n != 10 {
		t.Errorf("%d a second later", n)
	}
	if n := taken("other"); n <= 1000 {
		t.Errorf("a tenant without a limit: %d", n)
	}
	if n := taken("slow"); n != 1 {
		t.Errorf("%d of the slow one", n)
	}
	now = now.Add(59*time.Minute + 30*time.Second + 1)
	if p := c.admits([]byte("slow"), now); p.kind != kindRate || p.retryAfter != 30 {
		t.Errorf("%+v, want to wait 30 seconds", p)
	}
	now = now.Add(-1000 * time.Hour)
	if n := taken("acme"); n == 0 {
		t.Error("a clock that is set back closes the door")
	}
	if n := testing.AllocsPerRun(100, func() { c.admits([]byte("acme"), now) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
