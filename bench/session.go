package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Session is one call of the bench while it runs: the children, and what was measured so far. It is used by one goroutine; the sampler of a run
// is the only other one, and ends with the run.
type Session struct {
	Bench
	Report *Report

	dir      string
	sink     *RemoteSink
	relay    *relayChild // the one that runs; nil = none
	progress *progress
	scenario string
	round    int
	runs     int // for names of directories

	mu    sync.Mutex
	pids  map[string][]int // processes that are measured, by role; guarded by mu
	peaks map[string]Usage
}

// Run measures the named scenarios, and returns what it has even when one of them failed.
func (b Bench) Run(ctx context.Context, names []string) (report *Report, err error) {
	var list []Scenario
	for _, n := range names {
		sc, ok := FindScenario(n)
		if !ok {
			return nil, fmt.Errorf("unknown scenario %q", n)
		}
		if b.Target != nil && !sc.AnyTarget {
			return nil, fmt.Errorf("scenario %q needs a relay of its own: it cannot be run with a target", n)
		}
		list = append(list, sc)
	}
	s := &Session{Bench: b, Report: &Report{Broken: []string{}, Started: time.Now().UTC()}, pids: map[string][]int{}, progress: &progress{out: b.Progress, live: b.Live}}
	if s.dir, err = os.MkdirTemp(b.Dir, "edgerelay-bench-"); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	s.Report.Environment = readEnvironment(s.dir)
	if s.sink, err = startRemoteSink(s.Program); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.sink.Close()) }()
	s.watch("generator", os.Getpid())
	s.watch("sink", s.sink.process.PID())
	for _, sc := range list {
		s.scenario = sc.Name
		for s.round = 1; s.round <= s.Rounds; s.round++ {
			if err := sc.run(ctx, s); err != nil {
				return s.Report, fmt.Errorf("scenario %s: %w", sc.Name, err)
			}
		}
	}
	s.progress.end()
	return s.Report, nil
}

// watch measures the processes that have a role from now on; none ends it.
func (s *Session) watch(role string, pids ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(pids) == 0 {
		delete(s.pids, role)
		return
	}
	s.pids[role] = pids
}

// usage reads every watched process.
func (s *Session) usage() map[string]Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]Usage, len(s.pids))
	for role, pids := range s.pids {
		u := usageOf(pids[0])
		for _, pid := range pids[1:] {
			u.add(usageOf(pid))
		}
		if !u.Known {
			continue
		}
		all[role] = u
		if s.peaks != nil {
			p := s.peaks[role]
			p.Resident, p.Private = max(p.Resident, u.Resident), max(p.Private, u.Private)
			s.peaks[role] = p
		}
	}
	return all
}

// newDir makes a directory for one run.
func (s *Session) newDir() (string, error) {
	s.runs++
	dir := filepath.Join(s.dir, strconv.Itoa(s.runs))
	return dir, os.Mkdir(dir, 0o700)
}

// freshSink makes the sink forget everything.
func (s *Session) freshSink(o SinkOptions) error {
	o.Sample, o.Addr = s.Sample, s.SinkListen
	if o.Scheme == "standard" && o.Secret == "" {
		o.Secret = benchSecret
	}
	return s.sink.Fresh(o)
}

// anyPort is a loopback address with whatever port is free.
const anyPort = "127.0.0.1:0"

// relayRun is what a scenario wants of a relay.
type relayRun struct {
	sinkHooks int              // 0 = 1
	timed     int              // see SinkOptions
	ingress   string           // "" = any port
	webhooks  func() []webhook // called when the sink is there
	config    string           // more lines of the relay's configuration
}

// withRelay runs fn with a fresh sink and a relay that was started on an empty directory. The relay is stopped afterwards.
func (s *Session) withRelay(o relayRun, fn func(*relayChild) error) error {
	if err := s.freshSink(SinkOptions{Hooks: o.sinkHooks, Timed: o.timed, Scheme: "standard"}); err != nil {
		return err
	}
	dir, err := s.newDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.ingress == "" {
		o.ingress = anyPort
	}
	file, err := writeConfig(dir, o.ingress, o.config, s.Relay, o.webhooks())
	if err != nil {
		return fmt.Errorf("write config: %w", err)
	}
	r, err := s.startRelay(file)
	if err != nil {
		return err
	}
	s.relay = r
	defer func() {
		s.relay = nil
		s.watch("relay")
	}()
	err = fn(r)
	select {
	case <-r.Done():
		return errors.Join(err, fmt.Errorf("the relay has ended by itself: %w", r.Wait()))
	default:
	}
	if err != nil {
		r.Kill()
		return err
	}
	return r.Stop(time.Minute)
}

// withForwarder runs fn with a fresh sink and a process that forwards to it.
func (s *Session) withForwarder(signed bool, fn func(url string) error) error {
	scheme, args := "none", []string{"bench", "forward", "--to"}
	if signed {
		scheme = "standard"
	}
	if err := s.freshSink(SinkOptions{Scheme: scheme}); err != nil {
		return err
	}
	args = append(args, s.sink.URL("0"))
	if signed {
		args = append(args, "--secret", benchSecret)
	}
	r, w, err := os.Pipe() // the forwarder ends when its input does
	if err != nil {
		return err
	}
	defer w.Close()
	p, line, err := startProcess(ProcessOptions{Program: s.Program, Args: args, Stdin: r, Prefix: "listening "})
	r.Close()
	if err != nil {
		return err
	}
	s.watch("forwarder", p.PID())
	defer func() {
		s.watch("forwarder")
		p.Kill()
	}()
	return fn("http://" + line[len("listening "):] + "/")
}
