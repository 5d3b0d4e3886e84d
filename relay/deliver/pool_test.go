package deliver

import (
	"bufio"
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// scripted is a queue whose leases are answered by a script: one function per call, which says whether there is more.
type scripted struct {
	settled
	mu     sync.Mutex
	script []func() (more bool)
	done   chan struct{} // closed when the script has been played
}

func (s *scripted) Lease(w event.WebhookID, d *queue.Delivery) bool {
	s.mu.Lock()
	if len(s.script) == 0 {
		s.mu.Unlock()
		return false
	}
	next := s.script[0]
	s.script = s.script[1:]
	last := len(s.script) == 0
	s.mu.Unlock()
	buf := d.Buf
	*d = *delivery(`1`)
	d.Buf, d.Webhook, d.More = buf, w, next()
	if last {
		close(s.done)
	}
	return true
}

func (s *scripted) Ack(*queue.Delivery)  {}
func (s *scripted) Park(event.WebhookID) {}

// TestOlderAnswerDoesNotOutdoMore: one worker's lease said "nothing more" but comes to the lock late, after another one's said "more". The
// queue does not announce what it has told somebody, so somebody must go on.
func TestOlderAnswerDoesNotOutdoMore(t *testing.T) {
	late, hold := make(chan struct{}), make(chan struct{})
	q := &scripted{done: make(chan struct{})}
	answered := func(more bool) func() bool { return func() bool { return more } }
	q.script = []func() bool{
		answered(true),                           // the first worker makes room for a second one,
		func() bool { <-late; return false },     // whose answer is older than
		func() bool { close(late); return true }, // this one, but comes later,
		answered(false),                          // so that nobody would ask for this
	}
	requests := 0
	var mu sync.Mutex
	url, _ := server(t, func(c net.Conn, _ *bufio.Reader) {
		mu.Lock()
		requests++
		wait := requests == 3 // of the worker that was told that there is more
		mu.Unlock()
		if wait {
			<-hold
		}
		c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	})
	r := newRig(t, url+"/", "POST", nil)
	r.target.Webhook.Concurrency = 2
	r.d.opt.Queue = q
	r.d.Update([]Target{r.target})
	r.d.Ready(r.target.Webhook.ID)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(10 * time.Second); ; {
		mu.Lock()
		three := requests == 3
		mu.Unlock()
		if three && r.d.Lanes()[0].InFlight == 1 {
			break // the late one has been settled
		}
		select {
		case <-tick.C:
		case <-q.done:
			close(hold)
			return
		case <-deadline:
			t.Fatalf("never: %d requests, %+v", requests, r.d.Lanes())
		}
	}
	close(hold)
	select {
	case <-q.done:
	case <-time.After(10 * time.Second):
		t.Fatal("nobody asked the queue for what it had said it had")
	}
	if err := r.d.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}
