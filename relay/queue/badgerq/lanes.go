package badgerq

import (
	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// Where a leased delivery came from (queue.Handle.Kind).
const (
	fromLive  = 1 // handed out straight after its commit
	fromLag   = 2 // read back from its group for a webhook that lags
	fromRetry = 3 // read back from its own record
)

// lane is what the engine knows of one webhook; Queue.mu guards it. (The sending side has lanes of its own, with limits and circuits.)
type lane struct {
	id     event.WebhookID
	inbox  ring[item]  // in memory, oldest first
	retry  ring[retry] // due retries in memory
	turn   bool        // the next lease prefers a retry
	parked bool        // nobody leases: nothing is kept in memory
	hungry bool        // the last Lease found nothing: announce when there is something

	lagging bool   // new groups are left on disk; cursor is the first that has not been read back
	cursor  uint64 // may be given up only when it has passed Queue.dispatched
	backlog ring[readBack]

	nextDue int64           // earliest due time in the store, noDue when none
	heapAt  int             // place in Queue.dueLanes, -1 = not there
	dueFrom int64           // retries due earlier are settled or in memory; noDue while a reader scans
	isDue   bool            // the clock has found nextDue in the past
	loaded  map[place]int64 // due times of retries in memory or whose settlement is not durable yet: never read a second time
	unknown int             // retries stored in batches that are not committed, so that dueFrom does not know them

	storedFloor uint64 // what the cursor record says; 0 = there is none
	storedDue   int64
	refilling   bool // queued for a reader or in its hands
	spills      int  // counts spillLocked, so that a reader notices that its place in the log is not right any more
}

// item is a delivery in memory: one event of a pinned group.
type item struct {
	g       *group
	event   uint32
	ordinal uint32
	kind    uint8
}

// readBack counts how many deliveries of one group, read back for a lagging webhook, are not settled: the oldest is the lane's floor.
type readBack struct {
	seq  uint64
	left int
}

// ring is a first-in first-out queue that reuses its memory.
type ring[T any] struct {
	buf  []T
	head int
	n    int
}

func (r *ring[T]) push(v T) {
	if r.n == len(r.buf) {
		grown := make([]T, max(8, 2*len(r.buf)))
		for i := range r.n {
			grown[i] = *r.at(i)
		}
		r.buf, r.head = grown, 0
	}
	r.buf[(r.head+r.n)%len(r.buf)] = v
	r.n++
}

func (r *ring[T]) pop() T {
	var zero T
	v := r.buf[r.head]
	r.buf[r.head] = zero
	r.head = (r.head + 1) % len(r.buf)
	r.n--
	if r.n == 0 && len(r.buf) > 1024 {
		*r = ring[T]{}
	}
	return v
}

func (r *ring[T]) at(i int) *T { return &r.buf[(r.head+i)%len(r.buf)] }

// laneLocked returns the lane of w, making it at first sight.
func (q *Queue) laneLocked(w event.WebhookID) *lane {
	l := q.lanes[w]
	if l == nil {
		l = &lane{id: w, hungry: true, nextDue: noDue, heapAt: -1}
		q.lanes[w] = l
	}
	return l
}

// laneRoom is how many deliveries one webhook may have in memory: a quarter of what is free, so that a few slow webhooks can never use
// up the room of the others (the dynamic threshold of shared-buffer switches: Choudhury and Hahne, 1998).
func (q *Queue) laneRoomLocked() int {
	if q.pinned.Load() >= q.opt.WindowBytes {
		return 0
	}
	return (q.opt.Window - q.inMemory) / 4
}

// dispatchLocked hands a freshly committed group's deliveries to their webhooks, or leaves them on disk for those that lag.
// It appends the webhooks to announce.
func (q *Queue) dispatchLocked(g *group, announce []event.WebhookID) []event.WebhookID {
	room := q.laneRoomLocked()
	q.pending.Add(int64(g.total))
	for i := range g.events {
		_, targets, _, err := event.DecodeRecord(g.record(uint32(i)))
		if err != nil {
			panic("BUG: a committed event does not decode: " + err.Error())
		}
		for t := range targets.Len() {
			l := q.laneLocked(targets.At(t))
			if !q.offerLocked(l, g, uint32(i), g.base[i]+uint32(t), room) {
				if l.hungry && !l.parked {
					q.askRefillLocked(l)
				}
				continue
			}
			if l.hungry {
				l.hungry = false
				announce = append(announce, l.id)
			}
		}
	}
	q.dispatched = g.seq
	switch {
	case g.total == 0:
		q.settledLocked(g)
	case g.live > 0:
		q.linkLocked(g)
	}
	return announce
}

// offerLocked puts one delivery into l's inbox, or makes l lag.
func (q *Queue) offerLocked(l *lane, g *group, ev, ordinal uint32, room int) bool {
	if l.lagging {
		return false
	}
	if l.parked || l.inbox.n >= room {
		q.startLagLocked(l, g.seq)
		return false
	}
	q.takeItemLocked(l, item{g, ev, ordinal, fromLive})
	g.live++
	return true
}

func (q *Queue) takeItemLocked(l *lane, it item) {
	it.g.taken.set(it.ordinal)
	it.g.pins.Add(1)
	l.inbox.push(it)
	q.inMemory++
}

// linkLocked adds g to the groups with live deliveries, which are in order because groups are dispatched in order.
func (q *Queue) linkLocked(g *group) {
	q.groups[g.seq] = g
	g.linked, g.prev = true, q.last
	if q.last != nil {
		q.last.next = g
	} else {
		q.first = g
	}
	q.last = g
}

func (q *Queue) unlinkLocked(g *group) {
	if g.prev != nil {
		g.prev.next = g.next
	} else {
		q.first = g.next
	}
	if g.next != nil {
		g.next.prev = g.prev
	} else {
		q.last = g.prev
	}
	g.linked, g.prev, g.next = false, nil, nil
}

// floorLocked is the first group that is not done, but for webhooks with a cursor.
func (q *Queue) floorLocked() uint64 {
	if q.first != nil {
		return q.first.seq
	}
	return q.dispatched + 1
}

// startLagLocked makes l leave everything from group seq on to the disk. The cursor must be in a batch before anything that lets the
// queue's floor pass seq.
func (q *Queue) startLagLocked(l *lane, seq uint64) {
	l.lagging, l.cursor = true, seq
	q.storeCursorLocked(l, l.storedDue)
}

// floor is the first group of which this lane still needs something although the queue's own floor may have passed it; 0 = none.
func (l *lane) floor() uint64 {
	if l.backlog.n > 0 {
		return l.backlog.at(0).seq
	}
	if l.lagging {
		return l.cursor
	}
	return 0
}

// storeCursorLocked writes l's cursor record: its floor, and the time before which no retry of it is unsettled (0 = not known).
func (q *Queue) storeCursorLocked(l *lane, due int64) {
	floor := l.floor()
	if floor == l.storedFloor && due == l.storedDue {
		return
	}
	b := q.openLocked()
	if floor == 0 && due == 0 {
		b.del(func(k []byte) []byte { return appendCursorKey(k, l.id) })
	} else {
		b.set(func(k []byte) []byte { return appendCursorKey(k, l.id) }, func(v []byte) []byte { return appendCursor(v, floor, due) })
	}
	l.storedFloor, l.storedDue = floor, due
}

// raiseCursorLocked lets the stored cursor follow the lane; the clock calls it once a second.
func (q *Queue) raiseCursorLocked(l *lane) {
	due := l.storedDue
	if !l.refilling && l.unknown == 0 {
		due = l.dueFrom
		for _, d := range l.loaded {
			due = min(due, d)
		}
	}
	q.storeCursorLocked(l, due)
}

// Park forgets what is in memory for w; Lease ends it.
func (q *Queue) Park(w event.WebhookID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.laneLocked(w)
	l.parked, l.hungry = true, true
	q.spillLocked(l)
}

// spillLocked gives everything in l's inbox back to the disk.
func (q *Queue) spillLocked(l *lane) {
	l.spills++
	if l.inbox.n > 0 {
		first := l.inbox.at(0).g.seq
		if l.lagging {
			first = min(first, l.cursor)
		}
		q.startLagLocked(l, first)
		for l.inbox.n > 0 {
			it := l.inbox.pop()
			q.inMemory--
			it.g.taken.clear(it.ordinal)
			if it.kind == fromLive {
				it.g.live--
			} else {
				it.g.lag--
				l.readBackDone(it.g.seq)
			}
			q.idleLocked(it.g)
			q.unpin(it.g)
		}
	}
	for l.retry.n > 0 {
		r := l.retry.pop()
		delete(l.loaded, r.at)
		l.dueFrom = min(l.dueFrom, r.due)
		l.nextDue = min(l.nextDue, r.due)
		l.isDue = true
	}
}

// readBackDone notes that one delivery of group seq is off the lane's hands.
func (l *lane) readBackDone(seq uint64) {
	for i := range l.backlog.n {
		if r := l.backlog.at(i); r.seq == seq {
			r.left--
			break
		}
	}
	for l.backlog.n > 0 && l.backlog.at(0).left == 0 {
		l.backlog.pop()
	}
}

// Lease hands out w's next delivery: due retries and fresh ones in turn.
func (q *Queue) Lease(w event.WebhookID, d *queue.Delivery) bool {
	q.mu.Lock()
	l := q.laneLocked(w)
	l.parked = false
	if q.stopping {
		q.mu.Unlock()
		return false
	}
	switch {
	case l.retry.n > 0 && (l.turn || l.inbox.n == 0):
		r := l.retry.pop()
		l.turn = false
		q.refillIfLowLocked(l)
		q.mu.Unlock()
		r.fill(w, d)
		return true
	case l.inbox.n > 0:
		it := l.inbox.pop()
		q.inMemory--
		l.turn = true
		q.refillIfLowLocked(l)
		q.mu.Unlock()
		d.Buf = append(d.Buf[:0], it.g.record(it.event)...)
		q.unpin(it.g)
		d.Webhook, d.Attempts, d.First = w, 0, 0
		d.Handle = queue.Handle{Kind: it.kind, Event: it.event, Ordinal: it.ordinal, Seq: it.g.seq, Group: it.g}
		d.Event, _, _, _ = event.DecodeRecord(d.Buf) // decoded before, when it was dispatched or read back
		return true
	}
	l.hungry = true
	q.refillIfLowLocked(l)
	q.mu.Unlock()
	return false
}

// refillIfLowLocked asks a reader for more before the inbox runs dry.
func (q *Queue) refillIfLowLocked(l *lane) {
	if l.lagging && l.inbox.n <= q.opt.Refill/2 || l.isDue && l.retry.n == 0 {
		q.askRefillLocked(l)
	}
}

func (q *Queue) askRefillLocked(l *lane) {
	if l.refilling || l.parked || q.stopping {
		return
	}
	l.refilling = true
	q.refills = append(q.refills, l)
	q.refillWake.Signal()
}
