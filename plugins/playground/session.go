// Package playground is the workbench of a plugin's author: it watches the plugin's files, builds and tests it after every change, runs one
// event through it, and shows all of it on a page of its own, where files can also be edited.
//
// Called by `edgerelay plugin dev`. A Session does the work, in the goroutine of Run; a Server shows it on a loopback address and starts the
// goroutines of its HTTP server, which Close waits for. It imports kit and nothing else of ours.
package playground

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"edgerelay/plugins/kit"
)

// Options of a session.
type Options struct {
	Dir    string
	Config []byte // the plugin's configuration as JSON; nil = none
	Event  string // name of the sample event to begin with; "" = the first
	// Fetch takes an event from a relay; nil = there is none.
	Fetch func(ctx context.Context, id string) (kit.Event, error)
	// Report is called after every round.
	Report func(*State)
}

// State is what a round led to.
type State struct {
	Round    int    `json:"round"`
	Plugin   string `json:"plugin"`
	Version  string `json:"version"`
	Language string `json:"language,omitempty"`

	Problem  string     `json:"problem,omitempty"`  // why it could not be loaded, built or run
	Compiler string     `json:"compiler,omitempty"` // what the compiler has said
	Built    *kit.Built `json:"built,omitempty"`    // absent = the source has not changed

	Run     *Run        `json:"run,omitempty"`
	Tests   *kit.Report `json:"tests,omitempty"`
	Events  []string    `json:"events"`
	Millis  float64     `json:"ms"`                      // of the round
	Changed float64     `json:"ms_after_edit,omitempty"` // from the time of the newest file to the end of the round
}

// Run is the run of the chosen event.
type Run struct {
	Event      string       `json:"event"`
	Input      string       `json:"input"`
	Config     string       `json:"config,omitempty"`
	Outcome    *kit.Outcome `json:"outcome"`
	Request    *Request     `json:"request,omitempty"`
	Undeclared []string     `json:"undeclared,omitempty"`
	Diff       string       `json:"diff,omitempty"` // of the request, to the last one of the same event and configuration that was another
}

// Request is the request that a webhook would send.
type Request struct {
	Method  string      `json:"method"`
	URL     string      `json:"url"`
	Headers []kit.Field `json:"headers"`
	Body    string      `json:"body"` // binary bodies are shown as %q does
}

// text is the request for people, as it would go over the wire.
func (r *Request) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", r.Method, r.URL)
	for _, h := range r.Headers {
		fmt.Fprintf(&b, "%s: %s\n", h.Name, h.Value)
	}
	fmt.Fprintf(&b, "\n%s", r.Body)
	return b.String()
}

// Session is one plugin under work.
type Session struct {
	host *kit.Host
	opt  Options

	wake chan struct{} // holds one: the choice has changed

	mu     sync.Mutex // guards what follows
	state  *State
	moved  chan struct{} // closed and replaced with every state
	choice choice

	// Of Run only.
	runner *kit.Runner // of the last version that started; it keeps the engine of scripts compiled
	source string      // stamp of what was built last
	last   string      // the request that was shown last
	before string      // the one before it that was another
	of     *choice     // what last belongs to; nil = nothing yet
}

// choice is what is run.
type choice struct {
	name   string // of a sample event
	event  string // the text of an event, instead
	config string // JSON, "" = none
}

// NewSession makes a session; Run brings it to life.
func NewSession(host *kit.Host, o Options) *Session {
	return &Session{host: host, opt: o, wake: make(chan struct{}, 1), moved: make(chan struct{}), state: &State{Events: []string{}},
		choice: choice{name: o.Event, config: string(o.Config)}}
}

