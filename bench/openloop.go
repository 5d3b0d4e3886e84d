package bench

import (
	"runtime"
	"sync"
	"time"
)

// startOpen starts the open loop. One goroutine keeps the time and writes: it takes a connection that is free, waits for the next event's moment,
// and sends. Each connection's reader waits for the answer, books it and makes the connection free again. The field that is handed
// over is stream.number with everything around it: whoever holds the stream (the pacer after taking it from free, the reader after taking it from
// its own channel) is the only one to touch it.
func (g *Generator) startOpen() {
	free := make(chan *stream, len(g.streams))
	wait := make([]chan time.Time, len(g.streams)) // to each reader: an event was sent that was intended for this time
	for i, s := range g.streams {
		wait[i] = make(chan time.Time, 1)
		free <- s
		g.running.Go(func() {
			defer s.close()
			for intended := range wait[i] {
				g.settle(s, intended)
				free <- s
			}
		})
	}
	g.running.Go(func() {
		g.pace(schedule{start: g.clock.now(), rate: g.load.Rate}, free, func(s *stream, intended time.Time) {
			if err := g.write(s, intended); err != nil {
				g.fail(s, err)
				free <- s
				return
			}
			wait[s.id] <- intended
		})
		for _, w := range wait {
			close(w)
		}
	})
}

// pace calls send for every event of the schedule at its time, or as soon after it as there is a free stream. Events whose time has passed are
// sent without a pause, and keep the time at which they were intended.
func (g *Generator) pace(plan schedule, free <-chan *stream, send func(*stream, time.Time)) {
	runtime.LockOSThread() // a thread of its own wakes up more exactly
	defer runtime.UnlockOSThread()
	defer addProcessor()()
	for i := int64(0); g.begin(); i++ {
		intended := plan.at(i)
		if g.clock.now().Before(intended) {
			g.clock.sleepUntil(intended, g.stop)
		}
		if g.stopping() {
			return
		}
		select {
		case s := <-free:
			send(s, intended)
		case <-g.stop:
			return
		}
	}
}

var processors sync.Mutex

// addProcessor makes up for a thread that sleeps in the kernel: the runtime counts it as running for up to some milliseconds. With as many open
// loops as there are processors, those who wait for answers would hardly run. The result takes it back.
func addProcessor() (remove func()) {
	change := func(by int) {
		processors.Lock()
		defer processors.Unlock()
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + by)
	}
	change(1)
	return func() { change(-1) }
}

// schedule says when the events of an open loop are due.
type schedule struct {
	start time.Time
	rate  float64 // per second
}

// at returns the time of event i. It is computed from the start each time, so that roundings do not add up.
func (s schedule) at(i int64) time.Time {
	return s.start.Add(time.Duration(float64(i) * float64(time.Second) / s.rate))
}
