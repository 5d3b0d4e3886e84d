package deliver

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"edgerelay/relay/history"
)

// exchange is what is known of one request and its answer, besides the two themselves.
type exchange struct {
	Times     history.Timings // but for the total; a kept connection took no time to make
	Reused    bool            // over a connection that was kept from before
	Resent    bool            // sent a second time, because the kept connection turned out to be dead
	Truncated bool            // the answer's body was longer than what is read of one
}

const (
	// bodyPatience is how long the beginning of a body is waited for that will not be read to its end.
	bodyPatience = time.Second
	// lookAfter is how long a connection may be idle without being looked at, whether the receiver has closed it, before it is used again.
	lookAfter = 5 * time.Millisecond
)

// do makes the request and reads the answer, until the deadline. An attempt is one request, whatever the method, with one exception: when a
// connection that was kept from an earlier request turns out to be dead before a byte of an answer has come, the request goes out once more, over
// a new connection. Receivers close connections that are idle, and may do so while a request is on its way.
func (c *client) do(x *exchange, req *fasthttp.Request, resp *fasthttp.Response, deadline time.Time) error {
	*x = exchange{}
	stale, err := c.once(x, req, resp, deadline)
	if stale {
		x.Resent = true
		_, err = c.once(x, req, resp, deadline)
	}
	return err
}

// once sends the request over one connection, a new one if it is sent again. stale says that the connection was a kept one, and dead. It
// does what fasthttp's own transport does, which cannot tell kept connections from new ones.
func (c *client) once(x *exchange, req *fasthttp.Request, resp *fasthttp.Response, deadline time.Time) (stale bool, err error) {
	resp.Reset()
	req.URI().DisablePathNormalizing = true
	for {
		now := time.Now()
		left := deadline.Sub(now)
		if left <= 0 {
			return false, fasthttp.ErrTimeout
		}
		cc, err := c.http.AcquireConn(left, false)
		if err != nil {
			return false, err
		}
		conn := cc.Conn()
		err = conn.SetDeadline(deadline)
		if x.Reused = !cc.LastUseTime().IsZero(); x.Reused {
			idle := now.Sub(cc.LastUseTime())
			if err != nil || x.Resent || idle > maxIdleConn || now.Sub(cc.CreatedTime()) > maxConnLife || idle > lookAfter && !silent(conn) {
				c.http.CloseConn(cc)
				continue
			}
		}
		resp.ParseNetConn(conn)
		begun := now
		if !x.Reused {
			begun = time.Now()
			x.opened(conn, begun)
		}
		keep := false
		if err == nil {
			keep, err = c.over(x, conn, req, resp, begun, deadline)
		}
		if keep {
			c.http.ReleaseConn(cc)
		} else {
			c.http.CloseConn(cc)
		}
		return x.Reused && err != nil && x.Times.FirstByte == 0 && !timedOut(err), err
	}
}

// over writes the request to conn and reads the answer. keep says that conn may be used again.
func (c *client) over(x *exchange, conn net.Conn, req *fasthttp.Request, resp *fasthttp.Response, begun, deadline time.Time) (keep bool, err error) {
	bw := c.http.AcquireWriter(conn)
	writeErr := req.Write(bw)
	if writeErr == nil {
		writeErr = bw.Flush()
	}
	c.http.ReleaseWriter(bw)
	if writeErr != nil && (timedOut(writeErr) || !isNetwork(writeErr)) {
		return false, writeErr
	}
	br := c.http.AcquireReader(conn)
	defer c.http.ReleaseReader(br)
	if _, err := br.Peek(1); err != nil {
		return false, cmp.Or(writeErr, err)
	}
	x.Times.FirstByte = max(time.Since(begun), 1)
	err = x.read(br, conn, resp, deadline) // also of a receiver that did not take all of the request: it may say why
	return err == nil && writeErr == nil && !x.Truncated && !resp.ConnectionClose() && resp.StatusCode() >= 200 && br.Buffered() == 0, err
}

// read reads the answer: its head, as much of its body as we want, and what comes after that.
func (x *exchange) read(br *bufio.Reader, conn net.Conn, resp *fasthttp.Response, deadline time.Time) error {
	resp.SkipBody = true
	if err := resp.ReadLimitBody(br, 0); err != nil {
		return err
	}
	resp.SkipBody = false
	if s := resp.StatusCode(); s < 200 || s == fasthttp.StatusNoContent || s == fasthttp.StatusNotModified {
		return nil
	}
	length := resp.Header.ContentLength()
	err := resp.ReadBody(br, maxResponse)
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		x.Truncated = true
		if length > 0 { // nothing of it was read
			if soon := time.Now().Add(bodyPatience); soon.Before(deadline) {
				conn.SetReadDeadline(soon)
			}
			io.CopyN(resp.BodyWriter(), br, maxResponse) // whatever comes will do
		}
		return nil
	case err == nil && length == -1:
		if err = resp.Header.ReadTrailer(br); errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
	}
	return err
}

func isNetwork(err error) bool {
	var broken *net.OpError
	return errors.As(err, &broken)
}

func timedOut(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}
