package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"edgerelay/relay/event"
)

// AttemptFilter says which attempts a stream shows; zero fields match everything.
type AttemptFilter struct {
	Tenants []string // nil = every tenant; the API sets it from the token
	Webhook event.WebhookID
	Event   string
	Type    string // a pattern: * stands for any run of characters
	Program string
	Status  string // delivered, dropped, retrying, dead; failed = retrying or dead
}

// AttemptWatch yields attempts as they happen. A reader that is slow misses some; it never holds anybody up.
type AttemptWatch interface {
	// Next waits for an attempt, and says how many were left out before it. It ends with ctx.
	Next(ctx context.Context) (a Attempt, dropped int64, err error)
	Close()
}

// Attempt is one attempt as the stream shows it.
type Attempt struct {
	ID          string    `json:"id,omitempty"` // absent when it is not stored
	Delivery    string    `json:"delivery"`
	Event       string    `json:"event"`
	Type        string    `json:"type"`
	Tenant      string    `json:"tenant"`
	Program     string    `json:"program,omitempty"`
	Webhook     string    `json:"webhook"`
	WebhookName string    `json:"webhook_name,omitempty"`
	Number      int       `json:"number"`
	Mark        string    `json:"mark,omitempty"` // replay
	At          time.Time `json:"at"`
	Status      string    `json:"status"` // delivered, dropped, retrying or dead
	HTTPStatus  int       `json:"http_status,omitempty"`
	Reason      string    `json:"reason,omitempty"`
	Detail      string    `json:"detail,omitempty"`
	NextAttempt time.Time `json:"next_attempt_at,omitzero"`
	Method      string    `json:"method,omitempty"`
	URL         string    `json:"url,omitempty"`
	DurationMS  float64   `json:"duration_ms"`
}

// Times and bounds of streams.
const (
	streamHeartbeat = 15 * time.Second // proxies cut connections that are silent
	streamWrite     = 10 * time.Second // a client that takes nothing for so long is gone
	streamsPerToken = 8                // so that no token takes all that there are
)

// streams counts those under way and ends them.
type streams struct {
	mu      sync.Mutex
	byToken map[string]int
	ctx     context.Context // until the server is being closed
	end     func()
}

func newStreams() *streams {
	s := &streams{byToken: map[string]int{}}
	s.ctx, s.end = context.WithCancel(context.Background())
	return s
}

func (s *streams) begin(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byToken[token] >= streamsPerToken {
		return false
	}
	s.byToken[token]++
	return true
}

func (s *streams) done(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byToken[token]--; s.byToken[token] == 0 {
		delete(s.byToken, token)
	}
}

type streamInput struct {
	Webhook string `query:"webhook" doc:"Only attempts of the webhook with this id."`
	Event   string `query:"event" doc:"Only attempts of the event with this id."`
	Type    string `query:"type" example:"order.*" doc:"Only attempts of events of this type. A * stands for any run of characters."`
	Program string `query:"program" doc:"Only attempts of events of this program."`
	Tenant  string `query:"tenant" doc:"Only attempts of this tenant, of those that the token reaches."`
	Status  string `query:"status" enum:"delivered,dropped,retrying,dead,failed" example:"failed" doc:"Only attempts that ended so. failed is retrying and dead."`
}

func (s *Server) streamRoutes() []route {
	return []route{raw(op{method: "GET", path: "/api/v1/stream", id: "stream-attempts", tag: "deliveries", role: RoleViewer, media: "text/event-stream", errors: []int{429, 503},
		summary: "Watch attempts as they happen",
		about: "Server-sent events. `attempt` has an attempt as JSON, without bodies. `dropped` has `{\"count\": n}`: so many were left out because the reader was slow. " +
			"A comment comes every 15 seconds. There is no history in it: what happened before, or between two connections, is not repeated."}, s.stream)}
}

func (s *Server) stream(w http.ResponseWriter, c *call, in *streamInput) (err error) {
	f := AttemptFilter{Tenants: c.tenants, Event: in.Event, Type: in.Type, Program: in.Program, Status: in.Status}
	if in.Webhook != "" {
		if f.Webhook, err = event.ParseWebhookID(in.Webhook); err != nil {
			return problemParameter("webhook: " + err.Error())
		}
	}
	if in.Tenant != "" {
		if !c.sees(in.Tenant) {
			return problemNotFound("") // as if it did not exist
		}
		f.Tenants = []string{in.Tenant}
	}
	if s.opts.Watch == nil {
		return ErrUnavailable
	}
	if !s.streams.begin(c.name) {
		return &problem{Status: http.StatusTooManyRequests, Type: "too-many-streams", Title: "Too many streams",
			Detail: fmt.Sprintf("a token can have %d streams at the same time", streamsPerToken)}
	}
	defer s.streams.done(c.name)
	watch := s.opts.Watch(f)
	if watch == nil {
		return ErrUnavailable
	}
	defer watch.Close()
	c.header.Set("Content-Type", "text/event-stream; charset=utf-8")
	c.header.Set("X-Accel-Buffering", "no") // nginx would collect it
	out := &streamWriter{w: w, control: http.NewResponseController(w)}
	if c.request.Method == http.MethodHead {
		return nil
	}
	out.write(": edgerelay\n\n")
	ctx, cancel := context.WithCancel(c.request.Context())
	defer cancel()
	defer context.AfterFunc(s.streams.ctx, cancel)()
	for checked := time.Now(); out.err == nil; {
		wait, stop := context.WithTimeout(ctx, streamHeartbeat)
		a, dropped, err := watch.Next(wait)
		stop()
		if dropped > 0 {
			out.write(fmt.Sprintf("event: dropped\ndata: {\"count\":%d}\n\n", dropped))
		}
		if now := time.Now(); now.Sub(checked) >= streamHeartbeat {
			if checked = now; s.authenticate(c.request) == nil {
				return nil // the token has been taken back meanwhile
			}
		}
		switch {
		case err == nil:
			out.attempt(a)
		case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
			out.write(": still here\n\n")
		default:
			return nil // the client has gone, or the server ends
		}
	}
	return nil
}

// streamWriter writes events at once, and gives up on a client that does not read.
type streamWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

func (o *streamWriter) write(text string) {
	if o.err != nil {
		return
	}
	// Handlers without a connection (the dashboard's) have no deadlines.
	if err := o.control.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		o.err = err
		return
	}
	if _, o.err = o.w.Write([]byte(text)); o.err == nil {
		if err := o.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
			o.err = err
		}
	}
}

func (o *streamWriter) attempt(a Attempt) {
	text, err := json.Marshal(a)
	if err != nil {
		o.err = err
		return
	}
	o.write("event: attempt\ndata: " + string(text) + "\n\n")
}
