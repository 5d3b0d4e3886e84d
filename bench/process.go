package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// ProcessOptions describe a child process.
type ProcessOptions struct {
	Program string // file of an edgerelay
	Args    []string
	Stdin   *os.File
	Stdout  *os.File // nil = read for a Prefix line, then thrown away
	Prefix  string   // what the line starts with that the child prints when it is ready
}

// Process is a child of the bench whose use of the machine is measured. startProcess starts a goroutine that waits for it, and one that reads
// its output; Wait waits for both.
type Process struct {
	cmd     *exec.Cmd
	Started time.Time
	Ready   time.Duration // from the start to the Prefix line
	errors  *tail

	done    chan struct{} // closed when the process has ended
	err     error         // how; set before done is closed
	reading sync.WaitGroup
}

// readyTimeout bounds the wait for a child's first line.
const readyTimeout = 2 * time.Minute

// command is how an edgerelay is run. It gets its own name, whatever the file is called.
func command(ctx context.Context, program string, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Args[0] = "edgerelay"
	return cmd
}

// startProcess starts a child. With Prefix it returns once the child has printed such a line, and returns the line.
func startProcess(o ProcessOptions) (*Process, string, error) {
	p := &Process{cmd: command(context.Background(), o.Program, o.Args), errors: &tail{}, done: make(chan struct{})}
	p.cmd.Stdin, p.cmd.Stderr = nilFile(o.Stdin), p.errors
	var lines io.Reader
	var out *os.File
	if o.Stdout != nil {
		p.cmd.Stdout = o.Stdout
	} else {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, "", fmt.Errorf("start %s: %w", p.name(), err)
		}
		p.cmd.Stdout, lines, out = w, r, w
	}
	dieWithParent(p.cmd)
	p.Started = time.Now()
	err := p.cmd.Start()
	if out != nil {
		out.Close()
	}
	if err != nil {
		return nil, "", fmt.Errorf("start %s: %w", p.name(), err)
	}
	line := make(chan string, 1)
	if lines != nil {
		p.reading.Go(func() { watchLines(lines, o.Prefix, line) })
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	if o.Prefix == "" {
		return p, "", nil
	}
	return p.untilReady(line)
}

func nilFile(f *os.File) io.Reader {
	if f == nil {
		return nil
	}
	return f
}

// watchLines sends the first line that starts with prefix, and reads on so that the child never blocks.
func watchLines(r io.Reader, prefix string, line chan<- string) {
	s := bufio.NewScanner(r)
	for s.Scan() {
		if prefix != "" && strings.HasPrefix(s.Text(), prefix) {
			line <- s.Text()
			break
		}
	}
	io.Copy(io.Discard, r) // ends with the process
}

func (p *Process) untilReady(line <-chan string) (*Process, string, error) {
	t := time.NewTimer(readyTimeout)
	defer t.Stop()
	select {
	case l := <-line:
		p.Ready = time.Since(p.Started)
		return p, l, nil
	case <-p.done:
		return nil, "", fmt.Errorf("%s ended before it was ready: %w\n%s", p.name(), errors.Join(p.err), p.errors)
	case <-t.C:
		p.Kill()
		return nil, "", fmt.Errorf("%s was not ready within %s\n%s", p.name(), readyTimeout, p.errors)
	}
}

func (p *Process) name() string { return strings.Join(p.cmd.Args, " ") }

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Kill ends the process at once and waits.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}

// Stop asks the process to end, and kills it when it has not within d.
func (p *Process) Stop(d time.Duration) error {
	if err := interrupt(p.cmd.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name(), err)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-p.done:
		return p.Wait()
	case <-t.C:
		p.Kill()
		return fmt.Errorf("%s did not stop within %s and was killed\n%s", p.name(), d, p.errors)
	}
}

// Wait waits for the end of the process.
func (p *Process) Wait() error {
	<-p.done
	p.reading.Wait()
	if p.err != nil {
		return fmt.Errorf("%s: %w\n%s", p.name(), p.err, p.errors)
	}
	return nil
}

// tail keeps the end of what is written to it: what a child said last before it failed.
type tail struct {
	mu  sync.Mutex
	buf []byte // guarded by mu
}

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > tailSize {
		t.buf = bytes.Clone(t.buf[len(t.buf)-tailSize:])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
