package badgerq

import (
	"time"
)

const (
	clockTick     = 250 * time.Millisecond
	progressAfter = 200 // milliseconds after which a group that is only partly settled has its progress written down
)

// dueHeap orders lanes by nextDue; a lane knows its place (heapAt).
type dueHeap []*lane

// learn enters a due time and says whether it is now the earliest of all.
func (h *dueHeap) learn(l *lane, due int64) (earliest bool) {
	l.dueFrom = min(l.dueFrom, due)
	if due >= l.nextDue {
		return false
	}
	l.nextDue = due
	if l.heapAt < 0 {
		l.heapAt = len(*h)
		*h = append(*h, l)
	}
	h.up(l.heapAt)
	return l.heapAt == 0
}

func (h dueHeap) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapAt, h[j].heapAt = i, j
}

func (h dueHeap) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].nextDue <= h[i].nextDue {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

// pop removes the lane with the earliest due time.
func (h *dueHeap) pop() *lane {
	l := (*h)[0]
	n := len(*h) - 1
	h.swap(0, n)
	*h = (*h)[:n]
	l.heapAt, l.nextDue = -1, noDue
	for i := 0; ; {
		child := 2*i + 1
		if child >= n {
			return l
		}
		if child+1 < n && (*h)[child+1].nextDue < (*h)[child].nextDue {
			child++
		}
		if (*h)[i].nextDue <= (*h)[child].nextDue {
			return l
		}
		h.swap(i, child)
		i = child
	}
}

// clockLoop wakes webhooks whose retries are due, and keeps house.
func (q *Queue) clockLoop() {
	defer q.done.Done()
	timer := time.NewTimer(clockTick)
	defer timer.Stop()
	lastHouse, lastSlow := time.Time{}, time.Time{}
	for {
		select {
		case <-q.stop:
			return
		case <-q.failed:
			return
		case <-q.clockWake:
		case <-timer.C:
		}
		now := q.opt.Now()
		next := q.fireDue(now.UnixMilli())
		if now.Sub(lastHouse) >= clockTick || now.Before(lastHouse) {
			lastHouse = now
			q.keepHouse(now.UnixMilli())
		}
		if now.Sub(lastSlow) >= time.Second || now.Before(lastSlow) {
			lastSlow = now
			q.keepRecords()
		}
		timer.Reset(min(clockTick, next))
	}
}

func (q *Queue) wakeClock() {
	select {
	case q.clockWake <- struct{}{}:
	default:
	}
}

// fireDue marks the webhooks whose next retry is due and returns the time until the one after.
func (q *Queue) fireDue(now int64) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.dueLanes) > 0 {
		if wait := q.dueLanes[0].nextDue - now; wait > 0 {
			return time.Duration(min(wait, 1000)) * time.Millisecond
		}
		l := q.dueLanes.pop()
		l.isDue = true
		q.askRefillLocked(l)
	}
	return clockTick
}

// keepHouse gives what stalls back to the disk and writes down the progress of groups that stay.
func (q *Queue) keepHouse(now int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.lanes {
		if l.inbox.n > q.opt.Refill && l.inbox.at(0).g.committed < now-q.opt.StallAfter.Milliseconds() {
			q.spillLocked(l)
		}
	}
	for _, g := range q.groups {
		if g.committed < now-progressAfter {
			q.saveProgressLocked(g)
		}
	}
}

// keepRecords does what is worth doing once a second: cursors, high water, disk space.
func (q *Queue) keepRecords() {
	q.mu.Lock()
	for _, l := range q.lanes {
		q.raiseCursorLocked(l)
	}
	q.mu.Unlock()
	m := q.stored.Load()
	if err := q.high.write(m.events, m.lastSeq); err != nil {
		q.fail(err)
		return
	}
	q.checkDisk()
}

// checkDisk refuses events while the disk is nearly full: Badger's mapped files would turn a full disk into a crash.
func (q *Queue) checkDisk() {
	free, err := q.opt.Free(q.opt.Dir)
	if err != nil {
		q.opt.Log.Warn("cannot tell how much disk space is free", "dir", q.opt.Dir, "error", err)
		return
	}
	q.free.Store(free)
	low := free < q.opt.MinFree
	if q.isLow.Load() {
		low = free < q.opt.MinFree+q.opt.MinFree/4
	}
	if low == q.isLow.Load() {
		return
	}
	q.isLow.Store(low)
	q.setRefusal()
	if low {
		q.opt.Log.Error("disk space is low: new events are refused with 503 until there is more; deliveries go on",
			"free_bytes", free, "min_free_bytes", q.opt.MinFree, "dir", q.opt.Dir)
	} else {
		q.opt.Log.Info("disk space is back: new events are accepted", "free_bytes", free)
	}
}
