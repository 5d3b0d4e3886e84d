package bench

import (
	"context"
	"errors"
	"io"
	"net/rpc"
	"os"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The sink runs in a process of its own, so that its CPU time can be told from the generator's. This is how the parent speaks with it: net/rpc
// over the child's standard input and output. The child ends when its input does, so it cannot outlive its parent.

// SinkService is a Sink as net/rpc wants to see it. Methods are called by RemoteSink only.
type SinkService struct{ sink *Sink }

// stdio is a process's standard input and output as one connection.
type stdio struct {
	io.Reader
	io.Writer
}

func (stdio) Close() error { return nil }

// ServeSink runs a sink until in ends.
func ServeSink(in io.Reader, out io.Writer) error {
	server := rpc.NewServer()
	service := &SinkService{}
	if err := server.RegisterName("Sink", service); err != nil {
		return err
	}
	server.ServeConn(stdio{in, out})
	if service.sink == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := service.sink.Close(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// Start starts the sink, or resets it: the address stays the same. The reply is the address.
func (s *SinkService) Start(o SinkOptions, addr *string) (err error) {
	if s.sink != nil {
		err = s.sink.Reset(o)
	} else {
		s.sink, err = StartSink(o)
	}
	if err != nil {
		return err
	}
	*addr = s.sink.Addr()
	return nil
}

// HookBehaviour is the argument of Behave.
type HookBehaviour struct {
	Hook      int
	Behaviour Behaviour
}

// Nothing is for calls without an argument or a reply.
type Nothing struct{}

// Behave sets how a hook answers.
func (s *SinkService) Behave(a HookBehaviour, _ *Nothing) error {
	s.sink.Behave(a.Hook, a.Behaviour)
	return nil
}

// Counts replies the counts so far.
func (s *SinkService) Counts(_ Nothing, c *SinkCounts) error {
	*c = s.sink.Counts()
	return nil
}

// ResetLatency forgets the latencies so far.
func (s *SinkService) ResetLatency(Nothing, *Nothing) error {
	s.sink.ResetLatency()
	return nil
}

// Latency replies the latencies since the last reset.
func (s *SinkService) Latency(_ Nothing, h *hdrhistogram.Snapshot) error {
	*h = *s.sink.Latency().Export()
	return nil
}

// Ledger replies the events that a hook has accepted.
func (s *SinkService) Ledger(hook int, l *Ledger) error {
	*l = s.sink.Ledger(hook)
	return nil
}

// RemoteSink is the parent's end.
type RemoteSink struct {
	process *Process
	client  *rpc.Client
	Addr    string
	Hooks   int
}

// startRemoteSink starts a child process without a sink yet: see Fresh.
func startRemoteSink(program string) (*RemoteSink, error) {
	in, out, err := pipes()
	if err != nil {
		return nil, err
	}
	p, _, err := startProcess(ProcessOptions{Program: program, Args: []string{"bench", "sink"}, Stdin: in.child, Stdout: out.child})
	in.child.Close()
	out.child.Close()
	if err != nil {
		in.parent.Close()
		out.parent.Close()
		return nil, err
	}
	r := newRemoteSink(stdioPair{out.parent, in.parent})
	r.process = p
	return r, nil
}

func newRemoteSink(c io.ReadWriteCloser) *RemoteSink { return &RemoteSink{client: rpc.NewClient(c)} }

// pipe is a pipe with an end for each process.
type pipe struct{ parent, child *os.File }

func pipes() (in, out pipe, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return in, out, err
	}
	in = pipe{parent: w, child: r}
	if r, w, err = os.Pipe(); err != nil {
		in.parent.Close()
		in.child.Close()
		return in, out, err
	}
	return in, pipe{parent: r, child: w}, nil
}

// stdioPair is the parent's ends of the child's standard input and output.
type stdioPair struct {
	io.Reader
	io.WriteCloser
}

// Fresh starts the sink, or makes it forget everything.
func (r *RemoteSink) Fresh(o SinkOptions) error {
	r.Hooks = max(o.Hooks, 1)
	return r.client.Call("Sink.Start", o, &r.Addr)
}

// URL is the address of a hook.
func (r *RemoteSink) URL(hook string) string { return "http://" + r.Addr + HookPath + hook }

// Behave sets how a hook answers from now on.
func (r *RemoteSink) Behave(hook int, b Behaviour) error {
	return r.client.Call("Sink.Behave", HookBehaviour{hook, b}, &Nothing{})
}

// Counts returns the sums so far.
func (r *RemoteSink) Counts() (c SinkCounts, err error) {
	err = r.client.Call("Sink.Counts", Nothing{}, &c)
	return c, err
}

// ResetLatency forgets the latencies so far.
func (r *RemoteSink) ResetLatency() error {
	return r.client.Call("Sink.ResetLatency", Nothing{}, &Nothing{})
}

// Latency returns the latencies since the last reset.
func (r *RemoteSink) Latency() (*hdrhistogram.Histogram, error) {
	var s hdrhistogram.Snapshot
	if err := r.client.Call("Sink.Latency", Nothing{}, &s); err != nil {
		return nil, err
	}
	return hdrhistogram.Import(&s), nil
}

// Ledger returns the events that a hook has accepted.
func (r *RemoteSink) Ledger(hook int) (l Ledger, err error) {
	err = r.client.Call("Sink.Ledger", hook, &l)
	return l, err
}

// Close ends the child.
func (r *RemoteSink) Close() error {
	err := r.client.Close()
	return errors.Join(err, r.process.Wait())
}
