package bench

import (
	"fmt"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// Answer is what a hook answers to verified requests.
type Answer struct {
	Times      int    // to so many requests, then the next one's turn; 0 = to all from now on
	Status     int    // 0 = 200
	RetryAfter string // header Retry-After, "" = none
	Body       string
	Delay      time.Duration   // before answering
	Hold       <-chan struct{} // do not answer before it is closed
	Reset      bool            // no answer: reset the connection
}

// Answer sets what a hook answers from now on, one after the other; when all are used up, 200. Without answers: 200 at once.
func (r *Receiver) Answer(name string, answers ...Answer) error {
	h := r.byName(name)
	if h == nil {
		return fmt.Errorf("set answers of %q: %w", name, ErrNoHook)
	}
	h.mu.Lock()
	h.script = append([]Answer(nil), answers...)
	h.mu.Unlock()
	return nil
}

// nextAnswer takes one turn of the script.
func (h *hook) nextAnswer() Answer {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := Answer{}
	if len(h.script) > 0 {
		first := &h.script[0]
		a = *first
		if first.Times > 0 {
			if first.Times--; first.Times == 0 {
				h.script = h.script[1:]
			}
		}
	}
	if a.Status == 0 && !a.Reset {
		a.Status = fasthttp.StatusOK
	}
	if a.Reset {
		a.Status = 0
	}
	return a
}

func (a Answer) accepts() bool { return a.Status >= 200 && a.Status < 300 }

// wait keeps the request for as long as the answer says; false = the receiver closes.
func (r *Receiver) wait(a Answer) bool {
	if a.Hold != nil {
		select {
		case <-a.Hold:
		case <-r.closing:
			return false
		}
	}
	if a.Delay > 0 {
		t := time.NewTimer(a.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-r.closing:
			return false
		}
	}
	return true
}

func (a Answer) write(ctx *fasthttp.RequestCtx) {
	if a.Reset {
		if c, ok := ctx.Conn().(*net.TCPConn); ok {
			c.SetLinger(0) // closing sends RST instead of FIN; fasthttp closes once the hijacker returns
		}
		ctx.HijackSetNoResponse(true)
		ctx.Hijack(func(net.Conn) {})
		return
	}
	ctx.SetStatusCode(a.Status)
	if a.RetryAfter != "" {
		ctx.Response.Header.Set("Retry-After", a.RetryAfter)
	}
	ctx.SetBodyString(a.Body)
}
