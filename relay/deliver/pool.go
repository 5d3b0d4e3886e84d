package deliver

import "time"

// maxIdleTime is how long a worker waits for work before it ends. The ones that wait longest are woken last, so those that a burst has left
// behind get there soon; and a new one is dear: its stack and buffers have to grow again.
const maxIdleTime = 10 * time.Second

// wakeLocked makes a worker look for something to do, if one is to be had.
func (d *Deliverer) wakeLocked() {
	switch n := len(d.idle); {
	case n > 0:
		w := d.idle[n-1]
		d.idle[n-1] = nil
		d.idle = d.idle[:n-1]
		w.wake <- true // never blocks: a worker in idle has not been woken
	case d.workers < d.opt.MaxInFlight && !d.stopping:
		d.workers++
		d.running.Add(1)
		go d.workLoop()
	}
}

func (d *Deliverer) wakeSomeLocked(n int) {
	for range n {
		d.wakeLocked()
	}
}

// workLoop is one worker: it takes the next lane, leases one delivery of it, and settles it.
func (d *Deliverer) workLoop() {
	defer d.running.Done()
	w := newWorker(d)
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		l := d.nextLocked()
		if l == nil {
			if !d.restLocked(w) {
				d.workers--
				return
			}
			continue
		}
		told, ln := l.told, l.line
		target, client := l.target, l.client
		d.mu.Unlock()
		w.delivery.Order = w.orderOf(target)
		leased := d.opt.Queue.Lease(l.id, &w.delivery)
		var r result
		if leased {
			if extra := extraCost(len(w.delivery.Buf)); extra > 0 || w.delivery.More {
				d.leased(l, ln, extra, w.delivery.More)
			}
			w.lane = l
			r = w.settle(&w.delivery, target, client)
		}
		d.mu.Lock()
		d.doneLocked(l, ln, leased)
		if !(leased && w.delivery.More) && l.told == told {
			l.has = false // the queue has said that there is nothing more, and has not spoken since
		}
		if leased {
			l.noteLocked(r)
		}
		d.offerLocked(l)
	}
}

// leased charges for a large delivery, and offers l to another worker when the queue has more.
func (d *Deliverer) leased(l *lane, ln *line, extra int, more bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l.credit -= extra
	ln.credit -= extra
	if more {
		l.has = true
		l.told++
		d.offerLocked(l)
	}
}

// restLocked waits until there is work for w, giving the lock up meanwhile, and says false when w shall end.
func (d *Deliverer) restLocked(w *worker) bool {
	if d.stopping {
		return false
	}
	now := d.opt.Now()
	w.idleSince = now
	if len(d.idle) > 0 && now.Sub(d.idle[0].idleSince) > maxIdleTime {
		d.idle[0].wake <- false
		d.idle = append(d.idle[:0], d.idle[1:]...)
	}
	d.idle = append(d.idle, w)
	d.mu.Unlock()
	stay := <-w.wake
	d.mu.Lock()
	return stay
}

// dismissLocked ends the workers that wait.
func (d *Deliverer) dismissLocked() {
	for _, w := range d.idle {
		w.wake <- false
	}
	d.idle = nil
}
