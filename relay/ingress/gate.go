package ingress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// gate is the listener under fasthttp. It does what fasthttp's own accept loop does not: it answers connections beyond the limit with a proper
// problem, outlives a lack of file descriptors instead of ending the server, closes refused connections so that the answer
// arrives, and knows which connections are left when the server stops.
type gate struct {
	net.Listener
	limit  int
	linger time.Duration
	slack  time.Duration // by which a timeout may be shorter than configured
	tls    bool
	log    *slog.Logger
	shed   func() // called per connection beyond the limit

	mu      sync.Mutex // guards what follows
	open    map[*conn]struct{}
	sheds   int
	changed chan struct{} // closed and replaced whenever open or sheds shrink; only while closing
	closing bool

	stop chan struct{} // closed by Close
}

func newGate(ln net.Listener, o Options, shed func()) *gate {
	return &gate{Listener: ln, limit: o.MaxConnections, linger: o.Linger, slack: min(o.ReadTimeout, o.WriteTimeout, o.IdleTimeout) / 16, tls: o.TLS != nil, log: o.Log, shed: shed,
		open: map[*conn]struct{}{}, changed: make(chan struct{}), stop: make(chan struct{})}
}

// conn is one accepted connection.
type conn struct {
	net.Conn
	gate   *gate
	heard  atomic.Bool // something was read: a request may be under way
	linger atomic.Bool // the answer was sent while the producer may still have been sending
	once   sync.Once
	err    error // of closing

	readBy, writeBy deadline // used by the goroutine that serves the connection
}

// deadline spares the runtime's timers. fasthttp sets three deadlines per request, and nearly all of them are never waited for.
type deadline struct {
	want, set time.Time
}

// due says whether want must be set now. A deadline that is set may pass a little early, by slack at most, but never late.
func (d *deadline) due(slack time.Duration) bool {
	if d.want.Equal(d.set) || !d.set.IsZero() && !d.want.Before(d.set) && d.want.Sub(d.set) < slack {
		return false
	}
	d.set = d.want
	return true
}

// SetReadDeadline counts from the next Read on; one that is under way is not ended by it.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.readBy.want = t
	return nil
}

// SetWriteDeadline counts from the next Write on.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.writeBy.want = t
	return nil
}

// SetDeadline is both.
func (c *conn) SetDeadline(t time.Time) error {
	c.readBy.want, c.writeBy.want = t, t
	return nil
}

// innerConn finds the gate's connection below TLS.
func innerConn(c net.Conn) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	inner, _ := c.(*conn)
	return inner
}

func (c *conn) Read(p []byte) (int, error) {
	if c.readBy.due(c.gate.slack) {
		if err := c.Conn.SetReadDeadline(c.readBy.want); err != nil {
			return 0, err
		}
	}
	n, err := c.Conn.Read(p)
	if n > 0 && !c.heard.Load() {
		c.heard.Store(true)
	}
	return n, err
}

// Write writes all of p.
func (c *conn) Write(p []byte) (int, error) {
	if c.writeBy.due(c.gate.slack) {
		if err := c.Conn.SetWriteDeadline(c.writeBy.want); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(p)
}

// Close closes the connection; the first call decides.
func (c *conn) Close() error {
	c.once.Do(func() {
		if c.linger.Load() {
			lingeringClose(c.Conn, c.gate.linger)
		}
		c.err = c.Conn.Close()
		c.gate.forget(c)
	})
	return c.err
}

// lingeringClose ends our side and reads on until the other side ends too, for a moment at most.
func lingeringClose(c net.Conn, most time.Duration) {
	half, ok := c.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.SetReadDeadline(time.Now().Add(most)) != nil {
		return
	}
	const enough = 4 << 20
	io.Copy(io.Discard, io.LimitReader(c, enough)) // whatever ends it, the connection is closed next
}

// Accept returns the next connection within the limit.
func (g *gate) Accept() (net.Conn, error) {
	var wait time.Duration
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			if g.isClosing() {
				return nil, net.ErrClosed
			}
			if !passing(err) {
				return nil, err
			}
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			g.log.Warn("cannot accept connections for a moment", "error", err, "again_in", wait)
			if !g.pause(wait) {
				return nil, net.ErrClosed
			}
			continue
		}
		wait = 0
		if k := (&conn{Conn: c, gate: g}); g.admit(k) {
			return k, nil
		}
	}
}

// passing reports whether Accept can work again by itself.
func passing(err error) bool {
	for _, no := range [...]syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

func (g *gate) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-g.stop:
		return false
	}
}

// admit counts k in, or refuses it.
func (g *gate) admit(k *conn) bool {
	g.mu.Lock()
	const mostSheds = 64
	switch {
	case g.closing:
		g.mu.Unlock()
		k.Conn.Close()
		return false
	case len(g.open) < g.limit:
		g.open[k] = struct{}{}
		g.mu.Unlock()
		return true
	case g.tls || g.sheds == mostSheds: // a TLS client could not read the answer, and a flood does not deserve one
		g.mu.Unlock()
		k.Conn.Close()
	default:
		g.sheds++
		g.mu.Unlock()
		go g.refuse(k.Conn)
	}
	g.shed()
	return false
}

// refuse tells a connection beyond the limit that there is no room. It runs in a goroutine of its own: the accept loop must not wait.
func (g *gate) refuse(c net.Conn) {
	if c.SetWriteDeadline(time.Now().Add(g.linger)) == nil {
		body := problem{kind: kindBusy}.body()
		if _, err := fmt.Fprintf(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\nRetry-After: %s\r\nConnection: close\r\n\r\n%s",
			len(body), kindBusy.retryAfter, body); err == nil {
			lingeringClose(c, g.linger)
		}
	}
	c.Close()
	g.mu.Lock()
	g.sheds--
	g.announceLocked()
	g.mu.Unlock()
}

func (g *gate) forget(k *conn) {
	g.mu.Lock()
	delete(g.open, k)
	g.announceLocked()
	g.mu.Unlock()
}

func (g *gate) announceLocked() {
	if g.closing {
		close(g.changed)
		g.changed = make(chan struct{})
	}
}

func (g *gate) isClosing() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closing
}

// Close stops accepting, and closes the connections on which no byte has come yet: fasthttp would wait for their first request.
func (g *gate) Close() error {
	g.mu.Lock()
	if g.closing {
		g.mu.Unlock()
		return nil
	}
	g.closing = true
	close(g.stop)
	for k := range g.open {
		if !k.heard.Load() {
			k.Conn.Close()
		}
	}
	g.mu.Unlock()
	return g.Listener.Close()
}

// wait returns when no connection is left, or when ctx ends.
func (g *gate) wait(ctx context.Context) error {
	for {
		g.mu.Lock()
		left, changed := len(g.open)+g.sheds, g.changed
		g.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// cut closes what is left below everybody's feet; the goroutines that serve the connections notice and end.
func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for k := range g.open {
		k.Conn.Close()
	}
}
