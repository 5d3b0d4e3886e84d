package badgerq

import (
	"sync"

	"edgerelay/relay/event"
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
	behind  int64  // Unix milliseconds of the commit of the group at the cursor, or of an older one
	backlog ring[readBack]

	nextDue  int64           // earliest due time of which the clock is to wake this lane, noDue when none
	heapAt   int             // place in Queue.dueLanes, -1 = not there
	dueFrom  int64           // retries due earlier are settled or in memory; noDue while a reader scans
	isDue    bool            // there may be retries to read back now; set by the clock, cleared by the reader before it looks
	loaded   map[place]int64 // due times of retries in memory, or whose settlement or redrive is not durable yet: never read a second time
	unknown  int             // retries stored in batches that are not committed, so that dueFrom does not know them
	redrives int             // counts Redrive, so that a reader notices that what it has read is outdated

	leasing sync.Mutex // one lease in order at a time; taken before Queue.mu
	order   *orderLane // nil = nobody has asked for an order yet

	stored      bool   // there is a cursor record; it is never deleted, because a deleted one might come back with an old floor
	storedFloor uint64 // what it says; 0 = no group
	storedDue   int64  // and no time
	refilling   bool   // queued for a reader or in its hands
	spills      int    // counts spillLocked, so that a reader notices that its place in the log is not right any more
}

// item is a delivery in memory: one event of a pinned group.
type item struct {
	g       *group
	image   *image
	event   uint32 // which one of the record
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

// tightLocked says that memory is half used: from then on, what nobody leases is not kept.
func (q *Queue) tightLocked() bool {
	return q.inMemory >= q.opt.Window/2 || q.pinned.Load() >= q.opt.WindowBytes/2
}

// dispatchLocked hands a freshly committed group's deliveries to their webhooks, or leaves them on disk for those that lag.
// It appends the webhooks to announce.
func (q *Queue) dispatchLocked(g *group, announce []event.WebhookID) []event.WebhookID {
	room := q.laneRoomLocked()
	q.pending.Add(int64(g.total))
	for i := range uint32(len(g.events)) {
		targets := g.targets(g.image.buf, i)
		for t := range targets.Len() {
			l := q.laneLocked(targets.At(t))
			switch taken := q.offerLocked(l, g, i, g.base[i]+uint32(t), room); {
			case taken && l.hungry && l.leasableLocked():
				l.hungry = false
				announce = append(announce, l.id)
			case !taken && l.hungry:
				q.askRefillLocked(l)
			}
		}
	}
	q.dispatched = g.seq
	switch {
	case g.total == 0:
		q.settledLocked(q.openLocked(), g)
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
		q.startLagLocked(l, g.seq, g.committed)
		return false
	}
	q.takeItemLocked(l, item{g, g.image, ev, ordinal, fromLive})
	g.live++
	return true
}

func (q *Queue) takeItemLocked(l *lane, it item) {
	it.g.taken.set(it.ordinal)
	it.image.pins.Add(1)
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
func (q *Queue) startLagLocked(l *lane, seq uint64, committed int64) {
	l.lagging, l.cursor, l.behind = true, seq, committed
	q.lowerCursorLocked(l, l.storedDue)
}

// floor is the first group of which this lane still needs something although the queue's own floor may have passed it; 0 = none.
func (l *lane) floor() (floor uint64) {
	if l.backlog.n > 0 {
		floor = l.backlog.at(0).seq
	}
	if l.lagging && (floor == 0 || l.cursor < floor) { // it is below while what came before the backlog is being spilled
		floor = l.cursor
	}
	return floor
}

// lowerCursorLocked makes sure that the stored cursor is not above the lane, and enters due. It never raises the floor: what is settled
// below a raised floor must have been written first, which raiseCursorsLocked sees to.
func (q *Queue) lowerCursorLocked(l *lane, due int64) {
	floor := l.floor()
	if floor == 0 || l.storedFloor > 0 && l.storedFloor < floor {
		floor = l.storedFloor
	}
	q.storeCursorLocked(l, floor, due)
}

// raiseCursorsLocked lets the stored cursors follow their lanes; the clock calls it once a second.
func (q *Queue) raiseCursorsLocked() {
	for _, g := range q.groups {
		q.saveProgressLocked(g)
	}
	for _, l := range q.lanes {
		due := l.storedDue
		if !l.refilling && l.unknown == 0 {
			due = l.dueFrom
			for _, d := range l.loaded {
				due = min(due, d)
			}
		}
		q.storeCursorLocked(l, l.floor(), due)
	}
	if q.floorLocked() > q.stored.Load().floor+floorBehind {
		q.openLocked() // any batch takes the floor along, and nothing else may be making one
	}
}

// floorBehind is how many groups a restart may read in vain, because nothing has happened but that they were stored.
const floorBehind = 256

// storeCursorLocked writes l's cursor record: its floor, and the time before which no retry of it is unsettled (0 = not known).
func (q *Queue) storeCursorLocked(l *lane, floor uint64, due int64) {
	if floor == l.storedFloor && due == l.storedDue {
		return
	}
	b := q.openLocked()
	if !l.stored {
		b.delta.cursors++
	}
	b.set(func(k []byte) []byte { return appendCursorKey(k, l.id) }, func(v []byte) []byte { return appendCursor(v, floor, due) })
	l.stored, l.storedFloor, l.storedDue = true, floor, due
}
