// Package admin is the wing for people and scripts: the management API, metrics, health and, when asked for, profiles.
//
// It has a listener of its own and uses net/http; nothing on the way of an event calls it. It reads what the hot path leaves behind
// through the small interfaces in this file, which relay hands in. So it may import event, webhooks, history, metrics, payload, sign and
// config, but never queue, ingress or deliver.
//
// Who may do what is decided in one place: each operation names the role it needs (routes.go), and a token reaches only its tenants. What
// belongs to another tenant answers 404, exactly as if it did not exist.
//
// A new operation is an input struct, an output struct, a method of Server and a line in a list of routes, in a file of its own:
//
//	func (s *Server) eventRoutes() []route {
//		return []route{operation(op{method: "GET", path: "/api/v1/events/{id}", id: "get-event", tag: "events", role: RoleViewer,
//			summary: "Show one event"}, s.getEvent)}
//	}
//
// The list is named in routes (routes.go), the interface or function that it needs in Options, and relay hands that in. operation.go says what else an op
// can declare, binding.go how inputs are read (path, query, header, Body), problem.go how refusals are said (problem, Mistakes for 422, Conflict for 409,
// ErrNotFound). The document at /api/openapi.json and its page at /api/docs follow from these types by themselves, and so do the tests that send every
// example and try every route with every kind of token: give parameters an example tag and bodies an example.
//
// Serve starts net/http's goroutines; Close waits for them.
package admin

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"edgerelay/relay/event"
)

// Deliveries is what the API shows and does with deliveries that are waiting or dead. The relay adapts its queue to it.
type Deliveries interface {
	// List returns them newest first, at most limit, and the cursor of the next page ("" = last page). A cursor that it never
	// gave out is ErrCursor.
	List(ctx context.Context, f Filter, cursor string, limit int) ([]Delivery, string, error)
	// Get returns one with its event's envelope, or ErrNotFound.
	Get(ctx context.Context, id event.DeliveryID) (d Delivery, envelope []byte, err error)
	// Redrive makes one due now with a fresh retry budget and returns when that is durable, or ErrNotFound.
	Redrive(ctx context.Context, id event.DeliveryID) error
}

// Errors by which the interfaces tell the API what to answer.
var (
	ErrNotFound    = errors.New("not found")             // 404
	ErrCursor      = errors.New("not a valid cursor")    // 400
	ErrUnavailable = errors.New("not possible just now") // 503: the queue is closed or has failed
)

// Options are the parts that the API shows, and its limits.
type Options struct {
	Listener net.Listener
	TLS      *tls.Config // nil = plain HTTP
	Tokens   []Token     // at least one; a relay without configured tokens generates one (NewToken)
	Hosts    []string    // names by which clients may address a loopback listener, besides localhost and loopback addresses
	Version  string      // of the program, for the document

	Deliveries Deliveries
	History    History // nil = there is none; so with Jobs
	Jobs       Jobs
	Webhooks   func() []Webhook   // every webhook of every tenant
	Try        Trier              // nil = there is no such route; so with the next two
	Plugins    func() []Plugin    // that come with the program
	EventTypes func() []EventType // the catalogue of every tenant

	PublicCatalogue bool // show what of the catalogue is everybody's to everybody
	Config          Configuration
	Manage          Management // nil = nothing can be made or changed
	Stats           func() Stats
	Watch           func(AttemptFilter) AttemptWatch                         // nil, or a nil answer = not possible just now
	Series          func(tenants []string, webhook string, hours int) Series // nil tenants = all, "" = every webhook
	Keys            func(webhook string) []Key                               // public keys of signatures; "" = every webhook's
	Health          func() []Check                                           // is the process alive
	Ready           func() []Check                                           // should it get traffic
	Metrics         http.Handler
	Schemas         func() map[string]json.RawMessage // JSON Schemas that operations name, such as that of a webhook in the configuration
	Pprof           bool                              // serve /debug/pprof/ to tokens of the role admin

	Log *slog.Logger
}

// Server is the management API.
type Server struct {
	streams   *streams
	requests  *requestLog
	opts      Options
	handler   http.Handler
	ui        http.Handler // what Mount was given; nil = nothing
	http      *http.Server
	tokens    atomic.Pointer[[]grant]
	described sync.Once
	document  []byte // OpenAPI
	reference []byte // the same as a page
	loopback  bool   // the listener is on a loopback address, so the Host header is checked
}

// New prepares a server; Serve runs it.
func New(o Options) (*Server, error) {
	s := &Server{opts: o, loopback: isLoopback(o.Listener.Addr())}
	if err := s.SetTokens(o.Tokens); err != nil {
		return nil, err
	}
	s.requests = newRequestLog()
	s.handler = s.logged(s.guard(s.mux(s.routes())))
	s.streams = newStreams()
	s.http = &http.Server{
		Handler:           s.handler,
		TLSConfig:         o.TLS,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      60 * time.Second, // a CPU profile takes 30 s by default
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
	}
	s.http.RegisterOnShutdown(s.streams.end)
	return s, nil
}

// SetTokens replaces the tokens, for a reload. On an error the old ones stay.
func (s *Server) SetTokens(tokens []Token) error {
	grants, err := newGrants(tokens)
	if err != nil {
		return fmt.Errorf("set admin tokens: %w", err)
	}
	s.tokens.Store(&grants)
	return nil
}

// Serve answers requests until Close.
func (s *Server) Serve() error {
	var err error
	if s.opts.TLS != nil {
		err = s.http.ServeTLS(s.opts.Listener, "", "")
	} else {
		err = s.http.Serve(s.opts.Listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve admin: %w", err)
}

// Close stops accepting and waits for requests under way, until ctx ends; then it cuts them off.
func (s *Server) Close(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		s.http.Close()
		return fmt.Errorf("close admin: %w", err)
	}
	return nil
}
