package bench

import (
	"sync"
	"time"
)

// sampler looks at a run while it lasts: for the charts, for the peaks of memory, and for the progress line. It owns one goroutine.
type sampler struct {
	session *Session
	result  *Result
	g       *Generator
	begin   time.Time

	end  chan struct{}
	done chan struct{}

	mu   sync.Mutex
	name string // of the phase; guarded by mu
}

// The phases of a run.
const (
	phaseWarmup = "warm up"
	phaseLoad   = "load"
	phaseDrain  = "drain"
)

const sampleEvery = 250 * time.Millisecond

func (s *Session) startSampler(res *Result, g *Generator) *sampler {
	s.mu.Lock()
	s.peaks = map[string]Usage{}
	s.mu.Unlock()
	m := &sampler{session: s, result: res, g: g, begin: time.Now(), end: make(chan struct{}), done: make(chan struct{})}
	go m.loop()
	return m
}

func (m *sampler) phase(name string) {
	m.mu.Lock()
	m.name = name
	m.mu.Unlock()
}

func (m *sampler) stop() {
	close(m.end)
	<-m.done
}

func (m *sampler) loop() {
	defer close(m.done)
	t := time.NewTicker(sampleEvery)
	defer t.Stop()
	last, err := m.session.take(m.g)
	if err != nil {
		return // the run itself meets the same error, and reports it
	}
	for {
		select {
		case <-m.end:
			return
		case <-t.C:
		}
		now, err := m.session.take(m.g)
		if err != nil {
			return
		}
		m.sample(last, now)
		last = now
	}
}

func (m *sampler) sample(last, now moment) {
	seconds := now.at.Sub(last.at).Seconds()
	m.mu.Lock()
	phase := m.name
	m.mu.Unlock()
	s := Sample{Seconds: now.at.Sub(m.begin).Seconds(), Phase: phase, CPU: map[string]float64{}, Resident: map[string]int64{},
		Accepted:  float64(now.sent.Accepted-last.sent.Accepted) / seconds,
		Delivered: float64(now.sink.Distinct-last.sink.Distinct) / seconds}
	for role, u := range now.usage {
		s.Resident[role] = u.Resident
		if before, ok := last.usage[role]; ok && u.CPU >= before.CPU {
			s.CPU[role] = (u.CPU - before.CPU).Seconds() / seconds
		}
	}
	m.result.Samples = append(m.result.Samples, s)
	m.session.progress.update(m.result, s, now)
}
