package admin

import (
	"errors"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
)

// route is one line of the API's table of contents.
type route struct {
	method  string
	pattern string
	needs   Role // 0 = open to everybody: health probes
	global  bool // shows more than one tenant's things, so the token must reach all tenants
	handle  func(w http.ResponseWriter, r *http.Request, g *grant) error
}

// routes lists every route and who may use it. The tests go through this list, so a route cannot be forgotten there.
func (s *Server) routes() []route {
	list := []route{
		{"GET", "/healthz", 0, false, s.healthz},
		{"GET", "/readyz", 0, false, s.readyz},
		{"GET", "/metrics", RoleViewer, true, s.metrics},

		{"GET", "/api/v1/whoami", RoleViewer, false, s.whoami},
		{"GET", "/api/v1/deliveries", RoleViewer, false, s.listDeliveries},
		{"GET", "/api/v1/deliveries/{id}", RoleViewer, false, s.getDelivery},
		{"POST", "/api/v1/deliveries/{id}/retry", RoleEditor, false, s.retryDelivery},
		{"GET", "/api/v1/webhooks", RoleViewer, false, s.listWebhooks},
		{"GET", "/api/v1/webhooks/{id}", RoleViewer, false, s.getWebhook},
		{"GET", "/api/v1/stats", RoleViewer, false, s.stats},
	}
	if s.opts.Pprof {
		list = append(list,
			route{"GET", "/debug/pprof/", RoleAdmin, true, plain(pprof.Index)},
			route{"GET", "/debug/pprof/cmdline", RoleAdmin, true, plain(pprof.Cmdline)},
			route{"GET", "/debug/pprof/profile", RoleAdmin, true, plain(pprof.Profile)},
			route{"GET", "/debug/pprof/symbol", RoleAdmin, true, plain(pprof.Symbol)},
			route{"GET", "/debug/pprof/trace", RoleAdmin, true, plain(pprof.Trace)})
	}
	return list
}

// plain adapts a handler that needs no grant.
func plain(h http.HandlerFunc) func(http.ResponseWriter, *http.Request, *grant) error {
	return func(w http.ResponseWriter, r *http.Request, _ *grant) error {
		h(w, r)
		return nil
	}
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request, _ *grant) error {
	s.opts.Metrics.ServeHTTP(w, r)
	return nil
}

// mux builds the router. Methods are told apart here and not by ServeMux, so that 404 and 405 are problems like all others.
func (s *Server) mux() *http.ServeMux {
	byPattern := map[string][]route{}
	for _, rt := range s.routes() {
		byPattern[rt.pattern] = append(byPattern[rt.pattern], rt)
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
	if rt.needs > 0 {
		var p *problem
		if g, p = s.authorize(r, rt); p != nil {
			writeProblem(w, p)
			return
		}
	}
	err := rt.handle(w, r, g)
	if err == nil {
		return
	}
	var p *problem
	switch {
	case errors.As(err, &p):
	case errors.Is(err, ErrNotFound):
		p = problemNotFound("")
	case errors.Is(err, ErrCursor):
		p = problemParameter("cursor: this is not a cursor of this list")
	case errors.Is(err, ErrUnavailable):
		p = &problem{Status: http.StatusServiceUnavailable, Type: "unavailable", Title: "Not possible just now"}
	case r.Context().Err() != nil:
		return // the client has gone
	default:
		s.opts.Log.Error("admin request failed", "method", rt.method, "route", rt.pattern, "err", err)
		p = &problem{Status: http.StatusInternalServerError, Type: "internal", Title: "Internal error", Detail: "the log says more"}
	}
	writeProblem(w, p)
}
