package badgerq

import (
	"time"
)

// A group that is in memory, partly settled, for longer than progressAfter milliseconds has its progress written down: what is settled
// and not written yet is what a crash repeats. busyTick is how often that is looked at while there are groups.
const (
	progressAfter = 20
	busyTick      = 25 * time.Millisecond
)

// clockLoop wakes webhooks whose retries are due, and keeps house.
func (q *Queue) clockLoop() {
	defer q.done.Done()
	timer := time.NewTimer(q.opt.Tick)
	defer timer.Stop()
	lastHouse := time.Time{}
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
		tick := q.opt.Tick
		if now.Sub(lastHouse) >= min(busyTick, tick) || now.Before(lastHouse) {
			lastHouse = now
			if q.keepHouse(now.UnixMilli()) {
				tick = min(busyTick, tick)
			}
		}
		timer.Reset(min(tick, next))
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
	return q.opt.Tick
}

// keepHouse gives what stalls back to the disk and writes down the progress of groups that stay. A webhook stalls when its oldest delivery
// has been in memory for long, and that matters when it holds more than a reader would bring back, or when memory is short. It says whether
// there are groups to look after.
func (q *Queue) keepHouse(now int64) (busy bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	stalled := now - q.opt.StallAfter.Milliseconds()
	for _, l := range q.lanes {
		if l.inbox.n > 0 && l.inbox.at(0).g.since < stalled && (l.inbox.n > q.opt.Refill || q.tightLocked()) {
			q.spillLocked(l)
		}
	}
	for _, g := range q.groups {
		if g.since < now-progressAfter {
			q.saveProgressLocked(g)
		}
	}
	return len(q.groups) > 0
}

// recordLoop gives memory back every tick, and does every four what may take long on a busy disk: cursors, high water, disk space. It is
// apart from the clock, because a settlement that waits for the clock is made again after a crash.
func (q *Queue) recordLoop() {
	defer q.done.Done()
	ticker := time.NewTicker(q.opt.Tick)
	defer ticker.Stop()
	defer q.setThrift(false)
	for n := 1; ; n++ {
		select {
		case <-q.stop:
			return
		case <-q.failed:
			return
		case <-ticker.C:
		}
		q.trimBuilders()
		q.trimTables()
		q.setThrift(q.pending.Load() > aBacklog)
		q.returnHeap()
		if n%4 != 0 {
			continue
		}
		q.mu.Lock()
		q.raiseCursorsLocked()
		q.mu.Unlock()
		if err := q.high.sync(); err != nil {
			q.fail(err)
			return
		}
		q.checkDisk()
	}
}
