package relay

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// pulse proves that the store still writes. A disk that hangs fails nothing: writes just do not come back, and producers wait. While events are
// committed they are the proof; in between it writes a small value itself.
type pulse struct {
	commits func() int64
	write   func(context.Context) error
	every   time.Duration // how often it looks, and how long a write may take to count
	late    time.Duration // without a proof for so long the store is taken for stuck

	begin time.Time
	last  atomic.Int64 // when the last proof came, in nanoseconds since begin
	seen  int64        // commits
	stop  chan struct{}
	done  chan struct{}
}

// Times of the pulse.
const (
	pulseEvery = 10 * time.Second
	pulseLate  = time.Minute
	pulseKey   = "health/pulse"
)

func newPulse(commits func() int64, write func(context.Context) error, every, late time.Duration) *pulse {
	p := &pulse{commits: commits, write: write, every: every, late: late, begin: time.Now(), stop: make(chan struct{}), done: make(chan struct{})}
	p.seen = commits()
	return p
}

func (p *pulse) run() {
	defer close(p.done)
	t := time.NewTicker(p.every)
	defer t.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		<-p.stop
		cancel()
	}()
	for {
		select {
		case <-t.C:
			p.beat(ctx)
		case <-stop:
			return
		}
	}
}

// beat looks for a proof. An answer is one, also a refusal: what is full is not stuck, and a failed queue ends the process by itself.
func (p *pulse) beat(ctx context.Context) {
	if n := p.commits(); n != p.seen {
		p.seen = n
		p.last.Store(int64(time.Since(p.begin)))
		return
	}
	ctx, cancel := context.WithTimeout(ctx, p.every)
	defer cancel()
	err := p.write(ctx)
	p.seen = p.commits()
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		p.last.Store(int64(time.Since(p.begin)))
	}
}

// err says that the store is stuck, or nothing.
func (p *pulse) err() error {
	if silent := time.Since(p.begin) - time.Duration(p.last.Load()); silent > p.late {
		return fmt.Errorf("the store has written nothing for %s: the disk hangs", silent.Round(time.Second))
	}
	return nil
}

func (p *pulse) close(context.Context) error {
	close(p.stop)
	<-p.done
	return nil
}

// openPulse starts it.
func (r *Relay) openPulse() {
	q := r.queue
	r.pulse = newPulse(func() int64 { return q.Stats().Commits }, func(ctx context.Context) error {
		return q.Put(ctx, pulseKey, time.Now().UTC().AppendFormat(nil, time.RFC3339))
	}, pulseEvery, pulseLate)
	go r.pulse.run()
	r.stopLast("pulse", r.pulse.close)
}
