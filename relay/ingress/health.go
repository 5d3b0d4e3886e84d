package ingress

import "github.com/valyala/fasthttp"

// answerHealth says whether the process is worth keeping: with a queue that has failed, or a store that is stuck, it is not.
func (s *Server) answerHealth(ctx *fasthttp.RequestCtx) {
	if s.queueFailed() {
		s.answer(ctx, problem{kind: kindQueueFailed})
		return
	}
	if err := s.stuck(); err != nil {
		s.answer(ctx, problem{kind: kindNotReady, detail: err.Error()})
		return
	}
	plain(ctx, fasthttp.StatusOK, "ok\n")
}

// readiness is one condition for taking events.
type readiness struct {
	name string
	ok   bool
}

// answerReady says whether new events would be taken. With ?verbose it says which condition is in the way, one line each.
func (s *Server) answerReady(ctx *fasthttp.RequestCtx) {
	stats := s.opts.Queue.Stats()
	conditions := [...]readiness{
		{"serving (not draining)", !s.draining.Load()},
		{"queue works", !s.queueFailed()},
		{"store writes", s.stuck() == nil},
		{"queue has room", !stats.Full},
		{"disk has room", !stats.DiskLow},
	}
	status, text, missing := fasthttp.StatusOK, "", ""
	for _, c := range conditions {
		mark := "[+] "
		if !c.ok {
			mark, status, missing = "[-] ", fasthttp.StatusServiceUnavailable, missing+"; not true: "+c.name
		}
		text += mark + c.name + "\n"
	}
	switch {
	case ctx.QueryArgs().Has("verbose"):
		plain(ctx, status, text)
	case status == fasthttp.StatusOK:
		plain(ctx, status, "ok\n")
	default:
		s.answer(ctx, problem{kind: kindNotReady, detail: missing[len("; "):]})
	}
}

func (s *Server) stuck() error {
	if s.opts.Alive == nil {
		return nil
	}
	return s.opts.Alive()
}

func (s *Server) queueFailed() bool {
	select {
	case <-s.opts.Queue.Failed():
		return true
	default:
		return false
	}
}

func plain(ctx *fasthttp.RequestCtx, status int, text string) {
	ctx.SetStatusCode(status)
	ctx.SetContentType("text/plain; charset=utf-8")
	ctx.SetBodyString(text)
}