// Run does a round now and after every change of a file or of the choice, until ctx ends.
func (s *Session) Run(ctx context.Context) error {
	defer func() {
		if s.runner != nil {
			s.runner.Close(context.WithoutCancel(ctx))
		}
	}()
	watched := &kit.Package{Dir: s.opt.Dir} // a directory is watched whatever its manifest says
	part := kit.PartFiles
	if p, err := kit.Load(s.opt.Dir); err == nil && p.Language == "" {
		part = kit.PartAll // the module is built by other means
	}
	err := watched.Watch(ctx, part, s.wake, func() { s.round(ctx) })
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// choose changes what is run and returns the state that it leads to.
func (s *Session) choose(ctx context.Context, c choice) *State {
	s.mu.Lock()
	s.choice = c
	moved := s.moved
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	select {
	case <-moved:
	case <-ctx.Done():
	}
	state, _ := s.current()
	return state
}

// current is the last state, and a channel that is closed with the next one.
func (s *Session) current() (*State, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.moved
}

func (s *Session) round(ctx context.Context) {
	start := time.Now()
	s.mu.Lock()
	c, number := s.choice, s.state.Round+1
	s.mu.Unlock()
	state := &State{Round: number, Events: []string{}}
	if err := s.work(ctx, state, c); err != nil {
		state.Problem = err.Error()
	}
	now := time.Now()
	state.Millis = millis(now.Sub(start))
	if newest := s.newest(); !newest.IsZero() && now.Sub(newest) < time.Minute && newest.After(start.Add(-time.Second)) {
		state.Changed = millis(now.Sub(newest))
	}
	if ctx.Err() != nil {
		return // what was ended half-way says nothing
	}
	s.mu.Lock()
	s.state = state
	close(s.moved)
	s.moved = make(chan struct{})
	s.mu.Unlock()
	if s.opt.Report != nil {
		s.opt.Report(state)
	}
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// newest is when a file of the plugin was changed last.
func (s *Session) newest() (at time.Time) {
	p := &kit.Package{Dir: s.opt.Dir}
	_ = p.Files(func(path string) {
		if strings.HasSuffix(path, ".wasm") { // what a build makes is no edit
			return
		}
		if info, err := os.Stat(path); err == nil && info.ModTime().After(at) {
			at = info.ModTime()
		}
	})
	return at
}

// work loads, builds, runs and tests.
func (s *Session) work(ctx context.Context, state *State, c choice) error {
	p, err := kit.Load(s.opt.Dir)
	if err != nil {
		return err
	}
	state.Plugin, state.Version, state.Language = p.Name, p.Version, p.Language
	for _, e := range p.Events {
		state.Events = append(state.Events, e.Name)
	}
	if err := s.build(ctx, state, p); err != nil {
		return err
	}
	if err := s.run(ctx, state, p, c); err != nil {
		return err
	}
	if len(p.Cases) > 0 {
		state.Tests, err = s.host.Test(ctx, p, kit.TestOptions{})
	}
	return err
}

// build compiles the plugin when its source is another one than the last time.
func (s *Session) build(ctx context.Context, state *State, p *kit.Package) error {
	if p.Language == "" {
		return nil // it is built by other means
	}
	stamp, err := p.Stamp(kit.PartSource)
	if err != nil || stamp == s.source {
		return err
	}
	var log bytes.Buffer
	state.Built, err = s.host.Build(ctx, p, &log)
	state.Compiler = log.String()
	if err == nil {
		s.source = stamp
	}
	return err
}

// event is the chosen event.
func (s *Session) event(p *kit.Package, c choice) (*kit.Event, error) {
	if c.event != "" {
		e, err := kit.ParseEvent("event", []byte(c.event))
		return &e, err
	}
	name := c.name
	if name == "" && len(p.Events) > 0 {
		name = p.Events[0].Name
	}
	if name == "" {
		return nil, nil
	}
	e, err := p.Event(name)
	return &e, err
}

func (s *Session) run(ctx context.Context, state *State, p *kit.Package, c choice) error {
	e, err := s.event(p, c)
	if e == nil || err != nil {
		return err
	}
	var config []byte
	if strings.TrimSpace(c.config) != "" {
		config = []byte(c.config)
	}
	r, err := s.host.NewRunner(ctx, p, config)
	if err != nil {
		return err
	}
	if s.runner != nil {
		s.runner.Close(ctx)
	}
	s.runner = r
	o := r.Run(ctx, e)
	run := &Run{Event: e.Name, Input: string(e.Envelope), Config: c.config, Outcome: o, Undeclared: r.Undeclared(o)}
	state.Run = run
	text := cmp.Or(o.Message, o.Reason, o.Action)
	if o.Action == "send" {
		q, err := o.Request(kit.DefaultURL)
		if err != nil {
			return err
		}
		run.Request = &Request{Method: q.Method, URL: q.URL, Headers: q.Headers, Body: string(q.Body)}
		if !utf8.Valid(q.Body) {
			run.Request.Body = fmt.Sprintf("%q", q.Body)
		}
		text = run.Request.text()
	}
	run.Diff = s.diff(c, text)
	return nil
}

// diff compares what is shown with the last text of the same choice that was another one.
func (s *Session) diff(c choice, text string) string {
	switch {
	case s.of == nil || c != *s.of:
		s.of, s.last, s.before = &c, text, text
	case text != s.last:
		s.last, s.before = text, s.last
	}
	return kit.Diff(s.before, s.last)
}

// files are the names of the files that can be edited, with slashes.
func (s *Session) files() (names []string, err error) {
	p := &kit.Package{Dir: s.opt.Dir}
	root := strings.TrimSuffix(s.opt.Dir, string(os.PathSeparator)) + string(os.PathSeparator)
	if s.opt.Dir == "." {
		root = ""
	}
	err = p.Files(func(path string) {
		if strings.HasSuffix(path, ".wasm") || strings.HasSuffix(path, "package-lock.json") {
			return
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Size() <= maxFile {
			names = append(names, strings.ReplaceAll(strings.TrimPrefix(path, root), `\`, "/"))
		}
	})
	slices.Sort(names)
	return names, err
}

// maxFile bounds what the page can edit.
const maxFile = 256 << 10

var errNotText = errors.New("is not a text")

// readFile and writeFile stay inside the plugin's directory, also where a link leads out of it.
func (s *Session) readFile(name string) ([]byte, error) {
	root, err := os.OpenRoot(s.opt.Dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	text, err := root.ReadFile(name)
	if err == nil && (len(text) > maxFile || !utf8.Valid(text)) {
		err = fmt.Errorf("%s %w", name, errNotText)
	}
	return text, err
}

func (s *Session) writeFile(name string, text []byte) error {
	names, err := s.files()
	if err != nil {
		return err
	}
	if !slices.Contains(names, name) {
		return fmt.Errorf("%s is not a file of the plugin", name)
	}
	root, err := os.OpenRoot(s.opt.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return root.WriteFile(name, text, 0o644)
}
