package bench

import (
	"testing"
	"time"
)

// fakeClock is a time that only moves when somebody sleeps.
type fakeClock struct{ t time.Time }

func (c *fakeClock) clock() clock {
	return clock{now: func() time.Time { return c.t }, sleepUntil: func(t time.Time, _ <-chan struct{}) { c.t = t }}
}

func TestOpenLoopKeepsItsSchedule(t *testing.T) {
	start := time.Unix(1000, 0)
	clk := &fakeClock{start}
	g, err := NewGenerator(Load{Target: Target{URL: "http://127.0.0.1:1/", Body: Placeholder}, Connections: 1, Rate: 1000, Events: 10})
	if err != nil {
		t.Fatal(err)
	}
	g.clock = clk.clock()
	free := make(chan *stream, 1)
	free <- g.streams[0]
	var intended, sent []time.Duration
	g.pace(schedule{start: start, rate: 1000}, free, func(s *stream, at time.Time) {
		intended, sent = append(intended, at.Sub(start)), append(sent, clk.t.Sub(start))
		if len(sent) == 3 {
			clk.t = clk.t.Add(5 * time.Millisecond) // the target stalls
		}
		free <- s
	})
	ms := time.Millisecond
	wantSent := []time.Duration{0, ms, 2 * ms, 7 * ms, 7 * ms, 7 * ms, 7 * ms, 7 * ms, 8 * ms, 9 * ms}
	if len(sent) != 10 {
		t.Fatalf("%d events, want 10", len(sent))
	}
	for i := range sent {
		if intended[i] != time.Duration(i)*ms || sent[i] != wantSent[i] {
			t.Errorf("event %d: intended for %v and sent at %v, want %v and %v", i, intended[i], sent[i], time.Duration(i)*ms, wantSent[i])
		}
	}
}

func TestScheduleDoesNotDrift(t *testing.T) {
	s := schedule{start: time.Unix(0, 0), rate: 30_000}
	if got := s.at(30_000 * 3600); got.Sub(s.start) != time.Hour {
		t.Errorf("after an hour's events %v", got.Sub(s.start))
	}
}

func TestPaceEndsWithStopWhileNoStreamIsFree(t *testing.T) {
	g, err := NewGenerator(Load{Target: Target{URL: "http://127.0.0.1:1/", Body: Placeholder}, Connections: 1, Rate: 1})
	if err != nil {
		t.Fatal(err)
	}
	clk := &fakeClock{time.Unix(1000, 0)}
	g.clock = clk.clock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.pace(schedule{start: clk.t, rate: 1}, nil, func(*stream, time.Time) { t.Error("sent without a stream") })
	}()
	close(g.stop)
	<-done
}
