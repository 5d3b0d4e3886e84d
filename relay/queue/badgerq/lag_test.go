package badgerq

import (
	"fmt"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// bounded checks that memory is bounded: the window, and for each webhook the portion that a reader brings and the group that is being
// dispatched. Groups that only wait for a commit do not count.
func (r *rig) bounded(lanes int) {
	r.t.Helper()
	r.q.mu.Lock()
	defer r.q.mu.Unlock()
	groups := 0
	for _, g := range r.q.groups {
		if g.live > 0 || g.lag > 0 || g.loads > 0 {
			groups++
		}
	}
	most := r.opt.Window + lanes*(r.opt.Refill+r.opt.GroupEvents)
	if n := r.q.inMemory; n > most || groups > most {
		r.t.Fatalf("%d deliveries and %d groups in memory, at most %d", n, groups, most)
	}
	if n, most := r.q.pinned.Load(), 4*r.opt.WindowBytes+int64(lanes)*64<<10; n > most {
		r.t.Fatalf("%d bytes of groups in memory, at most %d", n, most)
	}
}

// A webhook for which nobody leases gets everything too. The other one notices nothing, memory stays small, and when the first comes
// back it gets everything in order.
func TestDeadWebhookCostsTheOthersNothing(t *testing.T) {
	for _, parked := range []bool{false, true} {
		t.Run(fmt.Sprintf("parked=%v", parked), func(t *testing.T) {
			r := startRig(t, tiny)
			live, dead := hook(1), hook(2)
			if parked {
				r.q.Park(dead)
			}
			const n = 2000
			var d queue.Delivery
			got := 0
			for i := range n {
				r.append(fmt.Sprintf("e%05d", i), 200, live, dead)
				for r.q.Lease(live, &d) {
					if want := fmt.Sprintf("e%05d", got); string(d.Event.ID) != want {
						t.Fatalf("leased %s, want %s", d.Event.ID, want)
					}
					got++
					r.q.Ack(&d)
				}
				if i%100 == 0 {
					r.pass(r.opt.StallAfter)
					r.bounded(2)
				}
			}
			for ; got < n; got++ {
				if d := r.take(live); string(d.Event.ID) != fmt.Sprintf("e%05d", got) {
					t.Fatalf("leased %s, want number %d", d.Event.ID, got)
				} else {
					r.q.Ack(d)
				}
			}
			if s := r.q.Stats(); s.Pending != n {
				t.Fatalf("stats: %+v, want %d pending", s, n)
			}
			for i := range n {
				d := r.take(dead)
				if want := fmt.Sprintf("e%05d", i); string(d.Event.ID) != want {
					t.Fatalf("the dead one leased %s, want %s", d.Event.ID, want)
				}
				r.q.Ack(d)
				if i%100 == 0 {
					r.bounded(2)
				}
			}
			r.empty()
		})
	}
}

// Many webhooks for which nobody leases fill the window; what stalls is given back, so that one that works has room again.
func TestStalledWebhooksGiveTheirRoomBack(t *testing.T) {
	r := startRig(t, tiny)
	var dead []event.WebhookID
	for i := range 40 {
		dead = append(dead, hook(100+i))
		r.append(fmt.Sprintf("d%d", i), 200, dead[i])
	}
	// Readers bring some of the stalled ones back meanwhile, which takes room again until they have stalled once more.
	live, fresh := hook(1), 0
	for i := 0; fresh < 10; i++ {
		if i == 400 {
			t.Fatalf("%d of %d events of a healthy webhook took the way by the disk", i-fresh, i)
		}
		if i%20 == 0 {
			r.pass(10 * r.opt.StallAfter)
			r.until("the stalled are spilled", func() bool { return r.q.laneRoomLocked() >= r.opt.Window/8 })
		}
		r.append(fmt.Sprintf("e%d", i), 200, live)
		d := r.take(live)
		if d.Handle.Kind == fromLive {
			fresh++
		}
		r.q.Ack(d)
	}
	for i, w := range dead {
		if d := r.take(w); string(d.Event.ID) != fmt.Sprintf("d%d", i) {
			t.Fatalf("leased %s", d.Event.ID)
		} else {
			r.q.Ack(d)
		}
	}
	r.empty()
}

// Spilling, lagging, reading back and returning to live, in one webhook's life; its cursor follows and holds nothing up.
func TestReturnToLive(t *testing.T) {
	r := startRig(t, tiny)
	w := hook(1)
	next, want := 0, 0
	push := func(n int) {
		for range n {
			r.append(fmt.Sprintf("e%05d", next), 300, w)
			next++
		}
	}
	pull := func(n int) (kinds [4]int) {
		for range n {
			d := r.take(w)
			if string(d.Event.ID) != fmt.Sprintf("e%05d", want) {
				t.Fatalf("leased %s, want number %d", d.Event.ID, want)
			}
			want++
			kinds[d.Handle.Kind]++
			r.q.Ack(d)
		}
		return kinds
	}
	for round := range 10 {
		push(100) // more than the window
		pull(50)
		r.pass(2 * r.opt.StallAfter) // what is in memory goes back
		r.until("the inbox is small", func() bool { return r.q.lanes[w].inbox.n <= r.opt.Refill+r.opt.GroupEvents })
		if round%3 == 2 {
			r.q.Park(w)
		}
		push(20)
		if k := pull(70); k[fromLag] == 0 {
			t.Errorf("round %d: nothing was read back: %v", round, k)
		}
		r.until("it has caught up", func() bool { r.q.catchUpLocked(r.q.lanes[w]); return !r.q.lanes[w].lagging })
		push(1)
		if k := pull(1); k[fromLive] != 1 {
			t.Errorf("round %d: the webhook has caught up, but goes by the disk", round)
		}
	}
	r.pass(2 * time.Second)
	r.until("its cursor is given up", func() bool { return r.q.lanes[w].storedFloor == 0 && r.q.lanes[w].backlog.n == 0 })
	r.barrier()
	if m := r.q.stored.Load(); m.floor != m.lastSeq+1 || m.groups != 0 {
		t.Errorf("meta: %+v, want a floor behind the last group", m)
	}
	r.empty()
}

// A dead webhook that gets one event in forty does not keep whole groups on disk.
func TestThinning(t *testing.T) {
	r := startRig(t, func(o *Options) { o.Refill = 8 })
	live, rare := hook(1), hook(2)
	r.q.Park(rare)
	const n = 2000
	var size int64
	for i := 0; i < n; i += 200 {
		done := make(chan struct{})
		for j := range 200 {
			go func() {
				defer func() { done <- struct{}{} }()
				targets := []event.WebhookID{live}
				if j%40 == 0 {
					targets = append(targets, rare)
				}
				r.append(fmt.Sprintf("e%05d", i+j), 1000, targets...)
			}()
		}
		for range 200 {
			<-done
		}
	}
	size = r.q.Stats().Bytes
	for range n {
		r.q.Ack(r.take(live))
	}
	r.until("the groups are thin", func() bool { return r.q.stored.Load().bytes <= size/15 })
	r.reopen()
	if s := r.q.Stats(); s.Pending != n/40 || s.Bytes > size/15 || s.Damaged > 0 || s.LostEvents > 0 {
		t.Errorf("after a restart: %+v, want %d pending in at most %d bytes", s, n/40, size/15)
	}
	for i := range n / 40 {
		d := r.take(rare)
		if i%3 == 0 { // also by way of a record of their own, whose place is that in the whole group
			r.q.Retry(d, r.now().Add(time.Second), failedAt(r.now()))
			continue
		}
		r.q.Ack(d)
	}
	r.pass(time.Second)
	for range (n/40 + 2) / 3 {
		if d := r.take(rare); d.Attempts != 1 {
			t.Errorf("%s: attempts %d", d.Event.ID, d.Attempts)
		} else {
			r.q.Ack(d)
		}
	}
	r.empty()
}

// While the commit that rewrites a group is under way, a reader must not see the old record with the new object.
func TestThinningAndReadingAtOnce(t *testing.T) {
	r := startRig(t, tiny)
	live, rare := hook(1), hook(2)
	for round := range 100 {
		for i := range 8 {
			targets := []event.WebhookID{live}
			if i == 3 {
				targets = append(targets, rare)
			}
			r.append(fmt.Sprintf("e%d-%d", round, i), 300, targets...)
		}
		r.q.Park(rare)
		for range 8 {
			r.q.Ack(r.take(live))
		}
		r.q.Ack(r.take(rare))
	}
	r.empty()
}
