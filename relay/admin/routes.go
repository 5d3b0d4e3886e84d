package admin

import (
	"errors"
	"net/http"
	"net/http/pprof"
	"reflect"
	"slices"
	"strings"
)

// routes lists every route and who may use it. The tests and the document go through this list, so a route cannot be forgotten there.
func (s *Server) routes() []route {
	list := slices.Concat(
		s.relayRoutes(),
		s.seriesRoutes(),
		s.pluginRoutes(),
		s.keyRoutes(),
		s.deliveryRoutes(),
		s.streamRoutes(),
		s.historyRoutes(),
		s.jobRoutes(),
		s.webhookRoutes(),
		s.lifeRoutes(),
		s.authorizationRoutes(),
		s.tokenRoutes(),
		s.tryRoutes(),
		s.eventTypeRoutes(),
		s.catalogueRoutes(),
		s.eventTypeWrites(),
		s.configRoutes(),
	)
	if s.opts.Pprof {
		for path, h := range map[string]http.HandlerFunc{"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace} {
			list = append(list, plain(op{method: "GET", path: "/debug/pprof/" + path, role: RoleAdmin, global: true}, h))
		}
	}
	return list
}

// relayRoutes are those about the relay as a whole.
func (s *Server) relayRoutes() []route {
	return []route{
		operation(op{method: "GET", path: "/healthz", id: "get-health", tag: "relay", errors: []int{401, 403, 503},
			summary: "Whether the process is alive"}, s.healthz),
		operation(op{method: "GET", path: "/readyz", id: "get-readiness", tag: "relay", errors: []int{401, 403, 503},
			summary: "Whether producers should be sent here"}, s.readyz),
		plain(op{method: "GET", path: "/metrics", id: "get-metrics", tag: "relay", role: RoleViewer, global: true, media: "text/plain",
			summary: "Metrics for Prometheus"}, func(w http.ResponseWriter, r *http.Request) { s.opts.Metrics.ServeHTTP(w, r) }),
		operation(op{method: "GET", path: "/api/v1/stats", id: "get-stats", tag: "relay", role: RoleViewer,
			summary: "What the relay and its webhooks have done since it was started"}, s.stats),
		operation(op{method: "GET", path: "/api/v1/whoami", id: "get-whoami", tag: "relay", role: RoleViewer,
			summary: "What the token of the request may do"}, s.whoami),
		plain(op{method: "GET", path: "/api/openapi.json", id: "get-openapi", tag: "relay", media: "application/json",
			summary: "This document"}, s.serveDocument),
		plain(op{method: "GET", path: "/api/docs", id: "get-reference", tag: "relay", media: "text/html",
			summary: "This document for people"}, s.serveReference),
	}
}

// plain makes the route of a handler that takes any parameters and needs no token's tenants.
func plain(o op, h http.HandlerFunc) route {
	if o.status == 0 {
		o.status = http.StatusOK
	}
	return route{op: o, in: reflect.TypeFor[none](), handle: func(w http.ResponseWriter, r *http.Request, _ *grant) error {
		h(w, r)
		return nil
	}}
}

// mux builds the router. Methods are told apart here and not by ServeMux, so that 404 and 405 are problems like all others.
func (s *Server) mux(routes []route) *http.ServeMux {
	byPattern := map[string][]route{}
	for _, rt := range routes {
		byPattern[rt.path] = append(byPattern[rt.path], rt)
	}
	mux := http.NewServeMux()
	for pattern, rts := range byPattern {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.dispatch(w, r, rts) })
	}
	mux.HandleFunc("/", s.serveRest)
	return mux
}

// dispatch finds the method's route, checks the token against it and answers what goes wrong.
func (s *Server) dispatch(w http.ResponseWriter, r *http.Request, rts []route) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http drops the body
	}
	var allow []string
	for _, rt := range rts {
		if rt.method != method {
			allow = append(allow, rt.method)
			continue
		}
		s.run(w, r, rt)
		return
	}
	slices.Sort(allow)
	w.Header().Set("Allow", strings.Join(allow, ", "))
	writeProblem(w, &problem{Status: http.StatusMethodNotAllowed, Type: "method-not-allowed", Title: "Method not allowed"})
}

func (s *Server) run(w http.ResponseWriter, r *http.Request, rt route) {
	var g *grant
	if rt.role > 0 {
		var p *problem
		if g, p = s.authorize(r, rt); p != nil {
			writeProblem(w, p)
			return
		}
		note(r, g)
	}
	err := rt.handle(w, r, g)
	if err == nil {
		return
	}
	var p *problem
	var mistakes Mistakes
	var conflict *Conflict
	switch {
	case errors.As(err, &p):
	case preconditions(err) != nil:
		p = preconditions(err)
	case errors.As(err, &mistakes):
		p = mistakes.problem()
	case errors.As(err, &conflict):
		p = &problem{Status: http.StatusConflict, Type: "conflict", Title: "Conflict", Detail: conflict.Error()}
	case errors.Is(err, ErrNotFound):
		p = problemNotFound("")
	case errors.Is(err, ErrCursor):
		p = problemParameter("cursor: this is not a cursor of this list")
	case errors.Is(err, ErrUnavailable):
		p = &problem{Status: http.StatusServiceUnavailable, Type: "unavailable", Title: "Not possible just now"}
	case r.Context().Err() != nil:
		return // the client has gone
	default:
		s.opts.Log.Error("admin request failed", "method", rt.method, "route", rt.path, "request", requestIDOf(r), "err", err)
		p = &problem{Status: http.StatusInternalServerError, Type: "internal", Title: "Internal error", Detail: "the log says more"}
	}
	writeProblem(w, p)
}
